//! Which server a command asks, and as whom: flags, else environment, else the active profile.

use super::{
    profiles::{Profile, Profiles},
    server::{Identity, Server},
};
use crate::model::{Failure, Result};
use serde_json::Value;
use std::path::PathBuf;

/// Flags of every command that asks a server.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct HostArguments {
    /// HTTP address of the server
    #[arg(long, env = "INFLUX_HOST", value_name = "URL")]
    pub host: Option<String>,
    /// Skip TLS certificate chain and host name verification
    #[arg(long, env = "INFLUX_SKIP_VERIFY", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub skip_verify: bool,
    /// Path to the file of configs [default: ~/.influxdbv2/configs]
    #[arg(long, env = "INFLUX_CONFIGS_PATH", value_name = "FILE")]
    pub configs_path: Option<PathBuf>,
    /// Config to use for this command
    #[arg(long, short = 'c', env = "INFLUX_ACTIVE_CONFIG", value_name = "NAME")]
    pub active_config: Option<String>,
    /// Print requests and the status of their answers on stderr
    #[arg(long)]
    pub http_debug: bool,
}

/// [`HostArguments`] and the token.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConnectionArguments {
    #[command(flatten)]
    pub host: HostArguments,
    /// Token to authenticate with
    #[arg(long, short, env = "INFLUX_TOKEN", hide_env_values = true, allow_hyphen_values = true)]
    pub token: Option<String>,
}

#[derive(Debug, Clone, Default, clap::Args)]
pub struct OrgArguments {
    /// The name of the organisation
    #[arg(long, short, env = "INFLUX_ORG", value_name = "NAME")]
    pub org: Option<String>,
    /// The ID of the organisation
    #[arg(long, env = "INFLUX_ORG_ID", value_name = "ID")]
    pub org_id: Option<String>,
}

/// A server, and what is known of the user there.
pub struct Connection {
    pub server: Server,
    /// Organisation of the profile.
    org: Option<String>,
}

/// The value, unless it is absent or empty.
pub fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

impl HostArguments {
    pub fn profiles(&self) -> Result<Profiles> {
        Profiles::read(self.configs_path.as_deref())
    }

    fn profile(&self) -> Result<Profile> {
        let profiles = self.profiles()?;
        let named = given(&self.active_config).map(|name| profiles.get(name).cloned());
        named.unwrap_or_else(|| Ok(profiles.active().1))
    }

    /// A server that is asked without credentials.
    pub fn open(&self) -> Result<Server> {
        self.server(&self.profile()?, Identity::Nobody)
    }

    fn server(&self, profile: &Profile, identity: Identity) -> Result<Server> {
        let url = given(&self.host).unwrap_or(&profile.url);
        Server::at(url, identity, self.skip_verify, self.http_debug)
    }
}

impl ConnectionArguments {
    pub fn open(&self) -> Result<Connection> {
        let profile = self.host.profile()?;
        let token = given(&self.token).or(Some(profile.token.as_str()).filter(|t| !t.is_empty()));
        let identity = match token {
            Some(token) => Identity::Token(token.into()),
            None if !profile.cookie.is_empty() => Identity::Password(profile.cookie.clone()),
            None => Identity::Nobody,
        };
        let server = self.host.server(&profile, identity)?;
        Ok(Connection { server, org: Some(profile.org).filter(|org| !org.is_empty()) })
    }
}

impl Connection {
    /// The organisation as a parameter of a URL; none where nobody named one: the server takes the token's own.
    pub fn org_params(&self, arguments: &OrgArguments) -> Result<Vec<(&'static str, String)>> {
        Ok(match (given(&arguments.org_id), given(&arguments.org)) {
            (Some(id), Some(name)) => {
                return Err(Failure::invalid(format!("ambiguous org: use --org-id or --org, but not both ({id}, {name})")));
            }
            (Some(id), None) => vec![("orgID", id.into())],
            (None, Some(name)) => vec![("org", name.into())],
            (None, None) => self.org.iter().map(|org| ("org", org.clone())).collect(),
        })
    }

    /// The identifier of the organisation; `None` where nobody named one.
    pub fn org_id(&self, arguments: &OrgArguments) -> Result<Option<String>> {
        match self.org_params(arguments)?.pop() {
            None => Ok(None),
            Some(("orgID", id)) => Ok(Some(id)),
            Some((_, name)) => {
                let found = self.server.get("/api/v2/orgs", &[("org", &name)]);
                let found: Value = found.map_err(|f| f.context(format!("failed to look up org with name \"{name}\"")))?;
                let id = found["orgs"][0]["id"].as_str().map(str::to_string);
                id.map(Some).ok_or_else(|| Failure::not_found(format!("no organization with name \"{name}\"")))
            }
        }
    }

    /// The identifier of the organisation; where nobody named one, of the only one there is to see.
    pub fn required_org_id(&self, arguments: &OrgArguments) -> Result<String> {
        if let Some(id) = self.org_id(arguments)? {
            return Ok(id);
        }
        match self.server.get("/api/v2/orgs", &[])?["orgs"].as_array().map(Vec::as_slice) {
            Some([org]) => Ok(org["id"].as_str().unwrap_or_default().into()),
            _ => Err(Failure::invalid("must specify org ID or org name (--org-id, --org)")),
        }
    }

    /// Parameters as the HTTP client takes them.
    pub fn params<'a>(pairs: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
        pairs.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// The identifier of a user by name.
    pub fn user_id(&self, name: &str) -> Result<String> {
        let found = self.server.get("/api/v2/users", &[("name", name)]);
        let found = found.map_err(|f| f.context(format!("could not find user with name \"{name}\"")))?;
        let id = found["users"][0]["id"].as_str().map(str::to_string);
        id.ok_or_else(|| Failure::not_found(format!("no user found with name \"{name}\"")))
    }
}
