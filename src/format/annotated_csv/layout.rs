//! Times written in a Go layout (`dateTime:2006-01-02`): the reference time names the parts.

use crate::model::time::Timestamp;
use chrono::format::{Parsed, StrftimeItems, parse as parse_items};
use chrono::{NaiveTime, TimeZone, Utc};

/// Layout words, longer before shorter where one begins the other, and chrono's name for each.
const WORDS: [(&str, &str); 31] = [
    ("January", "%B"),
    ("Jan", "%b"),
    ("Monday", "%A"),
    ("Mon", "%a"),
    ("MST", "%Z"),
    ("2006", "%Y"),
    ("-07:00", "%:z"),
    ("-0700", "%z"),
    ("Z07:00", "%#z"),
    ("Z0700", "%#z"),
    (".000000000", "%.9f"),
    (".000000", "%.6f"),
    (".000", "%.3f"),
    (".999999999", "%.f"),
    (".999999", "%.f"),
    (".999", "%.f"),
    ("002", "%j"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("PM", "%p"),
    ("pm", "%P"),
    ("_2", "%e"),
    ("1", "%-m"),
    ("2", "%-d"),
    ("3", "%-I"),
    ("4", "%-M"),
];

/// The time, or `None` when the text does not fit the layout. Without a zone it is UTC, without a clock midnight.
pub fn parse(layout: &str, text: &str) -> Option<Timestamp> {
    let pattern = strftime(layout);
    let mut parsed = Parsed::new();
    parse_items(&mut parsed, text, StrftimeItems::new(&pattern)).ok()?;
    let date = parsed.to_naive_date().ok()?;
    let clock = parsed.to_naive_time().unwrap_or(NaiveTime::MIN);
    let local = date.and_time(clock);
    let offset_s = i64::from(parsed.offset().unwrap_or(0));
    Utc.from_utc_datetime(&local).timestamp_nanos_opt()?.checked_sub(offset_s * 1_000_000_000)
}

fn strftime(layout: &str) -> String {
    let mut pattern = String::new();
    let mut rest = layout;
    while let Some(first) = rest.chars().next() {
        if let Some((word, name)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
            pattern.push_str(name);
            rest = &rest[word.len()..];
        } else {
            if first == '%' {
                pattern.push('%');
            }
            pattern.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::parse_rfc3339;

    #[test]
    fn reads_go_layouts() {
        let cases = [
            ("2006-01-02", "2020-05-06", "2020-05-06T00:00:00Z"),
            ("2006-01-02 15:04:05", "2020-05-06 07:08:09", "2020-05-06T07:08:09Z"),
            ("02 Jan 06 15:04 -0700", "06 May 20 07:08 +0200", "2020-05-06T05:08:00Z"),
            ("1/2/2006 3:04 PM", "5/6/2020 7:08 PM", "2020-05-06T19:08:00Z"),
            ("2006-01-02T15:04:05.999999999Z07:00", "2020-05-06T07:08:09.25+01:00", "2020-05-06T06:08:09.25Z"),
            ("2006-01-02T15:04:05.000Z", "2020-05-06T07:08:09.250Z", "2020-05-06T07:08:09.25Z"),
        ];
        for (layout, text, time) in cases {
            assert_eq!(parse(layout, text), parse_rfc3339(time), "{layout}");
        }
        assert_eq!(parse("2006-01-02", "06.05.2020"), None);
    }
}
