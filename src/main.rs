//! The `tidegauge` program.

fn main() -> std::process::ExitCode {
    tidegauge::cli::run()
}
