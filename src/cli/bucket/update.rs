//! `bucket update`.

use super::{
    super::{output::OutputArguments, quantity::retention_s},
    ConnectionArguments, given, table,
};
use crate::model::{Duplicates, Failure, Result, TypeConflicts};
use serde_json::json;

#[derive(clap::Args)]
pub struct UpdateArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// The ID of the bucket
    #[arg(long, short)]
    id: String,
    /// New name
    #[arg(long, short, env = "INFLUX_BUCKET_NAME")]
    name: Option<String>,
    /// New description
    #[arg(long, short)]
    description: Option<String>,
    /// How long rows are kept from now on (30d, 4w), or 0 for ever
    #[arg(long, short)]
    retention: Option<String>,
    /// New shard group duration, or 0 to let the server choose
    #[arg(long)]
    shard_group_duration: Option<String>,
    /// What a field has from now on that one row was given twice: the last value, the first, their sum, the largest or the smallest
    #[arg(long, value_name = "POLICY", value_parser = Duplicates::NAMES)]
    duplicates: Option<String>,
    /// What becomes from now on of a line with a value that has not the type of its field: it is refused; an integer is stored as the
    /// float that the field has, anything else refused; or the line is kept in the measurement `_quarantine`
    #[arg(long, value_name = "POLICY", value_parser = TypeConflicts::NAMES)]
    type_conflicts: Option<String>,
}

impl UpdateArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let path = format!("/api/v2/buckets/{}", self.id);
        let mut body = json!({});
        if let Some(name) = given(&self.name) {
            body["name"] = name.into();
        }
        if let Some(description) = given(&self.description) {
            body["description"] = description.into();
        }
        if self.retention.is_some() || self.shard_group_duration.is_some() {
            let mut rule = json!({ "type": "expire" });
            rule["everySeconds"] = match given(&self.retention) {
                Some(retention) => retention_s(retention)?.into(),
                // A rule replaces the whole rule: what is not to change is sent as it is.
                None => connection.server.get(&path, &[])?["retentionRules"][0]["everySeconds"].clone(),
            };
            if let Some(duration) = given(&self.shard_group_duration) {
                rule["shardGroupDurationSeconds"] = retention_s(duration)?.into();
            }
            body["retentionRules"] = json!([rule]);
        }
        if let Some(duplicates) = &self.duplicates {
            body["duplicates"] = duplicates.as_str().into();
        }
        if let Some(type_conflicts) = &self.type_conflicts {
            body["typeConflicts"] = type_conflicts.as_str().into();
        }
        if body.as_object().is_some_and(|b| b.is_empty()) {
            return Err(Failure::invalid(
                "nothing to change: give --name, --description, --retention, --shard-group-duration, --duplicates or --type-conflicts",
            ));
        }
        let changed = connection.server.patch(&path, &[], &body);
        let changed = changed.map_err(|f| f.context(format!("failed to update bucket \"{}\"", self.id)))?;
        self.output.print(&table([&changed]), &changed)
    }
}
