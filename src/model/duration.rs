//! Calendar durations: a number of months and a number of nanoseconds with one sign (Flux's `duration`).

use super::time::Timestamp;
use chrono::{DateTime, Datelike, Months, Utc};
use std::fmt;

pub const MICROSECOND: i64 = 1_000;
pub const MILLISECOND: i64 = 1_000_000;
pub const SECOND: i64 = 1_000_000_000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;
pub const WEEK: i64 = 7 * DAY;
/// Flux's mean month, 365.25 / 12 days, for `range(start: -1mo)` and `int(v: 1mo)` (Flux v0.200).
pub const MEAN_MONTH: i64 = 2_629_800 * SECOND;

/// `±(months + nanoseconds)`; both parts are never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Duration {
    pub months: i64,
    pub nanoseconds: i64,
    pub negative: bool,
}

impl Duration {
    pub const ZERO: Duration = Duration { months: 0, nanoseconds: 0, negative: false };

    pub fn from_nanoseconds(ns: i64) -> Duration {
        Duration { months: 0, nanoseconds: ns.saturating_abs(), negative: ns < 0 }
    }

    pub fn from_months(months: i64) -> Duration {
        Duration { months: months.abs(), nanoseconds: 0, negative: months < 0 }
    }

    pub fn is_zero(&self) -> bool {
        self.months == 0 && self.nanoseconds == 0
    }

    pub fn negate(self) -> Duration {
        Duration { negative: !self.negative && !self.is_zero(), ..self }
    }

    /// Both parts `n` times, saturating.
    pub fn times(self, n: i64) -> Duration {
        let count = n.saturating_abs();
        let scaled = Duration {
            months: self.months.saturating_mul(count),
            nanoseconds: self.nanoseconds.saturating_mul(count),
            negative: self.negative,
        };
        let scaled = if n < 0 { scaled.negate() } else { scaled };
        if scaled.is_zero() { Duration::ZERO } else { scaled }
    }

    pub fn signed_months(&self) -> i64 {
        if self.negative { -self.months } else { self.months }
    }

    pub fn signed_nanoseconds(&self) -> i64 {
        if self.negative { -self.nanoseconds } else { self.nanoseconds }
    }

    /// Length in nanoseconds with mean months, signed, saturating.
    pub fn mean_nanoseconds(&self) -> i64 {
        let total = self.months.saturating_mul(MEAN_MONTH).saturating_add(self.nanoseconds);
        if self.negative { -total } else { total }
    }

    /// `time + self` by the UTC calendar: months first, the day clamped to the month's end, then nanoseconds.
    /// Saturates at the ends of the representable range.
    pub fn add_to(&self, time: Timestamp) -> Timestamp {
        add_months(time, self.signed_months()).saturating_add(self.signed_nanoseconds())
    }
}

/// Calendar months in UTC; the day of month is clamped (31 January + 1 month = 28 or 29 February).
pub fn add_months(time: Timestamp, months: i64) -> Timestamp {
    if months == 0 {
        return time;
    }
    let at = DateTime::<Utc>::from_timestamp_nanos(time);
    let step = Months::new(u32::try_from(months.unsigned_abs()).unwrap_or(u32::MAX));
    let moved = if months > 0 { at.checked_add_months(step) } else { at.checked_sub_months(step) };
    let end = if months > 0 { i64::MAX } else { i64::MIN };
    moved.and_then(|t| t.timestamp_nanos_opt()).unwrap_or(end)
}

/// Whole months from year 0 to the month that holds `time` (UTC).
pub fn month_index(time: Timestamp) -> i64 {
    let at = DateTime::<Utc>::from_timestamp_nanos(time);
    i64::from(at.year()) * 12 + i64::from(at.month0())
}

/// A length of time as Go prints it: `1h2m3.5s`, `15ms`, `0s`.
pub fn go_duration(ns: i64) -> String {
    let (sign, rest) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
    let decimals = |value: u64, unit: u64| {
        let text = format!("{}.{:0width$}", value / unit, value % unit, width = unit.ilog10() as usize);
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    };
    match rest {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{rest}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimals(rest, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimals(rest, 1_000_000)),
        _ => {
            let (hour, minute) = (HOUR as u64, MINUTE as u64);
            let seconds = decimals(rest % minute, SECOND as u64);
            match (rest / hour, rest % hour / minute) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, m) => format!("{sign}{m}m{seconds}s"),
                (h, m) => format!("{sign}{h}h{m}m{seconds}s"),
            }
        }
    }
}

impl fmt::Display for Duration {
    /// Flux's collapsed form: `1y2mo3w4d5h6m7s8ms9us10ns`, `0ns` for nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0ns");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let mut rest_months = self.months;
        let mut rest = self.nanoseconds;
        for (unit, name) in [(12, "y"), (1, "mo")] {
            if rest_months / unit > 0 {
                write!(f, "{}{name}", rest_months / unit)?;
                rest_months %= unit;
            }
        }
        let units =
            [(WEEK, "w"), (DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s"), (MILLISECOND, "ms"), (MICROSECOND, "us"), (1, "ns")];
        for (unit, name) in units {
            if rest / unit > 0 {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_collapsed() {
        let d = Duration { months: 14, nanoseconds: 2 * WEEK + 90 * SECOND, negative: true };
        assert_eq!(d.to_string(), "-1y2mo2w1m30s");
        assert_eq!(Duration::ZERO.to_string(), "0ns");
    }

    #[test]
    fn prints_as_go_does() {
        let cases = [
            (0, "0s"),
            (7, "7ns"),
            (-1_500, "-1.5µs"),
            (15 * MILLISECOND, "15ms"),
            (3 * SECOND + 50 * MILLISECOND, "3.05s"),
            (HOUR, "1h0m0s"),
            (HOUR + 2 * MINUTE + 3 * SECOND + 400 * MILLISECOND, "1h2m3.4s"),
            (90 * MINUTE, "1h30m0s"),
            (61 * SECOND, "1m1s"),
        ];
        for (ns, text) in cases {
            assert_eq!(go_duration(ns), text);
        }
    }

    #[test]
    fn months_clamp_to_the_end_of_the_month() {
        let jan31 = super::super::time::parse_rfc3339("2021-01-31T00:00:00Z").expect("valid");
        let feb28 = super::super::time::parse_rfc3339("2021-02-28T00:00:00Z").expect("valid");
        assert_eq!(Duration::from_months(1).add_to(jan31), feb28);
        assert_eq!(Duration::from_months(-1).add_to(feb28), super::super::time::parse_rfc3339("2021-01-28T00:00:00Z").expect("valid"));
    }
}
