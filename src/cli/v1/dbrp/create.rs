//! `v1 dbrp create`.

use super::{
    super::super::{
        connection::{ConnectionArguments, OrgArguments},
        output::OutputArguments,
    },
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
    #[command(flatten)]
    org: OrgArguments,
    /// The ID of the bucket
    #[arg(long)]
    bucket_id: String,
    /// The name of the database
    #[arg(long)]
    db: String,
    /// The name of the retention policy
    #[arg(long)]
    rp: String,
    /// Make it the default of the database
    #[arg(long)]
    default: bool,
}

impl CreateArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let mut body = json!({ "bucketID": self.bucket_id, "database": self.db, "retention_policy": self.rp, "default": self.default });
        if let Some(id) = connection.org_id(&self.org)? {
            body["orgID"] = id.into();
        }
        let made = connection.server.post("/api/v2/dbrps", &[], &body);
        let made = made.map_err(|f| f.context(format!("failed to create dbrp for bucket \"{}\"", self.bucket_id)))?;
        self.output.print(&table([&made]), &made)
    }
}
