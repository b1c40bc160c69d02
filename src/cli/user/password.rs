//! `user password`.

use super::super::{
    connection::{ConnectionArguments, given},
    input, output,
};
use crate::model::{Failure, Result};
use serde_json::json;

#[derive(clap::Args)]
pub struct PasswordArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    /// The ID of the user
    #[arg(long, short)]
    id: Option<String>,
    /// The name of the user
    #[arg(long, short)]
    name: Option<String>,
    /// The new password; asked for when it is not given
    #[arg(long, short)]
    password: Option<String>,
}

impl PasswordArguments {
    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let (id, shown) = match (given(&self.id), given(&self.name)) {
            (Some(id), _) => (id.to_string(), id),
            (None, Some(name)) => (connection.user_id(name)?, name),
            (None, None) => return Err(Failure::invalid("must specify user ID or user name (--id, --name)")),
        };
        let password = match given(&self.password) {
            Some(password) => password.to_string(),
            None => input::ask_password(&format!("Please type new password for \"{shown}\""), "--password")?,
        };
        let set = connection.server.post(&format!("/api/v2/users/{id}/password"), &[], &json!({ "password": password }));
        set.map_err(|f| f.context(format!("failed to set password for user \"{shown}\"")))?;
        output::say(&format!("Successfully updated password for user \"{shown}\"\n"))
    }
}
