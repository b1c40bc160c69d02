//! The files of all buckets: what a flush adds, what a delete hides, what a restart finds.
//!
//! Rows are durable and visible when their manifest commit returns, and not before: a crash between a file and the
//! commit leaves an unreferenced file and the old state. Only one process may write to a store.

use crate::clock::{Clock, Randomness};
use crate::model::{BucketId, DeleteSpec, Duplicates, ErrorKind, Failure, MeasurementSchema, Result, TimeRange};
use crate::storage::{
    apart,
    chunk::Chunk,
    duplicates::DuplicatesOf,
    failpoint::{Failpoint, Failpoints, Mistake},
    manifest::{Committed, Edit, FileMeta, FileSlice, ManifestStore, Stamp, Tombstone, Totals, Version},
    object::{STAGED_FOLDER, Store, StoreError},
    parquet::{decimal::Decimals, file::FileReader, writer::FileWriter},
    read::MeasurementSnapshot,
    recover,
    retention::SafeTime,
};
use arrow::{array::UInt32Array, compute::take_record_batch, record_batch::RecordBatch};
use futures::{StreamExt, TryStreamExt};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Rows at a time of a [`FileStore::bulk_snapshot`].
pub(super) const BULK_BATCH_ROWS: usize = 16_384;

#[derive(Debug, Clone)]
pub struct FileOptions {
    /// Length of a time partition in nanoseconds; partitions begin at multiples of it.
    pub partition_ns: i64,
    /// Decoded columns and footers kept in memory.
    pub cache_bytes: usize,
    pub duplicates: DuplicatesOf,
    /// Files that are no longer part of a bucket stay for so long, for readers in other processes.
    pub grace: Duration,
    pub failpoints: Failpoints,
}

impl Default for FileOptions {
    /// Partitions of one UTC day.
    fn default() -> FileOptions {
        let (partition_ns, cache_bytes, grace) = (86_400_000_000_000, 512 << 20, Duration::from_secs(600));
        FileOptions { partition_ns, cache_bytes, duplicates: DuplicatesOf::default(), grace, failpoints: Failpoints::default() }
    }
}

/// Buffered rows of one measurement on their way into files.
pub struct Flushing {
    schema: Arc<MeasurementSchema>,
    /// The greatest that a row came with.
    sequence: u64,
    pieces: Vec<Piece>,
}

/// The rows of one partition, sorted.
struct Piece {
    partition: i64,
    /// The smallest sequence that a row came with.
    first_sequence: u64,
    rows: RecordBatch,
}

impl Flushing {
    /// `first_sequences`: the smallest sequence that a row of each partition came with, if not the chunk's.
    pub fn new(chunk: &Chunk, first_sequences: &BTreeMap<i64, u64>, partition_ns: i64) -> Result<Flushing> {
        let start = |time: i64| partition_of(time, partition_ns);
        let piece = |partition, rows| {
            let first_sequence = first_sequences.get(&partition).copied().unwrap_or(chunk.sequence);
            Piece { partition, first_sequence, rows }
        };
        let (first, last) = (start(chunk.time_min), start(chunk.time_max));
        let all = chunk.batch()?;
        let pieces = if first == last {
            vec![piece(first, all)]
        } else {
            // Late rows may be of thousands of partitions: each row is looked at once.
            let mut rows_of: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
            for (row, &time) in chunk.time().values().iter().enumerate() {
                rows_of.entry(start(time)).or_default().push(row as u32);
            }
            let taken =
                rows_of.into_iter().map(|(partition, rows)| Ok(piece(partition, take_record_batch(&all, &UInt32Array::from(rows))?)));
            taken.collect::<Result<_>>()?
        };
        Ok(Flushing { schema: chunk.schema.clone(), sequence: chunk.sequence, pieces })
    }
}

/// When the partition begins that holds the time. The one of the smallest time would begin before it; it begins at it.
pub fn partition_of(time: i64, partition_ns: i64) -> i64 {
    time.div_euclid(partition_ns).checked_mul(partition_ns).unwrap_or(i64::MIN)
}

