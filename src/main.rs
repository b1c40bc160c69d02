//! The `tidegauge` program.

use mimalloc::MiMalloc;
use std::ffi::{c_int, c_long};
use tidegauge::memory::allocator::{Counted, released_by};

/// Queries and writes allocate on every thread; planning alone is some thousand small allocations.
#[global_allocator]
static ALLOCATOR: Counted<MiMalloc> = Counted(MiMalloc);

unsafe extern "C" {
    /// The allocator's own, of the library that `mimalloc` links: gives what was freed, by this thread and in what all threads share, back to
    /// the system.
    safe fn mi_collect(force: bool);

    /// Sets one of its options, by the option's number.
    safe fn mi_option_set(option: c_int, value: c_long);
}

/// `mi_option_purge_delay` of its versions 2 and 3.
const PURGE_DELAY: c_int = 15;
/// By itself it gives nothing back to the system: after its own delay of 1 s it would give all that is free at that moment, also what was in
/// use a moment ago, and clearing that anew is slow (a huge page takes milliseconds on a virtual machine). A server says when;
/// other commands are over before.
const PURGE_DELAY_MS: c_long = 24 * 3600 * 1000;

fn main() -> std::process::ExitCode {
    mi_option_set(PURGE_DELAY, PURGE_DELAY_MS);
    released_by(|| mi_collect(true));
    tidegauge::cli::run()
}
