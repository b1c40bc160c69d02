//! The files of all buckets: what a flush adds, what a delete hides, what a restart finds.
//!
//! Rows are durable and visible when their manifest commit returns, and not before: a crash between a file and the
//! commit leaves an unreferenced file and the old state. Only one process may write to a store.

use crate::clock::{Clock, Randomness};
use crate::model::{BucketId, Failure, MeasurementSchema, Result};
use crate::storage::{
    chunk::Chunk,
    delete::DeleteSpec,
    manifest::{Edit, FileMeta, ManifestStore, Tombstone, Version},
    object::Store,
    parquet::writer::FileWriter,
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
}

impl Default for FileOptions {
    /// Partitions of one UTC day.
    fn default() -> FileOptions {
        FileOptions { partition_ns: 86_400_000_000_000 }
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
    options: FileOptions,
    clock: Arc<dyn Clock>,
    randomness: Randomness,
    writer: u64,
    buckets: RwLock<HashMap<BucketId, Arc<Bucket>>>,
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
        for name in store.folders("buckets").await? {
            let Ok(bucket) = name.parse::<BucketId>() else { continue };
            let manifest = ManifestStore::new(store.clone(), bucket);
            let loaded = manifest.load().await?;
            recovered.damaged.extend(loaded.damaged);
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
        let writer = randomness.next_u64();
        let inner = Inner { store, options, clock, randomness, writer, buckets: RwLock::new(buckets) };
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
