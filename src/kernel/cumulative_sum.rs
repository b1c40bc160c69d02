//! Running sum. A missing value repeats the sum so far (Flux v0.200 `cumulative_sum.go`); integers wrap.

use super::Number;

#[derive(Debug, Clone, Default)]
pub struct CumulativeSum<T> {
    sum: T,
}

impl<T: Number> CumulativeSum<T> {
    pub fn push(&mut self, value: Option<T>) -> T {
        if let Some(value) = value {
            self.sum = self.sum.plus(value);
        }
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_value_repeats_the_sum() {
        let mut state = CumulativeSum::default();
        assert_eq!([Some(1_u64), None, Some(2), None].map(|v| state.push(v)), [1, 1, 3, 3]);
    }
}
