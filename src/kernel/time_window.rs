//! Which time window a time lies in: fixed lengths, calendar months, overlaps and gaps, time zones with their
//! changes of the clock.
//!
//! [`TimeWindow`] is Flux's arithmetic (v0.200 `interval/window.go`), which SQL shares: window `i` covers
//! `zero + i * every .. zero + i * every + period` **on the local clock**, then both ends are mapped to instants. So a
//! day in Los Angeles may last 23 hours, and an hour two at the end of summer time.
//! [`InfluxqlWindow`] is InfluxQL's `GROUP BY time(every, offset) tz(...)` (InfluxDB 1.8 `Window`), which truncates
//! the instant and then mends both ends by the change of the zone's offset.

use crate::model::{Duration, Failure, Result, Timestamp, duration};
use chrono::{DateTime, Datelike, MappedLocalTime, NaiveDateTime, Offset, TimeZone, Timelike};
use chrono_tz::Tz;

/// Where local clocks are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Location {
    /// `None` is UTC.
    pub zone: Option<Tz>,
    /// Moves the windows' zero back, as Flux's `timezone.fixed(offset: )` has it.
    pub offset: Duration,
}

impl Location {
    pub const UTC: Location = Location { zone: None, offset: Duration::ZERO };

    /// An IANA name such as `Europe/Berlin`.
    pub fn named(name: &str) -> Result<Location> {
        let zone: Tz = name.parse().map_err(|_| Failure::invalid(format!("unknown time zone {name}")))?;
        Ok(Location { zone: (zone != Tz::UTC).then_some(zone), offset: Duration::ZERO })
    }

    /// Nanoseconds that the zone's clock is ahead of UTC at an instant; `offset` plays no part.
    pub fn ahead_ns(&self, time: Timestamp) -> i64 {
        self.zone.map_or(0, |zone| ahead(zone, time))
    }

    /// The reading of the zone's clock at an instant, as if it were UTC.
    pub fn to_clock(&self, time: Timestamp) -> Timestamp {
        time.saturating_add(self.ahead_ns(time))
    }

    /// The instant at which the zone's clock shows `clock`: the earlier one where it shows it twice, the instant of
    /// the change where it never does.
    pub fn from_clock(&self, clock: Timestamp) -> Timestamp {
        let Some(zone) = self.zone else { return clock };
        match zone.offset_from_local_datetime(&naive(clock)) {
            MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => {
                clock.saturating_sub(i64::from(offset.fix().local_minus_utc()) * duration::SECOND)
            }
            MappedLocalTime::None => change_over(zone, clock),
        }
    }
}

fn naive(time: Timestamp) -> NaiveDateTime {
    DateTime::from_timestamp_nanos(time).naive_utc()
}

fn ahead(zone: Tz, time: Timestamp) -> i64 {
    i64::from(zone.offset_from_utc_datetime(&naive(time)).fix().local_minus_utc()) * duration::SECOND
}

/// The instant at which the zone's clock jumps over `clock`. Offsets stay within 15 hours of UTC, and at the jump
/// `time + ahead(time)` steps from below `clock` to above it.
fn change_over(zone: Tz, clock: Timestamp) -> Timestamp {
    let (mut before, mut after) = (clock.saturating_sub(27 * duration::HOUR), clock.saturating_add(27 * duration::HOUR));
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if middle + ahead(zone, middle) > clock { after = middle } else { before = middle }
    }
    after
}

/// One time window, `start <= t < stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub start: Timestamp,
    pub stop: Timestamp,
    pub index: i64,
}

impl Bounds {
    pub fn contains(&self, time: Timestamp) -> bool {
        self.start <= time && time < self.stop
    }
}

/// Windows that begin every `every` and last `period`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeWindow {
    every: Duration,
    period: Duration,
    zero: Timestamp,
    location: Location,
}

impl TimeWindow {
    /// `every` is positive and either months or nanoseconds; `period` may be negative, then a window ends where it
    /// would begin. Windows of weeks begin on Thursdays, as 1 January 1970 was one.
    pub fn new(every: Duration, period: Duration, offset: Duration, location: Location) -> Result<TimeWindow> {
        let zero = offset.add_to(location.offset.negate().add_to(0));
        TimeWindow::from_zero(every, period, zero, location)
    }

    /// Windows that touch: `period` = `every`, no offset, UTC.
    pub fn every(every: Duration) -> Result<TimeWindow> {
        TimeWindow::new(every, every, Duration::ZERO, Location::UTC)
    }

