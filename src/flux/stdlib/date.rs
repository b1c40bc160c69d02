//! Package `date`: readings of the clock and calendar at a location.

use super::{Call, function::functions, universe::window::location};
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
    },
    kernel::time_window::{Location, TimeWindow},
    model::{Duration, duration::SECOND},
};
use chrono::{DateTime, Datelike, Timelike, Utc};

/// A time, or a duration before now. The location is read beside it.
fn given(call: &mut Call<'_>, name: &str) -> FluxResult<(i64, Location)> {
    let location = location(call)?;
    let time = match call.required::<Value>(name)? {
        Value::Time(t) => t,
        Value::Duration(d) => d.add_to(call.interpreter.now()?),
        other => return Err(FluxError::invalid(format!("cannot convert {} to time", other.type_name())).at(call.span)),
    };
    Ok((time, location))
}

/// The reading of the location's clock, its fixed offset included.
fn clock(call: &mut Call<'_>) -> FluxResult<DateTime<Utc>> {
    let (time, location) = given(call, "t")?;
    Ok(DateTime::from_timestamp_nanos(location.offset.add_to(location.to_clock(time))))
}

fn reading(call: &mut Call<'_>, code: fn(DateTime<Utc>) -> i64) -> FluxResult<Value> {
    Ok(Value::Int(code(clock(call)?)))
}

functions! {
    "_second" "(t: A, ?location: {zone: string, offset: duration}) => int" "The second of the minute." |c| reading(c, |t| t.second().into());
    "_minute" "(t: A, ?location: {zone: string, offset: duration}) => int" "The minute of the hour." |c| reading(c, |t| t.minute().into());
    "_hour" "(t: A, ?location: {zone: string, offset: duration}) => int" "The hour of the day." |c| reading(c, |t| t.hour().into());
    "_weekDay" "(t: A, ?location: {zone: string, offset: duration}) => int" "The day of the week; Sunday is 0."
        |c| reading(c, |t| t.weekday().num_days_from_sunday().into());
    "_monthDay" "(t: A, ?location: {zone: string, offset: duration}) => int" "The day of the month." |c| reading(c, |t| t.day().into());
    "_yearDay" "(t: A, ?location: {zone: string, offset: duration}) => int" "The day of the year." |c| reading(c, |t| t.ordinal().into());
    "_month" "(t: A, ?location: {zone: string, offset: duration}) => int" "The month of the year." |c| reading(c, |t| t.month().into());
    "_year" "(t: A, ?location: {zone: string, offset: duration}) => int" "The year." |c| reading(c, |t| t.year().into());
    "_week" "(t: A, ?location: {zone: string, offset: duration}) => int" "The ISO week." |c| reading(c, |t| t.iso_week().week().into());
    "_quarter" "(t: A, ?location: {zone: string, offset: duration}) => int" "The quarter of the year." |c| reading(c, |t| t.quarter().into());
    "millisecond" "(t: A) => int" "The millisecond of the second." |c| reading(c, |t| i64::from(t.nanosecond()) / 1_000_000);
    "microsecond" "(t: A) => int" "The microsecond of the second." |c| reading(c, |t| i64::from(t.nanosecond()) / 1_000);
    "nanosecond" "(t: A) => int" "The nanosecond of the second." |c| reading(c, |t| i64::from(t.nanosecond()) % SECOND);
    "_time" "(t: A, ?location: {zone: string, offset: duration}) => time" "The reading of the location's clock, as if it were UTC."
        |c| {
            let (time, location) = given(c, "t")?;
            Ok(Value::Time(location.offset.add_to(location.to_clock(time))))
        };
    "_add" "(d: duration, to: A, ?location: {zone: string, offset: duration}) => time" "A time moved forward by a duration."
        |c| shift(c, "to", |d| d);
    "_sub" "(d: duration, from: A, ?location: {zone: string, offset: duration}) => time" "A time moved back by a duration."
        |c| shift(c, "from", Duration::negate);
    "_truncate" "(t: A, unit: duration, ?location: {zone: string, offset: duration}) => time" "The beginning of the unit that holds a time."
        truncate;
    "scale" "(d: duration, n: int) => duration" "A duration `n` times." |c| {
        let n = c.required::<i64>("n")?;
        Ok(Value::Duration(c.required::<Duration>("d")?.times(n)))
    };
}

/// Adds on the clock of the location, so that days and months keep the hour.
fn shift(call: &mut Call<'_>, from: &str, sign: fn(Duration) -> Duration) -> FluxResult<Value> {
    let duration = sign(call.required::<Duration>("d")?);
    let (time, location) = given(call, from)?;
    let clock = duration.add_to(location.to_clock(location.offset.add_to(time)));
    Ok(Value::Time(location.offset.negate().add_to(location.from_clock(clock))))
}

fn truncate(call: &mut Call<'_>) -> FluxResult<Value> {
    let unit = call.required::<Duration>("unit")?;
    let (time, location) = given(call, "t")?;
    let window = TimeWindow::new(unit, unit, Duration::ZERO, location).map_err(|e| FluxError::from(e).at(call.span))?;
    Ok(Value::Time(window.latest(time).start))
}

pub fn values() -> Vec<(&'static str, Value)> {
    let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
    let numbered = |names: &[&'static str], from: i64| names.iter().zip(from..).map(|(n, i)| (*n, Value::Int(i))).collect::<Vec<_>>();
    [numbered(&days, 0), numbered(&months, 1)].concat()
}
