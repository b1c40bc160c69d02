//! `config`: the servers this command line knows, and which of them it asks.

mod create;
mod list;
mod remove;
mod set;

use super::{
    output::{OutputArguments, Table},
    profiles::{Profile, Profiles},
};
use crate::model::{Failure, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ConfigArguments {
    #[command(subcommand)]
    command: Option<ConfigCommand>,
    /// Config to make the active one, or `-` for the one before; without a name the active one is shown
    name: Option<String>,
    #[command(flatten)]
    file: FileArguments,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Create a config.
    Create(create::CreateArguments),
    /// List configs.
    #[command(visible_alias = "list")]
    Ls(list::ListArguments),
    /// Change a config.
    #[command(visible_alias = "update")]
    Set(set::SetArguments),
    /// Delete configs.
    #[command(visible_aliases = ["delete", "remove"])]
    Rm(remove::RemoveArguments),
}

/// The file of configs, and how to print what is in it.
#[derive(clap::Args)]
struct FileArguments {
    /// Path to the file of configs [default: ~/.influxdbv2/configs]
    #[arg(long, env = "INFLUX_CONFIGS_PATH", value_name = "FILE")]
    configs_path: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArguments,
}

impl ConfigArguments {
    pub fn run(self) -> Result<()> {
        match (self.command, self.name.as_deref()) {
            (Some(ConfigCommand::Create(arguments)), _) => arguments.run(),
            (Some(ConfigCommand::Ls(arguments)), _) => arguments.run(),
            (Some(ConfigCommand::Set(arguments)), _) => arguments.run(),
            (Some(ConfigCommand::Rm(arguments)), _) => arguments.run(),
            (None, Some(name)) => switch(&self.file, name),
            (None, None) => {
                let (name, profile) = self.file.read()?.active();
                self.file.print_one(&name, &profile)
            }
        }
    }
}

fn switch(file: &FileArguments, name: &str) -> Result<()> {
    let mut profiles = file.read()?;
    let name = match name {
        "-" => {
            let previous = profiles.all.iter().find(|(_, p)| p.previous).map(|(name, _)| name.clone());
            previous.ok_or_else(|| Failure::not_found("there is no config that was active before"))?
        }
        name => name.to_string(),
    };
    let profile = profiles.activate(&name)?;
    profiles.save()?;
    file.print_one(&name, &profile)
}

impl FileArguments {
    fn read(&self) -> Result<Profiles> {
        Profiles::read(self.configs_path.as_deref())
    }

    fn print_one(&self, name: &str, profile: &Profile) -> Result<()> {
        self.output.print(&table([(name, profile)]), &json!(profile))
    }

    fn print_all<'a>(&self, profiles: impl IntoIterator<Item = (&'a str, &'a Profile)> + Clone, deleted: bool) -> Result<()> {
        let json: Value = profiles.clone().into_iter().map(|(name, profile)| (name.to_string(), json!(profile))).collect();
        let table = table(profiles);
        self.output.print(&if deleted { table.column("Deleted", "true") } else { table }, &json)
    }
}

fn table<'a>(profiles: impl IntoIterator<Item = (&'a str, &'a Profile)>) -> Table {
    let row = |(name, p): (&str, &Profile)| vec![if p.active { "*" } else { "" }.into(), name.into(), p.url.clone(), p.org.clone()];
    Table::new(&["Active", "Name", "URL", "Org"]).rows(profiles.into_iter().map(row))
}

/// A URL that a config may have.
fn checked_url(url: &str) -> Result<String> {
    match url::Url::parse(url) {
        Ok(parsed) if matches!(parsed.scheme(), "http" | "https") => Ok(url.trim_end_matches('/').to_string()),
        Ok(_) => Err(Failure::invalid(format!("host URL \"{url}\" is invalid: a scheme of http or https must be provided for host url"))),
        Err(e) => Err(Failure::invalid(format!("host URL \"{url}\" is invalid: {e}"))),
    }
}

/// `username:password` as it stands in the file.
fn cookie(username_password: &str) -> String {
    STANDARD.encode(username_password)
}
