//! The watch over the process's memory: when it comes near its limit all the same, the largest query is stopped.
//!
//! What is charged keeps to its share; this is for what nobody charges. It has a thread of its own, which runs also when
//! queries keep all others busy.

use super::admission::{Admission, Running};
use crate::{
    memory::{
        Budget,
        allocator::{allocated, release},
        shown,
    },
    model::Result,
    storage::Storage,
};
use std::{
    sync::{
        Arc, Weak,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How often it looks.
const LOOK: Duration = Duration::from_millis(10);
/// And when much is in use: at some gigabytes a second, memory fills by some percent of a small server meanwhile.
const LOOK_OFTEN: Duration = Duration::from_millis(2);
/// Every so many times it asks what the storage holds, and what is resident while that is little.
const LOOK_CLOSELY: u32 = 5;
/// The allocator gives back what it keeps so often at most: some of that it cannot give.
const RELEASE: Duration = Duration::from_millis(100);
/// Freed memory that was not needed for so long goes back to the system. Rows are flushed about once in a minute, and what that frees is
/// needed for the next ones.
const UNUSED: Duration = Duration::from_secs(60);
/// When it is so much.
const UNUSED_BYTES_MIN: usize = 64 << 20;
/// A query that was stopped has so long to let go; then the next one is, too.
const LETTING_GO: Duration = Duration::from_millis(200);

/// It ends when this is dropped.
pub struct Watch {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // It has said what was wrong, if anything was.
            let _ = thread.join();
        }
    }
}

/// A query that was stopped.
struct Stopped {
    query: Weak<Running>,
    at: Instant,
}

impl Watch {
    pub fn begin(memory: Arc<Budget>, admission: Arc<Admission>, storage: Storage) -> Result<Watch> {
        let (end, ended) = channel();
        let watch = move || {
            let (mut stopped, mut count, mut released, mut unused) = (vec![], 0_u32, Instant::now(), Unused::new(Instant::now()));
            let pause = |is_filling| if is_filling { LOOK_OFTEN } else { LOOK };
            while ended.recv_timeout(pause(memory.is_filling())) == Err(RecvTimeoutError::Timeout) {
                if count % LOOK_CLOSELY == 0 || memory.is_filling() {
                    memory.look();
                }
                let is_due = unused.is_due(memory.kept(), Instant::now());
                if is_due || memory.is_loose() && released.elapsed() >= RELEASE {
                    release();
                    memory.look();
                    released = Instant::now();
                    unused.released(memory.kept(), released);
                }
                if count % LOOK_CLOSELY == 0 {
                    memory.buffer.observe(storage.buffered_bytes());
                    memory.files.observe(storage.cached_bytes());
                }
                count = count.wrapping_add(1);
                if memory.is_over() {
                    relieve(&memory, &admission, &mut stopped);
                }
            }
        };
        let thread = std::thread::Builder::new().name("memory".into()).spawn(watch)?;
        Ok(Watch { end: Some(end), thread: Some(thread) })
    }
}

/// Freed memory that nobody has needed.
struct Unused {
    since: Instant,
    /// The least that was kept since then.
    least: usize,
    /// What the allocator kept when it was to give all of it: some lies between what is in use.
    fixed: usize,
}

impl Unused {
    fn new(now: Instant) -> Unused {
        Unused { since: now, least: usize::MAX, fixed: 0 }
    }

    /// Whether what is `kept` goes back: all of it does, so it has to be little more than what was not needed.
    fn is_due(&mut self, kept: usize, now: Instant) -> bool {
        self.least = self.least.min(kept);
        if now.duration_since(self.since) < UNUSED {
            return false;
        }
        if self.least.saturating_sub(self.fixed) >= UNUSED_BYTES_MIN {
            return kept - self.least < UNUSED_BYTES_MIN;
        }
        // What was in use then may be free by now, so it is asked again some day.
        let fixed = self.fixed.min(self.least) / 16 * 15;
        *self = Unused { fixed, ..Unused::new(now) };
        false
    }

    fn released(&mut self, kept: usize, now: Instant) {
        *self = Unused { fixed: kept, ..Unused::new(now) };
    }
}

/// Stops as many queries as it takes, the largest first.
fn relieve(memory: &Budget, admission: &Admission, stopped: &mut Vec<Stopped>) {
    stopped.retain(|s| s.at.elapsed() < LETTING_GO && s.query.strong_count() > 0);
    let coming = |stopped: &[Stopped]| stopped.iter().filter_map(|s| s.query.upgrade()).map(|query| query.bytes()).sum::<usize>();
    while memory.excess() > coming(stopped) {
        let Some(query) = admission.stop_largest() else { return };
        let (held, allocated, resident, limit) = (shown(query.bytes()), shown(allocated()), shown(memory.resident()), shown(memory.total));
        tracing::warn!(held, allocated, resident, limit, "memory ran short, and the largest query was stopped: {}", query.text);
        stopped.push(Stopped { query: Arc::downgrade(&query), at: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    /// When something was due, in steps of ten seconds, and so much was kept at each. `fixed` cannot be given.
    fn due(kept: impl IntoIterator<Item = usize>, fixed: usize) -> Vec<usize> {
        let begin = Instant::now();
        let mut unused = Unused::new(begin);
        let due = kept.into_iter().enumerate().filter(|(at, kept)| {
            let now = begin + Duration::from_secs(10) * *at as u32;
            let is_due = unused.is_due(*kept * MIB, now);
            if is_due {
                unused.released(fixed * MIB, now);
            }
            is_due
        });
        due.map(|(at, _)| at).collect()
    }

    #[test]
    fn only_what_was_not_needed_for_a_minute_goes_back() {
        assert_eq!(due([300; 7].into_iter().chain([0; 30]), 0), [6], "what stays free");
        assert_eq!(due((0..60).map(|at| if at % 5 == 0 { 10 } else { 300 }), 0), [0; 0], "a load that comes again each minute");
        assert_eq!(
            due([100, 900, 900, 900, 900, 900, 900, 900, 110].into_iter().chain([0; 9]), 0),
            [8],
            "and not what is needed beside it"
        );
        assert_eq!(due([100; 40], 90), [6], "what cannot be given is not asked for all the time");
        assert!(due([100; 300], 90).len() > 1, "but it is again");
        assert_eq!(due([60; 40], 0), [0; 0], "little stays");
    }
}
