//! `config create`.

use super::{FileArguments, checked_url, cookie};
use crate::{cli::profiles::Profile, model::Result};

#[derive(clap::Args)]
pub struct CreateArguments {
    #[command(flatten)]
    file: FileArguments,
    /// Name of the new config
    #[arg(long, short = 'n', alias = "name")]
    config_name: String,
    /// URL of the server
    #[arg(long, short = 'u')]
    host_url: String,
    /// Token to authenticate with
    #[arg(long, short, allow_hyphen_values = true)]
    token: Option<String>,
    /// `username:password` to authenticate with; kept unencrypted in the file
    #[arg(long, short = 'p', conflicts_with = "token")]
    username_password: Option<String>,
    /// Organisation of commands that name none
    #[arg(long, short)]
    org: Option<String>,
    /// Make it the active config
    #[arg(long, short)]
    active: bool,
}

impl CreateArguments {
    pub fn run(self) -> Result<()> {
        let profile = Profile {
            url: checked_url(&self.host_url)?,
            token: self.token.unwrap_or_default(),
            org: self.org.unwrap_or_default(),
            active: self.active,
            cookie: self.username_password.as_deref().map(cookie).unwrap_or_default(),
            ..Profile::default()
        };
        let mut profiles = self.file.read()?;
        let created = profiles.create(&self.config_name, profile).and_then(|profile| profiles.save().map(|()| profile));
        let profile = created.map_err(|f| f.context(format!("failed to create config \"{}\"", self.config_name)))?;
        self.file.print_one(&self.config_name, &profile)
    }
}
