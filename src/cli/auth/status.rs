//! `auth active` and `auth inactive`.

use super::{
    super::{connection::ConnectionArguments, output::OutputArguments},
    json_of, table,
};
use crate::model::Result;
use serde_json::json;

#[derive(clap::Args)]
pub struct StatusArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// The ID of the token
    #[arg(long, short)]
    id: String,
}

impl StatusArguments {
    pub fn run(self, status: &str) -> Result<()> {
        let (server, id) = (self.connection.open()?.server, &self.id);
        let changed = server.patch(&format!("/api/v2/authorizations/{id}"), &[], &json!({ "status": status }));
        let changed = changed.map_err(|f| f.context(format!("could not update status of auth with ID \"{id}\"")))?;
        self.output.print(&table([&changed]), &json_of(&changed))
    }
}
