//! What the engine does by itself: merging files, giving up expired rows, deleting what nothing refers to. (Flushing goes by
//! the buffer's fill, see `Storage::spawn_flushing`.)
//!
//! One pass after the other, one compaction at a time: the work is bounded whatever there is to do. What fails is logged,
//! counted, and tried again later; a compaction that fails, ever later.

use super::Engine;
use crate::{
    catalog::Catalog,
    clock::Clock,
    model::{BucketId, Failure, Result},
    storage::{
        Storage,
        compaction::{CompactionPolicy, CompactionSpec},
        retention::Expired,
    },
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{sync::Notify, task::JoinHandle};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone)]
pub struct MaintenanceSettings {
    /// Between the passes; `None`: only when asked for.
    pub interval: Option<Duration>,
    /// Between the sweeps, which list every object of the store.
    pub sweep_interval: Duration,
    pub compaction: CompactionPolicy,
}

impl Default for MaintenanceSettings {
    fn default() -> MaintenanceSettings {
        let (interval, sweep_interval) = (Some(Duration::from_secs(10)), Duration::from_secs(6 * 3_600));
        MaintenanceSettings { interval, sweep_interval, compaction: CompactionPolicy::default() }
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
    wanted: Notify,
    figures: Mutex<MaintenanceFigures>,
    /// Held through a pass.
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

/// Choices of compactions in one pass; what is left then waits for the next, after retention and garbage had their turn.
const ROUNDS: usize = 16;
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE_NS: i64 = 60_000_000_000;
const LONGEST_PAUSE_NS: i64 = 3_600_000_000_000;

impl Maintenance {
    pub fn new(storage: Storage, catalog: Catalog, clock: Arc<dyn Clock>, settings: MaintenanceSettings) -> Arc<Maintenance> {
        let (stop, wanted, figures, state) = (CancellationToken::new(), Notify::new(), Mutex::default(), Default::default());
        Arc::new(Maintenance { storage, catalog, clock, settings, stop, wanted, figures, state })
    }

    pub fn spawn(self: &Arc<Self>) -> JoinHandle<()> {
        let work = self.clone();
        tokio::spawn(async move {
            loop {
                let pause = tokio::time::sleep(work.settings.interval.unwrap_or(Duration::MAX));
                tokio::select! {
                    () = work.stop.cancelled() => return,
                    () = work.wanted.notified() => {}
                    () = pause => {}
                }
                // Its failures are logged and counted one by one.
                let _ = work.pass(Sweep::WhenDue).await;
            }
        })
    }

    /// Begins nothing more. A compaction under way ends at its next batch of rows; that is waited for, but not for long.
    pub async fn close(&self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(CLOSE_PATIENCE, self.state.lock()).await;
    }

    /// One pass; the first failure, after everything was tried.
    async fn pass(&self, sweep: Sweep) -> Result<()> {
        let mut state = self.state.lock().await;
        let mut first = None;
        self.note(&mut first, self.expire().await);
        self.compact(&mut state, &mut first).await;
        self.collect(&mut state, sweep, &mut first).await;
        self.figures.lock().passes += 1;
        first.map_or(Ok(()), Err)
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
        let mut outcome = Ok(());
        for (bucket, retention_ns) in self.retentions() {
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
        self.compact_by(state, first, || self.storage.files().compactions(&self.settings.compaction)).await;
    }

    async fn compact_by(&self, state: &mut State, first: &mut Option<Failure>, choose: impl Fn() -> Vec<CompactionSpec>) {
        let floors: HashMap<BucketId, i64> =
            self.retentions().into_iter().map(|(bucket, retention)| (bucket, self.storage.files().erase_floor(retention))).collect();
        // A merge may make another one worth while.
        for _ in 0..ROUNDS {
            let mut chosen = choose();
            self.retain_due(state, &mut chosen);
            if chosen.is_empty() {
                return;
            }
            for spec in chosen {
                if self.stop.is_cancelled() {
                    return;
                }
                self.compact_one(state, spec, &floors, first).await;
            }
        }
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
        self.compact_by(&mut state, &mut first, || self.storage.files().compactions_at(&policy, i64::MAX)).await;
        let after = self.figures();
        let figures = MaintenanceFigures {
            compactions: after.compactions - before.compactions,
            compaction_files_in: after.compaction_files_in - before.compaction_files_in,
            compaction_bytes_in: after.compaction_bytes_in - before.compaction_bytes_in,
            compaction_bytes_out: after.compaction_bytes_out - before.compaction_bytes_out,
            ..after
        };
        first.map_or(Ok(figures), Err)
    }

    async fn compact_one(&self, state: &mut State, spec: CompactionSpec, floors: &HashMap<BucketId, i64>, first: &mut Option<Failure>) {
        let place = place(&spec);
        let floor = floors.get(&spec.bucket).copied().unwrap_or(i64::MIN);
        match self.storage.files().compact(spec, floor, self.stop.clone()).await {
            // A delete, a drop or retention came first; the next round chooses anew.
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
            Err(failure) => {
                if !self.stop.is_cancelled() {
                    let pause_ns = state.failed.get(&place).map_or(FIRST_PAUSE_NS, |b| (b.pause_ns * 2).min(LONGEST_PAUSE_NS));
                    state.failed.insert(place, Backoff { pause_ns, until: self.clock.monotonic_ns() + pause_ns });
                    self.note::<()>(first, Err(failure));
                }
            }
        }
    }

    /// Leaves out those that are paused after a failure.
    fn retain_due(&self, state: &State, chosen: &mut Vec<CompactionSpec>) {
        let now = self.clock.monotonic_ns();
        chosen.retain(|spec| state.failed.get(&place(spec)).is_none_or(|b| b.until <= now));
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
        let versions = files.buckets().into_iter().filter_map(|b| files.version(b));
        let (count, bytes) = versions.flat_map(|v| v.files.clone()).fold((0, 0), |(n, bytes), f| (n + 1, bytes + f.bytes));
        MaintenanceFigures { files: count, bytes, ..self.figures.lock().clone() }
    }
}

fn place(spec: &CompactionSpec) -> (BucketId, Arc<str>, i64) {
    (spec.bucket, spec.inputs[0].measurement.clone(), spec.inputs[0].partition)
}

impl Engine {
    /// Runs one pass of maintenance now, a sweep for garbage with it; after a change of a bucket's retention, for instance.
    /// The first failure, after everything was tried.
    pub async fn maintain(&self) -> Result<MaintenanceFigures> {
        self.inner.maintenance.pass(Sweep::Now).await?;
        Ok(self.maintenance())
    }

    /// Has the next pass begin at once, without waiting for it.
    pub fn maintain_soon(&self) {
        self.inner.maintenance.wanted.notify_one();
    }

    pub fn maintenance(&self) -> MaintenanceFigures {
        self.inner.maintenance.figures()
    }
}
