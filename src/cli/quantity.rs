//! Durations and sizes as people write them in flags and settings.

pub use crate::model::bytes::size;

use crate::model::{
    Failure, Result,
    duration::{DAY, HOUR, MICROSECOND, MILLISECOND, MINUTE, SECOND, WEEK},
};

/// Nanoseconds of `30d`, `1h30m`, `1w`, `250ms`, `0`; a number without a unit, other than zero, is refused.
pub fn duration_ns(text: &str) -> Result<i64> {
    const UNITS: [(&str, i64); 9] = [
        ("ns", 1),
        ("us", MICROSECOND),
        ("µs", MICROSECOND),
        ("ms", MILLISECOND),
        ("s", SECOND),
        ("m", MINUTE),
        ("h", HOUR),
        ("d", DAY),
        ("w", WEEK),
    ];
    let refused = |why: &str| Failure::invalid(format!("`{text}` is not a duration: {why}; write it like 30d, 1h30m or 90s"));
    let mut rest = text.trim();
    if rest.trim_start_matches('0').is_empty() && !rest.is_empty() {
        return Ok(0);
    }
    let mut total = 0_i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: i64 = rest[..digits].parse().map_err(|_| refused("a number is expected"))?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = UNITS.iter().find(|(name, _)| *name == &rest[..letters]);
        let (_, unit) = unit.ok_or_else(|| refused("a unit (ns, us, ms, s, m, h, d or w) is expected after each number"))?;
        total = number.checked_mul(*unit).and_then(|ns| total.checked_add(ns)).ok_or_else(|| refused("it is too long"))?;
        rest = &rest[letters..];
    }
    if text.trim().is_empty() { Err(refused("it is empty")) } else { Ok(total) }
}

/// Whole seconds of a retention; `0` is for ever.
pub fn retention_s(text: &str) -> Result<i64> {
    match duration_ns(text)? {
        ns if ns % SECOND == 0 => Ok(ns / SECOND),
        _ => Err(Failure::invalid(format!("retention policy \"{text}\" is too precise, must be divisible by 1s"))),
    }
}

/// Bytes of `1073741824`, `512MB`, `1g`, `64KiB`; units are powers of 1024, as in InfluxDB's settings.
pub fn bytes(text: &str) -> Result<usize> {
    let refused = || Failure::invalid(format!("`{text}` is not a size; write it like 1073741824, 512MB or 1g"));
    let text_ = text.trim();
    let digits = text_.find(|c: char| !c.is_ascii_digit()).unwrap_or(text_.len());
    let number: usize = text_[..digits].parse().map_err(|_| refused())?;
    let shift = match text_[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(refused()),
    };
    number.checked_mul(1 << shift).ok_or_else(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        for (text, ns) in [("30d", 30 * DAY), ("1h30m", HOUR + 30 * MINUTE), ("0", 0), ("1w2d", 9 * DAY), ("5us", 5000), ("0s", 0)] {
            assert_eq!(duration_ns(text).expect(text), ns, "{text}");
        }
        for text in ["", "30", "d", "1x", "1h 30", "-1h", "99999999w"] {
            assert!(duration_ns(text).is_err(), "{text}");
        }
        assert_eq!(retention_s("1d").expect("a day"), 86_400);
        assert_eq!([0, 1023, 1536, 24_117_248].map(size), ["0 B", "1023 B", "1.5 KiB", "23.0 MiB"]);
        assert!(retention_s("1500ms").expect_err("half a second").message.contains("too precise"));
        for (text, size) in [("1073741824", 1 << 30), ("512MB", 512 << 20), ("1g", 1 << 30), ("64 KiB", 64 << 10), ("7", 7)] {
            assert_eq!(bytes(text).expect(text), size, "{text}");
        }
        for text in ["", "MB", "1.5g", "-1", "1x", "99999999999999t"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
