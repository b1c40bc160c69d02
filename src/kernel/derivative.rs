//! Slope between neighbouring values: `(v[i] - v[i-1]) / ((t[i] - t[i-1]) / unit)`.
//!
//! The rules both products share (Flux v0.200 `derivative.go`, InfluxDB 1.8 `functions.go`): the first value gives
//! nothing; a second value of the same time is passed over and does not become the base; a value that falls while
//! only rises are wanted gives nothing (or 0) and *does* become the base. The time between two values counts
//! without its sign, which is InfluxQL's rule for `ORDER BY time DESC`.

use super::Number;

/// What a fall gives where a counter should only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnFall {
    /// The negative number itself.
    #[default]
    Keep,
    /// Nothing (`nonNegative: true`, `non_negative_derivative`).
    Missing,
    /// The counter was reset to zero in between (Flux `nonNegative: true, initialZero: true`): a derivative of 0, a
    /// difference of the value itself.
    Reset,
}

/// Slope of a stream of values; missing values are simply not pushed.
#[derive(Debug, Clone)]
pub struct Derivative<T> {
    unit_ns: f64,
    on_fall: OnFall,
    last: Option<(i64, T)>,
}

impl<T: Number> Derivative<T> {
    /// Slope per `unit_ns` nanoseconds.
    pub fn new(unit_ns: i64, on_fall: OnFall) -> Derivative<T> {
        Derivative { unit_ns: unit_ns as f64, on_fall, last: None }
    }

    pub fn push(&mut self, time: i64, value: T) -> Option<f64> {
        let Some((last_time, last_value)) = self.last else {
            self.last = Some((time, value));
            return None;
        };
        if time == last_time {
            return None;
        }
        self.last = Some((time, value));
        if self.on_fall != OnFall::Keep && last_value > value {
            return (self.on_fall == OnFall::Reset).then_some(0.0);
        }
        Some(value.minus(last_value) / (time.abs_diff(last_time) as f64 / self.unit_ns))
    }
}

/// The same over whole columns without gaps: `out[i]` and `valid[i]` belong to row `i`; row 0 is never valid.
/// All slices have one length. Times must differ from row to row, as the rows of one series do.
pub fn derivative(times: &[i64], values: &[f64], unit_ns: i64, on_fall: OnFall, out: &mut [f64], valid: &mut [bool]) {
    let unit = unit_ns as f64;
    if let (Some(out), Some(valid)) = (out.first_mut(), valid.first_mut()) {
        (*out, *valid) = (0.0, false);
    }
    for i in 1..times.len() {
        let rise = values[i] - values[i - 1];
        let falls = on_fall != OnFall::Keep && values[i - 1] > values[i];
        out[i] = if falls { 0.0 } else { rise / (times[i].abs_diff(times[i - 1]) as f64 / unit) };
        valid[i] = !falls || on_fall == OnFall::Reset;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn all(on_fall: OnFall, rows: &[(i64, f64)]) -> Vec<Option<f64>> {
        let mut state = Derivative::new(S, on_fall);
        rows.iter().map(|&(t, v)| state.push(t * S, v)).collect()
    }

    #[test]
    fn a_fall_is_the_new_base() {
        let rows = [(0, 10.0), (10, 20.0), (20, 0.0), (30, 5.0)];
        assert_eq!(all(OnFall::Keep, &rows), [None, Some(1.0), Some(-2.0), Some(0.5)]);
        assert_eq!(all(OnFall::Missing, &rows), [None, Some(1.0), None, Some(0.5)]);
        assert_eq!(all(OnFall::Reset, &rows), [None, Some(1.0), Some(0.0), Some(0.5)]);
    }

    #[test]
    fn a_repeated_time_is_passed_over() {
        assert_eq!(all(OnFall::Keep, &[(0, 1.0), (0, 9.0), (1, 2.0)]), [None, None, Some(1.0)]);
    }

    #[test]
    fn backwards_in_time_the_sign_is_that_of_the_values() {
        assert_eq!(all(OnFall::Keep, &[(20, 4.0), (10, 2.0)]), [None, Some(-0.2)]);
    }

    #[test]
    fn unsigned_counters_do_not_wrap() {
        let mut state = Derivative::new(S, OnFall::Keep);
        assert_eq!((state.push(0, 5_u64), state.push(S, 3)), (None, Some(-2.0)));
    }

    proptest::proptest! {
        #[test]
        fn the_slice_form_agrees_with_the_stream(values in proptest::collection::vec(-1e6..1e6f64, 0..50), step in 1..100_i64) {
            let times: Vec<i64> = (0..values.len() as i64).map(|i| i * step * S).collect();
            for on_fall in [OnFall::Keep, OnFall::Missing, OnFall::Reset] {
                let (mut out, mut valid) = (vec![0.0; values.len()], vec![false; values.len()]);
                derivative(&times, &values, S, on_fall, &mut out, &mut valid);
                let mut state = Derivative::new(S, on_fall);
                for i in 0..values.len() {
                    assert_eq!(state.push(times[i], values[i]), valid[i].then_some(out[i]));
                }
            }
        }
    }
}
