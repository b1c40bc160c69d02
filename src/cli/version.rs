//! `version`.

use super::output;
use crate::{http, model::Result};

#[derive(clap::Args)]
pub struct VersionArguments {}

impl VersionArguments {
    pub fn run(self) -> Result<()> {
        output::say(&format!("Tidegauge {} (speaks the API of InfluxDB {})\n", env!("CARGO_PKG_VERSION"), http::VERSION))
    }
}
