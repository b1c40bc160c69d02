//! The parser: one pass over the bytes, borrowing everything.
//!
//! The common line has neither quotes nor backslashes; for it a line is what stands before the next newline, and
//! every piece ends at the next separator. Quotes and backslashes switch to the careful scan, which finds the same
//! ends with the escapes of InfluxDB 1.x and 2.x. Reasons are InfluxDB's words: clients match on them.

use super::escape;
use crate::model::{FieldValue, Precision, Timestamp};
use std::borrow::Cow;

/// The longest string value InfluxDB takes, in bytes.
pub const STRING_BYTES_MAX: usize = 1 << 20;

/// One good line. Its fields are in the vector that was given to [`Parser::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Counted from 1; comments and blank lines count.
    pub number: usize,
    /// The whole line as written, for messages.
    pub text: &'a str,
    /// `measurement,tag=value,...` as written.
    pub series: &'a str,
    pub time: Timestamp,
}

/// One field; the key is as written (`escape::key` gives what is meant).
#[derive(Debug, Clone, PartialEq)]
pub struct Field<'a> {
    pub key: &'a str,
    pub value: FieldValue<'a>,
}

/// A line that cannot be read. Printed, it is InfluxDB's `unable to parse '<line>': <reason>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine<'a> {
    pub number: usize,
    pub text: Cow<'a, str>,
    pub reason: Cow<'static, str>,
}

impl std::fmt::Display for BadLine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "unable to parse '{}': {}", self.text, self.reason)
    }
}

/// Reads the lines of one request.
pub struct Parser<'a> {
    body: &'a [u8],
    /// The body as text, when all of it is UTF-8.
    text: Option<&'a str>,
    at: usize,
    number: usize,
    unit_ns: i64,
    now: Timestamp,
}

impl<'a> Parser<'a> {
    /// `now` is the time of lines without one, in nanoseconds; it is cut to the precision, as InfluxDB does.
    pub fn new(body: &'a [u8], precision: Precision, now: Timestamp) -> Parser<'a> {
        let unit_ns = precision.nanoseconds();
        Parser { body, text: std::str::from_utf8(body).ok(), at: 0, number: 0, unit_ns, now: now - now.rem_euclid(unit_ns) }
    }

    /// The next line, its fields in `fields` (emptied first). `None` at the end. Bad lines do not end the reading.
    #[allow(clippy::should_implement_trait)] // It takes the vector, so that one allocation serves a whole request.
    pub fn next(&mut self, fields: &mut Vec<Field<'a>>) -> Option<Result<Line<'a>, BadLine<'a>>> {
        loop {
            let start = self.at;
            let rest = self.body.get(start..).filter(|rest| !rest.is_empty())?;
            let (end, careful) = line_end(rest);
            self.number += 1;
            let number = self.number;
            self.number += if careful { memchr::memchr_iter(b'\n', &rest[..end]).count() } else { 0 };
            self.at = start + end + 1;
            let line = trim(&rest[..end]);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            // The offset of `line` in the body: `trim` takes from both ends.
            let from = start + (rest[..end].len() - trim_start(&rest[..end]).len());
            let text = match self.text {
                Some(body) => &body[from..from + line.len()],
                None => match std::str::from_utf8(line) {
                    Ok(text) => text,
                    Err(_) => {
                        let text = String::from_utf8_lossy(line);
                        return Some(Err(BadLine { number, text, reason: "invalid UTF-8".into() }));
                    }
                },
            };
            fields.clear();
            let parsed = parse_line(text, self.unit_ns, self.now, fields);
            return Some(match parsed {
                Ok((series, time)) => Ok(Line { number, text, series, time }),
                Err(reason) => Err(BadLine { number, text: Cow::Borrowed(text), reason }),
            });
        }
    }
}

type Reason = Cow<'static, str>;

/// Where the first line ends (its newline, or the end), and whether it needed the careful scan.
fn line_end(rest: &[u8]) -> (usize, bool) {
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    if memchr::memchr2(b'"', b'\\', &rest[..end]).is_none() {
        return (end, false);
    }
    // A newline inside a string value, or behind a backslash, belongs to the line. A quote opens a string only
    // right of a `=` among the fields. Comments have no strings.
    if trim_start(rest).first() == Some(&b'#') {
        return (end, false);
    }
    let (mut fields, mut quoted, mut equals, mut commas) = (false, false, 0, 0);
    let mut i = 0;
    while i < rest.len() {
        match rest[i] {
            b'\\' if i + 2 < rest.len() => {
                i += 2;
                continue;
            }
            b'"' if fields && equals > commas => quoted = !quoted,
            b'\n' if !quoted => return (i, true),
            b' ' => fields = true,
            b'=' if fields && !quoted => equals += 1,
            b',' if fields && !quoted => commas += 1,
            _ => {}
        }
        i += 1;
    }
    if quoted {
        // The quote was never closed: only this line is bad, what follows may be good.
        return (end, false);
    }
    (rest.len(), true)
}

/// How many bytes of a text that may go on are whole lines. A quote that is open at its end may be closed by what
/// follows, so its line is not whole.
pub fn whole_lines(text: &[u8]) -> usize {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (end, careful) = line_end(rest);
        let open = !careful && memchr::memchr2(b'"', b'\\', &rest[..end]).is_some() && trim_start(rest).first() != Some(&b'#');
        if end == rest.len() || open {
            break;
        }
        at += end + 1;
    }
    at
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let skip = bytes.iter().position(|b| !matches!(b, b' ' | b'\t' | 0)).unwrap_or(bytes.len());
    &bytes[skip..]
}

