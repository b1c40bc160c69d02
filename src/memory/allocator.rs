//! The allocator in use, with a counter around it.
//!
//! Each thread counts for itself, and tells the process's counter whenever it is [`STEP_BYTES`] off: the sum is right to that
//! much per thread, and counting is an addition to a thread-local. What is counted is what was asked for; the allocator's own
//! slack, stacks, and what C libraries allocate are not in it.

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicIsize, AtomicUsize, Ordering},
    },
};

/// How far a thread's count may be off the process's.
pub const STEP_BYTES: usize = 64 << 10;

/// How the allocator gives freed memory that it keeps for later back to the system.
static RELEASE: OnceLock<fn()> = OnceLock::new();

static ALLOCATED: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// What this thread has allocated less what it has freed, and how much of that it has told. Either may be negative: another
/// thread may free what this one allocated.
struct Count {
    net: Cell<isize>,
    told: Cell<isize>,
}

thread_local! {
    // Constant and without a destructor: using it allocates nothing, and is possible while a thread ends.
    static COUNT: Count = const { Count { net: Cell::new(0), told: Cell::new(0) } };
}

/// An allocator that counts what goes through it.
pub struct Counted<A>(pub A);

// SAFETY: every call goes to the allocator inside with its arguments as they are, and its answer comes back as it is, so the
// contract of `GlobalAlloc` is kept because that allocator keeps it. Beside that only integers change: `count` neither
// allocates nor panics (sums wrap, and the thread-local needs no initialisation and has no destructor).
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counted<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let place = unsafe { self.0.alloc(layout) };
        if !place.is_null() {
            count(layout.size() as isize);
        }
        place
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let place = unsafe { self.0.alloc_zeroed(layout) };
        if !place.is_null() {
            count(layout.size() as isize);
        }
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { self.0.dealloc(place, layout) };
        count(-(layout.size() as isize));
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's promise, passed on.
        let new = unsafe { self.0.realloc(place, layout, new_size) };
        if !new.is_null() {
            count(new_size as isize - layout.size() as isize);
        }
        new
    }
}

#[inline]
fn count(bytes: isize) {
    COUNT.with(|count| {
        let net = count.net.get().wrapping_add(bytes);
        count.net.set(net);
        let untold = net.wrapping_sub(count.told.get());
        if untold.unsigned_abs() >= STEP_BYTES {
            count.told.set(net);
            tell(untold);
        }
    });
}

#[cold]
fn tell(bytes: isize) {
    let sum = ALLOCATED.fetch_add(bytes, Ordering::Relaxed).wrapping_add(bytes);
    if let (true, Ok(sum)) = (bytes > 0, usize::try_from(sum)) {
        PEAK.fetch_max(sum, Ordering::Relaxed);
    }
}

/// Bytes that the process has allocated and not freed; zero where the program's allocator is not counted.
pub fn allocated() -> usize {
    usize::try_from(ALLOCATED.load(Ordering::Relaxed)).unwrap_or(0)
}

/// The most that [`allocated`] has ever been.
pub fn peak() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// Tells how the program's allocator lets go of what was freed; the first word counts.
pub fn released_by(release: fn()) {
    let _ = RELEASE.set(release);
}

/// Has the allocator give freed memory back to the system. An allocator that keeps none for long has nothing to do.
pub fn release() {
    if let Some(release) = RELEASE.get() {
        release();
    }
}

/// What this thread has allocated less what it has freed since it began.
pub(super) fn of_thread() -> isize {
    COUNT.with(|count| count.net.get())
}

/// Tells what is left to tell. A thread that ends should call it: what it keeps to itself then is lost to the sum.
pub fn settle_thread() {
    COUNT.with(|count| {
        let net = count.net.get();
        let untold = net.wrapping_sub(count.told.replace(net));
        if untold != 0 {
            tell(untold);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: Counted<std::alloc::System> = Counted(std::alloc::System);

    /// On a thread of its own: what other tests do there is not counted.
    fn on_new_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|s| s.spawn(work).join().expect("no panic"))
    }

    #[test]
    fn a_thread_counts_to_the_byte() {
        on_new_thread(|| {
            let before = of_thread();
            let mut bytes: Vec<u8> = Vec::with_capacity(1000);
            assert_eq!(of_thread() - before, 1000);
            bytes.reserve_exact(5000);
            assert_eq!(of_thread() - before, 5000, "realloc counts the difference");
            bytes.shrink_to(3000);
            assert_eq!(of_thread() - before, 3000);
            let zeroes = vec![0_u64; 100];
            assert_eq!(of_thread() - before, 3800, "zeroed memory is counted too");
            drop((bytes, zeroes));
            assert_eq!(of_thread() - before, 0);
        });
    }

    #[test]
    fn what_one_thread_allocates_and_another_frees_is_nobodys() {
        const BYTES: usize = 512 << 20;
        // Other tests run beside this one, but none of them holds so much.
        let before = allocated();
        let held = on_new_thread(|| {
            let held: Vec<u8> = Vec::with_capacity(BYTES);
            settle_thread();
            held
        });
        assert!(allocated() >= before + BYTES / 2 && peak() >= BYTES);
        on_new_thread(move || drop(held));
        assert!(allocated() < before + BYTES / 2);
    }

    #[test]
    fn steps_are_told_and_the_rest_when_a_thread_ends() {
        on_new_thread(|| {
            settle_thread();
            let told = || COUNT.with(|count| (count.net.get() - count.told.get()).unsigned_abs());
            let mut pieces = vec![];
            for _ in 0..200 {
                pieces.push(vec![0_u8; 1000]);
                assert!(told() < STEP_BYTES);
            }
            drop(pieces);
            assert!(told() < STEP_BYTES);
            let _held = Box::new([1_u8; 10]);
            settle_thread();
            assert_eq!(told(), 0);
        });
    }
}
