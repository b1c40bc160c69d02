//! Whose rows a tool looks at: a data directory or a store that no server has open, or those of a running server.

use super::{
    connection::{Connection, ConnectionArguments},
    settings::{Given, Layer, Settings},
};
use crate::{engine::EngineSettings, model::Result};
use std::path::PathBuf;

/// Of tools that work offline.
#[derive(clap::Args)]
pub struct OfflineArguments {
    /// Data directory of a server that is stopped [default: as for serve, tidegauge-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// Where the rows are when not in the data directory: a path, or s3://bucket/prefix; without --data-dir only they are looked at
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// File of settings, as serve takes it
    #[arg(long, value_name = "FILE", env = "TIDEGAUGE_CONFIG_PATH")]
    config: Option<PathBuf>,
}

/// Of tools that ask a running server, too.
#[derive(clap::Args)]
pub struct PlaceArguments {
    #[command(flatten)]
    offline: OfflineArguments,
    /// Ask the running server at --host instead; needs an operator token
    #[arg(long, conflicts_with_all = ["data_dir", "store", "config"])]
    online: bool,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub enum Place {
    Online(Connection),
    Offline(Box<EngineSettings>, RowsOnly),
}

/// Whether log and catalog stay out of it.
pub type RowsOnly = bool;

impl OfflineArguments {
    pub fn settings(&self) -> Result<(EngineSettings, RowsOnly)> {
        let given = [("data-dir", "--data-dir", &self.data_dir), ("store", "--store", &self.store)];
        let given = given.into_iter().filter_map(|(name, source, text)| Some((name, source, text.clone()?)));
        let flags: Layer = given.map(|(name, source, text)| (name, Given { text, source: source.into() })).collect();
        let rows_only = self.store.is_some() && self.data_dir.is_none();
        Ok((Settings::gather(flags, self.config.clone())?.engine, rows_only))
    }
}

impl PlaceArguments {
    pub fn open(&self) -> Result<Place> {
        if self.online {
            return Ok(Place::Online(self.connection.open()?));
        }
        let (settings, rows_only) = self.offline.settings()?;
        Ok(Place::Offline(Box::new(settings), rows_only))
    }
}