/// What a store held when it was opened.
#[derive(Debug, Default)]
pub struct Recovered {
    pub buckets: Vec<RecoveredBucket>,
    /// Paths of damaged objects and why; the rest is served.
    pub damaged: Vec<(String, String)>,
}

#[derive(Debug)]
pub struct RecoveredBucket {
    pub bucket: BucketId,
    pub schemas: Vec<Arc<MeasurementSchema>>,
    /// Rows up to this log sequence need no replay.
    pub flushed_through: u64,
    /// New rows and deletes must take greater sequences.
    pub sequence_max: u64,
    /// Files are lost that may carry greater sequences.
    pub has_lost: bool,
}

/// A handle; clones share the files.
#[derive(Clone)]
pub struct FileStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub store: Store,
    pub reader: Arc<FileReader>,
    /// For what reads everything once.
    pub bulk_reader: Arc<FileReader>,
    pub options: FileOptions,
    pub clock: Arc<dyn Clock>,
    randomness: Randomness,
    writer: u64,
    buckets: RwLock<HashMap<BucketId, Arc<Bucket>>>,
    /// Paths that were damaged at opening.
    lost: BTreeSet<String>,
    /// Paths of files between their first byte and their commit.
    pub writing: Mutex<HashSet<String>>,
    /// Files that have left a manifest, as long as readers hold them.
    leaving: Mutex<HashMap<String, Weak<FileMeta>>>,
    pub safe_time: Mutex<SafeTime>,
    /// Bytes of the disk that are set aside for files being merged.
    pub reserved: Mutex<u64>,
}

pub(super) struct Bucket {
    pub manifest: ManifestStore,
    current: RwLock<Arc<Version>>,
    /// Of the version of that number.
    totals: Mutex<Option<(u64, Totals)>>,
    /// Number of the next commit. Held through a commit, so that commits of one bucket come one after another.
    next: tokio::sync::Mutex<u64>,
    /// Files of commits that failed without our knowing whether they arrived. The next commit tells.
    doubtful: Mutex<Vec<Draft>>,
    in_doubt: AtomicBool,
    /// Paths of what was found and could not be renewed yet: the newest version, and files that no version names before that.
    to_renew: Mutex<Vec<String>>,
    /// Compactions share it; a delete that rewrites files has it alone.
    pub merging: tokio::sync::RwLock<()>,
}

/// A file that is being written, until it is in the manifest or given up. Garbage collection leaves it alone.
pub(super) struct Draft {
    files: FileStore,
    pub meta: FileMeta,
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.files.inner.writing.lock().remove(&self.meta.path);
    }
}

impl Bucket {
    fn new(manifest: ManifestStore, version: Version, next: u64) -> Bucket {
        let current = RwLock::new(Arc::new(version));
        Bucket {
            manifest,
            current,
            totals: Mutex::default(),
            next: tokio::sync::Mutex::new(next),
            doubtful: Mutex::default(),
            in_doubt: AtomicBool::new(false),
            to_renew: Default::default(),
            merging: Default::default(),
        }
    }

    /// What was found of the bucket survives a power loss when this returns.
    async fn renew(&self, store: &Store) -> Result<(), StoreError> {
        recover::renew(store, &self.to_renew).await
    }

    /// Whether a commit failed and may have arrived all the same.
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Relaxed)
    }
}

/// Work of which decoding and encoding are long stretches: not on the threads that serve requests.
pub(super) async fn computing<T: Send + 'static>(what: &str, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let runtime = tokio::runtime::Handle::current();
    apart(what, move || runtime.block_on(work)).await?
}

/// Some of the rows of a flush may turn out to be in files.
fn arrived() -> Failure {
    Failure::new(ErrorKind::Unavailable, "an earlier commit had arrived after all; the next flush goes on from it")
}

