//! Timestamps and their precision.

use super::failure::{Failure, Result};
use chrono::{DateTime, SecondsFormat, Utc};

/// Nanoseconds since the Unix epoch, UTC. The range is that of an `i64`: 1677-09-21 to 2262-04-11.
pub type Timestamp = i64;

/// The unit of timestamps in a write request, or of times in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    #[default]
    Nanosecond,
    Microsecond,
    Millisecond,
    Second,
    /// InfluxDB 1.x only.
    Minute,
    /// InfluxDB 1.x only.
    Hour,
}

impl Precision {
    pub fn nanoseconds(self) -> i64 {
        match self {
            Precision::Nanosecond => 1,
            Precision::Microsecond => 1_000,
            Precision::Millisecond => 1_000_000,
            Precision::Second => 1_000_000_000,
            Precision::Minute => 60_000_000_000,
            Precision::Hour => 3_600_000_000_000,
        }
    }

    /// The precision of this length; `None` when no precision has it.
    pub fn of_nanoseconds(unit_ns: i64) -> Option<Precision> {
        use Precision::*;
        [Nanosecond, Microsecond, Millisecond, Second, Minute, Hour].into_iter().find(|p| p.nanoseconds() == unit_ns)
    }

    /// `precision=` of `/api/v2/write`: `ns us ms s`, empty for the default.
    pub fn parse_v2(text: &str) -> Result<Precision> {
        Ok(match text {
            "" | "ns" => Precision::Nanosecond,
            "us" => Precision::Microsecond,
            "ms" => Precision::Millisecond,
            "s" => Precision::Second,
            _ => return Err(Failure::invalid("invalid precision; valid precision units are ns, us, ms, and s")),
        })
    }

    /// `precision=` and `epoch=` of the 1.x API: `n ns u us µ ms s m h`; `None` for anything else.
    pub fn parse_v1(text: &str) -> Option<Precision> {
        Some(match text {
            "" | "n" | "ns" => Precision::Nanosecond,
            "u" | "us" | "µ" => Precision::Microsecond,
            "ms" => Precision::Millisecond,
            "s" => Precision::Second,
            "m" => Precision::Minute,
            "h" => Precision::Hour,
            _ => return None,
        })
    }
}

/// RFC 3339 in UTC with as many decimals as needed (Go's RFC3339Nano): `2020-01-01T00:00:00.5Z`.
pub fn rfc3339(time: Timestamp) -> String {
    let text = rfc3339_full(time);
    let digits = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{digits}Z")
}

/// RFC 3339 with nine decimals.
pub fn rfc3339_full(time: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_nanos(time).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// Reads RFC 3339 with any number of decimals up to nine and any offset.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    DateTime::parse_from_rfc3339(text).ok()?.timestamp_nanos_opt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_drops_only_decimal_zeros() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(1_500_000_000), "1970-01-01T00:00:01.5Z");
        assert_eq!(rfc3339(600_000_000_000), "1970-01-01T00:10:00Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(parse_rfc3339("1970-01-01T01:00:00+01:00"), Some(0));
    }
}
