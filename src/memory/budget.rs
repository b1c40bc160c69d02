//! The memory of the process cut into shares, and bytes held of a share.

use super::{AT_ONCE_MAX, LIMIT, allocator, machine};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

/// What each part may have of the whole, percent. The rest is nobody's: rows being sorted for a flush, planning, code, stacks,
/// and the allocator's slack.
const BUFFER_PERCENT: usize = 20;
const FILES_PERCENT: usize = 15;
const CACHES_PERCENT: usize = 5;
const REQUESTS_PERCENT: usize = 10;
const QUERIES_PERCENT: usize = 35;

/// Of the whole, percent: past the first nobody is given more, past the second the largest query is stopped.
const TIGHT_PERCENT: usize = 80;
const OVER_PERCENT: usize = 87;
/// The same of what is resident, which holds the allocator's slack and C libraries' memory, too.
const RESIDENT_TIGHT_PERCENT: usize = 88;
const RESIDENT_OVER_PERCENT: usize = 92;

/// Past so much resident memory, percent of the whole, freed memory that the allocator keeps goes back to the system when it is more than
/// the second.
const RESIDENT_LOOSE_PERCENT: usize = 40;
const KEPT_PERCENT: usize = 6;
/// Of the whole, resident or allocated.
const FILLING_PERCENT: usize = 60;

/// More than these of a large machine would not make anything faster.
const BUFFER_BYTES_MAX: usize = 2 << 30;
const FILES_BYTES_MAX: usize = 4 << 30;

/// Bytes that one part of the server may hold.
#[derive(Debug)]
pub struct Share {
    name: &'static str,
    limit: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
}

impl Share {
    pub fn new(name: &'static str, limit: usize) -> Arc<Share> {
        Arc::new(Share { name, limit, used: AtomicUsize::new(0), peak: AtomicUsize::new(0) })
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    pub fn free(&self) -> usize {
        self.limit.saturating_sub(self.used())
    }

    /// Takes bytes, unless that would be more than there are.
    pub fn try_add(&self, bytes: usize) -> bool {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        if let Ok(before) = taken {
            self.peak.fetch_max(before + bytes, Ordering::Relaxed);
        }
        taken.is_ok()
    }

    /// Takes bytes that are held already, past the limit if need be.
    pub fn add(&self, bytes: usize) {
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        self.peak.fetch_max(before + bytes, Ordering::Relaxed);
    }

    pub fn sub(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// What is held of a share whose holder keeps the limit himself.
    pub fn observe(&self, used: usize) {
        self.used.store(used, Ordering::Relaxed);
        self.peak.fetch_max(used, Ordering::Relaxed);
    }

    /// A lease of nothing yet.
    pub fn lease(self: &Arc<Share>) -> Lease {
        Lease { share: self.clone(), bytes: 0 }
    }
}

/// Bytes of a share, given back when it is dropped.
#[derive(Debug)]
pub struct Lease {
    share: Arc<Share>,
    bytes: usize,
}

impl Lease {
    /// Takes more; false, and nothing taken, when the share has not so many left.
    #[must_use]
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let taken = self.share.try_add(bytes);
        self.bytes += if taken { bytes } else { 0 };
        taken
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.share.sub(self.bytes);
    }
}

/// Limits that were chosen instead of a percentage of the whole.
#[derive(Debug, Clone, Default)]
pub struct BudgetLimits {
    pub buffer: Option<usize>,
    pub queries: Option<usize>,
}

/// The whole and its shares.
#[derive(Debug)]
pub struct Budget {
    /// Bytes that the process may have.
    pub total: usize,
    /// Rows that are in no file yet. The storage keeps the limit.
    pub buffer: Arc<Share>,
    /// Decoded parts of files. The storage keeps the limit.
    pub files: Arc<Share>,
    /// Answers and last values that are kept to be given again.
    pub caches: Arc<Share>,
    /// Bodies of requests, and what is made of them.
    pub requests: Arc<Share>,
    /// What queries hold, all together.
    pub queries: Arc<Share>,
    /// Resident bytes when they were last looked at.
    resident: AtomicUsize,
    /// Whether [`super::allow`] keeps to this one.
    is_enforced: AtomicBool,
}

impl Budget {
    pub fn new(total: usize, given: &BudgetLimits) -> Budget {
        let percent = |percent: usize| total / 100 * percent;
        let share = |name, limit| Share::new(name, limit);
        Budget {
            total,
            buffer: share("buffer", given.buffer.unwrap_or_else(|| percent(BUFFER_PERCENT).min(BUFFER_BYTES_MAX))),
            files: share("files", percent(FILES_PERCENT).min(FILES_BYTES_MAX)),
            caches: share("caches", percent(CACHES_PERCENT)),
            requests: share("requests", percent(REQUESTS_PERCENT)),
            queries: share("queries", given.queries.unwrap_or_else(|| percent(QUERIES_PERCENT))),
            resident: AtomicUsize::new(0),
            is_enforced: AtomicBool::new(false),
        }
    }

