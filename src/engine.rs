//! The one handle that every door calls: authenticate, then write, query, delete, maintain.
//!
//! A door hands over what the request said and gets rows or a `Failure`; the engine knows people (catalog), rows
//! (storage) and languages (query), and nothing of HTTP.
//!
//! ```text
//! write:  caller -> target (organisation, bucket, right to write) -> storage
//! query:  caller -> turn (admission) -> Directory (what the caller may see) -> query::run -> guarded streams
//! ```

pub mod admission;
pub mod directory;
pub mod lock;
pub mod maintenance;
mod names;
mod read;
pub mod settings;
pub mod upkeep;
mod watch;
mod write;

pub use directory::CallerDirectory;
pub use maintenance::{MaintenanceFigures, MaintenanceSettings};
pub use read::FluxRequest;
pub use settings::EngineSettings;
pub use write::{Target, WriteOptions, Written};

use crate::{
    catalog::{Caller, Catalog, Credential},
    clock::Clock,
    memory::Budget,
    model::{Failure, Result, Timestamp},
    query::session::Sessions,
    storage::{Storage, fs::LocalFolder, object::Store, policy::PolicyOf},
};
use admission::Admission;
use lock::DirectoryLock;
use maintenance::Maintenance;
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::task::JoinHandle;
use watch::Watch;

/// A running database; clones are the same one.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Storage,
    catalog: Catalog,
    sessions: Sessions,
    admission: Arc<Admission>,
    memory: Arc<Budget>,
    clock: Arc<dyn Clock>,
    started: Timestamp,
    data_dir: PathBuf,
    place: String,
    /// Held through a check, a listing or a compaction that was asked for.
    upkeep: tokio::sync::Mutex<()>,
    maintenance: Arc<Maintenance>,
    jobs: Mutex<Vec<JoinHandle<()>>>,
    _watch: Watch,
    _lock: DirectoryLock,
}

impl Engine {
    /// Takes the data directory, opens catalog and storage, and replays the log.
    ///
    /// Fails with `Conflict` when another process has the directory. What is damaged on disk does not stop it: see
    /// [`damage`](Self::damage).
    pub async fn open(settings: EngineSettings) -> Result<Engine> {
        let EngineSettings { data_dir, store, memory, mut storage, session, queries, maintenance, clock, randomness } = settings;
        let lock = DirectoryLock::take(&data_dir)?;
        if let Some(spill) = &session.spill_directory {
            empty(spill).map_err(|e| Failure::internal(format!("{}: {e}", spill.display())))?;
        }
        let catalog = Catalog::open(&data_dir.join(upkeep::CATALOG), clock.clone(), randomness.clone())?;
        let names = catalog.clone();
        storage.files.duplicates =
            PolicyOf::new(move |bucket| names.state().buckets.get(&bucket).map(|b| b.duplicates).unwrap_or_default());
        let names = catalog.clone();
        storage.type_conflicts =
            PolicyOf::new(move |bucket| names.state().buckets.get(&bucket).map(|b| b.type_conflicts).unwrap_or_default());
        let log = LocalFolder::open(data_dir.join("wal"))?;
        let place = store.unwrap_or_else(|| data_dir.join("store").to_string_lossy().into_owned());
        let rows = Store::open(&place).map_err(|e| Failure::invalid(e.to_string()))?;
        let storage = Storage::open(rows, Arc::new(log), storage, clock.clone(), randomness).await?;
        let maintenance = Maintenance::new(storage.clone(), catalog.clone(), clock.clone(), maintenance);
        let jobs = [storage.spawn_flushing()].into_iter().chain(maintenance.spawn()).collect();
        let admission = Arc::new(Admission::new(queries, memory.clone(), session.memory.clone()));
        let watch = Watch::begin(memory.clone(), admission.clone(), storage.clone())?;
        let inner = Inner {
            sessions: Sessions::new(&session, vec![])?,
            admission,
            memory,
            started: clock.now(),
            jobs: Mutex::new(jobs),
            _watch: watch,
            maintenance,
            storage,
            catalog,
            clock,
            data_dir,
            place,
            upkeep: Default::default(),
            _lock: lock,
        };
        Ok(Engine { inner: Arc::new(inner) })
    }

    pub fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    pub fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    /// What the process may hold, and holds.
    pub fn memory(&self) -> &Arc<Budget> {
        &self.inner.memory
    }

    /// Bytes that running queries have spilled.
    pub fn spilled_bytes(&self) -> u64 {
        self.inner.sessions.spilled_bytes()
    }

    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// When the engine was opened, nanoseconds since the Unix epoch.
    pub fn started(&self) -> Timestamp {
        self.inner.started
    }

    /// Where the rows are: a path or a store's URL.
    pub fn place(&self) -> &str {
        &self.inner.place
    }

    /// Who is asking. Blocks for the length of a password hash when a password is new: call it where waiting is allowed.
    pub fn authenticate(&self, credential: &Credential) -> Result<Caller> {
        self.inner.catalog.authenticate(credential)
    }

    /// Ends background work, writes what is buffered to files and ends the log. Later writes are refused.
    pub async fn close(&self) -> Result<()> {
        self.inner.maintenance.close().await;
        for job in self.inner.jobs.lock().drain(..) {
            job.abort();
        }
        self.inner.storage.close().await
    }
}

/// A folder of that name without anything in it: a server that was killed leaves what its queries had spilled.
fn empty(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::fs::create_dir_all(folder)
}

#[cfg(test)]
mod tests;
