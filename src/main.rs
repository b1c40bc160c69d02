//! The `tidegauge` program.

use mimalloc::MiMalloc;
use tidegauge::memory::allocator::{Counted, released_by};

/// Queries and writes allocate on every thread; planning alone is some thousand small allocations.
#[global_allocator]
static ALLOCATOR: Counted<MiMalloc> = Counted(MiMalloc);

unsafe extern "C" {
    /// The allocator's own, of the library that `mimalloc` links: gives what was freed, by this thread and in what all threads share, back to
    /// the system.
    safe fn mi_collect(force: bool);
}

fn main() -> std::process::ExitCode {
    released_by(|| mi_collect(true));
    tidegauge::cli::run()
}
