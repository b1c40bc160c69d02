//! Conversions, `yield`, and small functions of values.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{
            Value,
            operator::equal,
            text::{check_room, display, text_of, type_text},
        },
        stdlib::{Call, Function},
    },
    kernel::time_window::TimeWindow,
    model::{Duration, duration::DAY, time::parse_rfc3339},
};
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[
    &BOOL,
    &BYTES,
    &DURATION,
    &FLOAT,
    &INT,
    &STRING,
    &TIME,
    &UINT,
    &DISPLAY,
    &CONTAINS,
    &LENGTH,
    &DIE,
    &NOW,
    &TODAY,
    &YIELD,
    &LINEAR_BINS,
    &LOGARITHMIC_BINS,
];

fn invalid(value: &Value, to: &str) -> FluxError {
    match value {
        Value::String(s) => FluxError::invalid(format!("cannot convert string \"{s}\" to {to} due to invalid syntax")),
        other => FluxError::invalid(format!("cannot convert {} to {to}", type_text(other))),
    }
}

/// Takes `v` through a conversion; null stays null.
fn convert(call: &mut Call<'_>, to: &str, code: fn(&Value) -> Option<Value>) -> FluxResult<Value> {
    let Some(value) = call.get("v") else { return Ok(Value::Null) };
    let value = match value {
        Value::Dynamic(inner) => inner.as_ref().clone(),
        value => value,
    };
    code(&value).ok_or_else(|| invalid(&value, to).at(call.span))
}

pub static BOOL: Function = Function {
    name: "bool",
    signature: "(v: A) => bool",
    summary: "A boolean from `true`, `false`, or the numbers 0 and 1.",
    examples: &[],
    call: |call| {
        convert(call, "bool", |v| {
            Some(Value::Bool(match v {
                Value::Bool(v) => *v,
                Value::String(s) if s.as_ref() == "true" => true,
                Value::String(s) if s.as_ref() == "false" => false,
                Value::Int(0) | Value::UInt(0) => false,
                Value::Int(1) | Value::UInt(1) => true,
                Value::Float(v) if *v == 0.0 => false,
                Value::Float(v) if *v == 1.0 => true,
                _ => return None,
            }))
        })
    },
};

pub static BYTES: Function = Function {
    name: "bytes",
    signature: "(v: A) => bytes",
    summary: "The UTF-8 bytes of a string.",
    examples: &[],
    call: |call| {
        // The one conversion that does not take null (Flux v0.200).
        if call.arguments.iter().any(|(n, v)| n.as_ref() == "v" && v.is_null()) {
            return Err(FluxError::invalid("cannot convert null to bytes").at(call.span));
        }
        convert(call, "bytes", |v| match v {
            Value::String(s) => Some(Value::Bytes(s.as_bytes().into())),
            Value::Bytes(_) => Some(v.clone()),
            _ => None,
        })
    },
};

/// Reads `-1h30m`; units may come in any order, each number is whole.
fn parse_duration(text: &str) -> Option<Duration> {
    use crate::model::duration::*;
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut total = Duration { negative, ..Duration::ZERO };
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (months, nanoseconds) = match &rest[..unit_end] {
            "y" => (12, 0),
            "mo" => (1, 0),
            "w" => (0, WEEK),
            "d" => (0, DAY),
            "h" => (0, HOUR),
            "m" => (0, MINUTE),
            "s" => (0, SECOND),
            "ms" => (0, MILLISECOND),
            "us" | "µs" => (0, MICROSECOND),
            "ns" => (0, 1),
            _ => return None,
        };
        total.months = total.months.checked_add(count.checked_mul(months)?)?;
        total.nanoseconds = total.nanoseconds.checked_add(count.checked_mul(nanoseconds)?)?;
        rest = &rest[unit_end..];
    }
    total.negative &= !total.is_zero();
    Some(total)
}

pub static DURATION: Function = Function {
    name: "duration",
    signature: "(v: A) => duration",
    summary: "A duration from its text or from nanoseconds.",
    examples: &[],
    call: |call| {
        convert(call, "duration", |v| {
            Some(Value::Duration(match v {
                Value::Duration(d) => *d,
                Value::Int(ns) => Duration::from_nanoseconds(*ns),
                Value::UInt(ns) => Duration::from_nanoseconds(i64::try_from(*ns).ok()?),
                Value::String(s) => parse_duration(s)?,
                _ => return None,
            }))
        })
    },
};

pub static FLOAT: Function = Function {
    name: "float",
    signature: "(v: A) => float",
    summary: "A float from a number, a boolean, or text.",
    examples: &[],
    call: |call| {
        convert(call, "float", |v| {
            Some(Value::Float(match v {
                Value::Float(v) => *v,
                Value::Int(v) => *v as f64,
                Value::UInt(v) => *v as f64,
                Value::Bool(v) => f64::from(u8::from(*v)),
                Value::String(s) => s.parse().ok()?,
                _ => return None,
            }))
        })
    },
};

pub static INT: Function = Function {
    name: "int",
    signature: "(v: A) => int",
    summary: "An integer from a number (cut towards zero), a boolean, a time or duration (nanoseconds), or decimal text.",
    examples: &[],
    call: |call| {
        convert(call, "int", |v| {
            Some(Value::Int(match v {
                Value::Int(v) => *v,
                Value::UInt(v) => *v as i64,
                Value::Float(v) => *v as i64,
                Value::Bool(v) => i64::from(*v),
                Value::Time(v) => *v,
                Value::Duration(v) => v.mean_nanoseconds(),
                Value::String(s) => s.parse().ok()?,
                _ => return None,
            }))
        })
    },
};

