//! Difference between neighbouring values, and the increase of a counter that may be reset.
//!
//! Flux v0.200 `difference.go`: integers stay integers, unsigned values give **signed** differences. InfluxQL keeps
//! the type, so its caller reads the two's complement of a falling unsigned difference (InfluxDB 1.8).

use super::{Number, derivative::OnFall};

/// A number whose difference has a type of its own.
pub trait Subtract: Number {
    type Difference: Number;
    fn subtract(self, earlier: Self) -> Self::Difference;
    fn to_difference(self) -> Self::Difference;
}

impl Subtract for f64 {
    type Difference = f64;

    fn subtract(self, earlier: f64) -> f64 {
        self - earlier
    }

    fn to_difference(self) -> f64 {
        self
    }
}

impl Subtract for i64 {
    type Difference = i64;

    fn subtract(self, earlier: i64) -> i64 {
        self.wrapping_sub(earlier)
    }

    fn to_difference(self) -> i64 {
        self
    }
}

impl Subtract for u64 {
    type Difference = i64;

    fn subtract(self, earlier: u64) -> i64 {
        self.wrapping_sub(earlier) as i64
    }

    fn to_difference(self) -> i64 {
        self as i64
    }
}

/// Difference of a stream of values; missing values are simply not pushed, so the base is the last value seen.
#[derive(Debug, Clone)]
pub struct Difference<T> {
    on_fall: OnFall,
    first_zero: bool,
    last: Option<T>,
}

impl<T: Subtract> Difference<T> {
    pub fn new(on_fall: OnFall) -> Difference<T> {
        Difference { on_fall, first_zero: false, last: None }
    }

    /// The first value gives zero instead of nothing (Flux `keepFirst: true, initialZero: true`).
    pub fn with_first_zero(self) -> Difference<T> {
        Difference { first_zero: true, ..self }
    }

    pub fn push(&mut self, value: T) -> Option<T::Difference> {
        let Some(last) = self.last.replace(value) else {
            return self.first_zero.then(T::Difference::default);
        };
        if self.on_fall == OnFall::Keep || value >= last {
            return Some(value.subtract(last));
        }
        // A negative value cannot come from a counter that was reset to zero.
        (self.on_fall == OnFall::Reset && value >= T::default()).then(|| value.to_difference())
    }
}

/// Growth of a counter since the first row, resets counted in: Flux's
/// `difference(nonNegative: true, keepFirst: true, initialZero: true) |> cumulativeSum()`.
/// A missing value repeats the sum so far.
#[derive(Debug, Clone)]
pub struct Increase<T: Subtract> {
    difference: Difference<T>,
    sum: T::Difference,
}

impl<T: Subtract> Default for Increase<T> {
    fn default() -> Self {
        Increase { difference: Difference::new(OnFall::Reset).with_first_zero(), sum: T::Difference::default() }
    }
}

impl<T: Subtract> Increase<T> {
    pub fn push(&mut self, value: Option<T>) -> T::Difference {
        if let Some(step) = value.and_then(|v| self.difference.push(v)) {
            self.sum = self.sum.plus(step);
        }
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all<T: Subtract>(mut state: Difference<T>, values: &[T]) -> Vec<Option<T::Difference>> {
        values.iter().map(|&v| state.push(v)).collect()
    }

    #[test]
    fn falls() {
        let values = [5_i64, 7, 2, -1, 4];
        assert_eq!(all(Difference::new(OnFall::Keep), &values), [None, Some(2), Some(-5), Some(-3), Some(5)]);
        assert_eq!(all(Difference::new(OnFall::Missing), &values), [None, Some(2), None, None, Some(5)]);
        assert_eq!(all(Difference::new(OnFall::Reset).with_first_zero(), &values), [Some(0), Some(2), Some(2), None, Some(5)]);
    }

    #[test]
    fn unsigned_values_give_signed_differences() {
        assert_eq!(all(Difference::new(OnFall::Keep), &[3_u64, 1]), [None, Some(-2)]);
    }

    #[test]
    fn increase_counts_resets_in() {
        let mut state = Increase::default();
        let sums: Vec<f64> = [Some(1.0), Some(4.0), None, Some(2.0), Some(3.0)].map(|v| state.push(v)).into();
        assert_eq!(sums, [0.0, 3.0, 3.0, 5.0, 6.0]);
    }
}
