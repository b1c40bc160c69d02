//! `v1 dbrp`: databases and retention policies of InfluxDB 1.x, and the buckets they stand for.

mod create;
mod delete;
mod list;
mod update;

use super::super::output::{Table, text};
use crate::model::Result;
use clap::Subcommand;
use serde_json::Value;

#[derive(Subcommand)]
pub enum DbrpCommand {
    /// Map a database and retention policy to a bucket.
    Create(create::CreateArguments),
    /// List mappings, also the virtual ones that follow from the names of buckets.
    #[command(visible_aliases = ["find", "ls"])]
    List(list::ListArguments),
    /// Rename a mapping's retention policy, or make it the default.
    Update(update::UpdateArguments),
    /// Delete a mapping.
    Delete(delete::DeleteArguments),
}

impl DbrpCommand {
    pub fn run(self) -> Result<()> {
        match self {
            DbrpCommand::Create(arguments) => arguments.run(),
            DbrpCommand::List(arguments) => arguments.run(),
            DbrpCommand::Update(arguments) => arguments.run(),
            DbrpCommand::Delete(arguments) => arguments.run(),
        }
    }
}

fn table<'a>(mappings: impl IntoIterator<Item = &'a Value>) -> Table {
    const FIELDS: [&str; 6] = ["id", "database", "bucketID", "retention_policy", "default", "orgID"];
    let headers = ["ID", "Database", "Bucket ID", "Retention Policy", "Default", "Organization ID"];
    Table::new(&headers).rows(mappings.into_iter().map(|m| FIELDS.map(|field| text(m, field)).to_vec()))
}