/// Buckets whose manifests are renewed at the same time. A file system has one commit for all that wait for a sync.
const RENEWALS_IN_FLIGHT: usize = 32;
/// Files that one flush encodes and writes at the same time.
const FLUSH_WRITERS: usize = 2;
/// Enough for the footers of the files that one compaction reads and a row group of each.
const BULK_CACHE_BYTES: usize = 64 << 20;

impl FileStore {
    pub async fn open(store: Store, options: FileOptions, clock: Arc<dyn Clock>, randomness: Randomness) -> Result<(FileStore, Recovered)> {
        let mut recovered = Recovered::default();
        let mut buckets: HashMap<BucketId, Arc<Bucket>> = HashMap::new();
        let writer = randomness.next_u64();
        let reader = Arc::new(FileReader::new(store.clone(), options.cache_bytes));
        store.check_create(writer).await?;
        // What a crash left half written; nothing refers to it.
        for left in store.list(STAGED_FOLDER).await? {
            if let Err(error) = store.delete(&left.path).await {
                tracing::warn!(path = left.path, %error, "what an earlier process left half written stays");
            }
        }
        for bucket in ManifestStore::buckets(&store).await? {
            let manifest = ManifestStore::new(store.clone(), bucket);
            let mut loaded = manifest.load().await?;
            recovered.damaged.append(&mut loaded.damaged.clone());
            let mut to_renew = Mutex::default();
            if !loaded.version.dropped {
                let repaired = recover::repair(&store, &manifest, &mut loaded, options.partition_ns, writer, clock.now()).await;
                recovered.damaged.extend(repaired.damaged);
                to_renew = repaired.to_renew;
            }
            if !loaded.version.dropped {
                recovered.buckets.push(RecoveredBucket {
                    bucket,
                    schemas: loaded.version.schemas.values().cloned().collect(),
                    flushed_through: loaded.version.flushed_through,
                    sequence_max: loaded.version.sequence_max(),
                    has_lost: !loaded.version.lost.is_empty(),
                });
            }
            // A dropped one, too: its rows were seen to be gone.
            if loaded.version.number > 0 && loaded.version.writer != writer && !options.failpoints.has(Mistake::FoundStateBelieved) {
                to_renew.lock().push(ManifestStore::path_of(bucket, loaded.version.number));
            }
            let entry = Bucket { to_renew, ..Bucket::new(manifest, loaded.version, loaded.next) };
            buckets.insert(bucket, Arc::new(entry));
        }
        let renewed = futures::stream::iter(buckets.values().map(Ok));
        if let Err(error) = renewed.try_for_each_concurrent(RENEWALS_IN_FLIGHT, |bucket| bucket.renew(&store)).await {
            tracing::error!(%error, "the disk does not keep what manifests say; writes to their buckets are refused until it does");
        }
        for (path, what) in &recovered.damaged {
            tracing::error!(path, what, "damaged; what does not need it is served");
            reader.damage(path, what);
        }
        let lost = recovered.damaged.iter().map(|d| d.0.clone()).collect();
        let bulk_reader = Arc::new(reader.beside(BULK_CACHE_BYTES));
        let as_of = buckets.values().map(|b| b.current.read().as_of).filter(|t| *t > i64::MIN).max();
        let safe_time = Mutex::new(SafeTime::new(as_of, clock.now(), clock.monotonic_ns()));
        let (buckets, writing, leaving, reserved) = (RwLock::new(buckets), Mutex::default(), Mutex::default(), Mutex::default());
        let inner =
            Inner { store, reader, bulk_reader, options, clock, randomness, writer, buckets, lost, writing, leaving, safe_time, reserved };
        Ok((FileStore { inner: Arc::new(inner) }, recovered))
    }

