//! `ping`: does the server answer, and is it well?

use super::{connection::HostArguments, output};
use crate::model::{ErrorKind, Failure, Result};

#[derive(clap::Args)]
pub struct PingArguments {
    #[command(flatten)]
    host: HostArguments,
}

impl PingArguments {
    pub fn run(self) -> Result<()> {
        let health = self.host.open()?.get("/health", &[])?;
        if health["status"] == "pass" {
            return output::say("OK\n");
        }
        let said = output::text(&health, "message");
        Err(Failure::new(ErrorKind::Unavailable, format!("health check failed: {said}")))
    }
}
