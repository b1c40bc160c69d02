//! Checking, listing and mending what is stored: offline, where no server has it open, and online, through the running engine.
//! The work is storage's and the catalog's; here the directory is locked, the operator recognised, and both reports joined.

use super::{Engine, EngineSettings, MaintenanceFigures, lock::DirectoryLock};
use crate::{
    catalog::{
        Action, Caller, Resource, ResourceKind,
        database::{self, Found, copy_of},
        state::State,
    },
    clock::{Clock, Randomness},
    model::{BucketId, ErrorKind, Failure, Result},
    storage::{
        BufferedDamage,
        fs::LocalFolder,
        inspect::{BucketFigures, inspect, versions},
        object::Store,
        rebuild::{RebuildOptions, Rebuilt, rebuild},
        verify::{Kind, Place, Report, Verdict, verify},
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

pub(super) const CATALOG: &str = "catalog.sqlite";

/// What is stored, with no server on it as long as this lives.
pub struct Offline {
    /// `None`: only the rows, in a store of their own.
    data_dir: Option<PathBuf>,
    store: Store,
    log: Option<LocalFolder>,
    partition_ns: i64,
    clock: Arc<dyn Clock>,
    randomness: Randomness,
    _lock: Option<DirectoryLock>,
}

impl Offline {
    /// `rows_only`: the store of the settings without log and catalog. Nothing is created: what is not there is `NotFound`.
    /// `Conflict` when a server has the data directory; of a store that is elsewhere nobody can tell.
    pub fn open(settings: EngineSettings, rows_only: bool) -> Result<Offline> {
        let EngineSettings { data_dir, store, storage, clock, randomness, .. } = settings;
        let place = store.unwrap_or_else(|| data_dir.join("store").to_string_lossy().into_owned());
        let folder = local_folder(&place)?;
        // The store of a data directory goes with its lock, however it is named.
        let is_data_dir = |parent: &&Path| !parent.as_os_str().is_empty() && parent.join("lock").exists();
        let around = folder.as_deref().and_then(Path::parent).filter(is_data_dir);
        let locked = if rows_only { around } else { Some(data_dir.as_path()) };
        if let Some(needed) = folder.iter().map(PathBuf::as_path).chain(locked).find(|path| !path.is_dir()) {
            return Err(Failure::not_found(format!(
                "there is no folder {}; name the right one with --data-dir or --store",
                needed.display()
            )));
        }
        let lock = locked.map(DirectoryLock::take).transpose()?;
        let wal = data_dir.join("wal");
        let log = (!rows_only && wal.is_dir()).then(|| LocalFolder::open(wal)).transpose()?;
        let store = Store::open(&place).map_err(|e| Failure::invalid(e.to_string()))?;
        let data_dir = (!rows_only).then_some(data_dir);
        Ok(Offline { data_dir, store, log, partition_ns: storage.files.partition_ns, clock, randomness, _lock: lock })
    }

    /// Checks log, manifests, files and catalog; see `storage/verify.rs`.
    pub async fn verify(&self) -> Result<Report> {
        let log = self.log.as_ref().map(|log| log as &dyn crate::storage::fs::FileSystem);
        let place = Place { store: &self.store, log, partition_ns: self.partition_ns, running: None };
        let mut report = verify(&place, &CancellationToken::new()).await?;
        if let Some(data_dir) = &self.data_dir {
            let path = data_dir.join(CATALOG);
            verify_catalog(&path, database::examine(&path), &mut report)?;
        }
        Ok(report)
    }

    /// What is stored, by bucket; see `storage/inspect.rs`.
    pub async fn inspect(&self, series: bool) -> Result<Vec<BucketFigures>> {
        let mut buckets = inspect(&self.store, &versions(&self.store).await?, series).await;
        // Without its catalog a store is listed all the same, by ids.
        if let Some(state) = self.data_dir.as_ref().and_then(|dir| database::read(&dir.join(CATALOG)).ok()) {
            name(&mut buckets, &state);
        }
        Ok(buckets)
    }

    /// Makes manifests anew where that is needed; see `storage/rebuild.rs`.
    pub async fn rebuild(&self, bucket: Option<BucketId>, give_up: bool) -> Result<Vec<Rebuilt>> {
        let (writer, now) = (self.randomness.next_u64(), self.clock.now());
        let options = RebuildOptions { give_up, partition_ns: self.partition_ns, writer, now };
        rebuild(&self.store, bucket, options).await
    }
}

/// The folder of a store on this machine.
fn local_folder(place: &str) -> Result<Option<PathBuf>> {
    Ok(match place.split_once(':') {
        Some(("memory", _)) => return Err(Failure::invalid("a store in memory is gone with its server; ask that with --online")),
        Some(("file", _)) => url::Url::parse(place).ok().and_then(|url| url.to_file_path().ok()),
        Some((_, rest)) if rest.starts_with("//") => None,
        _ => Some(place.into()),
    })
}

/// Opens the data directory as a server would, merges all that can be merged, and closes it.
pub async fn compact_offline(mut settings: EngineSettings) -> Result<MaintenanceFigures> {
    if !settings.data_dir.is_dir() {
        return Err(Failure::not_found(format!(
            "there is no data directory {}; name the right one with --data-dir",
            settings.data_dir.display()
        )));
    }
    settings.maintenance.interval = None;
    let engine = Engine::open(settings).await?;
    let done = engine.inner.maintenance.compact_everything().await;
    let closed = engine.close().await;
    done.and_then(|figures| closed.map(|()| figures))
}

/// The catalog at `path`, found so, and its copy.
fn verify_catalog(path: &Path, main: Found, report: &mut Report) -> Result<()> {
    let copy = database::examine(&copy_of(path));
    let (main_name, copy_name) = (CATALOG, copy_of(path).file_name().unwrap_or_default().to_string_lossy().into_owned());
    for (file, found) in [(path.to_path_buf(), &main), (copy_of(path), &copy)] {
        if let Found::Good(changes) = found {
            report.count(Kind::Catalog, 1, file.metadata().map_or(0, |m| m.len()), changes.unsigned_abs());
        }
    }
    let mut add = |verdict, file: &str, what: &str, advice: &str| report.add(Kind::Catalog, verdict, file, what, advice);
    const FROM_COPY: &str = "start the server: it goes on with the copy, and keeps these bytes in quarantine/";
    const FROM_BACKUP: &str = "restore the catalog from a backup: its copy is no good either";
    const RENEWED: &str = "the next start of the server makes it anew";
    match (&main, &copy) {
        (Found::Newer(what), Found::Newer(_) | Found::Nothing | Found::Damaged(_))
        | (Found::Nothing | Found::Damaged(_), Found::Newer(what)) => {
            return Err(Failure::internal(format!("{}: {what}", path.display())));
        }
        (Found::Nothing, Found::Nothing) => add(Verdict::Note, main_name, "there is none", "the next start of the server makes one"),
        (Found::Nothing, Found::Good(_)) => add(Verdict::Damaged, main_name, "it is gone", FROM_COPY),
        (Found::Damaged(what) | Found::Newer(what), Found::Good(_)) => add(Verdict::Damaged, main_name, what, FROM_COPY),
        (Found::Good(changes), Found::Good(copied)) if changes < copied => {
            add(Verdict::Damaged, main_name, "its newest changes are gone", FROM_COPY);
        }
        (Found::Good(changes), Found::Good(copied)) if changes > copied => add(Verdict::Note, &copy_name, "it is behind", RENEWED),
        (Found::Good(_), Found::Good(_)) => {}
        (Found::Good(_), Found::Nothing) => add(Verdict::Note, &copy_name, "there is none", RENEWED),
        (Found::Good(_), Found::Damaged(what) | Found::Newer(what)) => add(Verdict::Damaged, &copy_name, what, RENEWED),
        (main, Found::Damaged(copied)) => {
            let what = if let Found::Damaged(what) = main { what } else { "it is gone" };
            add(Verdict::Damaged, main_name, what, FROM_BACKUP);
            add(Verdict::Damaged, &copy_name, copied, FROM_BACKUP);
        }
        (Found::Damaged(what), Found::Nothing) => add(Verdict::Damaged, main_name, what, FROM_BACKUP),
    }
    for kept in path.with_file_name("quarantine").read_dir().into_iter().flatten().flatten() {
        let file = format!("quarantine/{}", kept.file_name().to_string_lossy());
        add(Verdict::Note, &file, "the bytes of a damaged catalog", "delete it when you need it no more");
    }
    Ok(())
}

fn name(buckets: &mut [BucketFigures], state: &State) {
    for bucket in buckets {
        bucket.name = state.buckets.get(&bucket.bucket).map(|b| b.name.clone());
    }
}

/// Only an operator's token covers the server itself.
fn check_operator(caller: &Caller, action: Action) -> Result<()> {
    caller.check(action, Resource::global(ResourceKind::Instance, None)).map_err(|f| f.context("this needs an operator token"))
}

impl Engine {
    /// Everything that is known to be damaged on disk now; the rest is served.
    pub fn damage(&self) -> Vec<BufferedDamage> {
        let catalog = self.catalog().damage().iter().map(|(file, what)| BufferedDamage { file: file.clone(), what: what.clone() });
        catalog.chain(self.storage().damage_now()).collect()
    }

    /// Reads through everything that is stored. `TooMany` while another one runs. Dropping the future ends it.
    pub async fn verify(&self, caller: &Caller) -> Result<Report> {
        check_operator(caller, Action::Read)?;
        let _alone = self.upkeep_alone()?;
        let stop = CancellationToken::new();
        let _guard = stop.clone().drop_guard();
        let storage = self.storage().clone();
        let mut report = away(async move { storage.verify(&stop).await }).await?;
        let engine = self.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let path = engine.inner.data_dir.join(CATALOG);
            let main = match (engine.catalog().check(), database::examine(&path)) {
                (Some(what), _) => Found::Damaged(what),
                (None, found) => found,
            };
            verify_catalog(&path, main, &mut report).map(|()| report)
        });
        checked.await.map_err(panicked)?
    }

    /// What is in files, by bucket; rows in the buffer are not counted. Counting `series` reads the tags of every file.
    pub async fn inspect(&self, caller: &Caller, series: bool) -> Result<Vec<BucketFigures>> {
        check_operator(caller, Action::Read)?;
        let _alone = self.upkeep_alone()?;
        let files = self.storage().files().clone();
        let store = files.store().clone();
        let versions = files.buckets().into_iter().filter_map(|b| Some(files.version(b)?.as_ref().clone())).collect::<Vec<_>>();
        let mut buckets = away(async move { Ok(inspect(&store, &versions, series).await) }).await?;
        name(&mut buckets, &self.catalog().state());
        Ok(buckets)
    }

    /// Flushes, merges all that can be merged and folds in every delete; what it did, and the files there are now.
    pub async fn compact(&self, caller: &Caller) -> Result<MaintenanceFigures> {
        check_operator(caller, Action::Write)?;
        let engine = self.clone();
        // A commit is not broken off when the caller goes away.
        let work = async move {
            let _alone = engine.upkeep_alone()?;
            engine.inner.maintenance.compact_everything().await
        };
        tokio::spawn(work).await.map_err(panicked)?
    }

    fn upkeep_alone(&self) -> Result<tokio::sync::MutexGuard<'_, ()>> {
        let busy = || Failure::new(ErrorKind::TooMany, "another check, listing or compaction is under way: wait for it to end");
        self.inner.upkeep.try_lock().map_err(|_| busy().retry_after(10))
    }
}

/// Long reading and decoding, not on the threads that serve requests.
async fn away<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(work)).await.map_err(panicked)?
}

fn panicked(e: tokio::task::JoinError) -> Failure {
    Failure::internal(format!("the work panicked: {e}"))
}
