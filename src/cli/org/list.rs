//! `org list`.

use super::{
    super::{
        connection::{ConnectionArguments, given},
        output::OutputArguments,
    },
    table,
};
use crate::model::Result;
use serde_json::Value;

/// Organisations fetched per request.
const PAGE: usize = 100;

#[derive(clap::Args)]
pub struct ListArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// Only the organisation of this name
    #[arg(long, short, env = "INFLUX_ORG")]
    name: Option<String>,
    /// Only the organisation of this ID
    #[arg(long, short, env = "INFLUX_ORG_ID")]
    id: Option<String>,
}

impl ListArguments {
    pub fn run(self) -> Result<()> {
        let server = self.connection.open()?.server;
        let mut all: Vec<Value> = vec![];
        loop {
            let (limit, offset) = (PAGE.to_string(), all.len().to_string());
            let mut params = vec![("limit", limit.as_str()), ("offset", offset.as_str())];
            params.extend(given(&self.name).map(|name| ("org", name)));
            params.extend(given(&self.id).map(|id| ("orgID", id)));
            let mut page = server.get("/api/v2/orgs", &params).map_err(|f| f.context("failed to list orgs"))?;
            let page = page["orgs"].as_array_mut().map(std::mem::take).unwrap_or_default();
            let count = page.len();
            all.extend(page);
            if count < PAGE {
                break;
            }
        }
        self.output.print(&table(&all), &Value::Array(all.clone()))
    }
}