fn trim(bytes: &[u8]) -> &[u8] {
    let bytes = trim_start(bytes);
    match bytes.last() {
        Some(b'\r') => &bytes[..bytes.len() - 1],
        _ => bytes,
    }
}

fn parse_line<'a>(line: &'a str, unit_ns: i64, now: Timestamp, fields: &mut Vec<Field<'a>>) -> Result<(&'a str, Timestamp), Reason> {
    let bytes = line.as_bytes();
    let series_end = scan_series(bytes)?;
    let mut at = skip_blanks(bytes, series_end);
    if at >= bytes.len() {
        return Err("missing fields".into());
    }
    at = scan_fields(line, at, fields)?;
    let time = match line[at..].trim_matches([' ', '\t']) {
        "" => now,
        digits => parse_time(digits, unit_ns)?,
    };
    Ok((&line[..series_end], time))
}

fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|b| matches!(b, b' ' | b'\t')) {
        at += 1;
    }
    at
}

/// The end of `measurement,tag=value,...`: the first unescaped blank.
fn scan_series(bytes: &[u8]) -> Result<usize, Reason> {
    if bytes[0] == b',' {
        return Err("missing measurement".into());
    }
    let mut at = scan_until(bytes, 0, |b| matches!(b, b',' | b' '));
    while bytes.get(at) == Some(&b',') {
        at += 1;
        if bytes.get(at).is_none_or(|b| matches!(b, b' ' | b',' | b'=')) {
            return Err("missing tag key".into());
        }
        at = scan_until(bytes, at, |b| matches!(b, b' ' | b',' | b'='));
        if bytes.get(at) != Some(&b'=') || bytes.get(at + 1).is_none_or(|b| matches!(b, b' ' | b',')) {
            return Err("missing tag value".into());
        }
        at = scan_until(bytes, at + 1, |b| matches!(b, b' ' | b',' | b'='));
        if bytes.get(at) == Some(&b'=') {
            return Err("invalid tag format".into());
        }
    }
    if at >= bytes.len() { Err("missing fields".into()) } else { Ok(at) }
}

/// The first position from `at` whose byte ends the piece and has no backslash in front, or the end.
fn scan_until(bytes: &[u8], mut at: usize, ends: impl Fn(u8) -> bool) -> usize {
    while let Some(&b) = bytes.get(at) {
        if ends(b) && (at == 0 || bytes[at - 1] != b'\\') {
            return at;
        }
        at += 1;
    }
    at
}

/// Reads `key=value,key=value`; the end is the blank behind it or the end of the line.
fn scan_fields<'a>(line: &'a str, mut at: usize, fields: &mut Vec<Field<'a>>) -> Result<usize, Reason> {
    let bytes = line.as_bytes();
    loop {
        if bytes.get(at).is_none_or(|b| matches!(b, b'=' | b',' | b' ')) {
            return Err("missing field key".into());
        }
        let key_start = at;
        at = scan_until(bytes, at, |b| matches!(b, b'=' | b',' | b' '));
        let key = &line[key_start..at];
        if bytes.get(at) != Some(&b'=') {
            return Err("invalid field format".into());
        }
        at += 1;
        if bytes.get(at).is_none_or(|b| matches!(b, b',' | b' ')) {
            return Err("missing field value".into());
        }
        let (value, end) = if bytes[at] == b'"' { string_value(line, at)? } else { plain_value(line, at, key)? };
        fields.push(Field { key, value });
        match bytes.get(end) {
            Some(b',') => at = end + 1,
            None | Some(b' ' | b'\t') => return Ok(end),
            Some(_) => return Err("invalid field format".into()),
        }
    }
}

/// `"text"` from its opening quote; the end is behind the closing one.
fn string_value(line: &str, open: usize) -> Result<(FieldValue<'_>, usize), Reason> {
    let bytes = line.as_bytes();
    let mut at = open + 1;
    loop {
        match memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
            None => return Err("unbalanced quotes".into()),
            Some(i) if bytes[at + i] == b'\\' => at += i + 2,
            Some(i) => {
                let close = at + i;
                if close - open > STRING_BYTES_MAX {
                    return Err(format!("input field string is too long, {} > {STRING_BYTES_MAX}", close - open - 1).into());
                }
                return Ok((FieldValue::String(escape::string(&line[open + 1..close])), close + 1));
            }
        }
    }
}

