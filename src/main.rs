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
/// What was freed goes back to the system after so long. With its own delay of 1 s, each flush and each large request of a steady load
/// would have memory cleared anew: that was a fifth of the processor time of a server that takes in 3 M values a second. Where memory is
/// short, it goes back at once.
const PURGE_DELAY_MS: c_long = 10_000;

fn main() -> std::process::ExitCode {
    mi_option_set(PURGE_DELAY, PURGE_DELAY_MS);
    released_by(|| mi_collect(true));
    tidegauge::cli::run()
}
