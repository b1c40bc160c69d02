//! `range`: bounds in time.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{Interpreter, Value},
        stdlib::{Call, Function},
    },
    model::{Result, TimeRange, duration::SECOND},
    plan::{
        Frame, TableStream,
        stream::{col, regroup_frames, time_literal},
    },
};
use arrow::datatypes::DataType;
use datafusion::functions::expr_fn::{greatest, least};
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "range",
    signature: "(<-tables: stream[A], start: B, ?stop: C) => stream[D]",
    summary: "Keeps rows with `start <= _time < stop` and adds both bounds to the group key as `_start` and `_stop`.",
    examples: &[],
    call: range,
};

/// An instant from a time, a duration before now (a month is 30.4375 days), or seconds since the epoch (Flux v0.200).
fn instant(value: Value, name: &str, interpreter: &Interpreter<'_>) -> FluxResult<i64> {
    match value {
        Value::Time(t) => Ok(t),
        Value::Duration(d) => Ok(interpreter.now()?.saturating_add(d.mean_nanoseconds())),
        Value::Int(seconds) => Ok(seconds.saturating_mul(SECOND)),
        other => Err(FluxError::invalid(format!("range: `{name}` expects a time, a duration or an int, found {}", other.type_name()))),
    }
}

fn range(call: &mut Call<'_>) -> FluxResult<Value> {
    let start = call.required::<Value>("start")?;
    let start = instant(start, "start", call.interpreter).map_err(|e| e.at(call.span))?;
    let stop = match call.get("stop") {
        Some(stop) => instant(stop, "stop", call.interpreter).map_err(|e| e.at(call.span))?,
        None => call.interpreter.now()?,
    };
    let mut bounds = TimeRange::new(start, stop);
    if bounds.is_empty() {
        return Err(FluxError::invalid("cannot query an empty range").at(call.span));
    }
    if let Some(rows) = call.selection().and_then(|rows| rows.within(bounds)) {
        return Ok(Value::Selection(Arc::new(rows)));
    }
    let tables = call.unbounded_tables()?;
    let mut rekeyed = false;
    let frames = tables.frames.iter().map(|frame| {
        rekeyed |= frame.is_key("_start") || frame.is_key("_stop");
        bound(frame, bounds)
    });
    let mut frames = frames.collect::<Result<Vec<_>>>()?;
    if rekeyed {
        frames = regroup_frames(frames, call.context())?;
    }
    bounds = tables.bounds.map_or(bounds, |b| b.intersect(bounds));
    Ok(Value::Stream(TableStream::new(frames, Some(bounds)).into()))
}

fn bound(frame: &Frame, bounds: TimeRange) -> Result<Frame> {
    if !matches!(frame.data_type("_time"), Some(DataType::Timestamp(..))) {
        return frame.fail("range", "range: no \"_time\" column of type time exists".to_string());
    }
    let (start, stop) = (time_literal(bounds.start), time_literal(bounds.stop));
    let time = col("_time");
    let kept = frame.filter(time.clone().gt_eq(start.clone()).and(time.lt(stop.clone())))?;
    // Both bounds already in the key: their intersection with the new ones (Flux v0.200 `range.go`).
    let nested = frame.is_key("_start") && frame.is_key("_stop");
    let (start, stop) = if nested { (greatest(vec![col("_start"), start]), least(vec![col("_stop"), stop])) } else { (start, stop) };
    let mut out = kept.with_columns(vec![("_start".to_string(), start), ("_stop".to_string(), stop)])?;
    for name in ["_start", "_stop"] {
        if !out.is_key(name) {
            out.key.push(name.to_string());
        }
    }
    Ok(out)
}
