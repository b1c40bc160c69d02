//! The three numeric field types behind one trait, so that a kernel is written once.

/// A field value that can be counted with: `f64`, `i64` or `u64`.
pub trait Number: Copy + PartialOrd + Default + Send + Sync + 'static {
    fn to_f64(self) -> f64;

    /// `self - earlier` as a float. Integers are subtracted exactly before they are rounded, so that two counters
    /// near 2^60 that differ by one give one; unsigned values never wrap.
    fn minus(self, earlier: Self) -> f64;

    /// Wrapping addition, as Go's integers have it.
    fn plus(self, other: Self) -> Self;

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

impl Number for i64 {
    fn to_f64(self) -> f64 {
        self as f64
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
    fn counters_are_subtracted_exactly() {
        let near = 1_u64 << 60;
        assert_eq!((near + 1).minus(near), 1.0);
        assert_eq!(near.minus(near + 1), -1.0);
        assert_eq!(i64::MAX.minus(i64::MIN), 18_446_744_073_709_551_615.0);
    }
}
