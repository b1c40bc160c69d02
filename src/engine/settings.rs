//! What an engine is opened with.

use super::{admission::QueryLimits, maintenance::MaintenanceSettings};
use crate::{
    clock::{Clock, Randomness, SystemClock},
    query::session::SessionSettings,
    storage::StorageOptions,
};
use std::{path::PathBuf, sync::Arc};

/// Places, limits and seams of an engine.
#[derive(Clone)]
pub struct EngineSettings {
    /// The log (`wal/`), the catalog (`catalog.sqlite`), the lock file and, unless `store` says otherwise, the rows
    /// (`store/`) live below it.
    pub data_dir: PathBuf,
    /// Where rows are kept: a path, `memory:` or an object store's URL; `None`: `store/` in the data directory.
    pub store: Option<String>,
    pub storage: StorageOptions,
    pub session: SessionSettings,
    pub queries: QueryLimits,
    pub maintenance: MaintenanceSettings,
    pub clock: Arc<dyn Clock>,
    pub randomness: Randomness,
}

impl EngineSettings {
    /// The everyday settings, with everything below `data_dir`.
    pub fn at(data_dir: impl Into<PathBuf>) -> EngineSettings {
        let data_dir = data_dir.into();
        let session = SessionSettings { spill_directory: Some(data_dir.join("spill")), ..SessionSettings::default() };
        EngineSettings {
            data_dir,
            store: None,
            storage: StorageOptions::default(),
            session,
            queries: QueryLimits::default(),
            maintenance: MaintenanceSettings::default(),
            clock: Arc::new(SystemClock),
            randomness: Randomness::from_os(),
        }
    }
}