    /// Makes frozen rows files, and records that the log up to `flushed_through` is no longer needed; they are all the rows of
    /// their measurements up to there that are in no file. All or nothing: on an error the old state stands.
    pub async fn flush(&self, bucket: BucketId, flushing: Vec<Flushing>, flushed_through: u64) -> Result<()> {
        let entry = self.entry(bucket);
        // Held from here on: files of a damaged version are found again by its number, so they must carry it.
        let mut next = entry.next.lock().await;
        let known = entry.current.read().flushed_through;
        let mut pieces = vec![];
        let mut schemas = vec![];
        for Flushing { schema, sequence, pieces: parts } in flushing {
            for Piece { partition, first_sequence, rows } in parts {
                if first_sequence <= known {
                    return Err(arrived());
                }
                let draft = self.draft(bucket, schema.measurement.clone(), partition, |meta| {
                    (meta.sequence_min, meta.sequence_max, meta.created_in) = (first_sequence, sequence, *next);
                });
                pieces.push((draft, schema.clone(), rows));
            }
            schemas.push(schema);
        }
        let write = |(draft, schema, rows)| self.write_file(bucket, draft, schema, rows);
        let drafts: Vec<Draft> = futures::stream::iter(pieces).map(write).buffered(FLUSH_WRITERS).try_collect().await?;
        let edit = Edit {
            flushed_through: Some(flushed_through),
            add: drafts.iter().map(|d| Arc::new(d.meta.clone())).collect(),
            schemas,
            ..Edit::default()
        };
        let number = *next;
        let make = |_: &Version, next| match next == number {
            true => Ok(Some(edit.clone())),
            false => Err(arrived()),
        };
        self.commit_locked(&entry, &mut next, drafts, make).await.map(drop)
    }

    async fn write_file(&self, bucket: BucketId, mut draft: Draft, schema: Arc<MeasurementSchema>, rows: RecordBatch) -> Result<Draft> {
        let meta = draft.meta.clone();
        let encode = move || {
            let mut writer = FileWriter::new(bucket, &schema, Decimals::of_rows(&rows), meta)?;
            writer.write(&rows)?;
            writer.finish()
        };
        let (bytes, meta) = apart("writing a Parquet file", encode).await??;
        self.pass(Failpoint::ParquetWrite)?;
        self.inner.store.create(&meta.path, bytes).await?;
        self.pass(Failpoint::StorePut)?;
        draft.meta = meta;
        Ok(draft)
    }

    /// A new file that garbage collection leaves alone.
    pub(super) fn draft(&self, bucket: BucketId, measurement: Arc<str>, partition: i64, fill: impl FnOnce(&mut FileMeta)) -> Draft {
        let mut meta = FileMeta::draft(bucket, measurement, partition, self.inner.randomness.next_u64().max(1));
        meta.written_at = self.inner.clock.now();
        fill(&mut meta);
        self.inner.writing.lock().insert(meta.path.clone());
        Draft { files: self.clone(), meta }
    }

    /// Hides the named rows of all files and chunks whose sequence is not greater than `sequence`. Every row up to it is in
    /// files, and no flush may commit until this returns: a file beside the delete would have rows of both sides.
    pub async fn delete(&self, bucket: BucketId, deletes: Vec<DeleteSpec>, sequence: u64) -> Result<()> {
        let tombstones = deletes.into_iter().map(|delete| Tombstone::new(sequence, delete)).collect();
        let edit = Edit { tombstones, flushed_through: Some(sequence), ..Edit::default() };
        self.commit(bucket, vec![], |_, _| Ok(Some(edit.clone()))).await?;
        self.pass(Failpoint::Tombstone)?;
        self.say_twice(bucket).await
    }

    /// Takes a measurement's files and schema out of the bucket; durable when it returns. Every row up to `sequence` is in
    /// files, and nothing may be logged or flushed until this returns.
    pub async fn drop_measurement(&self, bucket: BucketId, measurement: Arc<str>, sequence: u64) -> Result<()> {
        // The delete is over at once, unless a file is lost that may have rows of the measurement and be restored one day.
        let everything = DeleteSpec { range: TimeRange::ALL, measurement: Some(measurement.clone()), tags: vec![] };
        let edit = Edit {
            drop_measurement: Some(measurement),
            tombstones: vec![Tombstone::new(sequence, everything)],
            flushed_through: Some(sequence),
            ..Edit::default()
        };
        self.commit(bucket, vec![], |_, _| Ok(Some(edit.clone()))).await.map(drop)
    }

