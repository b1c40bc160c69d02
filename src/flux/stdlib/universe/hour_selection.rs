//! `_hourSelection`: rows by the hour of their time.

use super::window::location;
use crate::flux::{
    diagnostic::{FluxError, FluxResult},
    eval::Value,
    lower::value_function::value_function,
    stdlib::{Call, Function, tables::each},
};
use crate::{model::duration::HOUR, plan::stream::col};
use arrow::datatypes::DataType;
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "_hourSelection",
    signature: "(<-tables: stream[A], start: int, stop: int, location: {zone: string, offset: duration}, timeColumn: string) => stream[A]",
    summary: "Keeps rows whose hour at the location lies from `start` to `stop`, both included; past midnight when `start` is greater.",
    examples: &[],
    call: hour_selection,
};

fn hour_selection(call: &mut Call<'_>) -> FluxResult<Value> {
    let (start, stop) = (call.required::<i64>("start")?, call.required::<i64>("stop")?);
    let location = location(call)?;
    let time = call.column_name("timeColumn", "_time")?;
    for (name, hour) in [("start", start), ("stop", stop)] {
        if !(0..24).contains(&hour) {
            return Err(FluxError::invalid(format!("hourSelection: {name} must be between 0 and 23, but was {hour}")).at(call.span));
        }
    }
    each(call, |frame| {
        if !matches!(frame.data_type(&time), Some(DataType::Timestamp(..))) {
            return frame.fail("hourSelection", format!("hourSelection: invalid time column \"{time}\""));
        }
        let code = move |values: Vec<Value>| {
            let Some(Value::Time(time)) = values.first() else { return Ok(Value::Null) };
            let hour = location.offset.add_to(location.to_clock(*time)).div_euclid(HOUR).rem_euclid(24);
            let inside = if start <= stop { (start..=stop).contains(&hour) } else { hour >= start || hour <= stop };
            Ok(Value::Bool(inside))
        };
        frame.filter(value_function("hourSelection", vec![col(&time)], DataType::Boolean, Arc::new(code)))
    })
}
