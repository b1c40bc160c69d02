//! Bytes at rest. Storage has never heard of a query language, of users, or of HTTP.
//!
//! ```text
//! write: lines -> stage -> log (synced) -> buffer -> acknowledged        flush: buffer -> Parquet -> manifest -> log trimmed
//! read:  chunks of the buffer + files of the manifest version -> merge   open:  manifest, then the log behind it
//! ```

pub mod block;
pub mod buffer;
pub mod chunk;
pub mod compaction;
pub mod cut;
pub mod delete;
pub mod disk;
pub mod duplicates;
pub mod failpoint;
pub mod feed;
pub mod files;
pub mod fs;
pub mod garbage;
pub mod inspect;
pub mod manifest;
pub mod merge;
mod newest;
pub mod object;
pub mod open;
pub mod parquet;
pub mod policy;
pub mod prune;
pub mod read;
pub mod rebuild;
pub mod recover;
pub mod retention;
pub mod verify;
pub mod wal;
pub mod write;

pub use open::{BufferedDamage, StorageOptions};
pub use write::{BadLines, WriteReport, WriteRequest};

use crate::{
    clock::Randomness,
    model::{BucketId, DeleteSpec, Failure, MeasurementSchema, Result, TimeRange, Timestamp},
};
use buffer::{
    StagedTable, Table,
    table::{View, Whole},
};
use chunk::Chunk;
use files::FileStore;
use parking_lot::{Mutex, RwLock};
use read::MeasurementSnapshot;
use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// The one handle on stored rows; clones share it.
#[derive(Clone)]
pub struct Storage {
    inner: Arc<Inner>,
}

struct Inner {
    options: StorageOptions,
    files: FileStore,
    log: wal::Log,
    log_files: Arc<dyn fs::FileSystem>,
    randomness: Randomness,
    /// Every measurement that had rows and was not dropped, with what is buffered and not yet in files.
    schemas: RwLock<HashMap<BucketId, Schemas>>,
    buckets: RwLock<HashMap<BucketId, Arc<Bucket>>>,
    in_flight: Mutex<InFlight>,
    /// Tells who waits that one of those has come to its end.
    landed: tokio::sync::Notify,
    /// Bytes of rows that are in no file.
    buffered: AtomicUsize,
    flushing: tokio::sync::Mutex<()>,
    /// Writes share it from their first look at a schema until their rows are visible; what takes a schema away has it alone.
    writing: tokio::sync::RwLock<()>,
    /// How often a schema lost something: by it a reader notices that the one it began with is another one by now.
    drops: AtomicUsize,
    flush_wanted: tokio::sync::Notify,
    /// Buckets of which the log has records that another process brought into files. What it said of that may not last, or it said nothing.
    unconfirmed: Mutex<BTreeSet<BucketId>>,
    damage: Vec<BufferedDamage>,
}

type Schemas = HashMap<Arc<str>, Arc<MeasurementSchema>>;

/// The buffered rows of a bucket.
#[derive(Default)]
struct Bucket {
    tables: Mutex<Tables>,
}

#[derive(Default)]
struct Tables {
    active: HashMap<Arc<str>, Table>,
    /// What a flush is making files of; visible until its manifest commit. A failed flush leaves it for the next one.
    frozen: Vec<(Arc<str>, Table)>,
}

impl Tables {
    /// Those of a measurement, the one with the newest rows last.
    fn of_mut(&mut self, measurement: &str) -> impl Iterator<Item = &mut Table> {
        let frozen = self.frozen.iter_mut().filter(move |(m, _)| m.as_ref() == measurement).map(|(_, table)| table);
        frozen.chain(self.active.get_mut(measurement))
    }
}

/// Sequences that the log has given out and whose rows are not yet visible.
#[derive(Default)]
struct InFlight {
    open: BTreeSet<u64>,
    last: u64,
}

impl InFlight {
    fn begin(&mut self, sequence: u64) {
        self.open.insert(sequence);
        self.last = self.last.max(sequence);
    }

    fn end(&mut self, sequence: u64) {
        self.open.remove(&sequence);
    }

    /// Every record up to here is in the buffer, or failed.
    fn settled(&self) -> u64 {
        self.open.first().map_or(self.last, |first| first - 1)
    }
}

impl Storage {
    pub fn options(&self) -> &StorageOptions {
        &self.inner.options
    }

    pub fn files(&self) -> &FileStore {
        &self.inner.files
    }

    /// What could not be read back when the store was opened.
    pub fn damage(&self) -> &[BufferedDamage] {
        &self.inner.damage
    }

    /// The same, with what was found damaged since, and without files that are well again.
    pub fn damage_now(&self) -> Vec<BufferedDamage> {
        let lasting = self.inner.damage.iter().filter(|d| !self.inner.files.was_damaged(&d.file)).cloned();
        let what = "the disk does not keep what it has: writes are refused until it does";
        let not_renewed = self.inner.log.not_renewed().into_iter().chain(self.inner.files.not_renewed());
        let not_renewed = not_renewed.map(|file| BufferedDamage { file, what: what.into() });
        lasting.chain(not_renewed).chain(self.inner.files.damaged().into_iter().map(|(file, what)| BufferedDamage { file, what })).collect()
    }

