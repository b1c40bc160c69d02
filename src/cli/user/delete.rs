//! `user delete`.

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
    /// The ID of the user
    #[arg(long, short)]
    id: String,
}

impl DeleteArguments {
    pub fn run(self) -> Result<()> {
        let server = self.connection.open()?.server;
        let path = format!("/api/v2/users/{}", self.id);
        let user = server.get(&path, &[]).map_err(|f| f.context(format!("user \"{}\" not found", self.id)))?;
        server.delete(&path, &[]).map_err(|f| f.context(format!("failed to delete user \"{}\"", self.id)))?;
        self.output.print(&table([&user]).column("Deleted", "true"), &user)
    }
}
