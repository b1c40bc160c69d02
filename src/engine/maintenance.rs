//! What the engine does by itself: merging files, giving up expired rows, deleting what nothing refers to. (Flushing goes by
//! the buffer's fill, see `Storage::spawn_flushing`.)
//!
//! Two jobs: one gives up expired rows, so that a shorter retention acts at once, the other merges and clears up. Only so many
//! merges run at a time; whenever one ends, the next is chosen from the state as it then is, where there are the most files. What
//! fails is logged, counted, and tried again later; a compaction that fails, ever later.

use super::Engine;
use crate::{
    catalog::Catalog,
    clock::Clock,
    model::{BucketId, Failure, Result},
    storage::{
        Storage,
        compaction::{Compacted, CompactionPolicy, CompactionSpec},
        retention::Expired,
    },
};
use futures::{StreamExt, stream::FuturesUnordered};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone)]
pub struct MaintenanceSettings {
    /// Between the passes; `None`: only when asked for.
    pub interval: Option<Duration>,
    /// Between the sweeps, which list every object of the store.
    pub sweep_interval: Duration,
    pub compaction: CompactionPolicy,
    /// Merges that run at the same time; at least one does.
    pub compactions_max: usize,
}

impl Default for MaintenanceSettings {
    fn default() -> MaintenanceSettings {
        let (interval, sweep_interval) = (Some(Duration::from_secs(10)), Duration::from_secs(6 * 3_600));
        // The other half is for those who write and ask.
        let compactions_max = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        MaintenanceSettings { interval, sweep_interval, compaction: CompactionPolicy::default(), compactions_max }
    }
}

/// What maintenance has done since the engine was opened. Bytes are of files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceFigures {
    pub passes: u64,
    pub compactions: u64,
    pub compaction_files_in: u64,
    pub compaction_bytes_in: u64,
    pub compaction_bytes_out: u64,
    /// Of them, tried and not done.
    #[serde(default)]
    pub compaction_failures: u64,
    /// Merges that run now, and that were worth while and waited when the last of those was chosen.
    #[serde(default)]
    pub compactions_running: u64,
    #[serde(default)]
    pub compactions_queued: u64,
    pub expired_files: u64,
    pub expired_rows: u64,
    pub garbage_files: u64,
    pub garbage_versions: u64,
    pub failures: u64,
    /// What the last failure said; it may have been mended since.
    pub last_error: Option<String>,
    /// Files of all buckets now, and their bytes.
    pub files: u64,
    pub bytes: u64,
    /// The most files that a measurement has in one partition now.
    #[serde(default)]
    pub partition_files_max: u64,
}

/// How a pass goes about what is not always due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sweep {
    WhenDue,
    Now,
}

pub(super) struct Maintenance {
    storage: Storage,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    settings: MaintenanceSettings,
    stop: CancellationToken,
    /// Files are to be merged before the next pass is due.
    wanted: Notify,
    figures: Mutex<MaintenanceFigures>,
    /// Held while expired rows are given up.
    expiring: tokio::sync::Mutex<()>,
    /// Held while files are merged and deleted.
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Compactions that failed, by bucket, measurement and partition.
    failed: HashMap<(BucketId, Arc<str>, i64), Backoff>,
    /// By the monotonic clock.
    swept_at: Option<i64>,
}

#[derive(Clone, Copy)]
struct Backoff {
    pause_ns: i64,
    until: i64,
}

/// Where a compaction is done.
type Place = (BucketId, Arc<str>, i64);

/// Bytes of files that are merged in one pass, of which the smallest merge counts so many; what is left then waits for the next, after
/// garbage had its turn.
const PASS_BYTES: u64 = 4 << 30;
const MERGE_BYTES_MIN: u64 = 1 << 20;
/// Merges smaller than this are committed together, up to so many and so many bytes.
const SMALL_BYTES: u64 = 8 << 20;
const BATCH_MAX: usize = 64;
const BATCH_BYTES_MAX: u64 = 64 << 20;
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE_NS: i64 = 60_000_000_000;
const LONGEST_PAUSE_NS: i64 = 3_600_000_000_000;

impl Maintenance {
    pub fn new(storage: Storage, catalog: Catalog, clock: Arc<dyn Clock>, settings: MaintenanceSettings) -> Arc<Maintenance> {
        let (stop, wanted, figures) = (CancellationToken::new(), Notify::new(), Mutex::default());
        let (expiring, state) = Default::default();
        Arc::new(Maintenance { storage, catalog, clock, settings, stop, wanted, figures, expiring, state })
    }

    pub fn spawn(self: &Arc<Self>) -> [JoinHandle<()>; 2] {
        let (expiring, merging) = (self.clone(), self.clone());
        let expire = async move {
            while expiring.is_due(expiring.catalog.retention_changed()).await {
                // Its failures are logged and counted.
                expiring.note(&mut None, expiring.expire().await);
            }
        };
        let merge = async move {
            while merging.is_due(merging.wanted.notified()).await {
                // Its failures are logged and counted one by one.
                merging.tidy(Sweep::WhenDue, &mut None).await;
            }
        };
        [tokio::spawn(expire), tokio::spawn(merge)]
    }

