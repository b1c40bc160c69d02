//! `bucket`: what rows are written to, and how long they are kept.

mod create;
mod delete;
mod list;
mod update;

use super::{
    connection::{Connection, ConnectionArguments, OrgArguments, given},
    output::{Table, text},
};
use crate::model::{Duplicates, Failure, Result, TypeConflicts, duration::go_duration};
use clap::Subcommand;
use serde_json::Value;

#[derive(Subcommand)]
pub enum BucketCommand {
    /// Create a bucket.
    Create(create::CreateArguments),
    /// List buckets; what they do with duplicates and type conflicts is shown where one of them has it unusual.
    #[command(visible_aliases = ["find", "ls"])]
    List(list::ListArguments),
    /// Rename a bucket, or change its description, its retention or what it does with duplicates and type conflicts.
    #[command(visible_alias = "set")]
    Update(update::UpdateArguments),
    /// Delete a bucket with its rows.
    Delete(delete::DeleteArguments),
}

impl BucketCommand {
    pub fn run(self) -> Result<()> {
        match self {
            BucketCommand::Create(arguments) => arguments.run(),
            BucketCommand::List(arguments) => arguments.run(),
            BucketCommand::Update(arguments) => arguments.run(),
            BucketCommand::Delete(arguments) => arguments.run(),
        }
    }
}

fn table<'a>(buckets: impl IntoIterator<Item = &'a Value>) -> Table {
    let duration = |seconds: &Value, zero: &str| match seconds.as_i64().unwrap_or(0) {
        0 => zero.to_string(),
        seconds => go_duration(seconds.saturating_mul(1_000_000_000)),
    };
    let buckets: Vec<&Value> = buckets.into_iter().collect();
    // As `influx` has it, unless there is more to tell.
    let policies = [
        ("duplicates", "Duplicates", Duplicates::default().to_string()),
        ("typeConflicts", "Type Conflicts", TypeConflicts::default().to_string()),
    ];
    let told = |key: &str, usual: &str| buckets.iter().any(|bucket| bucket[key].as_str().is_some_and(|policy| policy != usual));
    let told: Vec<(&str, &str)> = policies.iter().filter(|(key, _, usual)| told(key, usual)).map(|(key, head, _)| (*key, *head)).collect();
    let row = |bucket: &Value| {
        let rule = &bucket["retentionRules"][0];
        let (kept, group) = (duration(&rule["everySeconds"], "infinite"), duration(&rule["shardGroupDurationSeconds"], "n/a"));
        let mut cells = vec![text(bucket, "id"), text(bucket, "name"), kept, group, text(bucket, "orgID"), "implicit".into()];
        cells.extend(told.iter().map(|(key, _)| text(bucket, key)));
        cells
    };
    let mut heads = vec!["ID", "Name", "Retention", "Shard group duration", "Organization ID", "Schema Type"];
    heads.extend(told.iter().map(|(_, head)| *head));
    Table::new(&heads).rows(buckets.iter().copied().map(row))
}

/// The one bucket of an id or a name.
fn find(connection: &Connection, org: &OrgArguments, id: &Option<String>, name: &Option<String>) -> Result<Value> {
    let mut params = vec![];
    let shown = match (given(id), given(name)) {
        (Some(id), _) => {
            params.push(("id", id.to_string()));
            id
        }
        (None, Some(name)) => {
            params = connection.org_params(org)?;
            params.push(("name", name.to_string()));
            name
        }
        (None, None) => return Err(Failure::invalid("must specify bucket ID or bucket name (--id, --name)")),
    };
    let found = connection.server.get("/api/v2/buckets", &Connection::params(&params));
    let mut found = found.map_err(|f| f.context(format!("failed to find bucket \"{shown}\"")))?;
    let bucket = found["buckets"].get_mut(0).map(Value::take);
    bucket.ok_or_else(|| Failure::not_found(format!("bucket \"{shown}\" not found")))
}
