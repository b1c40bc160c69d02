//! The files of all buckets: what a flush adds, what a delete hides, what a restart finds.
//!
//! Rows are durable and visible when their manifest commit returns, and not before: a crash between a file and the
//! commit leaves an unreferenced file and the old state. Only one process may write to a store.

use crate::clock::{Clock, Randomness};
use crate::model::{BucketId, Failure, MeasurementSchema, Result};
use crate::storage::{
    chunk::Chunk,
    delete::DeleteSpec,
    manifest::{Edit, FileMeta, Loaded, ManifestStore, Tombstone, Version},
    object::Store,
    parquet::{file::FileReader, writer::FileWriter},
    read::MeasurementSnapshot,
    recover,
};
use arrow::{array::AsArray, array::BooleanArray, compute::filter_record_batch, datatypes::TimestampNanosecondType};
use parking_lot::RwLock;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

#[derive(Debug, Clone)]
pub struct FileOptions {
    /// Length of a time partition in nanoseconds; partitions begin at multiples of it.
    pub partition_ns: i64,
    /// Decoded columns and footers kept in memory.
    pub cache_bytes: usize,
}

impl Default for FileOptions {
    /// Partitions of one UTC day.
    fn default() -> FileOptions {
        FileOptions { partition_ns: 86_400_000_000_000, cache_bytes: 512 << 20 }
    }
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
}

/// A handle; clones share the files.
#[derive(Clone)]
pub struct FileStore {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    reader: Arc<FileReader>,
    options: FileOptions,
    clock: Arc<dyn Clock>,
    randomness: Randomness,
    writer: u64,
    buckets: RwLock<HashMap<BucketId, Arc<Bucket>>>,
    /// Paths that were damaged at opening.
    lost: BTreeSet<String>,
}

struct Bucket {
    manifest: ManifestStore,
    current: RwLock<Arc<Version>>,
    /// Number of the next commit. Held through a commit, so that commits of one bucket come one after another.
    next: tokio::sync::Mutex<u64>,
}

impl FileStore {
    pub async fn open(store: Store, options: FileOptions, clock: Arc<dyn Clock>, randomness: Randomness) -> Result<(FileStore, Recovered)> {
        let mut recovered = Recovered::default();
        let mut buckets = HashMap::new();
        let writer = randomness.next_u64();
        let reader = Arc::new(FileReader::new(store.clone(), options.cache_bytes));
        for name in store.folders("buckets").await? {
            let Ok(bucket) = name.parse::<BucketId>() else { continue };
            let manifest = ManifestStore::new(store.clone(), bucket);
            let mut loaded = manifest.load().await?;
            if (loaded.version.number == 0 || !loaded.damaged.is_empty()) && !loaded.version.dropped {
                repair(&store, &manifest, &mut loaded, writer, clock.now()).await?;
            }
            recovered.damaged.extend(loaded.damaged);
            recovered.damaged.extend(misfits(&store, &loaded.version).await?);
            if !loaded.version.dropped {
                recovered.buckets.push(RecoveredBucket {
                    bucket,
                    schemas: loaded.version.schemas.values().cloned().collect(),
                    flushed_through: loaded.version.flushed_through,
                    sequence_max: loaded.version.sequence_max(),
                });
            }
            let current = RwLock::new(Arc::new(loaded.version));
            buckets.insert(bucket, Arc::new(Bucket { manifest, current, next: tokio::sync::Mutex::new(loaded.next) }));
        }
        for (path, what) in &recovered.damaged {
            tracing::error!(path, what, "damaged; what does not need it is served");
            reader.damage(path, what);
        }
        let lost = recovered.damaged.iter().map(|d| d.0.clone()).collect();
        let inner = Inner { lost, store, reader, options, clock, randomness, writer, buckets: RwLock::new(buckets) };
        Ok((FileStore { inner: Arc::new(inner) }, recovered))
    }

    /// Makes the rows of frozen chunks files, and records that the log up to `flushed_through` is no longer needed.
    /// All or nothing: on an error the old state stands.
    pub async fn flush(&self, bucket: BucketId, chunks: Vec<Chunk>, flushed_through: u64) -> Result<()> {
        let entry = self.entry(bucket);
        let mut next = entry.next.lock().await;
        let mut edit = Edit { flushed_through: Some(flushed_through), ..Edit::default() };
        for chunk in chunks {
            for (partition, rows) in self.split(&chunk)? {
                let id = self.inner.randomness.next_u64().max(1);
                let meta = FileMeta {
                    id,
                    path: format!("buckets/{bucket}/data/{partition}/{id:016x}.parquet"),
                    measurement: chunk.schema.measurement.clone(),
                    partition,
                    rows: 0,
                    bytes: 0,
                    time_min: 0,
                    time_max: 0,
                    sequence_min: chunk.sequence,
                    sequence_max: chunk.sequence,
                    level: 0,
                    key_min: vec![],
                    key_max: vec![],
                    checksum: 0,
                    footer_checksum: 0,
                    created_in: *next,
                };
                let schema = chunk.schema.clone();
                let encode = move || {
                    let mut writer = FileWriter::new(bucket, &schema, meta)?;
                    writer.write(&rows)?;
                    writer.finish()
                };
                let encoded = tokio::task::spawn_blocking(encode).await;
                let (bytes, meta) = encoded.map_err(|e| Failure::internal(format!("writing a Parquet file stopped: {e}")))??;
                self.inner.store.create(&meta.path, bytes).await?;
                edit.add.push(Arc::new(meta));
            }
            edit.schemas.push(chunk.schema);
        }
        self.commit(&entry, &mut next, &edit).await
    }

