//! `user`: people and their passwords.

mod create;
mod delete;
mod list;
mod password;
mod update;

use super::output::{Table, text};
use crate::model::Result;
use clap::Subcommand;
use serde_json::Value;

#[derive(Subcommand)]
pub enum UserCommand {
    /// Create a user as a member of an organisation.
    Create(create::CreateArguments),
    /// List users.
    #[command(visible_aliases = ["find", "ls"])]
    List(list::ListArguments),
    /// Rename a user.
    Update(update::UpdateArguments),
    /// Delete a user with tokens and sessions.
    Delete(delete::DeleteArguments),
    /// Set a user's password.
    Password(password::PasswordArguments),
}

impl UserCommand {
    pub fn run(self) -> Result<()> {
        match self {
            UserCommand::Create(arguments) => arguments.run(),
            UserCommand::List(arguments) => arguments.run(),
            UserCommand::Update(arguments) => arguments.run(),
            UserCommand::Delete(arguments) => arguments.run(),
            UserCommand::Password(arguments) => arguments.run(),
        }
    }
}

fn table<'a>(users: impl IntoIterator<Item = &'a Value>) -> Table {
    Table::new(&["ID", "Name"]).rows(users.into_iter().map(|user| vec![text(user, "id"), text(user, "name")]))
}