pub static UINT: Function = Function {
    name: "uint",
    signature: "(v: A) => uint",
    summary: "An unsigned integer from what `int` takes.",
    examples: &[],
    call: |call| {
        convert(call, "uint", |v| {
            Some(Value::UInt(match v {
                Value::UInt(v) => *v,
                Value::Int(v) => *v as u64,
                Value::Float(v) => *v as u64,
                Value::Bool(v) => u64::from(*v),
                Value::Time(v) => *v as u64,
                Value::Duration(v) => v.mean_nanoseconds() as u64,
                Value::String(s) => s.parse().ok()?,
                _ => return None,
            }))
        })
    },
};

pub static STRING: Function = Function {
    name: "string",
    signature: "(v: A) => string",
    summary: "The text of a value.",
    examples: &[],
    call: |call| {
        convert(call, "string", |v| match v {
            Value::Bytes(b) => Some(Value::string(String::from_utf8(b.to_vec()).ok()?)),
            v => text_of(v).map(Value::string),
        })
    },
};

pub static TIME: Function = Function {
    name: "time",
    signature: "(v: A) => time",
    summary: "A time from RFC 3339 text, a date, or nanoseconds since the epoch.",
    examples: &[],
    call: |call| {
        convert(call, "time", |v| {
            Some(Value::Time(match v {
                Value::Time(t) => *t,
                Value::Int(ns) => *ns,
                Value::UInt(ns) => i64::try_from(*ns).ok()?,
                Value::String(s) => parse_rfc3339(s).or_else(|| parse_rfc3339(&format!("{s}T00:00:00Z")))?,
                _ => return None,
            }))
        })
    },
};

pub static DISPLAY: Function = Function {
    name: "display",
    signature: "(v: A) => string",
    summary: "Any value as readable text.",
    examples: &[],
    call: |call| {
        let value = call.arguments.iter().find(|(n, _)| n.as_ref() == "v").map_or(&Value::Null, |(_, v)| v);
        check_room(value, "display")?;
        Ok(Value::string(display(value)))
    },
};

pub static CONTAINS: Function = Function {
    name: "contains",
    signature: "(value: A, set: [A]) => bool",
    summary: "Whether `set` has `value`.",
    examples: &[],
    call: |call| {
        let set = call.required::<Arc<Vec<Value>>>("set")?;
        let value = call.get("value").unwrap_or(Value::Null);
        Ok(Value::Bool(set.iter().any(|v| equal(v, &value) == Some(true))))
    },
};

pub static LENGTH: Function = Function {
    name: "length",
    signature: "(<-arr: [A]) => int",
    summary: "The number of elements.",
    examples: &[],
    call: |call| Ok(Value::Int(call.required::<Arc<Vec<Value>>>("arr")?.len() as i64)),
};

pub static DIE: Function = Function {
    name: "die",
    signature: "(msg: string) => A",
    summary: "Ends the script with an error.",
    examples: &[],
    call: |call| Err(FluxError::invalid(call.required::<Arc<str>>("msg")?.to_string()).at(call.span)),
};

pub static NOW: Function = Function {
    name: "now",
    signature: "() => time",
    summary: "The instant of the query, or what `option now` says.",
    examples: &[],
    call: |call| Ok(Value::Time(call.context().now())),
};

pub static TODAY: Function = Function {
    name: "today",
    signature: "() => time",
    summary: "The beginning of the day of `now()` at `option location`.",
    examples: &[],
    call: |call| {
        let day = Duration::from_nanoseconds(DAY);
        let window = TimeWindow::new(day, day, Duration::ZERO, super::window::location(call)?)?;
        Ok(Value::Time(window.latest(call.interpreter.now()?).start))
    },
};

pub static YIELD: Function = Function {
    name: "yield",
    signature: "(<-tables: stream[A], ?name: string) => stream[A]",
    summary: "Makes the stream a result of the script, by default named `_result`.",
    examples: &[],
    call: |call| {
        let tables = call.stream("tables")?;
        let name = call.or::<Arc<str>>("name", "_result".into())?;
        call.interpreter.yields(&name, &tables).map_err(|e| e.at(call.span))?;
        Ok(Value::Stream(tables))
    },
};

/// The bins in order, with a last one that holds everything when `infinity` is asked.
fn bins(call: &mut Call<'_>, next: impl Fn(f64, i64) -> f64) -> FluxResult<Value> {
    let start = call.required::<f64>("start")?;
    let count = call.required::<i64>("count")?;
    if count <= 0 {
        return Err(FluxError::invalid("number of bins must be positive").at(call.span));
    }
    if count > 1_000_000 {
        return Err(FluxError::invalid("number of bins must not exceed 1000000").at(call.span));
    }
    let mut out: Vec<Value> = (0..count).map(|i| Value::Float(next(start, i))).collect();
    if call.or("infinity", true)? {
        out.push(Value::Float(f64::INFINITY));
    }
    Ok(Value::Array(Arc::new(out)))
}

pub static LINEAR_BINS: Function = Function {
    name: "linearBins",
    signature: "(start: float, width: float, count: int, ?infinity: bool) => [float]",
    summary: "Bounds of bins of equal width.",
    examples: &[],
    call: |call| {
        let width = call.required::<f64>("width")?;
        bins(call, |start, i| start + width * i as f64)
    },
};

pub static LOGARITHMIC_BINS: Function = Function {
    name: "logarithmicBins",
    signature: "(start: float, factor: float, count: int, ?infinity: bool) => [float]",
    summary: "Bounds of bins that grow by a factor.",
    examples: &[],
    call: |call| {
        let factor = call.required::<f64>("factor")?;
        bins(call, |start, i| start * factor.powi(i as i32))
    },
};
