//! `auth delete`.

use super::{
    super::{connection::ConnectionArguments, output::OutputArguments},
    json_of, table,
};
use crate::model::Result;

#[derive(clap::Args)]
pub struct DeleteArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// The ID of the token
    #[arg(long, short)]
    id: String,
}

impl DeleteArguments {
    pub fn run(self) -> Result<()> {
        let (server, id) = (self.connection.open()?.server, &self.id);
        let path = format!("/api/v2/authorizations/{id}");
        let found = server.get(&path, &[]).map_err(|f| f.context(format!("could not find auth with ID \"{id}\"")))?;
        server.delete(&path, &[]).map_err(|f| f.context(format!("could not remove auth with ID \"{id}\"")))?;
        self.output.print(&table([&found]).column("Deleted", "true"), &json_of(&found))
    }
}
