//! The three numeric field types behind one trait, so that a kernel is written once.

/// A field value that can be counted with: `f64`, `i64` or `u64`.
pub trait Number: Copy + PartialOrd + Default + Send + Sync + 'static {
    fn to_f64(self) -> f64;

    /// `self - earlier` as a float. Integers are subtracted exactly before they are rounded, so that two counters
    /// near 2^60 that differ by one give one; unsigned values never wrap.
    fn minus(self, earlier: Self) -> f64;

    /// Wrapping addition, as Go's integers have it.
    fn plus(self, other: Self) -> Self;

    /// `sum` and the values, as floats one after the other: the result does not depend on how the values come in pieces.
    fn added(sum: f64, values: &[Self]) -> f64 {
        values.iter().fold(sum, |sum, v| sum + v.to_f64())
    }

    /// A float as this type, truncated towards zero.
    fn from_f64(value: f64) -> Self;

    fn is_nan(self) -> bool {
        false
    }
}

impl Number for f64 {
    fn to_f64(self) -> f64 {
        self
    }

    fn minus(self, earlier: f64) -> f64 {
        self - earlier
    }

    fn plus(self, other: f64) -> f64 {
        self + other
    }

    fn from_f64(value: f64) -> f64 {
        value
    }

    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }
}

/// Below this every integer is a float.
const EXACT: u64 = 1 << 53;

impl Number for i64 {
    fn to_f64(self) -> f64 {
        self as f64
    }

    /// While no sum on the way can leave the integers that are floats, all of them are exact, and integers may be added in any order:
    /// a processor adds several at once.
    fn added(sum: f64, values: &[i64]) -> f64 {
        // All bits that any magnitude has, so that no magnitude is larger.
        let bits = values.iter().fold(0, |bits, v| bits | v.unsigned_abs());
        let reach = u128::from(bits) * values.len() as u128 + u128::from(sum.abs() as u64);
        if reach < u128::from(EXACT) && sum.trunc() == sum {
            return sum + values.iter().sum::<i64>() as f64;
        }
        values.iter().fold(sum, |sum, v| sum + *v as f64)
    }

    fn minus(self, earlier: i64) -> f64 {
        (i128::from(self) - i128::from(earlier)) as f64
    }

    fn plus(self, other: i64) -> i64 {
        self.wrapping_add(other)
    }

    fn from_f64(value: f64) -> i64 {
        value as i64
    }
}

impl Number for u64 {
    fn to_f64(self) -> f64 {
        self as f64
    }

    fn minus(self, earlier: u64) -> f64 {
        (i128::from(self) - i128::from(earlier)) as f64
    }

    fn plus(self, other: u64) -> u64 {
        self.wrapping_add(other)
    }

    fn from_f64(value: f64) -> u64 {
        value as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_add_up_as_floats_one_after_the_other() {
        let far = (1_i64 << 53) - 3;
        let cases: [(f64, &[i64]); 9] = [
            (0.0, &[]),
            (-0.0, &[0, 0]),
            (7.0, &[1, -2, 3, -4, 5]),
            (0.0, &[far, 1, 1, 1, 1, 1]),
            (far as f64, &[1, 1, 1, 1, -5]),
            (0.0, &[i64::MAX, i64::MIN, i64::MAX, 1, 1]),
            (1e300, &[1, 2, 3]),
            (f64::NAN, &[1]),
            (0.5, &[far, 1, far]),
        ];
        for (sum, values) in cases {
            let one_by_one = values.iter().fold(sum, |sum, v| sum + *v as f64);
            assert_eq!(i64::added(sum, values).to_bits(), one_by_one.to_bits(), "{sum} and {values:?}");
        }
    }

    #[test]
    fn counters_are_subtracted_exactly() {
        let near = 1_u64 << 60;
        assert_eq!((near + 1).minus(near), 1.0);
        assert_eq!(near.minus(near + 1), -1.0);
        assert_eq!(i64::MAX.minus(i64::MIN), 18_446_744_073_709_551_615.0);
    }
}
