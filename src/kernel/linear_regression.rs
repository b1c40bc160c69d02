//! Least-squares line through points: `y = intercept + slope * x`.

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub slope: f64,
    pub intercept: f64,
}

/// `None` for fewer than two different `x`. The means are taken off first: nanosecond times squared would
/// otherwise eat every digit of a float.
pub fn linear_regression(xs: &[f64], ys: &[f64]) -> Option<Line> {
    let n = xs.len().min(ys.len());
    let mean = |values: &[f64]| values[..n].iter().sum::<f64>() / n as f64;
    let (mean_x, mean_y) = (mean(xs), mean(ys));
    let (mut xx, mut xy) = (0.0, 0.0);
    for (x, y) in xs.iter().zip(ys) {
        xx += (x - mean_x) * (x - mean_x);
        xy += (x - mean_x) * (y - mean_y);
    }
    (n >= 2 && xx > 0.0).then(|| {
        let slope = xy / xx;
        Line { slope, intercept: mean_y - slope * mean_x }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal() {
        // numpy.polyfit([0, 1, 2, 3], [-1, 0.2, 0.9, 2.1], 1) = [1.0, -0.95]
        let line = linear_regression(&[0.0, 1.0, 2.0, 3.0], &[-1.0, 0.2, 0.9, 2.1]).expect("four points");
        assert!((line.slope - 1.0).abs() < 1e-12 && (line.intercept + 0.95).abs() < 1e-12);
        assert_eq!(linear_regression(&[1.0, 1.0], &[0.0, 5.0]), None);
    }
}
