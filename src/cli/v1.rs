//! `v1`: what the InfluxDB 1.x API sees.

mod dbrp;

use super::{console::ConsoleArguments, question::Language};
use crate::model::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub enum V1Command {
    /// Manage which bucket a database and retention policy stand for.
    #[command(subcommand)]
    Dbrp(dbrp::DbrpCommand),
    /// The console, in InfluxQL.
    Shell(ConsoleArguments),
}

impl V1Command {
    pub fn run(self) -> Result<()> {
        match self {
            V1Command::Dbrp(command) => command.run(),
            V1Command::Shell(arguments) => arguments.in_language(Language::InfluxQl).run(),
        }
    }
}
