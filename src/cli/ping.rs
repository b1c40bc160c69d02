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
        for check in health["checks"].as_array().into_iter().flatten().filter(|check| check["status"] == "warn") {
            eprintln!("Warning: {}", output::text(check, "message"));
        }
        if health["status"] == "pass" || health["status"] == "warn" {
            return output::say("OK\n");
        }
        let said = output::text(&health, "message");
        Err(Failure::new(ErrorKind::Unavailable, format!("health check failed: {said}")))
    }
}