    /// The bucket and all its rows, up to `sequence`, are gone when this returns.
    pub async fn drop_bucket(&self, bucket: BucketId, sequence: u64) -> Result<()> {
        let edit = Edit { drop_bucket: true, flushed_through: Some(sequence), ..Edit::default() };
        self.commit(bucket, vec![], |now, _| Ok((!now.dropped).then(|| edit.clone()))).await?;
        self.say_twice(bucket).await
    }

    /// A second version that says the same. Rows can be found in their files again when one version is damaged; deletes are
    /// in the manifest only, so two must be damaged before one is lost.
    pub(super) async fn say_twice(&self, bucket: BucketId) -> Result<()> {
        self.commit(bucket, vec![], |_, _| Ok(Some(Edit::default()))).await.map(drop)
    }

    pub(super) fn cached_bytes(&self) -> usize {
        self.inner.reader.cache.bytes() + self.inner.bulk_reader.cache.bytes()
    }

    /// Paths of damaged objects, with the reason: manifest versions found so at opening, and files of the current state
    /// that could not be read. A query that needs one fails and names it.
    pub fn damaged(&self) -> Vec<(String, String)> {
        let buckets: Vec<Arc<Bucket>> = self.inner.buckets.read().values().cloned().collect();
        let versions: Vec<Arc<Version>> = buckets.iter().map(|b| b.current.read().clone()).collect();
        // A file that has left the state may be gone while a long query still asks for it.
        let left = |path: &str| path.ends_with(".parquet") && !versions.iter().any(|v| v.files.iter().any(|f| f.path == path));
        let unreferenced = |path: &str| left(path) && !self.inner.lost.contains(path);
        self.inner.reader.damaged().into_iter().filter(|(path, _)| !unreferenced(path)).collect()
    }

    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Whether the object was damaged at opening.
    pub fn was_damaged(&self, path: &str) -> bool {
        self.inner.lost.contains(path)
    }

    /// Schemas of everything that was flushed, in measurement order.
    pub fn schemas(&self, bucket: BucketId) -> Vec<Arc<MeasurementSchema>> {
        self.version(bucket).map_or_else(Vec::new, |v| v.schemas.values().cloned().collect())
    }

    /// The state of a bucket now; `None` when it was never flushed.
    pub fn version(&self, bucket: BucketId) -> Option<Arc<Version>> {
        let entry = self.inner.buckets.read().get(&bucket).cloned()?;
        let version = entry.current.read().clone();
        Some(version)
    }

    /// What the bucket does with duplicates now. Rows that were merged by another policy stay as they are.
    pub fn duplicates(&self, bucket: BucketId) -> Duplicates {
        self.inner.options.duplicates.get(bucket)
    }

    /// Rows up to this sequence of the log are in files.
    pub fn flushed_through(&self, bucket: BucketId) -> u64 {
        self.version(bucket).map_or(0, |version| version.flushed_through)
    }

    /// What the files of a bucket come to now.
    pub fn totals(&self, bucket: BucketId) -> Totals {
        let Some(entry) = self.inner.buckets.read().get(&bucket).cloned() else { return Totals::default() };
        let version = entry.current.read().clone();
        let mut known = entry.totals.lock();
        if let Some((number, totals)) = *known
            && number == version.number
        {
            return totals;
        }
        known.insert((version.number, version.totals())).1
    }

