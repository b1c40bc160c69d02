//! The servers a user knows: the `influx` CLI's file of configs (`~/.influxdbv2/configs`), shared with it.
//!
//! ```toml
//! [default]
//!   url = "http://localhost:8086"
//!   token = "..."
//!   org = "mlops"
//!   active = true
//! ```

use crate::model::{ErrorKind, Failure, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub const URL_DEFAULT: &str = "http://localhost:8086";

/// One server and who the user is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Profile {
    pub url: String,
    pub token: String,
    pub org: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub active: bool,
    /// It was active before the one that is now (`config -`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub previous: bool,
    /// `username:password` in base64, where there is no token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cookie: String,
}

/// The file, read.
#[derive(Debug, Clone)]
pub struct Profiles {
    path: PathBuf,
    pub all: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Reads the file; one that is not there has no profiles.
    pub fn read(path: Option<&Path>) -> Result<Profiles> {
        let path = match path.filter(|p| !p.as_os_str().is_empty()) {
            Some(path) => path.to_path_buf(),
            None => std::env::home_dir().unwrap_or_default().join(".influxdbv2").join("configs"),
        };
        let all = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|e| Failure::invalid(format!("{} cannot be read: {e}", path.display())))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(Failure::invalid(format!("{} cannot be read: {e}", path.display()))),
        };
        Ok(Profiles { path, all })
    }

    /// Replaces the file. It has tokens in it: only its owner may read it.
    pub fn save(&self) -> Result<()> {
        let unwritable = |e: std::io::Error| Failure::invalid(format!("{} cannot be written: {e}", self.path.display()));
        let text = toml::to_string(&self.all).map_err(|e| Failure::internal(e.to_string()))?;
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).map_err(unwritable)?;
        }
        let written = self.path.with_extension("new");
        write_private(&written, text.as_bytes()).map_err(unwritable)?;
        std::fs::rename(&written, &self.path).map_err(unwritable)
    }

    /// The profile commands use: the active one, else any, else the address every server has by default.
    pub fn active(&self) -> (String, Profile) {
        let chosen = self.all.iter().find(|(_, p)| p.active).or_else(|| self.all.iter().next());
        match chosen {
            Some((name, profile)) => (name.clone(), profile.clone()),
            None => ("default".into(), Profile { url: URL_DEFAULT.into(), active: true, ..Profile::default() }),
        }
    }

    pub fn get(&self, name: &str) -> Result<&Profile> {
        self.all.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.all.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "there are none; make one with `config create`".into() } else { known.join(", ") };
            Failure::not_found(format!("config \"{name}\" is not found ({known})"))
        })
    }

    /// Makes a profile the active one and remembers which was.
    pub fn activate(&mut self, name: &str) -> Result<Profile> {
        self.get(name)?;
        for (other, profile) in &mut self.all {
            profile.previous = profile.active && other != name;
            profile.active = other == name;
        }
        self.get(name).cloned()
    }

    /// Adds a profile under a new name.
    pub fn create(&mut self, name: &str, profile: Profile) -> Result<Profile> {
        if name.is_empty() {
            return Err(Failure::invalid("config name is empty"));
        }
        if self.all.contains_key(name) {
            return Err(Failure::new(ErrorKind::Conflict, format!("config \"{name}\" already exists")));
        }
        let active = profile.active;
        self.all.insert(name.into(), profile.clone());
        if active { self.activate(name) } else { Ok(profile) }
    }
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_kept_in_the_influx_clis_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("configs");
        let mut profiles = Profiles::read(Some(&path)).expect("no file yet");
        assert_eq!(profiles.active().1.url, URL_DEFAULT);
        let profile = |url: &str, active| Profile { url: url.into(), token: "t".into(), active, ..Profile::default() };
        profiles.create("a", profile("http://a", true)).expect("new");
        profiles.create("b", profile("http://b", true)).expect("new");
        assert_eq!(profiles.create("a", Profile::default()).expect_err("there").kind, ErrorKind::Conflict);
        profiles.save().expect("written");
        let text = std::fs::read_to_string(&path).expect("a file");
        assert_eq!(
            text,
            "[a]\nurl = \"http://a\"\ntoken = \"t\"\norg = \"\"\nprevious = true\n\n[b]\nurl = \"http://b\"\ntoken = \"t\"\norg = \"\"\nactive = true\n"
        );
        let read = Profiles::read(Some(&path)).expect("readable");
        assert_eq!(read.active().0, "b");
        assert!(read.get("c").expect_err("none").message.contains("a, b"));
    }
}
