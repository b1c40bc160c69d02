//! Chande's momentum: `100 (rises - falls) / (rises + falls)` over the last differences.

use super::{exponential_moving_average::Warmup, relative_strength_index::RelativeStrengthIndex};

/// Flux's `chandeMomentumOscillator` (v0.200): sums over the last `n` differences. Missing values are read as zero
/// by the caller. No movement at all gives NaN.
#[derive(Debug, Clone)]
pub struct FluxChandeMomentumOscillator {
    /// The last `n` differences, at `row % n`.
    ring: Vec<f64>,
    rows: usize,
    n: usize,
    up: f64,
    down: f64,
    last: f64,
}

impl FluxChandeMomentumOscillator {
    pub fn new(n: usize) -> FluxChandeMomentumOscillator {
        FluxChandeMomentumOscillator { ring: vec![], rows: 0, n: n.max(1), up: 0.0, down: 0.0, last: 0.0 }
    }

    /// `None` for the first `n` rows.
    pub fn push(&mut self, value: f64) -> Option<f64> {
        let difference = if self.rows == 0 { 0.0 } else { value - self.last };
        self.last = value;
        if self.ring.len() < self.n {
            self.ring.push(difference);
        } else {
            self.ring[self.rows % self.n] = difference;
        }
        if difference > 0.0 {
            self.up += difference;
        } else {
            self.down -= difference;
        }
        let row = self.rows;
        self.rows += 1;
        if row < self.n {
            return None;
        }
        let momentum = 100.0 * (self.up - self.down) / (self.up + self.down);
        let oldest = self.ring[(row + 1) % self.n];
        if oldest > 0.0 {
            self.up -= oldest;
        } else {
            self.down += oldest;
        }
        Some(momentum)
    }
}

/// InfluxQL's `chande_momentum_oscillator` (measured with InfluxDB 1.6.7), one number per value from the first.
#[derive(Debug, Clone)]
pub enum ChandeMomentumOscillator {
    /// Without a warm-up (the default): sums over the last `n` differences. 0 when nothing moved.
    Sums { ring: Vec<f64>, rows: usize, up: f64, down: f64, last: f64 },
    /// With a warm-up: smoothed like the relative strength index.
    Smoothed(RelativeStrengthIndex),
}

impl ChandeMomentumOscillator {
    /// `n` must be at least 2 without a warm-up (InfluxDB 1.x panics on 1; our InfluxQL reports an error).
    pub fn new(n: usize, warmup: Option<Warmup>) -> ChandeMomentumOscillator {
        match warmup {
            Some(warmup) => ChandeMomentumOscillator::Smoothed(RelativeStrengthIndex::new(n, warmup)),
            None => ChandeMomentumOscillator::Sums { ring: vec![0.0; n.max(1)], rows: 0, up: 0.0, down: 0.0, last: 0.0 },
        }
    }

    /// Values left out by default: `n - 1` without a warm-up, else `n`.
    pub fn hold(&self) -> usize {
        match self {
            ChandeMomentumOscillator::Sums { ring, .. } => ring.len() - 1,
            ChandeMomentumOscillator::Smoothed(state) => state.hold(),
        }
    }

    pub fn push(&mut self, value: f64) -> f64 {
        match self {
            ChandeMomentumOscillator::Smoothed(state) => {
                let (up, down) = state.step(value);
                100.0 * ((up - down) / (up + down))
            }
            ChandeMomentumOscillator::Sums { ring, rows, up, down, last } => {
                let difference = if *rows == 0 { 0.0 } else { value - *last };
                *last = value;
                let place = *rows % ring.len();
                *rows += 1;
                let oldest = std::mem::replace(&mut ring[place], difference);
                *up += difference.max(0.0) - oldest.max(0.0);
                *down += oldest.min(0.0) - difference.min(0.0);
                if *up != 0.0 || *down != 0.0 { 100.0 * ((*up - *down) / (*up + *down)) } else { 0.0 }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_definition(values: &[f64]) -> f64 {
        let differences: Vec<f64> = values.windows(2).map(|w| w[1] - w[0]).collect();
        let up: f64 = differences.iter().filter(|d| **d > 0.0).sum();
        let down: f64 = -differences.iter().filter(|d| **d < 0.0).sum::<f64>();
        100.0 * (up - down) / (up + down)
    }

    proptest::proptest! {
        #[test]
        fn flux_agrees_with_the_definition(values in proptest::collection::vec(-100..100_i32, 1..40), n in 2..8_usize) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let mut state = FluxChandeMomentumOscillator::new(n);
            for i in 0..values.len() {
                let got = state.push(values[i]);
                assert_eq!(got.is_some(), i >= n);
                if let Some(got) = got {
                    let expected = by_definition(&values[i - n..=i]);
                    assert!((got - expected).abs() < 1e-9 || got.is_nan() && expected.is_nan());
                }
            }
        }

        #[test]
        fn influxql_agrees_with_the_definition(values in proptest::collection::vec(-100..100_i32, 1..40), n in 2..8_usize) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let mut state = ChandeMomentumOscillator::new(n, None);
            for i in 0..values.len() {
                let got = state.push(values[i]);
                if i >= state.hold() {
                    let expected = by_definition(&values[i.saturating_sub(n)..=i]);
                    assert!((got - expected).abs() < 1e-9 || got == 0.0 && expected.is_nan());
                }
            }
        }
    }
}
