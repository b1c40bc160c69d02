//! What an engine is opened with.

use super::{admission::QueryLimits, maintenance::MaintenanceSettings};
use crate::{
    clock::{Clock, Randomness, SystemClock},
    memory::Budget,
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
    /// The memory of the whole; `storage` and `session` keep to their shares of it.
    pub memory: Arc<Budget>,
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
        let memory = Arc::new(Budget::default());
        let spill_directory = Some(data_dir.join("spill"));
        let session = SessionSettings { spill_directory, memory: memory.queries.clone(), ..SessionSettings::default() };
        EngineSettings {
            data_dir,
            store: None,
            memory,
            storage: StorageOptions::default(),
            session,
            queries: QueryLimits::default(),
            maintenance: MaintenanceSettings::default(),
            clock: Arc::new(SystemClock),
            randomness: Randomness::from_os(),
        }
    }

    /// The same, within a budget.
    pub fn within(mut self, memory: Budget) -> EngineSettings {
        self.session.memory = memory.queries.clone();
        self.storage.buffer_bytes_max = memory.buffer.limit();
        // Rows being flushed stay in the buffer meanwhile.
        self.storage.flush_bytes = self.storage.flush_bytes.min(memory.buffer.limit() / 4);
        self.storage.files.cache_bytes = memory.files.limit();
        self.storage.requests = memory.requests.clone();
        self.memory = Arc::new(memory);
        self
    }
}
