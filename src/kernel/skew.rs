//! Skewness of a population, `sqrt(n) m3 / m2^1.5`, in one pass (Flux v0.200 `skew.go`), mergeable.

#[derive(Debug, Clone, Copy, Default)]
pub struct Skew {
    pub count: f64,
    pub mean: f64,
    pub m2: f64,
    pub m3: f64,
}

impl Skew {
    pub fn push(&mut self, value: f64) {
        let before = self.count;
        self.count += 1.0;
        let delta = value - self.mean;
        let step = delta / self.count;
        let term = delta * step * before;
        self.m3 += term * step * (self.count - 2.0) - 3.0 * step * self.m2;
        self.m2 += term;
        self.mean += step;
    }

    pub fn merge(&mut self, other: &Skew) {
        if other.count == 0.0 {
            return;
        }
        let (a, b) = (self.count, other.count);
        let n = a + b;
        let delta = other.mean - self.mean;
        self.m3 += other.m3 + delta.powi(3) * a * b * (a - b) / (n * n) + 3.0 * delta * (a * other.m2 - b * self.m2) / n;
        self.m2 += other.m2 + delta * delta * a * b / n;
        self.mean += delta * b / n;
        self.count = n;
    }

    /// `None` without values; fewer than two values, or values that are all equal, give NaN.
    pub fn value(&self) -> Option<f64> {
        if self.count == 0.0 {
            return None;
        }
        Some(if self.count < 2.0 { f64::NAN } else { self.count.sqrt() * self.m3 / self.m2.powf(1.5) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Skew {
        values.iter().fold(Skew::default(), |mut s, v| {
            s.push(*v);
            s
        })
    }

    #[test]
    fn literal() {
        // scipy.stats.skew([1, 2, 3, 10]) = 1.0182337649086284
        assert!(of(&[1.0, 2.0, 3.0, 10.0]).value().is_some_and(|s| (s - 1.0182337649086284).abs() < 1e-12));
    }

    proptest! {
        #[test]
        fn merging_parts_is_like_the_definition(values in prop::collection::vec(-1e2..1e2f64, 3..40), cut in 0..40_usize) {
            let (a, b) = values.split_at(cut.min(values.len()));
            let mut merged = of(a);
            merged.merge(&of(b));
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let m2: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
            let m3: f64 = values.iter().map(|v| (v - mean).powi(3)).sum();
            prop_assert!((merged.m2 - m2).abs() < 1e-6 * (1.0 + m2) && (merged.m3 - m3).abs() < 1e-6 * (1.0 + m2.powf(1.5)));
        }
    }
}
