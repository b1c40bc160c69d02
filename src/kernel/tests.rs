//! The kernels against NumPy 2.4.6, SciPy 1.17.1 and pandas 3.1.1, whose answers for one series stand here as printed. With `v`
//! and `t` the series below (`np` NumPy, `st` scipy.stats, `s` = `pandas.Series(v)`), the comments are the calls.

use super::{
    covariance::Covariance,
    cumulative_sum::CumulativeSum,
    derivative::{Derivative, OnFall},
    difference::Difference,
    exponential_moving_average::FluxEma,
    integral::{Integral, time_weighted_average},
    linear_regression::linear_regression,
    mode::Mode,
    moving_average::moving_average,
    quantile,
    skew::Skew,
    spread::spread,
    tdigest::TDigest,
    variance::{Divisor, Variance},
};

const V: [f64; 12] = [4.0, 7.5, -2.0, 11.25, 3.0, 3.0, 19.5, 8.0, -6.75, 14.0, 1.5, 9.0];
const T: [f64; 12] = [0.0, 10.0, 20.0, 35.0, 40.0, 50.0, 60.0, 75.0, 80.0, 90.0, 105.0, 110.0];
const SECOND: i64 = 1_000_000_000;

fn times() -> [i64; 12] {
    T.map(|t| t as i64 * SECOND)
}

fn close(got: impl IntoIterator<Item = f64>, expected: &[f64]) {
    let got: Vec<f64> = got.into_iter().collect();
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for (a, b) in got.iter().zip(expected) {
        assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{got:?} is not {expected:?}");
    }
}

#[test]
fn row_by_row() {
    let points = || times().into_iter().zip(V);
    let mut slope = Derivative::new(SECOND, OnFall::Keep);
    // np.diff(v) / np.diff(t)
    let expected = [0.35, -0.95, 0.8833333333333333, -1.65, 0.0, 1.65, -0.7666666666666667, -2.95, 2.075, -0.8333333333333334, 1.5];
    close(points().filter_map(|(t, v)| slope.push(t, v)), &expected);
    let mut difference = Difference::new(OnFall::Keep);
    // np.diff(v)
    close(V.into_iter().filter_map(|v| difference.push(v)), &[3.5, -9.5, 13.25, -8.25, 0.0, 16.5, -11.5, -14.75, 20.75, -12.5, 7.5]);
    let mut sum = CumulativeSum::default();
    // np.cumsum(v)
    close(V.map(|v| sum.push(Some(v))), &[4.0, 11.5, 9.5, 20.75, 23.75, 26.75, 46.25, 54.25, 47.5, 61.5, 63.0, 72.0]);
    let mut means = [0.0; 10];
    moving_average(&V, 3, &mut means);
    // s.rolling(3).mean().dropna()
    let expected = [
        3.1666666666666665,
        5.583333333333333,
        4.083333333333333,
        5.75,
        8.5,
        10.166666666666666,
        6.916666666666667,
        5.083333333333333,
        2.9166666666666665,
        8.166666666666666,
    ];
    close(means, &expected);
    let mut average = FluxEma::new(4);
    // pandas.concat([pandas.Series([v[:4].mean()]), s[4:]]).ewm(alpha=2/5, adjust=False).mean()
    let expected = [5.1875, 4.3125, 3.7875, 10.072500000000002, 9.243500000000001, 2.8461, 7.30766, 4.984596, 6.5907576];
    close(V.into_iter().filter_map(|v| average.push(Some(v)).flatten()), &expected);
}

#[test]
fn quantiles() {
    let qs = [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0];
    // np.quantile(v, qs)
    let expected = [-6.75, -1.6499999999999997, 2.625, 5.75, 9.5625, 13.725000000000001, 18.895000000000003, 19.5];
    close(qs.map(|q| quantile::interpolated(&mut V.clone(), q).unwrap_or(f64::NAN)), &expected);
    let mut sorted = V;
    sorted.sort_by(f64::total_cmp);
    // np.quantile(v, qs, method="inverted_cdf")
    let expected = [-6.75, -2.0, 1.5, 4.0, 9.0, 14.0, 19.5, 19.5];
    close(qs.map(|q| quantile::selector_index(V.len(), q).map_or(f64::NAN, |i| sorted[i])), &expected);
    // np.median(v)
    close(quantile::median(&mut V.clone()), &[5.75]);
    // An estimate of few values lies within the neighbours of the exact place.
    let mut digest = TDigest::default();
    V.iter().for_each(|v| digest.push(*v));
    for (q, exact) in qs.into_iter().zip([-6.75, -1.65, 2.625, 5.75, 9.5625, 13.725, 18.895, 19.5]) {
        let place = q * (V.len() - 1) as f64;
        let (low, high) = ((place - 1.0).max(0.0) as usize, (place + 2.0).min(11.0) as usize);
        let got = digest.quantile(q).unwrap_or(f64::NAN);
        assert!((sorted[low]..=sorted[high]).contains(&got), "{q}: {got} for {exact}");
    }
}

#[test]
fn a_number_from_a_column() {
    let mut variance = Variance::default();
    let mut skew = Skew::default();
    let mut mode = Mode::default();
    let mut covariance = Covariance::default();
    for (t, v) in T.into_iter().zip(V) {
        variance.push(v);
        skew.push(v);
        mode.push(v.to_bits());
        covariance.push(t, v);
    }
    // np.std(v, ddof=1), np.std(v)
    close([Divisor::Sample, Divisor::Population].into_iter().filter_map(|d| variance.stddev(d)), &[7.1215103096821455, 6.81832701865592]);
    // st.skew(v)
    close(skew.value(), &[0.10980048489432408]);
    // st.mode(v)
    assert_eq!(mode.earliest().map(|bits| f64::from_bits(*bits)), Some(3.0));
    // np.ptp(v)
    close(spread(&V).map(|(min, max)| max - min), &[26.25]);
    // np.cov(t, v)[0][1], np.corrcoef(t, v)[0][1]
    close([covariance.covariance(), covariance.pearson()], &[26.022727272727273, 0.09993694590245063]);
    // np.polyfit(t, v, 1)
    let line = linear_regression(&T, &V).expect("twelve points");
    close([line.slope, line.intercept], &[0.019464513387165344, 4.90512112197195]);
    // scipy.integrate.trapezoid(v, t), and that divided by 110
    let (first, last) = (times()[0], times()[11]);
    let mut area = Integral::new(SECOND, first, last, false);
    times().into_iter().zip(V).for_each(|(t, v)| area.push(t, v));
    close([area.finish(), time_weighted_average(times().into_iter().zip(V), first, last)], &[720.625, 6.551136363636363]);
}
