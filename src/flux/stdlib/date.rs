//! Package `date`: readings of the clock and calendar at a location.

use super::{Call, Function, universe::window::location};
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

macro_rules! readings {
    ($($constant:ident $name:literal $summary:literal $code:expr;)*) => {
        $(static $constant: Function = Function {
            name: $name,
            signature: "(t: A, ?location: {zone: string, offset: duration}) => int",
            summary: $summary,
            examples: &[],
            call: |call| {
                let code: fn(DateTime<Utc>) -> i64 = $code;
                Ok(Value::Int(code(clock(call)?)))
            },
        };)*
        pub const FUNCTIONS: &[&Function] = &[$(&$constant,)* &TIME, &ADD, &SUB, &TRUNCATE];
    };
}

readings! {
    SECOND_ "_second" "The second of the minute." |t| i64::from(t.second());
    MINUTE "_minute" "The minute of the hour." |t| i64::from(t.minute());
    HOUR "_hour" "The hour of the day." |t| i64::from(t.hour());
    WEEK_DAY "_weekDay" "The day of the week; Sunday is 0." |t| i64::from(t.weekday().num_days_from_sunday());
    MONTH_DAY "_monthDay" "The day of the month." |t| i64::from(t.day());
    YEAR_DAY "_yearDay" "The day of the year." |t| i64::from(t.ordinal());
    MONTH "_month" "The month of the year." |t| i64::from(t.month());
    YEAR "_year" "The year." |t| i64::from(t.year());
    WEEK "_week" "The ISO week." |t| i64::from(t.iso_week().week());
    QUARTER "_quarter" "The quarter of the year." |t| i64::from((t.month() - 1) / 3 + 1);
    MILLISECOND "millisecond" "The millisecond of the second." |t| i64::from(t.nanosecond()) / 1_000_000;
    MICROSECOND "microsecond" "The microsecond of the second." |t| i64::from(t.nanosecond()) / 1_000;
    NANOSECOND "nanosecond" "The nanosecond of the second." |t| i64::from(t.nanosecond()) % SECOND;
}

static TIME: Function = Function {
    name: "_time",
    signature: "(t: A, ?location: {zone: string, offset: duration}) => time",
    summary: "A time, or the time at a duration from now.",
    examples: &[],
    call: |call| Ok(Value::Time(given(call, "t")?.0)),
};

/// Adds on the clock of the location, so that days and months keep the hour.
fn shift(call: &mut Call<'_>, from: &str, sign: fn(Duration) -> Duration) -> FluxResult<Value> {
    let duration = sign(call.required::<Duration>("d")?);
    let (time, location) = given(call, from)?;
    if duration.months == 0 {
        return Ok(Value::Time(duration.add_to(time)));
    }
    Ok(Value::Time(location.from_clock(duration.add_to(location.to_clock(time)))))
}

static ADD: Function = Function {
    name: "_add",
    signature: "(d: duration, to: A, ?location: {zone: string, offset: duration}) => time",
    summary: "A time moved forward by a duration.",
    examples: &[],
    call: |call| shift(call, "to", |d| d),
};

static SUB: Function = Function {
    name: "_sub",
    signature: "(d: duration, from: A, ?location: {zone: string, offset: duration}) => time",
    summary: "A time moved back by a duration.",
    examples: &[],
    call: |call| shift(call, "from", Duration::negate),
};

static TRUNCATE: Function = Function {
    name: "_truncate",
    signature: "(t: A, unit: duration, ?location: {zone: string, offset: duration}) => time",
    summary: "The beginning of the unit that holds a time.",
    examples: &[],
    call: |call| {
        let unit = call.required::<Duration>("unit")?;
        let (time, location) = given(call, "t")?;
        let window = TimeWindow::new(unit, unit, Duration::ZERO, location).map_err(|e| FluxError::from(e).at(call.span))?;
        Ok(Value::Time(window.latest(time).start))
    },
};

pub fn values() -> Vec<(&'static str, Value)> {
    let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
    let numbered = |names: &[&'static str], from: i64| names.iter().zip(from..).map(|(n, i)| (*n, Value::Int(i))).collect::<Vec<_>>();
    [numbered(&days, 0), numbered(&months, 1)].concat()
}
