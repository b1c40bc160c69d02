//! Exact quantiles, percentiles and medians of a column. The slices are reordered, not copied.

use std::cmp::Ordering;

/// Linear interpolation at place `q (n - 1)` of the sorted values: Flux's `exact_mean` and `interpolated`, NumPy's default.
/// `None` without values. NaN sorts as Go sorts it: before everything.
pub fn interpolated(values: &mut [f64], q: f64) -> Option<f64> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let place = q.clamp(0.0, 1.0) * (n - 1) as f64;
    let (low, high) = (place.floor(), place.ceil());
    let (_, at, above) = values.select_nth_unstable_by(low as usize, nan_first);
    let below_value = *at;
    if low == high {
        return Some(below_value);
    }
    let above_value = above.iter().copied().min_by(nan_first)?;
    Some(below_value * (high - place) + above_value * (place - low))
}

fn nan_first(a: &f64, b: &f64) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// Flux's `exact_selector`: index `ceil(q n) - 1` (at least 0) of the sorted values. `None` without values.
pub fn selector_index(count: usize, q: f64) -> Option<usize> {
    let last = count.checked_sub(1)?;
    Some(((q * count as f64).ceil().max(1.0) as usize - 1).min(last))
}

/// InfluxQL's `percentile(f, p)`: index `floor(n p / 100 + 0.5) - 1` of the sorted values; `None` outside of them,
/// so small percentiles of few values have no row (InfluxDB 1.8).
pub fn percentile_index(count: usize, percent: f64) -> Option<usize> {
    let index = (count as f64 * percent / 100.0 + 0.5).floor() - 1.0;
    (index >= 0.0 && index < count as f64).then_some(index as usize)
}

/// InfluxQL's `median`: the middle value, or the mean of the middle two.
pub fn median(values: &mut [f64]) -> Option<f64> {
    interpolated(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals() {
        // numpy.quantile([1, 3, 7, 20], [0, .25, .5, .9, 1]) = [1, 2.5, 5, 16.1, 20]
        for (q, expected) in [(0.0, 1.0), (0.25, 2.5), (0.5, 5.0), (0.9, 16.1), (1.0, 20.0)] {
            let got = interpolated(&mut [20.0, 1.0, 7.0, 3.0], q).unwrap_or(f64::NAN);
            assert!((got - expected).abs() < 1e-12, "{q}: {got}");
        }
        assert_eq!(interpolated(&mut [], 0.5), None);
        assert_eq!(median(&mut [4.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn indices() {
        assert_eq!([0.0, 0.1, 0.5, 0.51, 1.0].map(|q| selector_index(4, q)), [Some(0), Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(selector_index(0, 0.5), None);
        // InfluxDB 1.8, measured: p = 1 of six values has no row.
        assert_eq!([1.0, 10.0, 50.0, 100.0, 120.0].map(|p| percentile_index(6, p)), [None, Some(0), Some(2), Some(5), None]);
    }

    proptest! {
        #[test]
        fn agrees_with_sorting(mut values in prop::collection::vec(-1e6..1e6f64, 1..60), q in 0.0..=1.0f64) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let place = q * (sorted.len() - 1) as f64;
            let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            let expected = low + (high - low) * place.fract();
            let got = interpolated(&mut values, q).unwrap_or(f64::NAN);
            prop_assert!((got - expected).abs() < 1e-6);
        }
    }
}
