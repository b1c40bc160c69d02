//! `org`: organisations.

mod create;
mod delete;
mod list;
mod update;

use super::output::{Table, text};
use crate::model::Result;
use clap::Subcommand;
use serde_json::Value;

#[derive(Subcommand)]
pub enum OrgCommand {
    /// Create an organisation.
    Create(create::CreateArguments),
    /// List organisations.
    #[command(visible_aliases = ["find", "ls"])]
    List(list::ListArguments),
    /// Rename or describe an organisation.
    Update(update::UpdateArguments),
    /// Delete an organisation with all that is in it.
    Delete(delete::DeleteArguments),
}

impl OrgCommand {
    pub fn run(self) -> Result<()> {
        match self {
            OrgCommand::Create(arguments) => arguments.run(),
            OrgCommand::List(arguments) => arguments.run(),
            OrgCommand::Update(arguments) => arguments.run(),
            OrgCommand::Delete(arguments) => arguments.run(),
        }
    }
}

fn table<'a>(orgs: impl IntoIterator<Item = &'a Value>) -> Table {
    Table::new(&["ID", "Name"]).rows(orgs.into_iter().map(|org| vec![text(org, "id"), text(org, "name")]))
}
