//! The quantile of a cumulative histogram, linear within a bucket, by the rules that Prometheus documents for
//! `histogram_quantile`.

/// How many observations were at most `upper_bound`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bucket {
    pub upper_bound: f64,
    pub count: f64,
}

/// NaN without a bucket for +Inf or with fewer than two bounds; infinite for `q` outside of 0 to 1. A quantile in the
/// highest bucket is the bound below it; the lowest bucket begins at 0 when its bound is positive.
pub fn bucket_quantile(q: f64, mut buckets: Vec<Bucket>) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    buckets.sort_by(|a, b| a.upper_bound.total_cmp(&b.upper_bound));
    if buckets.last().is_none_or(|b| b.upper_bound != f64::INFINITY) {
        return f64::NAN;
    }
    let mut merged: Vec<Bucket> = vec![];
    for bucket in buckets {
        match merged.last_mut() {
            Some(last) if last.upper_bound == bucket.upper_bound => last.count += bucket.count,
            _ => merged.push(bucket),
        }
    }
    let Some(highest) = merged.len().checked_sub(1).filter(|h| *h > 0) else { return f64::NAN };
    // Counts that fall, as scrapes at different instants give them, are raised to the highest below. The last one is
    // left as it is (Flux v0.200).
    let mut most = merged[0].count;
    for bucket in &mut merged[..highest] {
        most = most.max(bucket.count);
        bucket.count = most;
    }
    let rank = q * merged[highest].count;
    let at = merged[..highest].iter().position(|b| b.count >= rank).unwrap_or(highest);
    if at == highest {
        return merged[highest - 1].upper_bound;
    }
    if at == 0 && merged[0].upper_bound <= 0.0 {
        return merged[0].upper_bound;
    }
    let below = if at > 0 { merged[at - 1] } else { Bucket::default() };
    below.upper_bound + (merged[at].upper_bound - below.upper_bound) * ((rank - below.count) / (merged[at].count - below.count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_linearly_through_a_bucket() {
        let buckets =
            |pairs: &[(f64, f64)]| pairs.iter().map(|(upper_bound, count)| Bucket { upper_bound: *upper_bound, count: *count }).collect();
        let usual = || buckets(&[(1.0, 4.0), (2.0, 8.0), (f64::INFINITY, 10.0)]);
        assert_eq!(bucket_quantile(0.2, usual()), 0.5);
        assert_eq!(bucket_quantile(0.6, usual()), 1.5);
        assert_eq!(bucket_quantile(0.99, usual()), 2.0);
        assert!(bucket_quantile(0.5, buckets(&[(1.0, 4.0)])).is_nan());
        assert_eq!(bucket_quantile(1.5, usual()), f64::INFINITY);
    }
}
