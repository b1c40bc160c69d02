//! Backslashes in line protocol. In a measurement `\,` and `\ ` are escapes; in keys and tag values also `\=`.
//! Before anything else a backslash is a backslash (InfluxDB 1.x and 2.x). In a string value `\"` and `\\` are escapes.

use itertools::Itertools;
use std::borrow::Cow;

/// A measurement's name as meant.
pub fn measurement(raw: &str) -> Cow<'_, str> {
    unescape(raw, |c| matches!(c, ',' | ' '))
}

/// A tag key, tag value or field key as meant.
pub fn key(raw: &str) -> Cow<'_, str> {
    unescape(raw, |c| matches!(c, ',' | ' ' | '='))
}

/// The inside of a quoted string value as meant.
pub fn string(raw: &str) -> Cow<'_, str> {
    unescape(raw, |c| matches!(c, '"' | '\\'))
}

fn unescape(raw: &str, escapable: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(&next) if c == '\\' && escapable(next) => {
                out.push(next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// What [`measurement`] reads as escaped.
pub const IN_MEASUREMENT: &[u8; 2] = b", ";
/// What [`key`] reads as escaped.
pub const IN_KEY: &[u8; 3] = b", =";
/// What [`string`] reads as escaped.
pub const IN_STRING: &[u8; 2] = b"\"\\";

/// Appends `text` with a backslash in front of each of these, which are ASCII.
pub fn push_escaped<const N: usize>(out: &mut String, text: &str, escapable: &[u8; N]) {
    let mut written = 0;
    for at in text.bytes().positions(|b| escapable.contains(&b)) {
        out.push_str(&text[written..at]);
        out.push('\\');
        written = at;
    }
    out.push_str(&text[written..]);
}
