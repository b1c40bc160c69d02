//! Half-open stretches of time, in nanoseconds since the epoch.

/// `start <= t < stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimeRange {
    pub start: i64,
    pub stop: i64,
}

impl TimeRange {
    /// Every instant but the very last one that an `i64` can name.
    pub const ALL: TimeRange = TimeRange { start: i64::MIN, stop: i64::MAX };

    pub fn new(start: i64, stop: i64) -> TimeRange {
        TimeRange { start, stop }
    }

    pub fn is_empty(&self) -> bool {
        self.start >= self.stop
    }

    pub fn contains(&self, time: i64) -> bool {
        self.start <= time && time < self.stop
    }

    pub fn intersect(&self, other: TimeRange) -> TimeRange {
        TimeRange { start: self.start.max(other.start), stop: self.stop.min(other.stop) }
    }

    /// Whether any instant of the closed stretch `min..=max` lies inside.
    pub fn overlaps(&self, min: i64, max: i64) -> bool {
        min < self.stop && max >= self.start
    }
}
