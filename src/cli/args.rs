//! The command line: one sub-command each, `Error: ...` on stderr and exit status 1 when it fails.

use super::{demo, test_flux};
use crate::model::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "tidegauge",
    version,
    about = "A time-series database that speaks InfluxDB's languages over Arrow, DataFusion and Parquet"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load the sample data into an embedded database and ask it questions in Flux, InfluxQL and SQL.
    Demo(demo::DemoArguments),
    /// Run test files of a language.
    #[command(subcommand)]
    Test(Test),
    /// Print the version.
    Version,
}

#[derive(Subcommand)]
enum Test {
    /// Run the testcases of `*_test.flux` files, each in a database in memory.
    Flux(test_flux::TestFluxArguments),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo(arguments) => on_runtime(demo::run(arguments)),
        Command::Test(Test::Flux(arguments)) => test_flux::run(arguments),
        Command::Version => {
            println!("Tidegauge {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("Error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn on_runtime(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