    pub fn shares(&self) -> [&Arc<Share>; 5] {
        [&self.buffer, &self.files, &self.caches, &self.requests, &self.queries]
    }

    /// From now on this is the budget of the process: [`super::allow`] keeps to it.
    pub fn enforce(&self) {
        self.is_enforced.store(true, Ordering::Relaxed);
        LIMIT.store(self.tight_bytes(), Ordering::Relaxed);
        AT_ONCE_MAX.store(self.queries.limit() / 4, Ordering::Relaxed);
    }

    /// Allocated bytes past which nobody is given more.
    pub fn tight_bytes(&self) -> usize {
        self.total / 100 * TIGHT_PERCENT
    }

    /// Looks at what is resident. What nobody has allocated and is resident all the same (the allocator's slack, stacks, memory of C
    /// libraries) is taken off what [`super::allow`] gives.
    pub fn look(&self) {
        let resident = machine::resident().unwrap_or(0);
        self.resident.store(resident, Ordering::Relaxed);
        if self.is_enforced.load(Ordering::Relaxed) {
            let rest = (self.total / 100 * RESIDENT_TIGHT_PERCENT).saturating_sub(resident.saturating_sub(allocator::allocated()));
            LIMIT.store(self.tight_bytes().min(rest), Ordering::Relaxed);
        }
    }

    /// What is resident, nobody has allocated, and is no code: mostly freed memory that the allocator keeps for later.
    pub fn kept(&self) -> usize {
        self.resident().saturating_sub(allocator::allocated() + machine::anonymous_code())
    }

    /// Whether freed memory should go back to the system, since others may need it soon.
    pub fn is_loose(&self) -> bool {
        let one = self.total / 100;
        self.resident() > one * RESIDENT_LOOSE_PERCENT && self.kept() > one * KEPT_PERCENT
    }

    /// Whether so much is in use that it is worth to look often.
    pub fn is_filling(&self) -> bool {
        self.is_past(FILLING_PERCENT, FILLING_PERCENT)
    }

    /// Bytes that have to become free before anybody is given more.
    pub fn excess(&self) -> usize {
        let one = self.total / 100;
        let allocated = allocator::allocated().saturating_sub(one * TIGHT_PERCENT);
        allocated.max(self.resident().saturating_sub(one * RESIDENT_TIGHT_PERCENT))
    }

    pub fn resident(&self) -> usize {
        self.resident.load(Ordering::Relaxed)
    }

    fn is_past(&self, allocated_percent: usize, resident_percent: usize) -> bool {
        allocator::allocated() > self.total / 100 * allocated_percent || self.resident() > self.total / 100 * resident_percent
    }

    /// Whether new work had better wait.
    pub fn is_tight(&self) -> bool {
        self.is_past(TIGHT_PERCENT, RESIDENT_TIGHT_PERCENT)
    }

    /// Whether somebody has to let go at once.
    pub fn is_over(&self) -> bool {
        self.is_past(OVER_PERCENT, RESIDENT_OVER_PERCENT)
    }
}

impl Default for Budget {
    /// Of a large machine, whatever this one has.
    fn default() -> Budget {
        Budget::new(4 << 30, &BudgetLimits::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_leave_a_rest_and_what_was_chosen_counts() {
        let budget = Budget::new(1_000_000, &BudgetLimits::default());
        let sum: usize = budget.shares().iter().map(|s| s.limit()).sum();
        assert_eq!((sum, budget.queries.limit(), budget.tight_bytes()), (850_000, 350_000, 800_000));
        let budget = Budget::new(1_000_000, &BudgetLimits { buffer: Some(5), queries: Some(7) });
        assert_eq!((budget.buffer.limit(), budget.queries.limit()), (5, 7));
    }

    #[test]
    fn a_lease_is_given_back_and_never_more_than_there_is() {
        let share = Share::new("s", 100);
        let (mut a, mut b) = (share.lease(), share.lease());
        assert!(a.try_grow(60) && !b.try_grow(41) && b.try_grow(40) && !b.try_grow(1));
        assert!(!b.try_grow(usize::MAX));
        assert_eq!((a.bytes(), b.bytes(), share.free()), (60, 40, 0));
        drop(a);
        assert_eq!((share.used(), share.peak(), share.free()), (40, 100, 60));
        share.add(100);
        assert_eq!((share.used(), share.peak(), share.free()), (140, 140, 0));
        share.sub(100);
        drop(b);
        assert_eq!((share.used(), share.peak()), (0, 140));
    }
}
