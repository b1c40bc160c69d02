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
            let (mut stopped, mut count, mut released) = (vec![], 0_u32, Instant::now());
            let pause = |is_filling| if is_filling { LOOK_OFTEN } else { LOOK };
            while ended.recv_timeout(pause(memory.is_filling())) == Err(RecvTimeoutError::Timeout) {
                if count % LOOK_CLOSELY == 0 || memory.is_filling() {
                    memory.look();
                }
                if memory.is_loose() && released.elapsed() >= RELEASE {
                    release();
                    memory.look();
                    released = Instant::now();
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
