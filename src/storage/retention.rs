//! Giving up rows that are older than a bucket keeps them. Readers hide them to the nanosecond; here whole files go, once all
//! their rows are too old.
//!
//! Hiding can be undone, erasing cannot, so the two go by different clocks: see [`SafeTime`].

use super::{
    failpoint::Failpoint,
    files::FileStore,
    manifest::{Edit, FileMeta, Version},
};
use crate::model::{BucketId, Result, Timestamp};
use parking_lot::Mutex;
use std::sync::Arc;

/// The time by which rows are erased: never ahead of the wall clock, and not led astray when that jumps forward.
///
/// A wall clock that is set ten years ahead by mistake would have every row expire at once. So the time here goes on from
/// what it was, at the pace of the monotonic clock, and is stored with every manifest version, so that a restart does not
/// believe the wall clock either. A clock that stays ahead by J is believed after J/8, at most a day: after two days of
/// standstill, retention catches up within six hours; of a clock that is put right in time, no row is lost; and of one that
/// is not, no more than eight times as many hours as it was wrong, within the first day. Until then expired rows take room,
/// and are hidden as ever.
#[derive(Debug)]
pub struct SafeTime {
    /// What it was at `monotonic_ns`.
    time: Timestamp,
    monotonic_ns: i64,
    /// Since when, in monotonic time, the wall clock is ahead of what it should be.
    ahead_since: Option<i64>,
}

const HOUR: i64 = 3_600_000_000_000;
/// Clocks are put right by less than this; so are those that stood still while the machine had other things to do.
const SLACK_NS: i64 = HOUR / 60;
const DOUBT_MAX_NS: i64 = 24 * HOUR;
/// A server that is started again was away for less, as a rule.
const NOTABLE_NS: i64 = HOUR;

impl SafeTime {
    /// `last`: what it was when it was last stored; `None` in a new store, which has nothing to lose.
    pub fn new(last: Option<Timestamp>, now: Timestamp, monotonic_ns: i64) -> SafeTime {
        SafeTime { time: last.unwrap_or(now), monotonic_ns, ahead_since: None }
    }

    pub fn at(&mut self, now: Timestamp, monotonic_ns: i64) -> Timestamp {
        let expected = self.time.saturating_add(monotonic_ns - self.monotonic_ns);
        let ahead = now.saturating_sub(expected);
        self.monotonic_ns = monotonic_ns;
        if ahead <= SLACK_NS {
            // On time; or the wall clock is behind, and what is expected goes on, so that its coming back is no jump.
            (self.time, self.ahead_since) = (expected.max(now), None);
            return now;
        }
        let since = *self.ahead_since.get_or_insert(monotonic_ns);
        self.time = expected;
        if monotonic_ns - since >= DOUBT_MAX_NS.min(ahead / 8) {
            if ahead > NOTABLE_NS {
                tracing::warn!(
                    ahead_s = ahead / 1_000_000_000,
                    "the clock has been ahead for long enough to be believed; retention goes by it"
                );
            }
            (self.time, self.ahead_since) = (now, None);
        } else if since == monotonic_ns && ahead > NOTABLE_NS {
            tracing::warn!(
                ahead_s = ahead / 1_000_000_000,
                "the clock has jumped ahead, or the server stood still: retention erases nothing by it yet"
            );
        }
        self.time
    }
}

/// Whether so much time has passed since something was taken down at `at`. So it has when that lies in the future: by a clock that was wrong.
pub fn is_past(at: Timestamp, pause_ns: i64, now: Timestamp) -> bool {
    at.saturating_add(pause_ns) <= now || at > now.saturating_add(pause_ns)
}

/// What was given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
}

impl FileStore {
    /// The time before which rows may be erased that are kept for `retention_ns`.
    pub fn erase_floor(&self, retention_ns: i64) -> Timestamp {
        self.safe_now().saturating_sub(retention_ns)
    }

    /// The time that erasing goes by, see [`SafeTime`].
    pub fn safe_now(&self) -> Timestamp {
        let clock = &self.inner.clock;
        self.inner.safe_time.lock().at(clock.now(), clock.monotonic_ns())
    }

    /// Files whose rows are all older than `retention_ns` leave the bucket.
    pub async fn expire(&self, bucket: BucketId, retention_ns: i64) -> Result<Expired> {
        let floor = self.erase_floor(retention_ns);
        let old = |v: &Version| -> Vec<Arc<FileMeta>> { v.files.iter().filter(|f| f.time_max < floor).cloned().collect() };
        if self.version(bucket).is_none_or(|v| old(&v).is_empty()) {
            return Ok(Expired::default());
        }
        let leaving = Mutex::new(vec![]);
        let make = |now: &Version, _| {
            let old = old(now);
            let remove: Vec<u64> = old.iter().map(|f| f.id).collect();
            *leaving.lock() = old;
            Ok((!remove.is_empty()).then(|| Edit { remove, ..Edit::default() }))
        };
        self.pass(Failpoint::RetentionDrop)?;
        self.commit(bucket, vec![], make).await?;
        let leaving = leaving.into_inner();
        let (rows, bytes) = (leaving.iter().map(|f| f.rows).sum(), leaving.iter().map(|f| f.bytes).sum());
        Ok(Expired { files: leaving.len() as u64, rows, bytes })
    }
}

#[cfg(test)]
mod tests;