/// A number or a boolean.
fn plain_value<'a>(line: &'a str, start: usize, key: &str) -> Result<(FieldValue<'a>, usize), Reason> {
    let bytes = line.as_bytes();
    let length = bytes[start..].iter().position(|b| matches!(b, b',' | b' ' | b'\t')).unwrap_or(bytes.len() - start);
    let end = start + length;
    let text = &line[start..end];
    let value = match bytes[start] {
        b'0'..=b'9' | b'-' | b'+' | b'.' => number(text)?,
        _ if matches!(text.to_ascii_lowercase().as_str(), "nan" | "inf" | "infinity") => {
            let name = if text.eq_ignore_ascii_case("nan") { "NaN" } else { "+/-Inf" };
            return Err(format!("{name} is an unsupported value for field {}", escape::key(key)).into());
        }
        _ => FieldValue::Boolean(match text {
            "t" | "T" | "true" | "True" | "TRUE" => true,
            "f" | "F" | "false" | "False" | "FALSE" => false,
            _ => return Err("invalid boolean".into()),
        }),
    };
    Ok((value, end))
}

fn number(text: &str) -> Result<FieldValue<'static>, Reason> {
    let bytes = text.as_bytes();
    match bytes[bytes.len() - 1] {
        b'i' => integer(&text[..text.len() - 1]).map(FieldValue::Integer),
        b'u' => {
            let digits = &text[..text.len() - 1];
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err("invalid number".into());
            }
            digits.parse().map(FieldValue::Unsigned).map_err(|_| {
                format!("unable to parse unsigned {digits}: strconv.ParseUint: parsing \"{digits}\": value out of range").into()
            })
        }
        _ => float(text).map(FieldValue::Float),
    }
}

fn integer(digits: &str) -> Result<i64, Reason> {
    let bytes = digits.as_bytes();
    let unsigned = match bytes.first() {
        Some(b'-') => &bytes[1..],
        _ => bytes,
    };
    // Eighteen digits always fit, so the common case needs no check on overflow.
    if (1..=18).contains(&unsigned.len()) {
        let mut value = 0i64;
        for &b in unsigned {
            let digit = b.wrapping_sub(b'0');
            if digit > 9 {
                return Err("invalid number".into());
            }
            value = value * 10 + i64::from(digit);
        }
        return Ok(if unsigned.len() < bytes.len() { -value } else { value });
    }
    if unsigned.is_empty() || !unsigned.iter().all(u8::is_ascii_digit) {
        return Err("invalid number".into());
    }
    digits
        .parse()
        .map_err(|_| format!("unable to parse integer {digits}: strconv.ParseInt: parsing \"{digits}\": value out of range").into())
}

fn float(text: &str) -> Result<f64, Reason> {
    if let Some(value) = short_decimal(text.as_bytes()) {
        return Ok(value);
    }
    // Rust also reads `inf`, `1.e`, ...: letters other than an exponent are not a number here.
    let plausible = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'));
    match text.parse::<f64>() {
        Ok(value) if plausible && value.is_finite() => Ok(value),
        Ok(_) if plausible => Err("invalid float".into()),
        _ => Err("invalid number".into()),
    }
}

/// `-12.34` of at most 15 digits: mantissa and power of ten are both exact in an f64, so one division rounds right
/// (the classic fast path of Clinger's algorithm).
fn short_decimal(bytes: &[u8]) -> Option<f64> {
    const POWERS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (negative, digits) = match bytes.first()? {
        b'-' => (true, &bytes[1..]),
        _ => (false, bytes),
    };
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let (mut mantissa, mut count, mut point) = (0u64, 0usize, None);
    for (i, &b) in digits.iter().enumerate() {
        match b {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(b - b'0');
                count += 1;
            }
            b'.' if point.is_none() => point = Some(i),
            _ => return None,
        }
    }
    if count == 0 || count > 15 {
        return None;
    }
    let decimals = point.map_or(0, |p| digits.len() - p - 1);
    let value = mantissa as f64 / POWERS[decimals];
    Some(if negative { -value } else { value })
}

fn parse_time(text: &str, unit_ns: i64) -> Result<Timestamp, Reason> {
    let value: i64 = match integer(text.strip_prefix('+').unwrap_or(text)) {
        Ok(value) => value,
        Err(reason) if reason == "invalid number" => return Err("bad timestamp".into()),
        Err(_) => return Err(out_of_range()),
    };
    // InfluxDB keeps the two lowest and the highest instant for itself.
    value.checked_mul(unit_ns).filter(|t| (i64::MIN + 2..i64::MAX).contains(t)).ok_or_else(out_of_range)
}

fn out_of_range() -> Reason {
    format!("time outside range {} - {}", i64::MIN + 2, i64::MAX - 1).into()
}

#[cfg(test)]
mod tests;
