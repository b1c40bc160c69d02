//! The process's memory: how much there is, who may have which part of it, and what is really in use.
//!
//! ```text
//! machine::limit (cgroups, MemTotal) or --memory-max
//!   -> Budget: the whole, cut into shares (write buffer, decoded files, caches, requests, queries); a rest is nobody's
//!        -> Share -> Lease: bytes that somebody holds, given back when the lease goes
//! allocator::Counted: what the process has really allocated; Meter: what the work of one query has
//!        -> allow(bytes): whether somebody who is about to allocate that much may
//! ```
//!
//! Shares are kept by those who know what they hold, before they allocate it. The counted allocator is the last line: it sees
//! also what nobody charges. An allocation cannot fail in Rust without ending the process, so nothing is refused there; whoever
//! is about to allocate much asks [`allow`], queries are not given more near the limit, and then the largest is stopped
//! (`engine::watch`). This floor knows no queries and no rows.

pub mod allocator;
pub mod budget;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub mod code;
pub mod machine;
pub mod meter;

pub use budget::{Budget, BudgetLimits, Lease, Share};

use crate::model::{Failure, Result, bytes::size};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Allocated bytes of the process past which [`allow`] says no. There is one allocator, and so one limit.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Bytes that one call of a function may ask for.
static AT_ONCE_MAX: AtomicUsize = AtomicUsize::new(256 << 20);

/// Whether so many bytes more leave the process within its limit.
pub fn has_room(bytes: usize) -> bool {
    // What is so small is not worth a look at the counter of all threads.
    bytes < allocator::STEP_BYTES || allocator::allocated().saturating_add(bytes) <= LIMIT.load(Ordering::Relaxed)
}

/// Fails with `Unavailable` when `what`, a function or a step that is about to make so many bytes in one go, may not.
pub fn allow(bytes: usize, what: &str) -> Result<()> {
    let at_once = AT_ONCE_MAX.load(Ordering::Relaxed);
    if bytes > at_once {
        let (bytes, at_once) = (shown(bytes), shown(at_once));
        return Err(Failure::out_of_memory(format_args!("{what} would make {bytes} at once, and may make {at_once}")));
    }
    if has_room(bytes) { Ok(()) } else { Err(no_room(bytes, what)) }
}

/// The failure of what has no room.
pub fn no_room(bytes: usize, what: &str) -> Failure {
    Failure::out_of_memory(lack(bytes, what))
}

/// What it says.
pub fn lack(bytes: usize, what: &str) -> String {
    let (bytes, used, limit) = (shown(bytes), shown(allocator::allocated()), shown(LIMIT.load(Ordering::Relaxed)));
    format!("{what} needs {bytes} more, and the server holds {used} of {limit}")
}

/// A number of bytes for people.
pub fn shown(bytes: usize) -> String {
    size(bytes as u64)
}
