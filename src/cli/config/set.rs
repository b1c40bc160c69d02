//! `config set`.

use super::{FileArguments, checked_url, cookie};
use crate::model::Result;

#[derive(clap::Args)]
pub struct SetArguments {
    #[command(flatten)]
    file: FileArguments,
    /// Name of the config
    #[arg(long, short = 'n', alias = "name")]
    config_name: String,
    /// New URL of the server
    #[arg(long, short = 'u')]
    host_url: Option<String>,
    /// New token
    #[arg(long, short, allow_hyphen_values = true)]
    token: Option<String>,
    /// New `username:password`; kept unencrypted in the file
    #[arg(long, short = 'p', conflicts_with = "token")]
    username_password: Option<String>,
    /// New organisation of commands that name none
    #[arg(long, short)]
    org: Option<String>,
    /// Make it the active config
    #[arg(long, short)]
    active: bool,
}

impl SetArguments {
    pub fn run(self) -> Result<()> {
        let mut profiles = self.file.read()?;
        let mut profile = profiles.get(&self.config_name)?.clone();
        if let Some(url) = &self.host_url {
            profile.url = checked_url(url)?;
        }
        if let Some(token) = self.token {
            profile.token = token;
            profile.cookie.clear();
        }
        if let Some(text) = &self.username_password {
            profile.cookie = cookie(text);
            profile.token.clear();
        }
        profile.org = self.org.unwrap_or(profile.org);
        profiles.all.insert(self.config_name.clone(), profile.clone());
        if self.active {
            profile = profiles.activate(&self.config_name)?;
        }
        profiles.save()?;
        self.file.print_one(&self.config_name, &profile)
    }
}
