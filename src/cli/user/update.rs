//! `user update`.

use super::{
    super::{connection::ConnectionArguments, output::OutputArguments},
    table,
};
use crate::model::Result;
use serde_json::json;

#[derive(clap::Args)]
pub struct UpdateArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// The ID of the user
    #[arg(long, short)]
    id: String,
    /// New name
    #[arg(long, short)]
    name: String,
}

impl UpdateArguments {
    pub fn run(self) -> Result<()> {
        let changed = self.connection.open()?.server.patch(&format!("/api/v2/users/{}", self.id), &[], &json!({ "name": self.name }));
        let changed = changed.map_err(|f| f.context(format!("failed to update user \"{}\"", self.id)))?;
        self.output.print(&table([&changed]), &changed)
    }
}
