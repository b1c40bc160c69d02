//! `config rm`.

use super::FileArguments;
use crate::{cli::profiles::Profile, model::Result};

#[derive(clap::Args)]
pub struct RemoveArguments {
    #[command(flatten)]
    file: FileArguments,
    /// Configs to delete; a name that is not there is passed over
    #[arg(required = true)]
    names: Vec<String>,
}

impl RemoveArguments {
    pub fn run(self) -> Result<()> {
        let mut profiles = self.file.read()?;
        let removed: Vec<(String, Profile)> =
            self.names.iter().filter_map(|name| profiles.all.remove(name).map(|profile| (name.clone(), profile))).collect();
        profiles.save()?;
        self.file.print_all(removed.iter().map(|(name, profile)| (name.as_str(), profile)), true)
    }
}