    pub fn buffered_bytes(&self) -> usize {
        self.inner.buffered.load(Ordering::Relaxed)
    }

    /// Decoded parts of files that are kept.
    pub fn cached_bytes(&self) -> usize {
        self.inner.files.cached_bytes()
    }

    pub fn schema(&self, bucket: BucketId, measurement: &str) -> Option<Arc<MeasurementSchema>> {
        self.inner.schemas.read().get(&bucket)?.get(measurement).cloned()
    }

    /// In name order.
    pub fn schemas(&self, bucket: BucketId) -> Vec<Arc<MeasurementSchema>> {
        let mut all: Vec<_> = self.inner.schemas.read().get(&bucket).map(|s| s.values().cloned().collect()).unwrap_or_default();
        all.sort_by(|a, b| a.measurement.cmp(&b.measurement));
        all
    }

    /// The rows of one measurement as of now; rows before `floor` are hidden. `None` when it never had any, or was dropped.
    pub fn snapshot(&self, bucket: BucketId, measurement: &str, floor: Option<Timestamp>) -> Option<MeasurementSnapshot> {
        loop {
            let drops = self.inner.drops.load(Ordering::Acquire);
            let schema = self.schema(bucket, measurement)?;
            let flushed_through = self.inner.files.flushed_through(bucket);
            // The buffer first: a flush in between hides no rows.
            let chunks = self.chunks(bucket, measurement, flushed_through).iter().map(|chunk| Chunk::clone(chunk)).collect();
            let mut snapshot = self.inner.files.snapshot(bucket, measurement, Some(schema), chunks, floor.unwrap_or(Timestamp::MIN))?;
            // Nor may it show any twice.
            if snapshot.files.flushed_through() != flushed_through {
                continue;
            }
            // The schema last: what is new in a row is in the schema before the row can be seen.
            snapshot.schema = self.schema(bucket, measurement)?;
            // Otherwise the rows may be those of a new measurement of the name, and the schema that of the old one.
            if self.inner.drops.load(Ordering::Acquire) == drops {
                return Some(snapshot);
            }
        }
    }

    /// Buffered rows, sorted, oldest first; without those that a flush has brought into files up to the sequence, and not taken out
    /// of the buffer yet.
    pub fn chunks(&self, bucket: BucketId, measurement: &str, flushed_through: u64) -> Vec<Arc<Chunk>> {
        let Some(entry) = self.inner.buckets.read().get(&bucket).cloned() else { return vec![] };
        let duplicates = self.inner.files.duplicates(bucket);
        let views: Vec<View> = {
            let tables = entry.tables.lock();
            let frozen = tables.frozen.iter().filter(|(m, table)| m.as_ref() == measurement && table.last_sequence() > flushed_through);
            let all = frozen.map(|(_, table)| table).chain(tables.active.get(measurement));
            all.map(|table| table.view(duplicates)).collect()
        };
        // The schema after the rows: it has every tag and field of theirs.
        let Some(schema) = self.schema(bucket, measurement) else { return vec![] };
        let mut chunks = vec![];
        for mut view in views {
            let (sorted, is_new) = view.chunks(&schema);
            if is_new {
                // A flush may have set it apart meanwhile.
                entry.tables.lock().of_mut(measurement).for_each(|table| table.remember(&view));
            }
            chunks.extend(sorted);
        }
        chunks
    }

    /// Forgets a measurement: its rows, and what its tags and fields were, so that later writes may choose other types. Durable
    /// when it returns. A write at the same time counts as before it or after it, whole. Dropping the future does not undo it.
    ///
    /// How many rows at `floor` or later it had; `None` where that takes long to count, or a file that cannot be read may have
    /// had some.
    pub async fn drop_measurement(&self, bucket: BucketId, measurement: &str, floor: Option<Timestamp>) -> Result<Option<u64>> {
        let (storage, measurement) = (self.clone(), Arc::<str>::from(measurement));
        // Once the manifest has forgotten it, so must memory.
        to_the_end("dropping a measurement", async move {
            let everything = DeleteSpec { range: TimeRange::ALL, measurement: Some(measurement.clone()), tags: vec![] };
            let before = storage.forget(bucket, measurement).await?;
            storage.count(bucket, before, vec![everything], floor).await
        })
        .await
    }

    /// The state before; `None` when there is no such measurement.
    async fn forget(&self, bucket: BucketId, measurement: Arc<str>) -> Result<Option<Arc<manifest::Version>>> {
        let before;
        let no_flush = self.inner.flushing.lock().await;
        // Nearly all of it while writes go on, so that they wait for little.
        self.flush_alone(&no_flush).await?;
        {
            let _no_write = self.inner.writing.write().await;
            if self.schema(bucket, &measurement).is_none() {
                return Ok(None);
            }
            // The log may still hold rows of other measurements beside those that must not come back: it is needed no more.
            let sequence = self.flush_alone(&no_flush).await?;
            before = self.inner.files.version(bucket);
            self.inner.files.drop_measurement(bucket, measurement.clone(), sequence).await?;
            if let Some(schemas) = self.inner.schemas.write().get_mut(&bucket) {
                schemas.remove(&measurement);
            }
            self.inner.drops.fetch_add(1, Ordering::Release);
        }
        self.inner.files.say_twice(bucket).await?;
        Ok(before)
    }

