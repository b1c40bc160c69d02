//! `setup`: the first user, organisation, bucket and token of a new server, and a profile for them here.

use super::{
    connection::{HostArguments, given},
    input,
    output::{OutputArguments, Table, text},
    profiles::{Profile, URL_DEFAULT},
    quantity::retention_s,
};
use crate::model::{ErrorKind, Failure, Result};
use serde_json::json;

const PASSWORD_LENGTH_MIN: usize = 8;

#[derive(clap::Args)]
pub struct SetupArguments {
    #[command(flatten)]
    host: HostArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// Name of the first user
    #[arg(long, short)]
    username: Option<String>,
    /// Password of the first user
    #[arg(long, short)]
    password: Option<String>,
    /// Token of the first user [default: a random one]
    #[arg(long, short, env = "INFLUX_TOKEN", hide_env_values = true, allow_hyphen_values = true)]
    token: Option<String>,
    /// Name of the first organisation
    #[arg(long, short)]
    org: Option<String>,
    /// Name of the first bucket
    #[arg(long, short)]
    bucket: Option<String>,
    /// How long the bucket keeps its rows (30d, 4w), or 0 for ever
    #[arg(long, short)]
    retention: Option<String>,
    /// Ask for no confirmation
    #[arg(long, short)]
    force: bool,
    /// Name of the config that is written here; required when there are others
    #[arg(long, short)]
    name: Option<String>,
}

impl SetupArguments {
    pub fn run(self) -> Result<()> {
        let server = self.host.open()?;
        let allowed = server.get("/api/v2/setup", &[]).map_err(|f| f.context("failed to check if already set up"))?;
        if allowed["allowed"] != true {
            return Err(Failure::new(ErrorKind::Conflict, "instance has already been set up"));
        }
        // The token is shown once: what would keep it from being written here is found out before.
        let mut profiles = self.host.profiles()?;
        let name = match given(&self.name) {
            Some(name) if profiles.all.contains_key(name) => {
                return Err(Failure::new(ErrorKind::Conflict, format!("config name \"{name}\" already exists")));
            }
            Some(name) => name.to_string(),
            None if profiles.all.is_empty() => "default".into(),
            None => return Err(Failure::invalid("config name is required if you already have existing configs (--name)")),
        };
        let body = self.body()?;
        let made = server.post("/api/v2/setup", &[], &body).map_err(|f| f.context("failed to setup instance"))?;
        let url = given(&self.host.host).map_or_else(|| URL_DEFAULT.to_string(), |_| server.url().to_string());
        let profile =
            Profile { url, token: text(&made["auth"], "token"), org: text(&made["org"], "name"), active: true, ..Profile::default() };
        let kept = profiles.create(&name, profile).and_then(|_| profiles.save());
        kept.map_err(|f| f.context("setup succeeded, but failed to write new config to local path"))?;
        let names = ["user", "org", "bucket"].map(|key| text(&made[key], "name"));
        let [user, org, bucket] = names.clone();
        let table = Table::new(&["User", "Organization", "Bucket"]).row(names.to_vec());
        self.output.print(&table, &json!({ "user": user, "organization": org, "bucket": bucket }))
    }

    fn body(&self) -> Result<serde_json::Value> {
        let too_short = |p: &str| p.len() < PASSWORD_LENGTH_MIN;
        if self.force && given(&self.password).is_none_or(too_short) || given(&self.password).is_some_and(too_short) {
            return Err(Failure::invalid("password is too short"));
        }
        let username = input::or_ask(given(&self.username), "Please type your primary username", "--username")?;
        let password = match given(&self.password) {
            Some(password) => password.to_string(),
            None => input::ask_password("Please type your password", "--password")?,
        };
        let org = input::or_ask(given(&self.org), "Please type your primary organization name", "--org")?;
        let bucket = input::or_ask(given(&self.bucket), "Please type your primary bucket name", "--bucket")?;
        let retention = retention_s(given(&self.retention).unwrap_or("0"))?;
        if !self.force {
            let kept = if retention == 0 { "infinite".into() } else { given(&self.retention).unwrap_or("0").to_string() };
            let question = format!(
                "Setup with these parameters?\n  Username:          {username}\n  Organization:      {org}\n  Bucket:            {bucket}\n  Retention Period:  {kept}\n(y/n)"
            );
            if !matches!(input::ask(&question, "--force")?.as_str(), "y" | "Y" | "yes") {
                return Err(Failure::invalid("setup was canceled"));
            }
        }
        let mut body =
            json!({ "username": username, "password": password, "org": org, "bucket": bucket, "retentionPeriodSeconds": retention });
        if let Some(token) = given(&self.token) {
            body["token"] = token.into();
        }
        Ok(body)
    }
}