    /// One window begins at `zero` on the local clock (SQL's `origin`).
    pub fn from_zero(every: Duration, period: Duration, zero: Timestamp, location: Location) -> Result<TimeWindow> {
        if every.is_zero() {
            return Err(Failure::invalid("duration used as an interval cannot be zero"));
        }
        if every.months != 0 && every.nanoseconds != 0 {
            return Err(Failure::invalid("duration used as an interval cannot mix month and nanosecond units"));
        }
        if every.negative {
            return Err(Failure::invalid("duration used as an interval cannot be negative"));
        }
        Ok(TimeWindow { every, period, zero, location })
    }

    /// The latest window that holds `time`; where windows leave gaps, the one before it.
    pub fn latest(&self, time: Timestamp) -> Bounds {
        let clock = self.location.to_clock(time);
        let mut index = self.index_of(clock);
        let mut bounds = self.on_clock(index);
        if self.period.negative {
            // Such a window lies before its own beginning, so later ones may still hold the time.
            index += self.period.mean_nanoseconds().saturating_neg() / self.every.mean_nanoseconds();
            bounds = self.on_clock(index);
            while !bounds.contains(clock) && bounds.start > clock {
                bounds = self.on_clock(bounds.index - 1);
            }
            while self.on_clock(bounds.index + 1).contains(clock) {
                bounds = self.on_clock(bounds.index + 1);
            }
        }
        self.to_instants(bounds)
    }

    /// Window number `index`.
    pub fn at(&self, index: i64) -> Bounds {
        self.to_instants(self.on_clock(index))
    }

    pub fn next(&self, bounds: Bounds) -> Bounds {
        self.at(bounds.index + 1)
    }

    pub fn previous(&self, bounds: Bounds) -> Bounds {
        self.at(bounds.index - 1)
    }

    /// Every window that shares an instant with `start..stop`, in order. Not clipped.
    pub fn overlapping(&self, start: Timestamp, stop: Timestamp) -> impl Iterator<Item = Bounds> + use<> {
        let this = *self;
        let first = (start < stop).then(|| this.first_after(start));
        std::iter::successors(first, move |b| Some(this.next(*b))).take_while(move |b| b.start < stop).filter(|b| b.start < b.stop)
    }

    /// Numbers of the first and the last window that share an instant with `start..stop`.
    pub fn overlapping_indices(&self, start: Timestamp, stop: Timestamp) -> Option<(i64, i64)> {
        let first = (start < stop).then(|| self.first_after(start))?;
        let mut last = self.latest(stop - 1);
        while last.start >= stop {
            last = self.previous(last);
        }
        (first.index <= last.index).then_some((first.index, last.index))
    }

    /// The earliest window that ends after `start`.
    fn first_after(&self, start: Timestamp) -> Bounds {
        let mut bounds = self.latest(start);
        while bounds.stop > start {
            bounds = self.previous(bounds);
        }
        while bounds.stop <= start {
            bounds = self.next(bounds);
        }
        bounds
    }

    /// Whether each window begins where the one before it ends, so that a time lies in exactly one.
    pub fn is_seamless(&self) -> bool {
        self.every == self.period
    }

    /// Whether windows follow UTC, whose clock never goes back.
    pub fn is_utc(&self) -> bool {
        self.location.zone.is_none()
    }

    fn on_clock(&self, index: i64) -> Bounds {
        let step = Duration {
            months: self.every.months.saturating_mul(index.saturating_abs()),
            nanoseconds: self.every.nanoseconds.saturating_mul(index.saturating_abs()),
            negative: index < 0,
        };
        let start = step.add_to(self.zero);
        // Months are counted from zero for both ends, or February would shorten the windows after it.
        let stop = self.period.add_to(start);
        let (start, stop) = if self.period.negative { (stop, start) } else { (start, stop) };
        Bounds { start, stop, index }
    }

    fn to_instants(self, bounds: Bounds) -> Bounds {
        if self.location.zone.is_none() {
            return bounds;
        }
        Bounds { start: self.location.from_clock(bounds.start), stop: self.location.from_clock(bounds.stop), index: bounds.index }
    }

    /// The last window that begins at or before `clock`.
    fn index_of(&self, clock: Timestamp) -> i64 {
        if self.every.months > 0 {
            let month = duration::month_index(clock) - i64::from(within_month(clock) < within_month(self.zero));
            (month - duration::month_index(self.zero)).div_euclid(self.every.months)
        } else {
            let distance = i128::from(clock) - i128::from(self.zero);
            i64::try_from(distance.div_euclid(i128::from(self.every.nanoseconds))).unwrap_or(i64::MAX)
        }
    }
}

/// Day of the month and time of day.
fn within_month(clock: Timestamp) -> (u32, u32, u32) {
    let at = naive(clock);
    (at.day(), at.num_seconds_from_midnight(), at.nanosecond())
}

