//! Threads apart from those that serve requests.

use crate::memory::allocator::settle_thread;
use parking_lot::Mutex;
use std::io;
use thread_priority::{ThreadPriority, set_current_thread_priority};
use tokio::runtime::{Builder, Handle, Runtime};

/// A thread that is given way to has about an eighth of a busy core's time beside one that is not (Linux: niceness 9).
const LOW_PRIORITY: u8 = 25;

/// What becomes of them while there is more work than cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// They take turns with all others.
    Equal,
    /// Others go first.
    Last,
}

/// Some threads with a name, made when they are first needed. What blocks or computes for long on them is on threads of the same kind.
#[derive(Debug)]
pub struct Threads {
    name: &'static str,
    count: usize,
    stack_bytes: usize,
    turn: Turn,
    runtime: Mutex<Option<Runtime>>,
}

impl Threads {
    pub fn new(name: &'static str, count: usize, stack_bytes: usize, turn: Turn) -> Threads {
        Threads { name, count: count.max(1), stack_bytes, turn, runtime: Mutex::default() }
    }

    /// Where work is handed to them.
    pub fn handle(&self) -> io::Result<Handle> {
        let mut runtime = self.runtime.lock();
        if let Some(runtime) = runtime.as_ref() {
            return Ok(runtime.handle().clone());
        }
        let turn = self.turn;
        let made = Builder::new_multi_thread()
            .worker_threads(self.count)
            .thread_name(self.name)
            .thread_stack_size(self.stack_bytes)
            .on_thread_start(move || begin(turn))
            .on_thread_stop(settle_thread)
            .enable_all()
            .build()?;
        Ok(runtime.insert(made).handle().clone())
    }
}

fn begin(turn: Turn) {
    // Where it is not allowed, they take turns.
    if let (Turn::Last, Ok(low)) = (turn, LOW_PRIORITY.try_into()) {
        let _ = set_current_thread_priority(ThreadPriority::Crossplatform(low));
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.get_mut().take() {
            // Work that does not end must not keep the process.
            runtime.shutdown_background();
        }
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;

    /// The niceness of the thread that asks.
    fn niceness() -> i64 {
        let told = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux tells");
        // The 17th field after the name, which is in parentheses.
        let fields: Vec<&str> = told.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        fields[16].parse().expect("a number")
    }

    #[test]
    fn work_that_waits_for_others_is_last_also_where_it_blocks() {
        let own = niceness();
        for (turn, expected) in [(Turn::Equal, own), (Turn::Last, own.max(9))] {
            let threads = Threads::new("test", 1, 1 << 20, turn);
            let found = threads.handle().expect("threads").block_on(async {
                let on_worker = tokio::spawn(async { niceness() }).await.expect("runs");
                let on_blocking = tokio::task::spawn_blocking(niceness).await.expect("runs");
                (on_worker, on_blocking)
            });
            assert_eq!(found, (expected, expected), "{turn:?}");
        }
        assert_eq!(niceness(), own);
    }
}
