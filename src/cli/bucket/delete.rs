//! `bucket delete`.

use super::{super::output::OutputArguments, ConnectionArguments, OrgArguments, find, table};
use crate::model::Result;

#[derive(clap::Args)]
pub struct DeleteArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    org: OrgArguments,
    /// The ID of the bucket
    #[arg(long, short)]
    id: Option<String>,
    /// The name of the bucket
    #[arg(long, short)]
    name: Option<String>,
}

impl DeleteArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let bucket = find(&connection, &self.org, &self.id, &self.name)?;
        let id = bucket["id"].as_str().unwrap_or_default();
        let deleted = connection.server.delete(&format!("/api/v2/buckets/{id}"), &[]);
        deleted.map_err(|f| f.context(format!("failed to delete bucket \"{id}\"")))?;
        self.output.print(&table([&bucket]).column("Deleted", "true"), &bucket)
    }
}
