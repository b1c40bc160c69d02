//! Values for gaps: a line between two known points.

use super::Number;

/// The point of the line through (`t0`, `v0`) and (`t1`, `v1`) at `time`; integers are truncated towards zero
/// (InfluxDB 1.8 `linear.go`: slope times distance plus first value, all in floats).
pub fn linear<T: Number>(time: i64, t0: i64, v0: T, t1: i64, v1: T) -> T {
    let slope = v1.minus(v0) / (t1 as i128 - t0 as i128) as f64;
    T::from_f64(slope * (time as i128 - t0 as i128) as f64 + v0.to_f64())
}

/// Fills every run of missing values that stands between two known ones with a line; runs at either end stay
/// missing. `times` ascend or descend strictly.
pub fn fill_linear<T: Number>(times: &[i64], values: &mut [Option<T>]) {
    let mut known: Option<usize> = None;
    for i in 0..values.len() {
        let Some(value) = values[i] else { continue };
        if let Some(k) = known
            && let Some(before) = values[k]
        {
            for j in k + 1..i {
                values[j] = Some(linear(times[j], times[k], before, times[i], value));
            }
        }
        known = Some(i);
    }
}

/// Repeats the last known value over missing ones; a leading run stays missing.
pub fn fill_previous<T: Copy>(values: &mut [Option<T>]) {
    let mut last = None;
    for value in values {
        *value = value.or(last);
        last = *value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_only_between_known_values() {
        let times = [0, 10, 20, 30, 40, 50];
        let mut values = [None, Some(1.0), None, None, Some(4.0), None];
        fill_linear(&times, &mut values);
        assert_eq!(values, [None, Some(1.0), Some(2.0), Some(3.0), Some(4.0), None]);
    }

    #[test]
    fn integers_are_truncated() {
        let mut values = [Some(0_i64), None, Some(-5)];
        fill_linear(&[0, 1, 2], &mut values);
        assert_eq!(values, [Some(0), Some(-2), Some(-5)]);
        let mut falling = [Some(5_u64), None, Some(0)];
        fill_linear(&[2, 1, 0], &mut falling);
        assert_eq!(falling, [Some(5), Some(2), Some(0)]);
    }

    #[test]
    fn previous() {
        let mut values = [None, Some(1), None, Some(2), None];
        fill_previous(&mut values);
        assert_eq!(values, [None, Some(1), Some(1), Some(2), Some(2)]);
    }
}
