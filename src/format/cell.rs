//! Single values as text, appended to a byte buffer: the innermost loop of every text format.
//!
//! Numbers follow Go's `strconv` as InfluxDB uses it: shortest digits that read back to the same value, never an
//! exponent. Times are RFC 3339 in UTC with as many decimals as needed. Nothing here knows about columns or tables.

use crate::model::time::Timestamp;

const DAY_NS: i64 = 86_400_000_000_000;

pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

pub fn push_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Shortest digits without an exponent; `NaN`, `+Inf`, `-Inf`; a whole number has no decimal point; `-0` keeps its sign.
pub fn push_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        // Whole numbers that a double holds exactly are the most frequent metric values, and an integer prints faster.
        if value.abs() < 9_007_199_254_740_992.0 && value.trunc() == value && (value != 0.0 || value.is_sign_positive()) {
            push_i64(out, value as i64);
            return;
        }
        let mut buffer = ryu::Buffer::new();
        let text = buffer.format_finite(value).as_bytes();
        if memchr::memchr(b'e', text).is_none() {
            out.extend_from_slice(text.strip_suffix(b".0").unwrap_or(text));
        } else {
            use std::io::Write;
            write!(out, "{value}").expect("a vector takes every byte");
        }
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
}

pub fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// Prints times, remembering the last day: neighbours in a series share it.
#[derive(Debug, Clone)]
pub struct TimeFormat {
    day: i64,
    /// `YYYY-MM-DDT` of `day`.
    date: [u8; 11],
}

impl Default for TimeFormat {
    fn default() -> TimeFormat {
        TimeFormat { day: 0, date: *b"1970-01-01T" }
    }
}

impl TimeFormat {
    /// `2020-01-01T00:00:00.5Z`: decimals only as many as needed (Go's `RFC3339Nano`).
    pub fn push(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        let rest = self.push_seconds(out, time);
        if rest != 0 {
            let mut decimals = [0_u8; 10];
            decimals[0] = b'.';
            write_digits(&mut decimals[1..], rest);
            let used = 10 - decimals.iter().rev().take_while(|d| **d == b'0').count();
            out.extend_from_slice(&decimals[..used]);
        }
        out.push(b'Z');
    }

    /// `2020-01-01T00:00:00.500000000Z`: always nine decimals.
    pub fn push_fixed(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        let rest = self.push_seconds(out, time);
        let mut decimals = [b'.'; 10];
        write_digits(&mut decimals[1..], rest);
        out.extend_from_slice(&decimals);
        out.push(b'Z');
    }

    /// Appends `YYYY-MM-DDTHH:MM:SS` and gives the nanoseconds that are left.
    fn push_seconds(&mut self, out: &mut Vec<u8>, time: Timestamp) -> u32 {
        let day = time.div_euclid(DAY_NS);
        let in_day = time.rem_euclid(DAY_NS);
        if day != self.day {
            let (year, month, date) = civil_from_days(day);
            self.day = day;
            write_digits(&mut self.date[0..4], year);
            write_digits(&mut self.date[5..7], month);
            write_digits(&mut self.date[8..10], date);
        }
        out.extend_from_slice(&self.date);
        let seconds = u32::try_from(in_day / 1_000_000_000).expect("a day has 86400 seconds");
        let mut clock = *b"00:00:00";
        write_digits(&mut clock[0..2], seconds / 3600);
        write_digits(&mut clock[3..5], seconds / 60 % 60);
        write_digits(&mut clock[6..8], seconds % 60);
        out.extend_from_slice(&clock);
        u32::try_from(in_day % 1_000_000_000).expect("below 10^9")
    }
}

/// Fills the whole slice with decimal digits, zeros in front.
fn write_digits(slot: &mut [u8], mut value: u32) {
    for digit in slot.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Year, month and day of the proleptic Gregorian calendar, from days since 1970-01-01.
///
/// The year is shifted to begin in March, so that the leap day is its last day and months have a linear formula.
fn civil_from_days(days: i64) -> (u32, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as u32, month as u32, day as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::rfc3339;
    use proptest::prelude::*;

    fn float(value: f64) -> String {
        let mut out = vec![];
        push_f64(&mut out, value);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn floats_never_carry_an_exponent() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-85.5, "-85.5"),
            (0.1, "0.1"),
            (1e21, "1000000000000000000000"),
            (1.5e-9, "0.0000000015"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (4.35, "4.35"),
        ];
        for (value, text) in cases {
            assert_eq!(float(value), text);
        }
        assert_eq!(float(f64::MIN_POSITIVE).parse::<f64>(), Ok(f64::MIN_POSITIVE));
    }

    proptest! {
        #[test]
        fn floats_read_back(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = float(value);
            prop_assert!(!text.contains('e'));
            prop_assert_eq!(text.parse::<f64>().expect("a number").to_bits(), value.to_bits());
        }

        #[test]
        fn times_agree_with_the_calendar(times in prop::collection::vec(any::<i64>(), 1..20)) {
            let mut format = TimeFormat::default();
            for time in times {
                let mut out = vec![];
                format.push(&mut out, time);
                prop_assert_eq!(String::from_utf8(out).expect("ascii"), rfc3339(time));
            }
        }
    }

    #[test]
    fn fixed_times_have_nine_decimals() {
        let mut out = vec![];
        TimeFormat::default().push_fixed(&mut out, 1_500_000_000);
        assert_eq!(out, b"1970-01-01T00:00:01.500000000Z");
    }
}
