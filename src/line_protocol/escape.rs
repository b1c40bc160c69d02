//! Backslashes in line protocol. In a measurement `\,` and `\ ` are escapes; in keys and tag values also `\=`.
//! Before anything else a backslash is a backslash (InfluxDB 1.x and 2.x). In a string value `\"` and `\\` are escapes.

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

/// Appends `text` with a backslash in front of each character of `escapable`.
pub fn push_escaped(out: &mut String, text: &str, escapable: &[char]) {
    for c in text.chars() {
        if escapable.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
}
