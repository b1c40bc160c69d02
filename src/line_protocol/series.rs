//! The series part of a line, taken apart: a measurement and its tags.

use super::{escape, write::push_series_tags};
use memchr::memchr_iter;
use std::borrow::Cow;

/// The longest series key (measurement and tags) InfluxDB takes, in bytes.
pub const SERIES_KEY_BYTES_MAX: usize = 65_535;

/// A measurement and its tags, in key order, each key once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesKey<'a> {
    pub measurement: Cow<'a, str>,
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    has_escapes: bool,
}

impl SeriesKey<'_> {
    /// Appends the text that the tags have however they were written: what [`push_series_tags`] makes of them.
    pub fn push_tags(&self, out: &mut String) {
        let tags = || self.tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref()));
        if self.has_escapes {
            return push_series_tags(out, tags());
        }
        // What was written without escapes needs none.
        for (at, (key, value)) in tags().enumerate() {
            let separator = if at > 0 { "," } else { "" };
            [separator, key, "=", value].iter().for_each(|part| out.push_str(part));
        }
    }
}

/// Takes the raw `measurement,tag=value,...` of a [`Line`](super::Line) apart. The grammar was checked by the parser;
/// what remains are the rules on names (texts of InfluxDB 2.7): duplicate tags, reserved tag keys, key length.
pub fn parse_series(raw: &str) -> Result<SeriesKey<'_>, Cow<'static, str>> {
    if raw.len() > SERIES_KEY_BYTES_MAX {
        return Err(format!("max key length exceeded: {} > {SERIES_KEY_BYTES_MAX}", raw.len()).into());
    }
    let mut parts = split_unescaped(raw, b',');
    let measurement = escape::measurement(parts.next().unwrap_or(""));
    let mut tags = vec![];
    for part in parts {
        let mut pair = split_unescaped(part, b'=');
        let (key, value) = (escape::key(pair.next().unwrap_or("")), escape::key(pair.next().unwrap_or("")));
        if matches!(key.as_ref(), "_field" | "_measurement" | "time") {
            return Err(format!("cannot use reserved tag key \"{key}\"").into());
        }
        tags.push((key, value));
    }
    tags.sort_by(|a, b| a.0.cmp(&b.0));
    if tags.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err("duplicate tags".into());
    }
    Ok(SeriesKey { measurement, tags, has_escapes: raw.contains('\\') })
}

/// Reads back what [`push_series_tags`] wrote.
pub fn series_tags(text: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    split_unescaped(text, b',').filter(|part| !part.is_empty()).map(|part| {
        let mut pair = split_unescaped(part, b'=');
        (escape::key(pair.next().unwrap_or("")), escape::key(pair.next().unwrap_or("")))
    })
}

/// Pieces of `text` between separators that no backslash stands in front of.
fn split_unescaped(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let bytes = text.as_bytes();
        let end = memchr_iter(separator, bytes).find(|&i| i == 0 || bytes[i - 1] != b'\\');
        match end {
            Some(i) => {
                rest = Some(&text[i + 1..]);
                Some(&text[..i])
            }
            None => {
                rest = None;
                Some(text)
            }
        }
    })
}
