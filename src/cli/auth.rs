//! `auth`: API tokens and what they may do.

mod create;
mod delete;
mod list;
mod status;

use super::output::{Table, text};
use crate::model::Result;
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Subcommand)]
pub enum AuthCommand {
    /// Create a token. It is shown once.
    Create(create::CreateArguments),
    /// List tokens; the tokens themselves are kept as hashes and cannot be shown.
    #[command(visible_aliases = ["find", "ls"])]
    List(list::ListArguments),
    /// Delete a token.
    Delete(delete::DeleteArguments),
    /// Let a token work again.
    Active(status::StatusArguments),
    /// Take a token's permissions away until it is active again.
    Inactive(status::StatusArguments),
}

impl AuthCommand {
    pub fn run(self) -> Result<()> {
        match self {
            AuthCommand::Create(arguments) => arguments.run(),
            AuthCommand::List(arguments) => arguments.run(),
            AuthCommand::Delete(arguments) => arguments.run(),
            AuthCommand::Active(arguments) => arguments.run("active"),
            AuthCommand::Inactive(arguments) => arguments.run("inactive"),
        }
    }
}

/// `read:orgs/<id>/buckets/<id>`, one per permission.
fn permissions(authorization: &Value) -> Vec<String> {
    let permission = |p: &Value| {
        let resource = &p["resource"];
        let part = |field: &str, before: &str, after: &str| match resource[field].as_str().filter(|t| !t.is_empty()) {
            Some(id) => format!("{before}{id}{after}"),
            None => String::new(),
        };
        format!("{}:{}{}{}", text(p, "action"), part("orgID", "orgs/", "/"), text(resource, "type"), part("id", "/", ""))
    };
    authorization["permissions"].as_array().into_iter().flatten().map(permission).collect()
}

fn table<'a>(all: impl IntoIterator<Item = &'a Value>) -> Table {
    let row = |a: &Value| {
        let permissions = format!("[{}]", permissions(a).join(" "));
        vec![text(a, "id"), text(a, "description"), text(a, "token"), text(a, "user"), text(a, "userID"), permissions]
    };
    Table::new(&["ID", "Description", "Token", "User Name", "User ID", "Permissions"]).rows(all.into_iter().map(row))
}

/// The form in which the `influx` CLI prints a token with `--json`.
fn json_of(a: &Value) -> Value {
    json!({
        "id": a["id"],
        "description": text(a, "description"),
        "token": text(a, "token"),
        "status": a["status"],
        "userName": text(a, "user"),
        "userID": a["userID"],
        "permissions": permissions(a),
    })
}
