//! Drawing in a terminal: sparklines, and charts of braille dots.

use std::cmp::Ordering;

/// Numbers in order; `None` where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub name: String,
    pub values: Vec<Option<f64>>,
}

fn finite(values: &[Option<f64>]) -> impl Iterator<Item = f64> {
    values.iter().flatten().copied().filter(|v| v.is_finite())
}

fn bounds(values: &[Option<f64>]) -> Option<(f64, f64)> {
    finite(values).fold(None, |bounds, v| Some(bounds.map_or((v, v), |(low, high): (f64, f64)| (low.min(v), high.max(v)))))
}

/// One character per value, from the lowest to the highest; `·` where there is no number.
pub fn sparkline(values: &[Option<f64>]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (low, high) = bounds(values).unwrap_or_default();
    let bar = |v: f64| if high > low { BARS[((v - low) / (high - low) * 7.0).round() as usize] } else { BARS[0] };
    values.iter().map(|v| v.filter(|v| v.is_finite()).map_or('·', bar)).collect()
}

/// At most `count` values: the means of stretches of equal length.
pub fn thinned(values: &[Option<f64>], count: usize) -> Vec<Option<f64>> {
    if values.len() <= count || count == 0 {
        return values.to_vec();
    }
    let stretch = |i: usize| &values[i * values.len() / count..(i + 1) * values.len() / count];
    let mean = |stretch: &[Option<f64>]| {
        let (sum, n) = finite(stretch).fold((0.0, 0), |(sum, n), v| (sum + v, n + 1));
        (n > 0).then(|| sum / f64::from(n))
    };
    (0..count).map(|i| mean(stretch(i))).collect()
}

/// A chart of `width` by `height` characters with the bounds at its left; empty where there is no number.
pub fn chart(values: &[Option<f64>], width: usize, height: usize) -> String {
    const DOTS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];
    let Some((low, high)) = bounds(values) else { return String::new() };
    let (columns, rows) = (width * 2, height * 4);
    let points = thinned(values, columns);
    let span = if high > low { high - low } else { 1.0 };
    let row_of = |v: f64| rows - 1 - ((v - low) / span * (rows - 1) as f64).round() as usize;
    let column_of = |i: usize| if points.len() > 1 { i * (columns - 1) / (points.len() - 1) } else { 0 };
    let mut cells = vec![vec![0_u32; width]; height];
    let mut dot = |column: usize, row: usize| cells[row / 4][column / 2] |= DOTS[row % 4][column % 2];
    let mut before: Option<(usize, usize)> = None;
    for (i, value) in points.iter().enumerate() {
        let Some(value) = value.filter(|v| v.is_finite()) else {
            before = None;
            continue;
        };
        let here = (column_of(i), row_of(value));
        // A line from the point before: every column between gets the row on the way, and a steep line the rows between.
        let (from_column, mut row) = before.unwrap_or(here);
        let from_row = row as f64;
        for column in from_column..=here.0 {
            let way = if here.0 > from_column { (column - from_column) as f64 / (here.0 - from_column) as f64 } else { 1.0 };
            let next = (from_row + (here.1 as f64 - from_row) * way).round() as usize;
            let between = match next.cmp(&row) {
                Ordering::Greater => row + 1..next + 1,
                Ordering::Less => next..row,
                Ordering::Equal => row..row + 1,
            };
            between.for_each(|row| dot(column, row));
            row = next;
        }
        before = Some(here);
    }
    let labels = [number(high), number(low)];
    let label_width = labels.iter().map(|l| l.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (i, row) in cells.iter().enumerate() {
        let label = if i == 0 {
            labels[0].as_str()
        } else if i + 1 == height {
            labels[1].as_str()
        } else {
            ""
        };
        let line: String = row.iter().map(|dots| char::from_u32(0x2800 + dots).unwrap_or(' ')).collect();
        out.push_str(&format!("{label:>label_width$} ┤{line}\n"));
    }
    out
}

/// Four significant digits.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let decimals = (3 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
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

    #[test]
    fn a_chart_has_its_bounds_at_the_left() {
        let rising: Vec<Option<f64>> = (0..8).map(|v| Some(f64::from(v))).collect();
        assert_eq!(chart(&rising, 4, 2), "7 ┤⠀⠀⡠⠊\n0 ┤⡠⠊⠀⠀\n");
        assert_eq!(chart(&[Some(0.0), Some(7.0)], 1, 2), "7 ┤⢸\n0 ┤⡸\n", "steep lines have no gaps");
        assert_eq!(chart(&[None], 4, 2), "");
        assert_eq!(chart(&[Some(5.0)], 2, 1).lines().count(), 1);
    }

    #[test]
    fn long_series_are_thinned_by_means() {
        let values: Vec<Option<f64>> = (0..10).map(|v| (v != 3).then_some(f64::from(v))).collect();
        assert_eq!(thinned(&values, 5), [Some(0.5), Some(2.0), Some(4.5), Some(6.5), Some(8.5)]);
        assert_eq!([number(1234.5678), number(0.012_345), number(12.0), number(-3.5)], ["1235", "0.01235", "12", "-3.5"]);
    }
}
