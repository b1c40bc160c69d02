//! `v1 dbrp update`.

use super::{
    super::super::{
        connection::{Connection, ConnectionArguments, OrgArguments, given},
        output::OutputArguments,
    },
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
    #[command(flatten)]
    org: OrgArguments,
    /// The ID of the mapping
    #[arg(long)]
    id: String,
    /// The new name of the retention policy
    #[arg(long)]
    rp: Option<String>,
    /// Make it the default of its database
    #[arg(long)]
    default: bool,
}

impl UpdateArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let params = connection.org_params(&self.org)?;
        let mut body = json!({});
        if let Some(rp) = given(&self.rp) {
            body["retention_policy"] = rp.into();
        }
        if self.default {
            body["default"] = true.into();
        }
        let changed = connection.server.patch(&format!("/api/v2/dbrps/{}", self.id), &Connection::params(&params), &body);
        let changed = changed.map_err(|f| f.context(format!("failed to update DBRP mapping \"{}\"", self.id)))?;
        self.output.print(&table([&changed["content"]]), &changed["content"])
    }
}
