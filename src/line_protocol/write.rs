//! Points to line protocol.

use super::escape::{self, push_escaped};
use crate::model::{FieldValue, Timestamp};
use std::fmt::Write;

/// Appends one line, ended by a newline. Empty tag values are left out (a tag without a value is no tag); a point
/// without fields, or with a NaN or infinite float, cannot be written: those fields are left out, and `false` is
/// returned when none remains and nothing was appended.
pub fn write_point<'a>(
    out: &mut String,
    measurement: &str,
    tags: impl IntoIterator<Item = (&'a str, &'a str)>,
    fields: impl IntoIterator<Item = (&'a str, FieldValue<'a>)>,
    time: Option<Timestamp>,
) -> bool {
    let start = out.len();
    push_escaped(out, measurement, escape::IN_MEASUREMENT);
    for (key, value) in tags {
        if !value.is_empty() {
            out.push(',');
            push_tag(out, key, value);
        }
    }
    write_fields(out, start, fields, time)
}

/// Appends one line, as [`write_point`] does, of a series in the escaped form that lines have (`measurement,tag=value`).
pub fn write_row<'a>(
    out: &mut String,
    series: &str,
    fields: impl IntoIterator<Item = (&'a str, FieldValue<'a>)>,
    time: Option<Timestamp>,
) -> bool {
    let start = out.len();
    out.push_str(series);
    write_fields(out, start, fields, time)
}

/// Ends a line that began at `start`; takes it back when it has no field.
fn write_fields<'a>(
    out: &mut String,
    start: usize,
    fields: impl IntoIterator<Item = (&'a str, FieldValue<'a>)>,
    time: Option<Timestamp>,
) -> bool {
    let mut separator = ' ';
    for (key, value) in fields {
        if matches!(value, FieldValue::Float(v) if !v.is_finite()) {
            continue;
        }
        out.push(separator);
        separator = ',';
        push_escaped(out, key, escape::IN_KEY);
        out.push('=');
        // Writing to a String cannot fail.
        let _ = match value {
            FieldValue::Float(v) => write!(out, "{v}"),
            FieldValue::Integer(v) => write!(out, "{v}i"),
            FieldValue::Unsigned(v) => write!(out, "{v}u"),
            FieldValue::Boolean(v) => write!(out, "{v}"),
            FieldValue::String(v) => {
                out.push('"');
                push_escaped(out, &v, escape::IN_STRING);
                out.push('"');
                Ok(())
            }
        };
    }
    if separator == ' ' {
        out.truncate(start);
        return false;
    }
    if let Some(time) = time {
        let _ = write!(out, " {time}");
    }
    out.push('\n');
    true
}

/// Appends `key=value,key=value` in the given order.
pub fn push_series_tags<'a>(out: &mut String, tags: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (i, (key, value)) in tags.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_tag(out, key, value);
    }
}

fn push_tag(out: &mut String, key: &str, value: &str) {
    push_escaped(out, key, escape::IN_KEY);
    out.push('=');
    push_escaped(out, value, escape::IN_KEY);
}
