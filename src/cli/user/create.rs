//! `user create`.

use super::{
    super::{
        connection::{ConnectionArguments, OrgArguments, given},
        output::OutputArguments,
    },
    table,
};
use crate::model::{Failure, Result};
use serde_json::json;

#[derive(clap::Args)]
pub struct CreateArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    org: OrgArguments,
    /// Name of the new user
    #[arg(long, short, env = "INFLUX_NAME")]
    name: String,
    /// Password of the new user; set one later with `user password`
    #[arg(long, short)]
    password: Option<String>,
}

impl CreateArguments {
    pub fn run(self) -> Result<()> {
        let password = given(&self.password);
        if password.is_some_and(|p| p.len() < 8) {
            return Err(Failure::invalid("password is too short"));
        }
        let connection = self.connection.open()?;
        let server = &connection.server;
        let org = connection.required_org_id(&self.org)?;
        let name = &self.name;
        let user = server.post("/api/v2/users", &[], &json!({ "name": name }));
        let user = user.map_err(|f| f.context(format!("failed to create user \"{name}\"")))?;
        self.output.print(&table([&user]), &user)?;
        let id = user["id"].as_str().unwrap_or_default();
        let member = server.post(&format!("/api/v2/orgs/{org}/members"), &[], &json!({ "id": id }));
        member.map_err(|f| f.context(format!("the user was created, but failed setting org membership for user \"{name}\"")))?;
        let Some(password) = password else {
            eprintln!("WARN: initial password not set for user, use `tidegauge user password` to set it");
            return Ok(());
        };
        let set = server.post(&format!("/api/v2/users/{id}/password"), &[], &json!({ "password": password }));
        let retry = "use `tidegauge user password` to retry";
        set.map(|_| ()).map_err(|f| f.context(format!("failed setting password for user \"{name}\", {retry}")))
    }
}
