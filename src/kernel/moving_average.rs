//! Mean of the last `n` rows, in constant time per row.
//!
//! Flux v0.200 `moving_average.go`: a missing value takes a place among the `n` rows but no part in the mean; when all
//! `n` are missing the mean is missing; fewer than `n` rows give one row with the mean so far. InfluxQL never
//! passes missing values and gives nothing for short input.
//!
//! The sum is compensated (Neumaier) and taken anew once per `n` rows, so errors cannot pile up; infinities and NaN
//! are counted instead of added, so they leave no trace once they left the window.

#[derive(Debug, Clone)]
pub struct MovingAverage {
    ring: Vec<Option<f64>>,
    next: usize,
    rows: usize,
    present: usize,
    sum: CompensatedSum,
    nan: usize,
    positive_infinity: usize,
    negative_infinity: usize,
}

impl MovingAverage {
    /// Over `n` rows; `n` of zero is taken as one.
    pub fn new(n: usize) -> MovingAverage {
        MovingAverage {
            // The ring grows with the rows: `n` may be far larger than any table.
            ring: Vec::with_capacity(n.clamp(1, 4096)),
            next: 0,
            rows: n.max(1),
            present: 0,
            sum: CompensatedSum::default(),
            nan: 0,
            positive_infinity: 0,
            negative_infinity: 0,
        }
    }

    /// `None` until `n` rows were seen; then the mean, missing when all `n` values are.
    pub fn push(&mut self, value: Option<f64>) -> Option<Option<f64>> {
        if self.ring.len() < self.rows {
            self.ring.push(value);
        } else {
            let leaving = std::mem::replace(&mut self.ring[self.next], value);
            self.count(leaving, false);
        }
        self.count(value, true);
        self.next += 1;
        if self.next == self.rows {
            self.next = 0;
            self.sum_anew();
        }
        (self.ring.len() == self.rows).then(|| self.mean())
    }

    /// After the last row: the mean so far when there were rows but fewer than `n` (Flux's single row).
    pub fn finish(&self) -> Option<Option<f64>> {
        (!self.ring.is_empty() && self.ring.len() < self.rows).then(|| self.mean())
    }

    fn mean(&self) -> Option<f64> {
        if self.present == 0 {
            return None;
        }
        Some(match (self.nan > 0, self.positive_infinity > 0, self.negative_infinity > 0) {
            (false, false, false) => self.sum.value() / self.present as f64,
            (false, true, false) => f64::INFINITY,
            (false, false, true) => f64::NEG_INFINITY,
            _ => f64::NAN,
        })
    }

    fn count(&mut self, value: Option<f64>, enters: bool) {
        let Some(value) = value else { return };
        let step = |n: &mut usize| if enters { *n += 1 } else { *n -= 1 };
        step(&mut self.present);
        if value.is_finite() {
            self.sum.add(if enters { value } else { -value });
        } else if value.is_nan() {
            step(&mut self.nan);
        } else if value > 0.0 {
            step(&mut self.positive_infinity);
        } else {
            step(&mut self.negative_infinity);
        }
    }

    fn sum_anew(&mut self) {
        self.sum = CompensatedSum::default();
        for value in self.ring.iter().flatten().filter(|v| v.is_finite()) {
            self.sum.add(*value);
        }
    }
}

/// Neumaier's sum: carries the low-order bits that plain addition loses.
#[derive(Debug, Clone, Copy, Default)]
pub struct CompensatedSum {
    sum: f64,
    lost: f64,
}

impl CompensatedSum {
    pub fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost += if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    pub fn value(&self) -> f64 {
        self.sum + self.lost
    }
}

/// The same over a whole column without gaps: `out[i]` is the mean of `values[i..i + n]`, so `out` has
/// `values.len() - n + 1` places (none when there are fewer than `n` values).
pub fn moving_average(values: &[f64], n: usize, out: &mut [f64]) {
    let mut state = MovingAverage::new(n);
    let means = values.iter().filter_map(|v| state.push(Some(*v)).flatten());
    for (place, mean) in out.iter_mut().zip(means) {
        *place = mean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn missing_values_take_a_place_but_no_part() {
        let mut state = MovingAverage::new(3);
        let means = [Some(1.0), None, Some(3.0), None, None, None, Some(4.0)].map(|v| state.push(v));
        assert_eq!(means, [None, None, Some(Some(2.0)), Some(Some(3.0)), Some(Some(3.0)), Some(None), Some(Some(4.0))]);
    }

    #[test]
    fn short_tables_give_the_mean_so_far() {
        let mut state = MovingAverage::new(5);
        assert_eq!(state.finish(), None);
        state.push(Some(1.0));
        state.push(Some(2.0));
        assert_eq!(state.finish(), Some(Some(1.5)));
    }

    #[test]
    fn infinity_leaves_no_trace() {
        let mut state = MovingAverage::new(2);
        let means = [1.0, f64::INFINITY, 2.0, f64::NEG_INFINITY, f64::INFINITY, 3.0, 5.0].map(|v| state.push(Some(v)).flatten());
        assert_eq!(means[1..4], [Some(f64::INFINITY), Some(f64::INFINITY), Some(f64::NEG_INFINITY)]);
        assert!(means[4].is_some_and(f64::is_nan));
        assert_eq!(means[6], Some(4.0));
    }

    #[test]
    fn a_huge_value_takes_no_digits_with_it() {
        let mut state = MovingAverage::new(2);
        let means = [1e16, 1.0, 1.0, 1.0].map(|v| state.push(Some(v)).flatten());
        assert_eq!(means[2..], [Some(1.0), Some(1.0)]);
    }

    proptest! {
        #[test]
        fn agrees_with_summing_every_window(values in prop::collection::vec(prop::option::of(-1e12..1e12f64), 0..80), n in 1..10_usize) {
            let mut state = MovingAverage::new(n);
            for i in 0..values.len() {
                let got = state.push(values[i]);
                if i + 1 < n {
                    prop_assert_eq!(got, None);
                    continue;
                }
                let window: Vec<f64> = values[i + 1 - n..=i].iter().flatten().copied().collect();
                match got {
                    Some(Some(mean)) => {
                        let expected = window.iter().sum::<f64>() / window.len() as f64;
                        prop_assert!((mean - expected).abs() <= 1e-3_f64.max(expected.abs() * 1e-12));
                    }
                    Some(None) => prop_assert!(window.is_empty()),
                    None => prop_assert!(false),
                }
            }
        }
    }
}
