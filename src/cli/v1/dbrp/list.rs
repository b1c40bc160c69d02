//! `v1 dbrp list`.

use super::{
    super::super::{
        connection::{Connection, ConnectionArguments, OrgArguments, given},
        output::{self, OutputArguments, json_text},
    },
    table,
};
use crate::model::Result;
use serde_json::Value;

#[derive(clap::Args)]
pub struct ListArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    org: OrgArguments,
    /// Only the mapping of this ID
    #[arg(long)]
    id: Option<String>,
    /// Only mappings to the bucket of this ID
    #[arg(long)]
    bucket_id: Option<String>,
    /// Only mappings of this database
    #[arg(long)]
    db: Option<String>,
    /// Only mappings of this retention policy
    #[arg(long)]
    rp: Option<String>,
    /// Only the defaults of their databases
    #[arg(long)]
    default: bool,
}

impl ListArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let mut params = connection.org_params(&self.org)?;
        for (name, value) in [("id", &self.id), ("bucketID", &self.bucket_id), ("db", &self.db), ("rp", &self.rp)] {
            params.extend(given(value).map(|value| (name, value.to_string())));
        }
        params.extend(self.default.then(|| ("default", "true".to_string())));
        let found = connection.server.get("/api/v2/dbrps", &Connection::params(&params));
        let mut found = found.map_err(|f| f.context("failed to list dbrps"))?;
        let all = found["content"].as_array_mut().map(std::mem::take).unwrap_or_default();
        if self.output.json {
            return output::say(&json_text(&Value::Array(all))?);
        }
        let (made, implied): (Vec<&Value>, Vec<&Value>) = all.iter().partition(|m| m["virtual"] != true);
        let headers = !self.output.hide_headers;
        let title = "VIRTUAL DBRP MAPPINGS (READ-ONLY)";
        let rule = "-".repeat(title.len() + 1);
        output::say(&format!("{}\n{title}\n{rule}\n{}", table(made).text(headers), table(implied).text(headers)))
    }
}
