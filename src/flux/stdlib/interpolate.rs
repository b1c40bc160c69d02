//! Package `interpolate`.

use super::{
    Call, Function,
    tables::{each, floats, run_error, times},
};
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
    },
    kernel::time_window::TimeWindow,
    model::Duration,
    plan::{Frame, stream::type_name},
};
use arrow::{
    array::{ArrayRef, Float64Array, TimestampNanosecondArray, UInt64Array},
    compute::take,
    datatypes::DataType,
    record_batch::RecordBatch,
};
use datafusion::common::Result;
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&LINEAR];

static LINEAR: Function = Function {
    name: "linear",
    signature: "(<-tables: stream[A], every: duration) => stream[A]",
    summary: "Adds rows at every boundary of `every` between rows, on the straight line. Every other column must be in the group key.",
    examples: &[],
    call: linear,
};

fn linear(call: &mut Call<'_>) -> FluxResult<Value> {
    let every = call.required::<Duration>("every")?;
    let window = TimeWindow::every(every).map_err(|e| FluxError::from(e).at(call.span))?;
    each(call, |frame: &Frame| {
        let fail = |message: String| frame.fail("linear", format!("linear: {message}"));
        for column in ["_time", "_value"] {
            if !frame.has(column) {
                return fail(format!("{column} column does not exist"));
            }
        }
        if let Some(other) = frame.columns().iter().find(|c| !frame.is_key(c) && !matches!(c.as_str(), "_time" | "_value")) {
            return fail(format!("interpolate.linear requires column \"{other}\" to be in group key"));
        }
        match frame.data_type("_value") {
            Some(DataType::Float64) => {}
            other => {
                let kind = other.map_or("null", |t| type_name(&t));
                return fail(format!("cannot interpolate {kind} values; expected float values"));
            }
        }
        let schema = frame.schema();
        let shape = Arc::new(schema.clone());
        frame.whole_tables("linear", schema, frame.key.clone(), frame.has_empty_tables(), move |first, rows| {
            let (times, values) = filled(rows, &window, every)?;
            let same = UInt64Array::from(vec![0; times.len()]);
            let columns = shape.fields().iter().map(|field| -> Result<ArrayRef> {
                Ok(match field.name().as_str() {
                    "_time" => Arc::new(TimestampNanosecondArray::from(times.clone())),
                    "_value" => Arc::new(Float64Array::from(values.clone())),
                    key => take(first.column_by_name(key).expect("a key column"), &same, None)?,
                })
            });
            Ok(RecordBatch::try_new(shape.clone(), columns.collect::<Result<Vec<_>>>()?)?)
        })
    })
}

/// The rows and the points between them.
fn filled(rows: &RecordBatch, window: &TimeWindow, every: Duration) -> Result<(Vec<i64>, Vec<f64>)> {
    let column = |name: &str| rows.column_by_name(name).ok_or_else(|| run_error(format!("linear: {name} column does not exist")));
    let null = |name: &str| run_error(format!("linear: null {name} found during linear interpolation"));
    let given_times = times(column("_time")?).ok_or_else(|| run_error("linear: _time must be of type time"))?;
    let given = given_times.into_iter().zip(floats(column("_value")?).unwrap_or_default());
    let (mut out_times, mut out_values): (Vec<i64>, Vec<f64>) = (vec![], vec![]);
    for (time, value) in given {
        let (time, value) = (time.ok_or_else(|| null("_time"))?, value.ok_or_else(|| null("_value"))?);
        if let (Some(from_time), Some(from)) = (out_times.last().copied(), out_values.last().copied()) {
            let slope = (value - from) / (time - from_time) as f64;
            let mut at = window.latest(from_time).stop;
            while at < time {
                out_times.push(at);
                out_values.push(from + slope * (at - from_time) as f64);
                at = every.add_to(at);
            }
        }
        out_times.push(time);
        out_values.push(value);
    }
    Ok((out_times, out_values))
}
