//! `org create`.

use super::{
    super::{connection::ConnectionArguments, output::OutputArguments},
    table,
};
use crate::model::Result;
use serde_json::json;

#[derive(clap::Args)]
pub struct CreateArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// Name of the new organisation
    #[arg(long, short)]
    name: String,
    /// Description of the new organisation
    #[arg(long, short, default_value = "")]
    description: String,
}

impl CreateArguments {
    pub fn run(self) -> Result<()> {
        let body = json!({ "name": self.name, "description": self.description });
        let made = self.connection.open()?.server.post("/api/v2/orgs", &[], &body);
        let made = made.map_err(|f| f.context(format!("failed to create org \"{}\"", self.name)))?;
        self.output.print(&table([&made]), &made)
    }
}