/// InfluxQL's windows: `every_ns` long, aligned to the epoch plus an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InfluxqlWindow {
    every_ns: i64,
    offset_ns: i64,
    zone: Option<Tz>,
}

impl InfluxqlWindow {
    /// `every_ns` is at least 1.
    pub fn new(every_ns: i64, offset_ns: i64, zone: Option<Tz>) -> InfluxqlWindow {
        InfluxqlWindow { every_ns: every_ns.max(1), offset_ns, zone }
    }

    /// Start and end of the window that holds `time`.
    pub fn bounds(&self, time: Timestamp) -> (Timestamp, Timestamp) {
        let ahead = |t| self.zone.map_or(0, |zone| ahead(zone, t));
        let time = time.saturating_sub(self.offset_ns);
        let zone = ahead(time);
        let into = time.saturating_add(zone).rem_euclid(self.every_ns);
        let mut start = time.saturating_sub(into).saturating_add(self.offset_ns);
        // A change of the clock counts only when it is shorter than the window, or windows would run backwards.
        let change = zone - ahead(start);
        if change.abs() < self.every_ns {
            start = start.saturating_add(change);
        }
        let mut end = time.saturating_add(self.every_ns - into).saturating_add(self.offset_ns);
        let at_end = ahead(end);
        let change = zone - at_end;
        // Repeated time belongs to the window before the change, skipped time to the one after it.
        if change != 0 && change.abs() < self.every_ns && (change > 0 || ahead(end.saturating_add(change)) == at_end) {
            end = end.saturating_add(change);
        }
        (start, end)
    }
}

/// Looks up windows for times that mostly come in order: the last window is tried first.
#[derive(Debug, Clone)]
pub struct TimeWindowCursor {
    window: TimeWindow,
    last: Option<Bounds>,
}

impl TimeWindowCursor {
    pub fn new(window: TimeWindow) -> TimeWindowCursor {
        TimeWindowCursor { window, last: None }
    }

    /// As [`TimeWindow::latest`].
    pub fn latest(&mut self, time: Timestamp) -> Bounds {
        match self.last {
            // Only seamless windows can be kept: with overlaps a later window may hold the time, too.
            Some(bounds) if bounds.contains(time) && self.window.is_seamless() => bounds,
            _ => *self.last.insert(self.window.latest(time)),
        }
    }
}

