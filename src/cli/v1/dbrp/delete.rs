//! `v1 dbrp delete`.

use super::{
    super::super::{
        connection::{Connection, ConnectionArguments, OrgArguments},
        output::OutputArguments,
    },
    table,
};
use crate::model::Result;

#[derive(clap::Args)]
pub struct DeleteArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    org: OrgArguments,
    /// The ID of the mapping
    #[arg(long)]
    id: String,
}

impl DeleteArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let params = connection.org_params(&self.org)?;
        let (params, path) = (Connection::params(&params), format!("/api/v2/dbrps/{}", self.id));
        let found = connection.server.get(&path, &params);
        let found = found.map_err(|f| f.context(format!("failed to find DBRP mapping \"{}\"", self.id)))?;
        let deleted = connection.server.delete(&path, &params);
        deleted.map_err(|f| f.context(format!("failed to delete DBRP mapping \"{}\"", self.id)))?;
        self.output.print(&table([&found["content"]]).column("Deleted", "true"), &found["content"])
    }
}
