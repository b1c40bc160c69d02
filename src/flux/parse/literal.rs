//! Numbers, times, durations, strings and regular expressions.

use super::{Pair, Reader, Rule};
use crate::{
    flux::{ast::*, pattern},
    model::{Duration, duration, time::parse_rfc3339},
};
use std::sync::Arc;

impl Reader {
    pub fn literal(&self, pair: Pair<'_>) -> ExprKind {
        let span = self.span(&pair);
        let text = pair.as_str();
        let read = match pair.as_rule() {
            Rule::string => return self.string(pair),
            Rule::label => {
                let name = pair.into_inner().find(|p| p.as_rule() != Rule::dot).expect("a label has a name");
                return ExprKind::Label(match name.as_rule() {
                    Rule::string => self.plain_string(name),
                    _ => name.as_str().into(),
                });
            }
            Rule::int => int(text).map(ExprKind::Int),
            Rule::float => text.parse().map(ExprKind::Float).map_err(|_| format!("invalid float literal {text}")),
            Rule::duration => duration(text).map(ExprKind::Duration).ok_or_else(|| format!("duration literal {text} is too long")),
            Rule::time => time(text).map(ExprKind::Time).ok_or_else(|| {
                format!(
                    "invalid date time literal {text}: a time is written 2006-01-02T15:04:05Z, with an offset such as +02:00, or as a date"
                )
            }),
            Rule::regex => regex(text).and_then(|pattern| {
                pattern::compile(&pattern)?;
                Ok(ExprKind::Regex(pattern.into()))
            }),
            other => unreachable!("{other:?} is no literal of the grammar"),
        };
        read.unwrap_or_else(|message| {
            self.fail(span, message);
            ExprKind::PipeValue
        })
    }

    /// A string without interpolation.
    pub fn plain_string(&self, pair: Pair<'_>) -> Arc<str> {
        let span = self.span(&pair);
        match self.string(pair) {
            ExprKind::String(text) => text,
            _ => {
                self.fail(span, "string interpolation is not allowed here");
                "".into()
            }
        }
    }

    fn string(&self, pair: Pair<'_>) -> ExprKind {
        let span = self.span(&pair);
        let mut parts = vec![];
        // Escapes such as `\xc3\xa9` form one character only together.
        let mut bytes: Vec<u8> = vec![];
        let text = |bytes: &mut Vec<u8>| {
            Arc::<str>::from(String::from_utf8(std::mem::take(bytes)).unwrap_or_else(|_| {
                self.fail(span, "the bytes that escapes in a string stand for must form UTF-8");
                String::new()
            }))
        };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::text => bytes.extend_from_slice(part.as_str().as_bytes()),
                Rule::escape => match escaped(part.as_str()) {
                    Some(byte) => bytes.push(byte),
                    None => self.fail(
                        self.span(&part),
                        format!(r#"invalid escape sequence {} in a string; known are \n \r \t \" \\ \$ and \x41"#, part.as_str()),
                    ),
                },
                Rule::interpolation => {
                    if !bytes.is_empty() {
                        parts.push(StringPart::Text(text(&mut bytes)));
                    }
                    let inner = part.into_inner().find(|p| p.as_rule() == Rule::expr).expect("an interpolation holds an expression");
                    parts.push(StringPart::Expr(self.expr(inner)));
                }
                _ => {}
            }
        }
        let last = text(&mut bytes);
        if parts.is_empty() {
            return ExprKind::String(last);
        }
        if !last.is_empty() {
            parts.push(StringPart::Text(last));
        }
        ExprKind::Interpolation(parts)
    }
}

/// The byte behind `\n`, `\x41` and their kin.
fn escaped(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [_, b'n'] => Some(b'\n'),
        [_, b'r'] => Some(b'\r'),
        [_, b't'] => Some(b'\t'),
        [_, c @ (b'"' | b'\\' | b'$')] => Some(*c),
        [_, b'x', _, _] => u8::from_str_radix(&text[2..], 16).ok(),
        _ => None,
    }
}