/// Starts of seamless windows of a fixed length: `out[i] = times[i]` rounded down to `zero + k * every`.
pub fn truncate(times: &[i64], every_ns: i64, zero: i64, out: &mut [i64]) {
    for (out, time) in out.iter_mut().zip(times) {
        *out = time - (time - zero).rem_euclid(every_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::{parse_rfc3339, rfc3339};
    use proptest::prelude::*;

    fn at(text: &str) -> i64 {
        parse_rfc3339(text).expect("a time")
    }

    fn show(bounds: Bounds) -> String {
        format!("{} {}", rfc3339(bounds.start), rfc3339(bounds.stop))
    }

    fn ns(ns: i64) -> Duration {
        Duration::from_nanoseconds(ns)
    }

    #[test]
    fn weeks_begin_on_thursday() {
        let weeks = TimeWindow::every(ns(duration::WEEK)).expect("a window");
        assert_eq!(show(weeks.latest(at("2020-01-01T00:00:00Z"))), "2019-12-26T00:00:00Z 2020-01-02T00:00:00Z");
    }

    #[test]
    fn months_with_an_offset() {
        let months = TimeWindow::new(Duration::from_months(1), Duration::from_months(1), ns(duration::DAY * 4), Location::UTC).expect("ok");
        assert_eq!(show(months.latest(at("2021-03-04T23:00:00Z"))), "2021-02-05T00:00:00Z 2021-03-05T00:00:00Z");
        assert_eq!(show(months.latest(at("2021-03-05T00:00:00Z"))), "2021-03-05T00:00:00Z 2021-04-05T00:00:00Z");
        assert_eq!(show(months.latest(at("1969-12-31T00:00:00Z"))), "1969-12-05T00:00:00Z 1970-01-05T00:00:00Z");
    }

    #[test]
    fn days_follow_the_local_clock() {
        let day = ns(duration::DAY);
        let days = TimeWindow::new(day, day, Duration::ZERO, Location::named("America/Los_Angeles").expect("zone")).expect("ok");
        assert_eq!(show(days.latest(at("2017-03-12T20:00:00Z"))), "2017-03-12T08:00:00Z 2017-03-13T07:00:00Z");
        assert_eq!(show(days.latest(at("2017-11-05T20:00:00Z"))), "2017-11-05T07:00:00Z 2017-11-06T08:00:00Z");
        let hour = ns(duration::HOUR);
        let hours = TimeWindow::new(hour, hour, Duration::ZERO, Location::named("America/Los_Angeles").expect("zone")).expect("ok");
        // One o'clock comes twice and makes one window of two hours.
        assert_eq!(show(hours.latest(at("2017-11-05T09:30:00Z"))), "2017-11-05T08:00:00Z 2017-11-05T10:00:00Z");
    }

    #[test]
    fn a_day_that_was_skipped() {
        let location = Location::named("Pacific/Apia").expect("zone");
        // 30 December 2011 never came: the clock jumped at 10:00 UTC.
        assert_eq!(rfc3339(location.from_clock(at("2011-12-30T00:00:00Z"))), "2011-12-30T10:00:00Z");
        assert_eq!(rfc3339(location.from_clock(at("2011-12-30T12:00:00Z"))), "2011-12-30T10:00:00Z");
        assert_eq!(rfc3339(location.from_clock(at("2011-12-31T00:00:00Z"))), "2011-12-30T10:00:00Z");
    }

    #[test]
    fn overlapping_windows_and_gaps() {
        let wide = TimeWindow::new(ns(10), ns(25), Duration::ZERO, Location::UTC).expect("ok");
        let starts: Vec<i64> = wide.overlapping(0, 20).map(|b| b.start).collect();
        assert_eq!(starts, [-20, -10, 0, 10]);
        let narrow = TimeWindow::new(ns(10), ns(5), Duration::ZERO, Location::UTC).expect("ok");
        assert_eq!(narrow.overlapping(6, 21).map(|b| (b.start, b.stop)).collect::<Vec<_>>(), [(10, 15), (20, 25)]);
        assert_eq!(wide.overlapping_indices(0, 20), Some((-2, 1)));
    }

    #[test]
    fn negative_periods() {
        let window = TimeWindow::new(ns(10), ns(-10), Duration::ZERO, Location::UTC).expect("ok");
        let bounds = window.latest(13);
        assert_eq!((bounds.start, bounds.stop), (10, 20));
        let wide = TimeWindow::new(ns(10), ns(-25), Duration::ZERO, Location::UTC).expect("ok");
        let bounds = wide.latest(13);
        assert_eq!((bounds.start, bounds.stop), (5, 30));
    }

    #[test]
    fn influxql_days_with_zone() {
        let window = InfluxqlWindow::new(duration::DAY, 0, Some(Tz::America__Los_Angeles));
        let (start, end) = window.bounds(at("2017-03-12T20:00:00Z"));
        assert_eq!((rfc3339(start), rfc3339(end)), ("2017-03-12T08:00:00Z".into(), "2017-03-13T07:00:00Z".into()));
        // InfluxDB 1.8, measured: 2m with offset 30s, from 0, starts at -90 s.
        assert_eq!(InfluxqlWindow::new(120 * duration::SECOND, 30 * duration::SECOND, None).bounds(0).0, -90 * duration::SECOND);
    }

    proptest! {
        #[test]
        fn a_time_lies_in_its_window_in_every_zone(
            seconds in -2_000_000_000..4_000_000_000_i64,
            zone in prop::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
            every in prop::sample::select(vec![ns(duration::HOUR), ns(6 * duration::HOUR), ns(duration::DAY), ns(duration::WEEK),
                Duration::from_months(1), Duration::from_months(12)]),
        ) {
            let location = Location { zone: Some(zone), offset: Duration::ZERO };
            let window = TimeWindow::new(every, every, Duration::ZERO, location).expect("ok");
            let time = seconds * duration::SECOND;
            let bounds = window.latest(time);
            // An instant of repeated time belongs to the earlier window's reading of the clock, so a neighbour may hold it.
            let neighbours = [window.previous(bounds), bounds, window.next(bounds)];
            prop_assert!(neighbours.iter().any(|b| b.contains(time)), "{} {:?}", rfc3339(time), neighbours.map(show));
            prop_assert!(neighbours[0].stop == bounds.start && bounds.stop == neighbours[2].start);
        }

        #[test]
        fn fixed_windows_agree_with_division(time in any::<i32>(), every in 1..1000_i64, offset in -1000..1000_i64) {
            let window = TimeWindow::new(ns(every), ns(every), ns(offset), Location::UTC).expect("ok");
            let time = i64::from(time);
            let bounds = window.latest(time);
            prop_assert!(bounds.contains(time) && bounds.stop - bounds.start == every && (bounds.start - offset) % every == 0);
            let mut out = [0];
            truncate(&[time], every, offset, &mut out);
            prop_assert_eq!(out[0], bounds.start);
            prop_assert_eq!(InfluxqlWindow::new(every, offset, None).bounds(time), (bounds.start, bounds.stop));
        }
    }
}
