//! The watch over the process's memory: when it comes near its limit all the same, the largest query is stopped.
//!
//! What is charged keeps to its share; this is for what nobody charges. It has a thread of its own, which runs also when
//! queries keep all others busy.

use super::admission::{Admission, Running};
use crate::{
    memory::{Budget, allocator::allocated, shown},
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

/// How often it looks: at some gigabytes a second, memory fills by some percent of a small server meanwhile.
const LOOK: Duration = Duration::from_millis(10);
/// Every so many times it asks what is resident, and what the storage holds.
const LOOK_CLOSELY: u32 = 5;
/// A query that was stopped has so long to let go before the next one is.
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

/// The query stopped last.
struct Stopped {
    query: Weak<Running>,
    at: Instant,
}

impl Watch {
    pub fn begin(memory: Arc<Budget>, admission: Arc<Admission>, storage: Storage) -> Result<Watch> {
        let (end, ended) = channel();
        let watch = move || {
            let (mut stopped, mut count) = (None, 0_u32);
            while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                if count % LOOK_CLOSELY == 0 {
                    memory.look();
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

fn relieve(memory: &Budget, admission: &Admission, stopped: &mut Option<Stopped>) {
    let is_letting_go = |s: &Stopped| s.at.elapsed() < LETTING_GO && s.query.strong_count() > 0;
    if stopped.as_ref().is_some_and(is_letting_go) {
        return;
    }
    let Some(query) = admission.stop_largest() else { return };
    let (held, allocated, resident, limit) = (shown(query.bytes()), shown(allocated()), shown(memory.resident()), shown(memory.total));
    tracing::warn!(held, allocated, resident, limit, "memory ran short, and the largest query was stopped: {}", query.text);
    *stopped = Some(Stopped { query: Arc::downgrade(&query), at: Instant::now() });
}
