//! Mean and variance in one pass (Welford), mergeable (Chan et al.).

#[derive(Debug, Clone, Copy, Default)]
pub struct Variance {
    pub count: f64,
    pub mean: f64,
    /// Sum of squared distances from the mean.
    pub m2: f64,
}

/// Which divisor: `n - 1` of a sample, `n` of a population.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Divisor {
    #[default]
    Sample,
    Population,
}

impl Variance {
    pub fn push(&mut self, value: f64) {
        self.count += 1.0;
        let delta = value - self.mean;
        self.mean += delta / self.count;
        self.m2 += delta * (value - self.mean);
    }

    pub fn merge(&mut self, other: &Variance) {
        if other.count == 0.0 {
            return;
        }
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        self.m2 += other.m2 + delta * delta * self.count * other.count / count;
        self.mean += delta * other.count / count;
        self.count = count;
    }

    /// `None` without values. A sample of one gives NaN (Flux v0.200: fewer than two give NaN in **both** modes).
    pub fn stddev(&self, divisor: Divisor) -> Option<f64> {
        if self.count == 0.0 {
            return None;
        }
        if self.count < 2.0 {
            return Some(f64::NAN);
        }
        let n = if divisor == Divisor::Sample { self.count - 1.0 } else { self.count };
        Some((self.m2 / n).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals() {
        // numpy.std([2, 4, 4, 4, 5, 5, 7, 9]) = 2.0; ddof=1: 2.138089935299395
        let mut state = Variance::default();
        [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter().for_each(|v| state.push(v));
        assert_eq!(state.stddev(Divisor::Population), Some(2.0));
        assert!(state.stddev(Divisor::Sample).is_some_and(|s| (s - 2.138089935299395).abs() < 1e-14));
        assert_eq!(Variance::default().stddev(Divisor::Sample), None);
    }

    proptest! {
        #[test]
        fn merging_parts_is_like_one_pass(values in prop::collection::vec(-1e3..1e3f64, 2..50), cut in 0..50_usize) {
            let (a, b) = values.split_at(cut.min(values.len()));
            let of = |part: &[f64]| part.iter().fold(Variance::default(), |mut s, v| { s.push(*v); s });
            let mut merged = of(a);
            merged.merge(&of(b));
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let m2: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
            prop_assert!((merged.m2 - m2).abs() < 1e-6 && (merged.mean - mean).abs() < 1e-9);
        }
    }
}
