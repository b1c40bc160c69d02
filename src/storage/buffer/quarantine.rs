//! Lines that a bucket keeps although they do not fit: rows of one more measurement, which is like any other in everything else.
//! They are queried, deleted, expired, flushed and merged as all rows are, and the log has them as lines of this measurement.
//!
//! ```text
//! _quarantine   time         of the line
//!               measurement  tag: of the line
//!               field        tag: what clashes, a field or (where that name is a field already) a tag
//!               id           tag: of the write (random) and the line's number, so that no line ever replaces another
//!               line         string: the line as it was sent, its time in nanoseconds
//!               line_number  integer: in the body of its request, from 1
//!               reason       string: what would have been answered
//! ```
//! A line that was sent twice is there twice.

use crate::{
    line_protocol::{Line, parse_series, write_point},
    model::FieldValue,
};

pub const MEASUREMENT: &str = "_quarantine";

/// Of the lines that one request may have kept; what comes after them is refused. A body of short lines may be a hundred times as large
/// as lines of the quarantine.
pub const BYTES_MAX: usize = 16 << 20;

/// What such a line costs while its request is worked on, times its length: it, what would be answered, its row, the text and the record
/// of the log.
pub const COPIES: usize = 5;

/// The line as which `refused` is kept, its time in units of its request. `write`: a number that no other write has; `clash`: the name
/// of the field or tag. It may be too long to be read (a string of more than a mebibyte, names of 64 KiB).
pub fn line(refused: &Line<'_>, write: u64, clash: &str, reason: &str, unit_ns: i64) -> String {
    let measurement = parse_series(refused.series).map(|key| key.measurement).unwrap_or_default();
    let id = format!("{write:016x}-{}", refused.number);
    let tags = [("field", clash), ("id", &id), ("measurement", &measurement)];
    let fields = [
        ("line", FieldValue::String(in_nanoseconds(refused).into())),
        ("line_number", FieldValue::Integer(refused.number as i64)),
        ("reason", FieldValue::String(reason.into())),
    ];
    let mut text = String::new();
    write_point(&mut text, MEASUREMENT, tags, fields, Some(refused.time / unit_ns));
    text
}

/// A line that says its time by itself, whatever the precision of its request was, and whether it had one.
fn in_nanoseconds(line: &Line<'_>) -> String {
    let text = line.text.trim_end_matches([' ', '\t']);
    // What stands behind the last blank is a time, or has the `=` of a field or the quote that ends a string.
    let last = text.rfind([' ', '\t']).map_or(0, |blank| blank + 1);
    let is_time = text[last..].bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+'));
    let fields_end = if is_time { text[..last].trim_end_matches([' ', '\t']).len() } else { text.len() };
    format!("{} {}", &text[..fields_end], line.time)
}
