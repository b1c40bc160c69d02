//! A quantile from cumulative counts per bucket (Flux v0.200 `histogram_quantile.go`).

/// A bucket of a cumulative histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    pub upper_bound: f64,
    /// Samples at or below the bound.
    pub count: f64,
}

/// What to do with counts that fall from one bucket to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNonmonotonic {
    #[default]
    Error,
    /// Raise a falling count to the one before.
    Force,
    /// Leave the histogram out.
    Drop,
}

/// What a histogram gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    Value(f64),
    /// No samples.
    Null,
    /// Left out, see [`OnNonmonotonic::Drop`].
    Dropped,
    /// `histogram is empty`.
    Empty,
    /// `histogram records counts are not monotonic`.
    NotMonotonic,
}

/// `buckets` are sorted by their bound. Inside a bucket samples are taken as evenly spread; the lowest bucket starts
/// at `min_value`. Above the last finite bound there is nothing to interpolate with, so that bound is the answer.
pub fn histogram_quantile(buckets: &mut [Bucket], q: f64, min_value: f64, on_nonmonotonic: OnNonmonotonic) -> Outcome {
    let Some(last) = buckets.len().checked_sub(1) else { return Outcome::Empty };
    let mut before = 0.0;
    for bucket in buckets.iter_mut() {
        if bucket.count < before {
            match on_nonmonotonic {
                OnNonmonotonic::Error => return Outcome::NotMonotonic,
                OnNonmonotonic::Drop => return Outcome::Dropped,
                OnNonmonotonic::Force => bucket.count = before,
            }
        }
        before = bucket.count;
    }
    if before == 0.0 {
        return Outcome::Null;
    }
    let rank = q * before;
    let below = buckets.iter().rposition(|b| rank >= b.count);
    let (lower, upper) = match below {
        None => (Bucket { upper_bound: min_value, count: 0.0 }, buckets[0]),
        Some(i) if i == last => return Outcome::Value(buckets[last].upper_bound),
        Some(i) => (buckets[i], buckets[i + 1]),
    };
    Outcome::Value(if rank == lower.count || upper.upper_bound == f64::INFINITY && lower.upper_bound != f64::NEG_INFINITY {
        lower.upper_bound
    } else if lower.upper_bound == f64::NEG_INFINITY {
        upper.upper_bound
    } else {
        let share = (rank - lower.count) / (upper.count - lower.count);
        lower.upper_bound + (upper.upper_bound - lower.upper_bound) * share
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[(f64, f64)], q: f64, rule: OnNonmonotonic) -> Outcome {
        let mut buckets: Vec<Bucket> = counts.iter().map(|&(upper_bound, count)| Bucket { upper_bound, count }).collect();
        histogram_quantile(&mut buckets, q, 0.0, rule)
    }

    #[test]
    fn interpolates() {
        let counts = [(0.1, 1.0), (0.2, 2.0), (0.4, 10.0), (f64::INFINITY, 10.0)];
        assert_eq!(of(&counts, 0.1, OnNonmonotonic::Error), Outcome::Value(0.1));
        assert_eq!(of(&counts, 0.05, OnNonmonotonic::Error), Outcome::Value(0.05));
        assert_eq!(of(&counts, 0.6, OnNonmonotonic::Error), Outcome::Value(0.2 + 0.2 * 0.5));
        assert_eq!(of(&[(1.0, 0.0)], 0.5, OnNonmonotonic::Error), Outcome::Null);
        assert_eq!(of(&[], 0.5, OnNonmonotonic::Error), Outcome::Empty);
    }

    #[test]
    fn falling_counts() {
        let counts = [(1.0, 4.0), (2.0, 3.0), (3.0, 8.0)];
        assert_eq!(of(&counts, 0.5, OnNonmonotonic::Error), Outcome::NotMonotonic);
        assert_eq!(of(&counts, 0.5, OnNonmonotonic::Drop), Outcome::Dropped);
        assert_eq!(of(&counts, 0.75, OnNonmonotonic::Force), Outcome::Value(2.5));
    }
}
