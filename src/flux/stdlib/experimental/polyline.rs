//! Package `experimental/polyline`: the Ramer-Douglas-Peucker algorithm, which keeps the points that shape a line.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{each, floats, run_error, times},
        },
    },
    plan::Frame,
};
use arrow::{array::UInt64Array, compute::take_record_batch, datatypes::DataType, record_batch::RecordBatch};
use datafusion::common::Result;

pub const FUNCTIONS: &[&Function] = &[&RDP];

static RDP: Function = Function {
    name: "rdp",
    signature: "(<-tables: stream[A], ?valColumn: string, ?timeColumn: string, ?epsilon: float, ?retention: float) => stream[B]",
    summary: "Drops points nearer than `epsilon` to the line through their neighbours, or keeps `retention` percent of the points; with neither it finds a tolerance itself.",
    examples: &[],
    call: rdp,
};

#[derive(Debug, Clone, Copy)]
enum Keep {
    Epsilon(f64),
    Percent(f64),
    Auto,
}

fn rdp(call: &mut Call<'_>) -> FluxResult<Value> {
    let value = call.column_name("valColumn", "_value")?;
    let time = call.column_name("timeColumn", "_time")?;
    let keep = match (call.or("epsilon", 0.0)?, call.or("retention", 0.0)?) {
        (0.0, 0.0) => Keep::Auto,
        (epsilon, 0.0) => Keep::Epsilon(epsilon),
        (0.0, percent) => Keep::Percent(percent),
        _ => return Err(FluxError::invalid("rdp: Please provide either epsilon or retention rate and not both").at(call.span)),
    };
    each(call, |frame: &Frame| {
        for (column, fits) in [
            (&value, frame.data_type(&value) == Some(DataType::Float64)),
            (&time, matches!(frame.data_type(&time), Some(DataType::Timestamp(..)))),
        ] {
            if !fits {
                return frame.fail("rdp", format!("rdp: column \"{column}\" must be there, values of type float and times of type time"));
            }
        }
        let (value, time) = (value.clone(), time.clone());
        frame.whole_tables("rdp", frame.schema(), frame.key.clone(), frame.has_empty_tables(), move |_, rows| {
            let kept = kept_rows(&points(rows, &time, &value)?, keep)?;
            Ok(take_record_batch(rows, &UInt64Array::from_iter_values(kept.into_iter().map(|k| k as u64)))?)
        })
    })
}

/// Time in nanoseconds against value.
type Point = (f64, f64);

fn points(rows: &RecordBatch, time: &str, value: &str) -> Result<Vec<Point>> {
    let column = |name: &str| rows.column_by_name(name).ok_or_else(|| run_error(format!("rdp: no column \"{name}\" exists")));
    let at = times(column(time)?).unwrap_or_default();
    let values = floats(column(value)?).unwrap_or_default();
    at.into_iter().zip(values).map(|(t, v)| Ok((t.unwrap_or(0) as f64, v.unwrap_or(0.0)))).collect()
}

fn kept_rows(points: &[Point], keep: Keep) -> Result<Vec<usize>> {
    if points.len() <= 2 {
        return Ok((0..points.len()).collect());
    }
    let weights = weights(points, |from, to, distance| match keep {
        Keep::Epsilon(epsilon) => distance >= epsilon,
        Keep::Percent(_) => distance > 0.0,
        Keep::Auto => distance >= tolerance(points[from], points[to]),
    });
    let least = match keep {
        Keep::Percent(percent) => {
            let count = (percent / 100.0 * points.len() as f64).floor();
            if count < 1.0 {
                return Err(run_error("rdp: The number of points to retain is less than 1. Please consider increasing the retention rate"));
            }
            let mut sorted = weights.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            sorted[(count as usize - 1).min(sorted.len() - 1)]
        }
        _ => f64::MIN_POSITIVE,
    };
    Ok((0..points.len()).filter(|row| weights[*row] >= least).collect())
}

/// How far each point stands out: the distance at which it split a line, infinite at both ends, 0 if it split none.
fn weights(points: &[Point], splits: impl Fn(usize, usize, f64) -> bool) -> Vec<f64> {
    let mut weights = vec![0.0; points.len()];
    let mut lines = vec![(0, points.len() - 1)];
    while let Some((from, to)) = lines.pop() {
        let (mut farthest, mut most) = (from, 0.0);
        for row in from + 1..to {
            let distance = distance(points[from], points[to], points[row]);
            if distance > most {
                (farthest, most) = (row, distance);
            }
        }
        if farthest > from && splits(from, to, most) {
            weights[farthest] = most;
            lines.extend([(from, farthest), (farthest, to)]);
        }
    }
    weights[0] = f64::INFINITY;
    weights[points.len() - 1] = f64::INFINITY;
    weights
}

/// From a point to the line through two others.
fn distance(from: Point, to: Point, point: Point) -> f64 {
    let (a, b) = (from.1 - to.1, to.0 - from.0);
    let c = from.0 * to.1 - to.0 * from.1;
    (a * point.0 + b * point.1 + c).abs() / a.hypot(b)
}

/// The deviation that digitisation alone may cause: D. K. Prasad et al., "A novel framework for making dominant point
/// detection methods non-parametric", Image and Vision Computing 30 (2012).
fn tolerance(from: Point, to: Point) -> f64 {
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let slope = if to.0 == from.0 { 0.0 } else { (to.1 - from.1) / (to.0 - from.0) };
    let (sin, cos) = slope.atan().sin_cos();
    let most = (sin.abs() + cos.abs()) / length;
    let angle = |side: f64| (side.abs() / length * (1.0 - most + most * most)).atan();
    length * angle(sin + cos).max(angle(sin - cos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corners_stay() {
        let points: Vec<Point> = [0.0, 0.1, 5.0, 0.1, 0.0].iter().enumerate().map(|(x, y)| (x as f64, *y)).collect();
        assert_eq!(kept_rows(&points, Keep::Epsilon(0.5)).expect("keeps"), [0, 1, 2, 3, 4]);
        assert_eq!(kept_rows(&points, Keep::Epsilon(2.5)).expect("keeps"), [0, 2, 4]);
        assert_eq!(kept_rows(&points, Keep::Percent(60.0)).expect("keeps"), [0, 2, 4]);
    }
}
