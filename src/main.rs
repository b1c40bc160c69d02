//! The `tidegauge` program.

/// Queries and writes allocate on every thread; planning alone is some thousand small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tidegauge::cli::run()
}