    /// The files of a measurement together with the buffer's `chunks`; `None` when there is no such measurement.
    /// `schema` is the buffer's, when it has one: it covers what was flushed.
    ///
    /// Take the chunks *before* calling this, so that a flush in between hides no rows, and see by
    /// [`FileSlice::flushed_through`] that it does not show some twice.
    pub fn snapshot(
        &self,
        bucket: BucketId,
        measurement: &str,
        schema: Option<Arc<MeasurementSchema>>,
        chunks: Vec<Chunk>,
        time_floor: i64,
    ) -> Option<MeasurementSnapshot> {
        let version = self.version(bucket).unwrap_or_else(|| Arc::new(Version::empty(bucket)));
        let schema = schema.or_else(|| version.schemas.get(measurement).cloned())?;
        let tombstones = version.tombstones.iter().filter(|t| t.delete.concerns(measurement)).cloned().collect();
        let lost = version.lost.clone();
        let files = FileSlice::of(version, measurement);
        let (duplicates, reader) = (self.duplicates(bucket), self.inner.reader.clone());
        Some(MeasurementSnapshot { schema, chunks, files, tombstones, lost, time_floor, duplicates, reader })
    }

    /// Files of one partition in a version, to be read once and whole; nothing has expired.
    pub(super) fn bulk_snapshot(
        &self,
        version: &Version,
        schema: &Arc<MeasurementSchema>,
        files: Vec<Arc<FileMeta>>,
    ) -> MeasurementSnapshot {
        MeasurementSnapshot {
            schema: schema.clone(),
            chunks: vec![],
            files: FileSlice::of_partition(version.bucket, files),
            tombstones: if self.has(Mistake::DeleteNotFoldedIn) { vec![] } else { version.tombstones.clone() },
            lost: vec![],
            time_floor: i64::MIN,
            duplicates: self.duplicates(version.bucket),
            reader: self.inner.bulk_reader.clone(),
        }
    }

    /// Commits what `make` says of the current state and the next number; nothing when it says nothing. It is asked again when
    /// the state turns out to be another. `drafts` are the files that the edit adds.
    pub(super) async fn commit(
        &self,
        bucket: BucketId,
        drafts: Vec<Draft>,
        make: impl Fn(&Version, u64) -> Result<Option<Edit>>,
    ) -> Result<Arc<Version>> {
        let entry = self.entry(bucket);
        let mut next = entry.next.lock().await;
        self.commit_locked(&entry, &mut next, drafts, make).await
    }

    async fn commit_locked(
        &self,
        entry: &Bucket,
        next: &mut u64,
        drafts: Vec<Draft>,
        make: impl Fn(&Version, u64) -> Result<Option<Edit>>,
    ) -> Result<Arc<Version>> {
        loop {
            let before = entry.current.read().clone();
            let Some(edit) = make(&before, *next)? else { return Ok(before) };
            entry.renew(&self.inner.store).await?;
            let (writer, now, as_of) = (self.inner.writer, self.inner.clock.now(), self.safe_now());
            let stamp = Stamp { number: *next, writer, now, as_of };
            let committed = match self.pass(Failpoint::ManifestCommit) {
                Ok(()) => entry.manifest.commit(&before, &edit, stamp).await,
                Err(killed) => Err(killed),
            };
            self.pass(Failpoint::ManifestCommitted)?;
            let (after, done) = match committed {
                Ok(Committed::Now(after)) => (after, true),
                Ok(Committed::Earlier(after)) => (after, false),
                Err(failure) => {
                    // It may have arrived: then its files are referred to, and must not be taken for garbage.
                    if failure.kind == ErrorKind::Unavailable {
                        entry.doubtful.lock().extend(drafts);
                        entry.in_doubt.store(true, Ordering::Relaxed);
                    }
                    return Err(failure);
                }
            };
            let after = Arc::new(after);
            *next += 1;
            self.watch_leaving(&before, &after);
            *entry.current.write() = after.clone();
            entry.doubtful.lock().clear();
            entry.in_doubt.store(false, Ordering::Relaxed);
            if done {
                return Ok(after);
            }
        }
    }

    /// What was found of the bucket when the store was opened survives a power loss when this returns: whoever wrote it may have been killed
    /// before its sync. Nothing that relies on it may be answered before; usually the opening has seen to it.
    pub async fn renew(&self, bucket: BucketId) -> Result<()> {
        let known = self.inner.buckets.read().get(&bucket).cloned();
        match known {
            Some(entry) => Ok(entry.renew(&self.inner.store).await?),
            None => Ok(()),
        }
    }

