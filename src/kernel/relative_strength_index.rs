//! Relative strength: `100 - 100 / (1 + rises / falls)` over smoothed rises and falls.
//!
//! In both products the very first difference is taken against **zero**, so the first value counts as a rise.

use super::exponential_moving_average::{Ema, Warmup};

fn index(up: f64, down: f64) -> f64 {
    100.0 - 100.0 / (1.0 + up / down)
}

/// Flux's `relativeStrengthIndex` (v0.200): plain means over the first `n` rows, then weight `1 / n`.
#[derive(Debug, Clone)]
pub struct FluxRelativeStrengthIndex {
    n: usize,
    rows: usize,
    up: Smoothed,
    down: Smoothed,
    last: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Smoothed {
    seen: usize,
    value: f64,
}

impl Smoothed {
    fn push(&mut self, value: f64, warm: bool, n: usize) {
        let (seen, weight) = (self.seen as f64, 1.0 / n as f64);
        self.value = match (self.seen, warm) {
            (0, _) => value,
            (_, true) => value * weight + self.value * (1.0 - weight),
            (_, false) => (self.value * seen + value) / (seen + 1.0),
        };
        self.seen = (self.seen + 1).min(n);
    }
}

impl FluxRelativeStrengthIndex {
    pub fn new(n: usize) -> FluxRelativeStrengthIndex {
        FluxRelativeStrengthIndex { n: n.max(1), rows: 0, up: Smoothed::default(), down: Smoothed::default(), last: None }
    }

    /// `None` for the first `n` rows; then the index, missing while no value was seen. A missing value repeats it.
    pub fn push(&mut self, value: Option<f64>) -> Option<Option<f64>> {
        if let Some(value) = value {
            let rise = value - self.last.unwrap_or(0.0);
            let warm = self.rows >= self.n;
            self.up.push(if rise > 0.0 { rise } else { 0.0 }, warm, self.n);
            self.down.push(if rise < 0.0 { -rise } else { 0.0 }, warm, self.n);
            self.last = Some(value);
        }
        self.rows += 1;
        (self.rows > self.n).then(|| self.last.map(|_| index(self.up.value, self.down.value)))
    }

    /// After the last row of a table with at most `n` rows: the index of the plain means so far.
    pub fn finish(&self) -> Option<f64> {
        (self.rows > 0 && self.rows <= self.n).then(|| index(self.up.value, self.down.value))
    }
}

/// InfluxQL's `relative_strength_index` (InfluxDB 1.8): averages with period `n + 1` and weight `1 / n`.
#[derive(Debug, Clone)]
pub struct RelativeStrengthIndex {
    up: Ema,
    down: Ema,
    last: f64,
}

impl RelativeStrengthIndex {
    pub fn new(n: usize, warmup: Warmup) -> RelativeStrengthIndex {
        let average = || Ema::new(n + 1, warmup).with_weight(1.0 / n as f64);
        RelativeStrengthIndex { up: average(), down: average(), last: 0.0 }
    }

    /// Values left out by default: `n`.
    pub fn hold(&self) -> usize {
        self.up.hold()
    }

    pub fn push(&mut self, value: f64) -> f64 {
        let (up, down) = self.step(value);
        index(up, down)
    }

    /// Smoothed rises and falls after this value, which the Chande oscillator with a warm-up uses, too.
    pub(super) fn step(&mut self, value: f64) -> (f64, f64) {
        let rise = value - std::mem::replace(&mut self.last, value);
        (self.up.push(if rise > 0.0 { rise } else { 0.0 }), self.down.push(if rise < 0.0 { -rise } else { 0.0 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rises_give_a_hundred() {
        let mut flux = FluxRelativeStrengthIndex::new(3);
        let got: Vec<_> = (1..=6).map(|i| flux.push(Some(f64::from(i)))).collect();
        assert_eq!(got, [None, None, None, Some(Some(100.0)), Some(Some(100.0)), Some(Some(100.0))]);
        let mut influxql = RelativeStrengthIndex::new(3, Warmup::Exponential);
        assert_eq!((influxql.hold(), (1..=6).map(|i| influxql.push(f64::from(i))).next_back()), (3, Some(100.0)));
    }

    #[test]
    fn by_hand() {
        // Rises 1, 1, 0, 2; falls 0, 0, 1, 0; n = 2: means after two rows 1 and 0, then halves.
        let mut flux = FluxRelativeStrengthIndex::new(2);
        let got: Vec<_> = [1.0, 2.0, 1.0, 3.0].map(|v| flux.push(Some(v))).into();
        assert_eq!(got[..2], [None, None]);
        let third = 100.0 - 100.0 / (1.0 + 0.5 / 0.5);
        let fourth = 100.0 - 100.0 / (1.0 + 1.25 / 0.25);
        assert_eq!(got[2..], [Some(Some(third)), Some(Some(fourth))]);
    }

    #[test]
    fn short_tables() {
        let mut flux = FluxRelativeStrengthIndex::new(10);
        let early: Vec<_> = [1.0, 2.0, 1.0].into_iter().filter_map(|v| flux.push(Some(v))).collect();
        assert_eq!(early, []);
        let expected = 100.0 - 100.0 / (1.0 + (2.0_f64 / 3.0) / (1.0 / 3.0));
        assert!(flux.finish().is_some_and(|v| (v - expected).abs() < 1e-12));
    }
}
