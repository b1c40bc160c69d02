//! Drawing in a terminal: sparklines.

/// One character per value, from the lowest to the highest; `·` where there is no number.
pub fn sparkline(values: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let present = || values.iter().flatten().copied().filter(|v| v.is_finite());
    let (low, high) = present().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let bar = |v: f64| if high > low { BARS[((v - low) / (high - low) * 7.0).round() as usize] } else { BARS[0] };
    values.iter().map(|v| v.filter(|v| v.is_finite()).map_or('·', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_spans_from_lowest_to_highest() {
        assert_eq!(sparkline(&[Some(0.0), None, Some(7.0), Some(3.0), Some(f64::NAN)]), "▁·█▄·");
        assert_eq!(sparkline(&[Some(5.0), Some(5.0)]), "▁▁");
        assert_eq!(sparkline(&[]), "");
    }
}
