//! The `tidegauge` program.

use mimalloc::MiMalloc;
use tidegauge::memory::allocator::Counted;

/// Queries and writes allocate on every thread; planning alone is some thousand small allocations.
#[global_allocator]
static ALLOCATOR: Counted<MiMalloc> = Counted(MiMalloc);

fn main() -> std::process::ExitCode {
    tidegauge::cli::run()
}