    /// Forgets a bucket's rows; its identifier must not be used again.
    pub async fn drop_bucket(&self, bucket: BucketId) -> Result<()> {
        let _no_flush = self.inner.flushing.lock().await;
        if let Some(entry) = self.inner.buckets.write().remove(&bucket) {
            let tables = entry.tables.lock();
            let bytes = tables.active.values().chain(tables.frozen.iter().map(|(_, t)| t)).map(Table::bytes).sum();
            self.inner.buffered.fetch_sub(bytes, Ordering::Relaxed);
        }
        self.inner.schemas.write().remove(&bucket);
        let sequence = self.inner.in_flight.lock().last;
        self.inner.files.drop_bucket(bucket, sequence).await
    }

    /// Wakes the background flush.
    pub fn flush_soon(&self) {
        self.inner.flush_wanted.notify_one();
    }

    /// Flushes when the buffer is large or old, until the returned job is aborted.
    pub fn spawn_flushing(&self) -> tokio::task::JoinHandle<()> {
        let storage = self.clone();
        tokio::spawn(async move {
            loop {
                let _ = tokio::time::timeout(storage.options().flush_interval, storage.inner.flush_wanted.notified()).await;
                if storage.buffered_bytes() == 0 {
                    continue;
                }
                // A flush is not broken off when this job is: its commit may be under way.
                let work = storage.clone();
                if let Ok(Err(failure)) = tokio::spawn(async move { work.flush().await }).await {
                    tracing::error!(%failure, "flush failed; the rows stay in the log and the buffer, and the next flush tries again");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        })
    }

    /// Flushes and ends the log. Later writes are refused.
    pub async fn close(&self) -> Result<()> {
        let flushed = self.flush().await;
        let log = self.clone();
        let _ = tokio::task::spawn_blocking(move || log.inner.log.close()).await;
        flushed
    }

    /// Waits until all that was acknowledged by now is where a flush takes it: an earlier write that is still under way
    /// holds back what later ones have brought.
    async fn settled(&self) {
        let last = self.inner.in_flight.lock().last;
        loop {
            let landed = self.inner.landed.notified();
            if self.inner.in_flight.lock().settled() >= last {
                return;
            }
            landed.await;
        }
    }

    fn apply(&self, bucket: BucketId, sequence: u64, staged: Vec<StagedTable>) {
        let known = self.inner.buckets.read().get(&bucket).cloned();
        let entry = known.unwrap_or_else(|| self.inner.buckets.write().entry(bucket).or_default().clone());
        let mut tables = entry.tables.lock();
        let mut bytes = 0;
        for table in staged {
            bytes += tables.active.entry(table.measurement.clone()).or_default().append(sequence, table);
        }
        self.inner.buffered.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Long work gives way here to what waits for a processor. Many kernels preempt a thread that computes only at their next tick, after up to
/// 4 ms, and a small question has several threads woken one after the other. Once in some hundred microseconds costs nothing measurable.
fn give_way() {
    std::thread::yield_now();
}

/// Does long work off the async threads. One of them that computes for milliseconds may be the one that hears for all of them what comes over
/// the network: small questions would wait as long. Fails when the work panics.
async fn apart<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Failure::internal(format!("{what} panicked: {e}")))
}

/// Does work that goes on when nobody waits for it any more.
async fn to_the_end<T: Send + 'static>(what: &str, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.map_err(|e| Failure::internal(format!("{what} panicked: {e}")))?
}

impl Bucket {
    /// Sets rows up to `sequence` apart for a flush and gives all that is set apart.
    fn freeze(&self, sequence: u64) -> Vec<(Arc<str>, Whole)> {
        let mut tables = self.tables.lock();
        let Tables { active, frozen } = &mut *tables;
        for (measurement, table) in active.iter_mut() {
            let cut = table.split_through(sequence);
            if !cut.is_empty() {
                frozen.push((measurement.clone(), cut));
            }
        }
        active.retain(|_, table| !table.is_empty());
        frozen.iter().map(|(m, t)| (m.clone(), t.whole())).collect()
    }

    /// Takes out frozen rows up to `sequence`, which are in files now.
    fn thaw(&self, sequence: u64) -> Vec<Table> {
        let frozen = &mut self.tables.lock().frozen;
        let gone = frozen.iter_mut().map(|(_, table)| table.split_through(sequence)).collect();
        frozen.retain(|(_, table)| !table.is_empty());
        gone
    }
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod failing_disk;
#[cfg(all(test, feature = "s3"))]
mod failing_store;
#[cfg(all(test, feature = "s3"))]
mod mistakes;
#[cfg(test)]
mod power_loss;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod type_conflicts;