    /// Paths of what keeps writes from being accepted, as the disk does not keep it.
    pub fn not_renewed(&self) -> Vec<String> {
        self.inner.buckets.read().values().flat_map(|bucket| bucket.to_renew.lock().clone()).collect()
    }

    /// Says again what another process said. Its version may not last, by what that one's disk did; what this process commits does. Before
    /// this nothing may be deleted on the word of the version. `through`: no record up to there is needed of the log. The version says so
    /// from now on, also when a flush came to files only and these are replaced by less one day.
    pub async fn confirm(&self, bucket: BucketId, through: u64) -> Result<()> {
        let believed = self.has(Mistake::FoundVersionBelieved);
        let is_told = |now: &Version| believed || !self.is_anothers(now) && now.flushed_through >= through;
        let edit = || Edit { flushed_through: Some(through), ..Edit::default() };
        self.commit(bucket, vec![], |now, _| Ok((!is_told(now)).then(edit))).await.map(drop)
    }

    /// Whether another process wrote the version, or nobody did: it was made of what files say, and could not be stored.
    pub(super) fn is_anothers(&self, version: &Version) -> bool {
        let says_nothing = version.number == 0 && version.files.is_empty();
        !says_nothing && version.writer != self.inner.writer && !self.has(Mistake::FoundVersionBelieved)
    }

    /// Finds out whether a commit arrived of which nothing was heard.
    pub async fn settle_doubt(&self, bucket: BucketId) -> Result<()> {
        let entry = self.entry(bucket);
        if !entry.is_in_doubt() {
            return Ok(());
        }
        let mut next = entry.next.lock().await;
        let number = *next;
        // Another version of its number: either the number is free, or what has it says whose it is.
        let make = |_: &Version, next| Ok((next == number).then(Edit::default));
        self.commit_locked(&entry, &mut next, vec![], make).await.map(drop)
    }

    pub(super) fn pass(&self, point: Failpoint) -> Result<()> {
        self.inner.options.failpoints.pass(point)
    }

    pub(super) fn has(&self, mistake: Mistake) -> bool {
        self.inner.options.failpoints.has(mistake)
    }

    /// Notes which readers still hold files that are in the old state and not in the new one.
    fn watch_leaving(&self, before: &Version, after: &Version) {
        if after.removed.len() == before.removed.len() && after.files.len() >= before.files.len() {
            return;
        }
        let stays: HashSet<u64> = after.files.iter().map(|f| f.id).collect();
        let mut leaving = self.inner.leaving.lock();
        leaving.retain(|_, file| file.strong_count() > 0);
        leaving.extend(before.files.iter().filter(|f| !stays.contains(&f.id)).map(|f| (f.path.clone(), Arc::downgrade(f))));
    }

    /// Whether a reader of this process may still want a file that has left the manifest.
    pub(super) fn is_pinned(&self, path: &str) -> bool {
        self.inner.leaving.lock().get(path).is_some_and(|file| file.strong_count() > 0)
    }

    pub(super) fn entry(&self, bucket: BucketId) -> Arc<Bucket> {
        if let Some(known) = self.inner.buckets.read().get(&bucket) {
            return known.clone();
        }
        let new = || Arc::new(Bucket::new(ManifestStore::new(self.inner.store.clone(), bucket), Version::empty(bucket), 1));
        self.inner.buckets.write().entry(bucket).or_insert_with(new).clone()
    }

    /// Every bucket that has or had files, in order of ids.
    pub fn buckets(&self) -> Vec<BucketId> {
        let mut all: Vec<BucketId> = self.inner.buckets.read().keys().copied().collect();
        all.sort_unstable();
        all
    }

    /// Paths that cannot be read, so that nothing is merged with them.
    pub(super) fn is_damaged(&self, file: &FileMeta) -> bool {
        self.inner.reader.is_damaged(&file.path)
    }
}
