//! `bucket list`.

use super::{super::output::OutputArguments, Connection, ConnectionArguments, OrgArguments, find, given, table};
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
    /// Only the bucket of this ID
    #[arg(long, short)]
    id: Option<String>,
    /// Only the bucket of this name
    #[arg(long, short)]
    name: Option<String>,
    /// Number of buckets to list, or 0 for all
    #[arg(long, default_value_t = 0)]
    limit: usize,
    /// Number of buckets to skip
    #[arg(long, default_value_t = 0)]
    offset: usize,
    /// Number of buckets to fetch per request
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100))]
    page_size: u64,
}

impl ListArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let buckets = match given(&self.id).or(given(&self.name)) {
            Some(_) => vec![find(&connection, &self.org, &self.id, &self.name)?],
            None => self.pages(&connection)?,
        };
        self.output.print(&table(&buckets), &Value::Array(buckets))
    }

    fn pages(&self, connection: &Connection) -> Result<Vec<Value>> {
        let wanted = if self.limit == 0 { usize::MAX } else { self.limit };
        let mut all: Vec<Value> = vec![];
        loop {
            let size = (self.page_size as usize).min(wanted - all.len());
            let mut params = connection.org_params(&self.org)?;
            params.push(("limit", size.to_string()));
            params.push(("offset", (self.offset + all.len()).to_string()));
            let page = connection.server.get("/api/v2/buckets", &Connection::params(&params));
            let mut page = page.map_err(|f| f.context("failed to list buckets"))?;
            let page = page["buckets"].as_array_mut().map(std::mem::take).unwrap_or_default();
            let count = page.len();
            all.extend(page);
            if count < size || all.len() >= wanted {
                return Ok(all);
            }
        }
    }
}
