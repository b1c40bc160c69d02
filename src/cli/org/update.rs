//! `org update`.

use super::{
    super::{
        connection::{ConnectionArguments, given},
        output::OutputArguments,
    },
    table,
};
use crate::model::Result;
use serde_json::json;

#[derive(clap::Args)]
pub struct UpdateArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// The ID of the organisation
    #[arg(long, short, env = "INFLUX_ORG_ID")]
    id: String,
    /// New name
    #[arg(long, short, env = "INFLUX_ORG")]
    name: Option<String>,
    /// New description
    #[arg(long, short, env = "INFLUX_ORG_DESCRIPTION")]
    description: Option<String>,
}

impl UpdateArguments {
    pub fn run(self) -> Result<()> {
        let mut body = json!({});
        for (key, value) in [("name", &self.name), ("description", &self.description)] {
            if let Some(value) = given(value) {
                body[key] = value.into();
            }
        }
        let changed = self.connection.open()?.server.patch(&format!("/api/v2/orgs/{}", self.id), &[], &body);
        let changed = changed.map_err(|f| f.context(format!("failed to update org \"{}\"", self.id)))?;
        self.output.print(&table([&changed]), &changed)
    }
}
