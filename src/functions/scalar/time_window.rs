//! `time_window`: the start of the time window that a time lies in.
//!
//! Plans use [`start_of`], which carries the window as a value. SQL writes `time_window('1h', time[, 'Europe/Berlin'])`:
//! units `ns us ms s m h d w mo y`, as Flux has them; a null time gives null.

use crate::{
    kernel::time_window::{Location, TimeWindow, TimeWindowCursor},
    model::{Duration, Failure, duration, schema::time_type},
};
use arrow::{
    array::{Array, AsArray, TimestampNanosecondArray, types::TimestampNanosecondType},
    compute::cast,
    datatypes::DataType,
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        sort_properties::{ExprProperties, SortProperties},
    },
};
use std::sync::Arc;

/// The expression for the start of `window` that `time` lies in (the latest one where windows overlap).
pub fn start_of(window: TimeWindow, time: Expr) -> Expr {
    ScalarUDF::from(TimeWindowStart { window: Some(window), ..TimeWindowStart::default() }).call(vec![time])
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct TimeWindowStart {
    /// Given by a plan; SQL's arguments say it otherwise.
    window: Option<TimeWindow>,
    signature: Signature,
}

impl Default for TimeWindowStart {
    fn default() -> TimeWindowStart {
        TimeWindowStart { window: None, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for TimeWindowStart {
    fn name(&self) -> &str {
        "time_window"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(time_type())
    }

    /// On a clock that never goes back, later times lie in later windows; what is ordered by time stays ordered.
    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        Ok(match (self.window, input) {
            (Some(window), [time]) if window.is_seamless() && window.is_utc() => time.sort_properties,
            (None, [every, time]) if every.sort_properties == SortProperties::Singleton => time.sort_properties,
            _ => SortProperties::Unordered,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (window, time) = match (self.window, args.args.as_slice()) {
            (Some(window), [time]) => (window, time),
            (None, [every, time]) => (window_of(every, None)?, time),
            (None, [every, time, zone]) => (window_of(every, Some(zone))?, time),
            _ => return Err(Failure::invalid("time_window expects an interval, a time and perhaps a zone").into()),
        };
        let mut cursor = TimeWindowCursor::new(window);
        match time {
            ColumnarValue::Scalar(value) => {
                let ScalarValue::TimestampNanosecond(time, _) = value.cast_to(&time_type())? else {
                    return Err(Failure::invalid("time_window expects a time").into());
                };
                let start = time.map(|t| cursor.latest(t).start);
                Ok(ColumnarValue::Scalar(ScalarValue::TimestampNanosecond(start, None)))
            }
            ColumnarValue::Array(times) => {
                let times = if times.data_type() == &time_type() { times.clone() } else { cast(times, &time_type())? };
                let times = times.as_primitive::<TimestampNanosecondType>();
                let starts: TimestampNanosecondArray = if times.null_count() == 0 {
                    TimestampNanosecondArray::from_iter_values(times.values().iter().map(|t| cursor.latest(*t).start))
                } else {
                    times.iter().map(|t| t.map(|t| cursor.latest(t).start)).collect()
                };
                Ok(ColumnarValue::Array(Arc::new(starts)))
            }
        }
    }
}

fn text(value: &ColumnarValue) -> Option<&str> {
    match value {
        ColumnarValue::Scalar(ScalarValue::Utf8(Some(t)) | ScalarValue::Utf8View(Some(t)) | ScalarValue::LargeUtf8(Some(t))) => Some(t),
        _ => None,
    }
}

fn window_of(every: &ColumnarValue, zone: Option<&ColumnarValue>) -> Result<TimeWindow> {
    let every =
        text(every).and_then(parse_duration).ok_or_else(|| Failure::invalid("time_window expects an interval such as '1h' or '1mo'"))?;
    let location = match zone {
        None => Location::UTC,
        Some(zone) => Location::named(text(zone).ok_or_else(|| Failure::invalid("time_window expects a zone such as 'Europe/Berlin'"))?)?,
    };
    Ok(TimeWindow::new(every, every, Duration::ZERO, location)?)
}

/// `1h30m`, `1mo`: numbers and Flux's units, joined.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (months, ns) = match rest[..end].trim() {
            "ns" => (0, 1),
            "us" | "µs" => (0, duration::MICROSECOND),
            "ms" => (0, duration::MILLISECOND),
            "s" => (0, duration::SECOND),
            "m" => (0, duration::MINUTE),
            "h" => (0, duration::HOUR),
            "d" => (0, duration::DAY),
            "w" => (0, duration::WEEK),
            "mo" => (1, 0),
            "y" => (12, 0),
            _ => return None,
        };
        total.months = total.months.checked_add(count.checked_mul(months)?)?;
        total.nanoseconds = total.nanoseconds.checked_add(count.checked_mul(ns)?)?;
        rest = &rest[end..];
    }
    (!total.is_zero()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::rfc3339;

    fn start(every: &str, zone: Option<&str>, time: i64) -> String {
        let scalar = |text: &str| ColumnarValue::Scalar(ScalarValue::from(text));
        let window = window_of(&scalar(every), zone.map(scalar).as_ref()).map(|w| rfc3339(w.latest(time).start));
        window.unwrap_or_else(|e| e.strip_backtrace())
    }

    #[test]
    fn intervals() {
        let time = 1_700_000_000_000_000_000;
        assert_eq!(start("1h30m", None, time), "2023-11-14T21:00:00Z");
        assert_eq!(start("1mo", None, time), "2023-11-01T00:00:00Z");
        assert_eq!(start("1d", Some("America/Los_Angeles"), time), "2023-11-14T08:00:00Z");
        assert!(start("1x", None, time).contains("expects an interval"));
        assert!(start("1d", Some("Nope/Zone"), time).contains("unknown time zone Nope/Zone"));
    }
}
