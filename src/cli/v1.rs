//! `v1`: what the InfluxDB 1.x API sees.

mod dbrp;

use crate::model::Result;
use clap::Subcommand;

#[derive(Subcommand)]
pub enum V1Command {
    /// Manage which bucket a database and retention policy stand for.
    #[command(subcommand)]
    Dbrp(dbrp::DbrpCommand),
}

impl V1Command {
    pub fn run(self) -> Result<()> {
        match self {
            V1Command::Dbrp(command) => command.run(),
        }
    }
}
