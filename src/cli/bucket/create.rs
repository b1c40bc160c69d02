//! `bucket create`.

use super::{
    super::{output::OutputArguments, quantity::retention_s},
    ConnectionArguments, OrgArguments, given, table,
};
use crate::model::{Duplicates, Result, TypeConflicts};
use serde_json::json;

#[derive(clap::Args)]
pub struct CreateArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    org: OrgArguments,
    /// Name of the new bucket
    #[arg(long, short, env = "INFLUX_BUCKET_NAME")]
    name: String,
    /// Description of the bucket
    #[arg(long, short)]
    description: Option<String>,
    /// How long rows are kept (30d, 4w), or 0 for ever
    #[arg(long, short)]
    retention: Option<String>,
    /// Shard group duration; kept for InfluxDB's clients, Tidegauge's partitions are days
    #[arg(long)]
    shard_group_duration: Option<String>,
    /// What a field has that one row was given twice: the last value, the first, their sum, the largest or the smallest
    #[arg(long, value_name = "POLICY", value_parser = Duplicates::NAMES)]
    duplicates: Option<String>,
    /// What becomes of a line with a value that has not the type of its field: it is refused; an integer is stored as the float that the
    /// field has, anything else refused; or the line is kept in the measurement `_quarantine`
    #[arg(long, value_name = "POLICY", value_parser = TypeConflicts::NAMES)]
    type_conflicts: Option<String>,
    /// `implicit` is the only one
    #[arg(long, default_value = "implicit", value_parser = ["implicit"], hide = true)]
    schema_type: String,
}

impl CreateArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let mut rule = json!({ "type": "expire", "everySeconds": retention_s(given(&self.retention).unwrap_or("0"))? });
        if let Some(duration) = given(&self.shard_group_duration) {
            rule["shardGroupDurationSeconds"] = retention_s(duration)?.into();
        }
        let mut body = json!({ "name": self.name, "retentionRules": [rule] });
        if let Some(id) = connection.org_id(&self.org)? {
            body["orgID"] = id.into();
        }
        if let Some(description) = given(&self.description) {
            body["description"] = description.into();
        }
        if let Some(duplicates) = &self.duplicates {
            body["duplicates"] = duplicates.as_str().into();
        }
        if let Some(type_conflicts) = &self.type_conflicts {
            body["typeConflicts"] = type_conflicts.as_str().into();
        }
        let made = connection.server.post("/api/v2/buckets", &[], &body).map_err(|f| f.context("failed to create bucket"))?;
        self.output.print(&table([&made]), &made)
    }
}