fn int(text: &str) -> Result<i64, String> {
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("invalid integer literal {text}: leading zeros are not allowed"));
    }
    text.parse().map_err(|_| format!("integer literal {text} is out of range; an unsigned one is written uint(v: \"{text}\")"))
}

/// The units of a duration literal: name, months, nanoseconds.
pub const UNITS: [(&str, i64, i64); 11] = [
    ("mo", 1, 0),
    ("ms", 0, duration::MILLISECOND),
    ("us", 0, duration::MICROSECOND),
    ("µs", 0, duration::MICROSECOND),
    ("ns", 0, 1),
    ("y", 12, 0),
    ("w", 0, duration::WEEK),
    ("d", 0, duration::DAY),
    ("h", 0, duration::HOUR),
    ("m", 0, duration::MINUTE),
    ("s", 0, duration::SECOND),
];

/// The parts of `1h30m`: magnitude and unit. Nothing for what is no duration literal.
pub fn duration_parts(mut text: &str) -> Option<Vec<(i64, &'static str)>> {
    let mut parts = vec![];
    while !text.is_empty() {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (magnitude, rest) = text.split_at(digits);
        let unit = UNITS.iter().find(|u| rest.starts_with(u.0))?.0;
        parts.push((magnitude.parse().ok()?, unit));
        text = &rest[unit.len()..];
    }
    Some(parts)
}

/// The sum of magnitudes and units. Nothing where it does not fit, or where months and nanoseconds differ in sign.
pub fn duration_of(parts: &[(i64, &str)]) -> Option<Duration> {
    let (mut months, mut nanoseconds) = (0i64, 0i64);
    for (magnitude, unit) in parts {
        let (_, each_months, each_ns) = UNITS.iter().find(|u| u.0 == *unit)?;
        months = months.checked_add(magnitude.checked_mul(*each_months)?)?;
        nanoseconds = nanoseconds.checked_add(magnitude.checked_mul(*each_ns)?)?;
    }
    let negative = months < 0 || nanoseconds < 0;
    let fits = months.signum() * nanoseconds.signum() >= 0;
    fits.then_some(Duration { months: months.checked_abs()?, nanoseconds: nanoseconds.checked_abs()?, negative })
}

fn duration(text: &str) -> Option<Duration> {
    duration_of(&duration_parts(text)?)
}

/// RFC 3339, or a date, which is its midnight in UTC.
fn time(text: &str) -> Option<i64> {
    if text.contains('T') { parse_rfc3339(text) } else { parse_rfc3339(&format!("{text}T00:00:00Z")) }
}

/// The pattern between slashes. `\/` is a slash, and `\xHH` above 7f a byte of a UTF-8 character; other escapes are
/// the engine's.
fn regex(slashed: &str) -> Result<String, String> {
    let mut pattern: Vec<u8> = vec![];
    let mut rest = &slashed.as_bytes()[1..slashed.len() - 1];
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (*first, after) {
            (b'\\', [b'/', ..]) => {
                pattern.push(b'/');
                rest = &after[1..];
            }
            (b'\\', [b'x', high, low, ..]) => {
                let digits = [*high, *low];
                let byte = std::str::from_utf8(&digits).ok().and_then(|d| u8::from_str_radix(d, 16).ok()).filter(|b| *b >= 0x80);
                match byte {
                    Some(byte) => pattern.push(byte),
                    None => pattern.extend(br"\x"),
                }
                rest = if byte.is_some() { &after[3..] } else { &after[1..] };
            }
            (b'\\', [other, ..]) => {
                pattern.extend([b'\\', *other]);
                rest = &after[1..];
            }
            (other, _) => pattern.push(other),
        }
    }
    String::from_utf8(pattern).map_err(|_| "the bytes that escapes in a regular expression stand for must form UTF-8".to_string())
}