    /// Hides the named rows of all files and chunks whose sequence is not greater than `sequence`.
    pub async fn delete(&self, bucket: BucketId, delete: DeleteSpec, sequence: u64) -> Result<()> {
        let entry = self.entry(bucket);
        let mut next = entry.next.lock().await;
        let edit = Edit { tombstones: vec![Arc::new(Tombstone { sequence, delete })], ..Edit::default() };
        self.commit(&entry, &mut next, &edit).await
    }

    /// The bucket and all its rows are gone when this returns.
    pub async fn drop_bucket(&self, bucket: BucketId) -> Result<()> {
        let entry = self.entry(bucket);
        let mut next = entry.next.lock().await;
        self.commit(&entry, &mut next, &Edit { drop_bucket: true, ..Edit::default() }).await
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

    /// The files of a measurement together with the buffer's `chunks`; `None` when there is no such measurement.
    /// `schema` is the buffer's, when it has one: it covers what was flushed.
    ///
    /// Take the chunks *before* calling this: a flush in between then shows rows twice, which merge into one, and
    /// never not at all.
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
        let files = version.files.iter().filter(|f| f.measurement.as_ref() == measurement).cloned().collect();
        let tombstones = version.tombstones.iter().filter(|t| t.delete.concerns(measurement)).cloned().collect();
        Some(MeasurementSnapshot { schema, chunks, files, tombstones, time_floor, reader: self.inner.reader.clone() })
    }

    async fn commit(&self, entry: &Bucket, next: &mut u64, edit: &Edit) -> Result<()> {
        let before = entry.current.read().clone();
        if before.dropped {
            return Err(Failure::not_found(format!("bucket {} was dropped", before.bucket)));
        }
        let after = entry.manifest.commit(&before, edit, *next, self.inner.writer, self.inner.clock.now()).await?;
        *next += 1;
        *entry.current.write() = Arc::new(after);
        Ok(())
    }

    fn entry(&self, bucket: BucketId) -> Arc<Bucket> {
        let new = || {
            let manifest = ManifestStore::new(self.inner.store.clone(), bucket);
            let current = RwLock::new(Arc::new(Version::empty(bucket)));
            Arc::new(Bucket { manifest, current, next: tokio::sync::Mutex::new(1) })
        };
        self.inner.buckets.write().entry(bucket).or_insert_with(new).clone()
    }

    /// The rows of each time partition, still sorted.
    fn split(&self, chunk: &Chunk) -> Result<Vec<(i64, arrow::record_batch::RecordBatch)>> {
        let length = self.inner.options.partition_ns;
        // The partition that holds the smallest i64 would begin before it; it begins at it.
        let start = |time: i64| time.div_euclid(length).checked_mul(length).unwrap_or(i64::MIN);
        if start(chunk.time_min) == start(chunk.time_max) {
            return Ok(vec![(start(chunk.time_min), chunk.batch.clone())]);
        }
        let times = chunk.batch.column(0).as_primitive::<TimestampNanosecondType>().values();
        let of_row: Vec<i64> = times.iter().map(|&t| start(t)).collect();
        let partitions: BTreeSet<i64> = of_row.iter().copied().collect();
        let rows_of = |p: i64| filter_record_batch(&chunk.batch, &of_row.iter().map(|&r| Some(r == p)).collect::<BooleanArray>());
        partitions.into_iter().map(|p| Ok((p, rows_of(p)?))).collect()
    }
}

/// Brings back what only damaged or lost versions named, as a new version. The damaged bytes are kept aside.
async fn repair(store: &Store, manifest: &ManifestStore, loaded: &mut Loaded, writer: u64, now: i64) -> Result<()> {
    let found = recover::find(store, &loaded.version).await?;
    for (path, _) in &loaded.damaged {
        let kept = store.create(&format!("quarantine/{path}"), store.get(path).await?).await;
        if let Err(e) = kept {
            tracing::warn!(path, error = %e, "a damaged manifest version could not be kept aside");
        }
    }
    if loaded.damaged.is_empty() && found.edit.add.is_empty() {
        loaded.damaged.extend(found.damaged);
        return Ok(());
    }
    tracing::warn!(bucket = %loaded.version.bucket, files = found.edit.add.len(), "manifest repaired from what the files say");
    loaded.version = manifest.commit(&loaded.version, &found.edit, loaded.next, writer, now).await?;
    loaded.next += 1;
    loaded.damaged.extend(found.damaged);
    Ok(())
}

/// Files of the version that are not in the store as they were written, as far as a listing tells.
async fn misfits(store: &Store, version: &Version) -> Result<Vec<(String, String)>> {
    if version.files.is_empty() {
        return Ok(vec![]);
    }
    let listed = store.list(&format!("buckets/{}/data", version.bucket)).await?;
    let sizes: HashMap<String, u64> = listed.into_iter().map(|l| (l.path, l.bytes)).collect();
    let judge = |f: &Arc<FileMeta>| match sizes.get(&f.path) {
        None => Some((f.path.clone(), "it is gone".to_string())),
        Some(&bytes) if bytes != f.bytes => Some((f.path.clone(), format!("it has {bytes} bytes and was written with {}", f.bytes))),
        Some(_) => None,
    };
    Ok(version.files.iter().filter_map(judge).collect())
}