    /// Waits until there is something to do, by `wanted` or by the time; false when the engine closes.
    async fn is_due(&self, wanted: impl Future<Output = ()>) -> bool {
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = wanted => true,
            () = tokio::time::sleep(self.settings.interval.unwrap_or(Duration::MAX)) => true,
        }
    }

    /// Begins nothing more. A compaction under way ends at its next batch of rows; that is waited for, but not for long.
    pub async fn close(&self) {
        self.stop.cancel();
        let at_rest = async { (self.expiring.lock().await, self.state.lock().await) };
        let _ = tokio::time::timeout(CLOSE_PATIENCE, at_rest).await;
    }

    /// Everything once; the first failure, after everything was tried.
    async fn pass(&self, sweep: Sweep) -> Result<()> {
        let mut first = None;
        self.note(&mut first, self.expire().await);
        self.tidy(sweep, &mut first).await;
        first.map_or(Ok(()), Err)
    }

    /// Merges, and deletes what nothing refers to.
    async fn tidy(&self, sweep: Sweep, first: &mut Option<Failure>) {
        let mut state = self.state.lock().await;
        self.compact(&mut state, first).await;
        self.collect(&mut state, sweep, first).await;
        self.figures.lock().passes += 1;
    }

    fn note<T: Default>(&self, first: &mut Option<Failure>, outcome: Result<T>) -> T {
        outcome.unwrap_or_else(|failure| {
            tracing::error!(%failure, "maintenance failed; it is tried again later");
            let mut figures = self.figures.lock();
            figures.failures += 1;
            figures.last_error = Some(failure.to_string());
            first.get_or_insert(failure);
            T::default()
        })
    }

    fn retentions(&self) -> HashMap<BucketId, i64> {
        self.catalog.state().buckets.values().filter_map(|b| Some((b.id, b.retention_ns?))).collect()
    }

    async fn expire(&self) -> Result<()> {
        let _alone = self.expiring.lock().await;
        let mut outcome = Ok(());
        for (bucket, retention_ns) in self.retentions() {
            if self.stop.is_cancelled() {
                return outcome;
            }
            match self.storage.files().expire(bucket, retention_ns).await {
                Ok(Expired { files: 0, .. }) => {}
                Ok(Expired { files, rows, bytes }) => {
                    tracing::info!(%bucket, files, rows, bytes, "expired files left the bucket");
                    let mut figures = self.figures.lock();
                    figures.expired_files += files;
                    figures.expired_rows += rows;
                }
                Err(failure) => outcome = Err(failure),
            }
        }
        outcome
    }

    async fn compact(&self, state: &mut State, first: &mut Option<Failure>) {
        let choose = || self.storage.files().compactions(&self.settings.compaction);
        if self.compact_by(state, first, PASS_BYTES, choose).await == 0 {
            self.wanted.notify_one();
        }
    }

    /// Does what `choose` gives, until that is nothing, or `left` bytes are being merged; how many may still be.
    async fn compact_by(
        &self,
        state: &mut State,
        first: &mut Option<Failure>,
        mut left: u64,
        choose: impl Fn() -> Vec<CompactionSpec>,
    ) -> u64 {
        let mut running = FuturesUnordered::new();
        // Places where files are being merged, and those where that was in vain in this pass.
        let (mut busy, mut vain) = (HashSet::new(), HashSet::new());
        loop {
            while left > 0 && running.len() < self.settings.compactions_max.max(1) && !self.stop.is_cancelled() {
                let now = self.clock.monotonic_ns();
                let waits = |place: &Place| state.failed.get(place).is_some_and(|b| now < b.until);
                let is_due = |place: &Place| !(busy.contains(place) || vain.contains(place) || waits(place));
                let chosen: Vec<CompactionSpec> = choose().into_iter().filter(|spec| is_due(&place(spec))).collect();
                let count = chosen.len();
                let Some(batch) = batch(chosen) else {
                    self.figures.lock().compactions_queued = 0;
                    break;
                };
                self.figures.lock().compactions_queued = (count - batch.len()) as u64;
                left = left.saturating_sub(batch.iter().map(|spec| spec.bytes().max(MERGE_BYTES_MIN)).sum());
                busy.extend(batch.iter().map(place));
                running.push(self.compact_batch(batch));
                self.figures.lock().compactions_running = busy.len() as u64;
            }
            let Some(outcomes) = running.next().await else { break };
            for (place, outcome) in outcomes {
                busy.remove(&place);
                if matches!(outcome, Ok(None)) {
                    vain.insert(place.clone());
                }
                self.note_compaction(state, place, outcome, first);
            }
            self.figures.lock().compactions_running = busy.len() as u64;
        }
        left
    }

    /// Flushes, merges all that can be merged, however large and young it is, and folds in every delete. What it did, with the files
    /// there are now; the first failure, after everything was tried.
    pub async fn compact_everything(&self) -> Result<MaintenanceFigures> {
        self.storage.flush().await?;
        let mut state = self.state.lock().await;
        let before = self.figures();
        state.failed.clear();
        let mut first = None;
        let policy = CompactionPolicy { rest_ratio: u64::MAX, ..self.settings.compaction.clone() };
        self.compact_by(&mut state, &mut first, u64::MAX, || self.storage.files().compactions_at(&policy, i64::MAX)).await;
        let after = self.figures();
        let figures = MaintenanceFigures {
            compactions: after.compactions - before.compactions,
            compaction_files_in: after.compaction_files_in - before.compaction_files_in,
            compaction_bytes_in: after.compaction_bytes_in - before.compaction_bytes_in,
            compaction_bytes_out: after.compaction_bytes_out - before.compaction_bytes_out,
            compaction_failures: after.compaction_failures - before.compaction_failures,
            ..after
        };
        first.map_or(Ok(figures), Err)
    }

    async fn compact_batch(&self, batch: Vec<CompactionSpec>) -> Vec<(Place, Result<Option<Compacted>>)> {
        let places: Vec<Place> = batch.iter().map(place).collect();
        let retention_ns = self.catalog.state().buckets.get(&batch[0].bucket).and_then(|b| b.retention_ns);
        let floor = retention_ns.map_or(i64::MIN, |retention_ns| self.storage.files().erase_floor(retention_ns));
        places.into_iter().zip(self.storage.files().compact_each(batch, floor, self.stop.clone()).await).collect()
    }

    fn note_compaction(&self, state: &mut State, place: Place, outcome: Result<Option<Compacted>>, first: &mut Option<Failure>) {
        match outcome {
            // A delete, a drop or retention came first; the next pass chooses anew.
            Ok(None) => {}
            Ok(Some(done)) => {
                tracing::debug!(bucket = %place.0, measurement = %place.1, ?done, "compacted");
                state.failed.remove(&place);
                let mut figures = self.figures.lock();
                figures.compactions += 1;
                figures.compaction_files_in += done.files_in;
                figures.compaction_bytes_in += done.bytes_in;
                figures.compaction_bytes_out += done.bytes_out;
            }
            Err(failure) if !self.stop.is_cancelled() => {
                let pause_ns = state.failed.get(&place).map_or(FIRST_PAUSE_NS, |b| (b.pause_ns * 2).min(LONGEST_PAUSE_NS));
                state.failed.insert(place, Backoff { pause_ns, until: self.clock.monotonic_ns() + pause_ns });
                self.figures.lock().compaction_failures += 1;
                self.note::<()>(first, Err(failure));
            }
            Err(_) => {}
        }
    }

    async fn collect(&self, state: &mut State, sweep: Sweep, first: &mut Option<Failure>) {
        let now = self.clock.monotonic_ns();
        let interval = i64::try_from(self.settings.sweep_interval.as_nanos()).unwrap_or(i64::MAX);
        let due = sweep == Sweep::Now || state.swept_at.is_none_or(|at| now - at >= interval);
        for bucket in self.storage.files().buckets() {
            if self.stop.is_cancelled() {
                return;
            }
            let mut collected = self.note(first, self.storage.files().collect(bucket).await);
            if due {
                let swept = self.note(first, self.storage.files().sweep(bucket).await);
                collected.files += swept.files;
                collected.versions += swept.versions;
            }
            let mut figures = self.figures.lock();
            figures.garbage_files += collected.files;
            figures.garbage_versions += collected.versions;
        }
        if due {
            state.swept_at = Some(now);
        }
    }

    fn figures(&self) -> MaintenanceFigures {
        let files = self.storage.files();
        let mut figures = self.figures.lock().clone();
        for totals in files.buckets().into_iter().map(|bucket| files.totals(bucket)) {
            figures.files += totals.files;
            figures.bytes += totals.bytes;
            figures.partition_files_max = figures.partition_files_max.max(totals.partition_files_max);
        }
        figures
    }
}

