//! `timeShift`: times moved by a duration, calendar-aware.

use crate::{
    flux::{
        diagnostic::FluxResult,
        eval::Value,
        lower::value_function::value_function,
        stdlib::{Call, Function},
    },
    model::{Duration, Result, TimeRange, schema::time_type},
    plan::{
        TableStream,
        stream::{col, regroup_frames},
    },
};
use arrow::datatypes::DataType;
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "timeShift",
    signature: "(<-tables: stream[A], duration: duration, ?columns: [string]) => stream[A]",
    summary: "Adds `duration` to the columns, by default `_start`, `_stop` and `_time`; values of the key move too.",
    examples: &[],
    call: time_shift,
};

fn time_shift(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let duration = call.required::<Duration>("duration")?;
    let columns = call.column_names("columns", &["_start", "_stop", "_time"])?;
    let shift = move |values: Vec<Value>| match values.into_iter().next() {
        Some(Value::Time(t)) => Ok(Value::Time(duration.add_to(t))),
        _ => Ok(Value::Null),
    };
    let frames = tables.frames.iter().map(|frame| {
        let times = columns.iter().filter(|c| matches!(frame.data_type(c), Some(DataType::Timestamp(..))));
        frame.with_columns(times.map(|c| (c.clone(), value_function("timeShift", vec![col(c)], time_type(), Arc::new(shift)))).collect())
    });
    let frames = frames.collect::<Result<Vec<_>>>()?;
    // Months are cut at their ends, so keys may meet.
    let frames = if duration.months == 0 { frames } else { regroup_frames(frames, call.context())? };
    let bounds = tables.bounds.map(|b| TimeRange::new(duration.add_to(b.start), duration.add_to(b.stop)));
    Ok(Value::Stream(Arc::new(TableStream::new(frames, bounds))))
}
