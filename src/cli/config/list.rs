//! `config ls`.

use super::FileArguments;
use crate::model::Result;

#[derive(clap::Args)]
pub struct ListArguments {
    #[command(flatten)]
    file: FileArguments,
}

impl ListArguments {
    pub fn run(self) -> Result<()> {
        let profiles = self.file.read()?;
        self.file.print_all(profiles.all.iter().map(|(name, profile)| (name.as_str(), profile)), false)
    }
}