fn place(spec: &CompactionSpec) -> Place {
    (spec.bucket, spec.inputs[0].measurement.clone(), spec.inputs[0].partition)
}

/// What to do first, with other small merges of the same bucket. Nothing: there is nothing to do.
fn batch(chosen: Vec<CompactionSpec>) -> Option<Vec<CompactionSpec>> {
    let mut chosen = chosen.into_iter();
    let first = chosen.next()?;
    let (bucket, mut bytes) = (first.bucket, first.bytes());
    let mut batch = vec![first];
    if bytes < SMALL_BYTES {
        for spec in chosen.filter(|spec| spec.bucket == bucket && spec.bytes() < SMALL_BYTES) {
            bytes += spec.bytes();
            if batch.len() == BATCH_MAX || bytes > BATCH_BYTES_MAX {
                break;
            }
            batch.push(spec);
        }
    }
    Some(batch)
}

impl Engine {
    /// Runs one pass of maintenance now, a sweep for garbage with it; after a change of a bucket's retention, for instance.
    /// The first failure, after everything was tried.
    pub async fn maintain(&self) -> Result<MaintenanceFigures> {
        self.inner.maintenance.pass(Sweep::Now).await?;
        Ok(self.maintenance())
    }

    pub fn maintenance(&self) -> MaintenanceFigures {
        self.inner.maintenance.figures()
    }
}
