//! Kaufman's efficiency ratio (net movement over total movement) and the adaptive average that follows it:
//! `a += c² (v - a)` with `c = ratio (2/3 - 2/31) + 2/31`.

use super::chande_momentum_oscillator::FluxChandeMomentumOscillator;

fn smoothing(ratio: f64) -> f64 {
    let (fast, slow) = (2.0 / 3.0, 2.0 / 31.0);
    (ratio * (fast - slow) + slow).powi(2)
}

/// Flux's `kaufmansAMA` (v0.200): the ratio is |Chande's momentum| / 100 over `n` differences.
/// Missing values are read as zero by the caller.
#[derive(Debug, Clone)]
pub struct FluxKaufmansAma {
    momentum: FluxChandeMomentumOscillator,
    last: f64,
    average: Option<f64>,
}

impl FluxKaufmansAma {
    pub fn new(n: usize) -> FluxKaufmansAma {
        FluxKaufmansAma { momentum: FluxChandeMomentumOscillator::new(n), last: 0.0, average: None }
    }

    /// `None` for the first `n` rows; the average then starts from the value of row `n`.
    pub fn push(&mut self, value: f64) -> Option<f64> {
        let before = std::mem::replace(&mut self.last, value);
        let ratio = self.momentum.push(value)?.abs() / 100.0;
        let average = self.average.unwrap_or(before);
        self.average = Some(average + smoothing(ratio) * (value - average));
        self.average
    }
}

/// InfluxQL's `kaufmans_efficiency_ratio` (InfluxDB 1.8), one number per value from the first: the ring of the last
/// `n` values starts as zeros. 0 when nothing moved.
#[derive(Debug, Clone)]
pub struct KaufmansEr {
    /// (value, its distance from the value before).
    ring: Vec<(f64, f64)>,
    newest: usize,
    noise: f64,
    seen: usize,
}

impl KaufmansEr {
    pub fn new(n: usize) -> KaufmansEr {
        KaufmansEr { ring: vec![(0.0, 0.0); n.max(1)], newest: 0, noise: 0.0, seen: 0 }
    }

    /// Values left out by default: `n`.
    pub fn hold(&self) -> usize {
        self.ring.len()
    }

    pub fn push(&mut self, value: f64) -> f64 {
        let oldest = (self.newest + 1) % self.ring.len();
        let signal = (value - self.ring[oldest].0).abs();
        let step = (value - self.ring[self.newest].0).abs();
        self.noise += step - self.ring[oldest].1;
        self.ring[oldest] = (value, step);
        self.newest = oldest;
        self.seen = (self.seen + 1).min(self.ring.len() + 1);
        if signal == 0.0 || self.noise == 0.0 { 0.0 } else { signal / self.noise }
    }

    fn is_warm(&self) -> bool {
        self.seen > self.ring.len()
    }

    fn last(&self) -> f64 {
        self.ring[self.newest].0
    }
}

/// InfluxQL's `kaufmans_adaptive_moving_average`, one number per value from the first.
#[derive(Debug, Clone)]
pub struct KaufmansAma {
    ratio: KaufmansEr,
    average: f64,
}

impl KaufmansAma {
    pub fn new(n: usize) -> KaufmansAma {
        KaufmansAma { ratio: KaufmansEr::new(n), average: 0.0 }
    }

    /// Values left out by default: `n`.
    pub fn hold(&self) -> usize {
        self.ratio.hold()
    }

    pub fn push(&mut self, value: f64) -> f64 {
        if !self.ratio.is_warm() {
            self.average = self.ratio.last();
        }
        let ratio = self.ratio.push(value);
        self.average += smoothing(ratio) * (value - self.average);
        self.average
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_fully_efficient() {
        let mut ratio = KaufmansEr::new(3);
        let mut flux = FluxKaufmansAma::new(3);
        let mut average = None;
        for i in 1..=10 {
            let r = ratio.push(f64::from(i));
            if i > 4 {
                assert_eq!(r, 1.0);
            }
            average = flux.push(f64::from(i));
            assert_eq!(average.is_some(), i > 3);
        }
        // With ratio 1 each step goes 4/9 of the way: 3, then 3 + 4/9 (4 - 3), ...
        let expected = (4..=10).fold(3.0, |a, v| a + 4.0 / 9.0 * (f64::from(v) - a));
        assert!(average.is_some_and(|a| (a - expected).abs() < 1e-12));
    }

    #[test]
    fn back_and_forth_is_not() {
        let mut ratio = KaufmansEr::new(2);
        let got: Vec<f64> = [1.0, 2.0, 1.0, 2.0, 1.0].map(|v| ratio.push(v)).into();
        assert_eq!(got[3..], [0.0, 0.0]);
    }
}
