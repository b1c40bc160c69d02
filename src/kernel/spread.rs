//! Greatest minus smallest value. NaN takes no part, as in Go's comparisons (Flux v0.200 `spread.go`).

use super::Number;

#[derive(Debug, Clone, Copy, Default)]
pub struct Spread<T> {
    range: Option<(T, T)>,
}

impl<T: Number> Spread<T> {
    pub fn push(&mut self, value: T) {
        if value.is_nan() {
            return;
        }
        self.range = Some(match self.range {
            None => (value, value),
            Some((min, max)) => (if value < min { value } else { min }, if value > max { value } else { max }),
        });
    }

    pub fn merge(&mut self, other: &Spread<T>) {
        if let Some((min, max)) = other.range {
            self.push(min);
            self.push(max);
        }
    }

    /// (smallest, greatest); `None` without values.
    pub fn range(&self) -> Option<(T, T)> {
        self.range
    }
}

/// (smallest, greatest) of a column without gaps.
pub fn spread<T: Number>(values: &[T]) -> Option<(T, T)> {
    let mut state = Spread::default();
    values.iter().for_each(|v| state.push(*v));
    state.range()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_takes_no_part() {
        assert_eq!(spread(&[f64::NAN, 3.0, -1.0]), Some((-1.0, 3.0)));
        assert_eq!(spread::<i64>(&[]), None);
        let mut left = Spread::default();
        left.push(3_u64);
        let mut right = Spread::default();
        right.push(9);
        left.merge(&right);
        assert_eq!(left.range(), Some((3, 9)));
    }
}
