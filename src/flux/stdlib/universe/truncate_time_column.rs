//! `truncateTimeColumn`: times cut to a unit.

use super::window::location;
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        lower::value_function::value_function,
        stdlib::{Call, Function, tables::stream},
    },
    kernel::time_window::TimeWindow,
    model::{Duration, Result, schema::time_type},
    plan::stream::{col, regroup_frames},
};
use arrow::datatypes::DataType;
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "truncateTimeColumn",
    signature: "(<-tables: stream[A], ?timeColumn: string, unit: duration, ?location: {zone: string, offset: duration}) => stream[A]",
    summary: "Sets a time column, by default `_time`, to the beginning of the unit that holds it.",
    examples: &[],
    call: truncate,
};

fn truncate(call: &mut Call<'_>) -> FluxResult<Value> {
    let column = call.column_name("timeColumn", "_time")?;
    let unit = call.required::<Duration>("unit")?;
    let location = location(call)?;
    let window = TimeWindow::new(unit, unit, Duration::ZERO, location).map_err(|e| FluxError::from(e).at(call.span))?;
    let tables = call.long_tables()?;
    let change = |frame: &crate::plan::Frame| {
        if !matches!(frame.data_type(&column), Some(DataType::Timestamp(..))) {
            return frame.fail("truncateTimeColumn", format!("truncateTimeColumn: no time column \"{column}\" exists"));
        }
        let code = move |values: Vec<Value>| match values.into_iter().next() {
            Some(Value::Time(t)) => Ok(Value::Time(window.latest(t).start)),
            _ => Ok(Value::Null),
        };
        frame.with_columns(vec![(column.clone(), value_function("truncateTimeColumn", vec![col(&column)], time_type(), Arc::new(code)))])
    };
    let mut frames = tables.frames.iter().map(change).collect::<Result<Vec<_>>>()?;
    if tables.frames.iter().any(|f| f.is_key(&column)) {
        frames = regroup_frames(frames, call.context())?;
    }
    Ok(stream(frames, &tables))
}
