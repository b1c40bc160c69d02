//! `auth list`.

use super::{
    super::{
        connection::{Connection, ConnectionArguments, OrgArguments, given},
        output::OutputArguments,
    },
    json_of, table,
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
    /// Only the token of this ID
    #[arg(long, short)]
    id: Option<String>,
    /// Only the tokens of the user of this name
    #[arg(long, short)]
    user: Option<String>,
    /// Only the tokens of the user of this ID
    #[arg(long)]
    user_id: Option<String>,
}

impl ListArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        if let Some(id) = given(&self.id) {
            let found = connection.server.get(&format!("/api/v2/authorizations/{id}"), &[]);
            let found = found.map_err(|f| f.context(format!("could not find authorization with ID \"{id}\"")))?;
            return self.output.print(&table([&found]), &json_of(&found));
        }
        let named = given(&self.org.org).or(given(&self.org.org_id)).is_some();
        let mut params = if named { connection.org_params(&self.org)? } else { vec![] };
        params.extend(given(&self.user).map(|user| ("user", user.to_string())));
        params.extend(given(&self.user_id).map(|id| ("userID", id.to_string())));
        let found = connection.server.get("/api/v2/authorizations", &Connection::params(&params));
        let found = found.map_err(|f| f.context("could not find authorization with given parameters"))?;
        let all: Vec<&Value> = found["authorizations"].as_array().into_iter().flatten().collect();
        self.output.print(&table(all.iter().copied()), &all.into_iter().map(json_of).collect())
    }
}
