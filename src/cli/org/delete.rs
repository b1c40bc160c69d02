//! `org delete`.

use super::{
    super::{connection::ConnectionArguments, output::OutputArguments},
    table,
};
use crate::model::Result;

#[derive(clap::Args)]
pub struct DeleteArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// The ID of the organisation
    #[arg(long, short, env = "INFLUX_ORG_ID")]
    id: String,
}

impl DeleteArguments {
    pub fn run(self) -> Result<()> {
        let server = self.connection.open()?.server;
        let path = format!("/api/v2/orgs/{}", self.id);
        let org = server.get(&path, &[]).map_err(|f| f.context(format!("org \"{}\" not found", self.id)))?;
        server.delete(&path, &[]).map_err(|f| f.context(format!("failed to delete org \"{}\"", self.id)))?;
        self.output.print(&table([&org]).column("Deleted", "true"), &org)
    }
}
