//! Opening a store: the manifests say what is in files, the log has the rest.

use super::{
    InFlight, Inner, Schemas, Storage,
    buffer::{Conflicts, StagedTable, stage},
    failpoint::{Failpoints, Mistake},
    files::{FileOptions, FileStore, partition_of},
    fs::FileSystem,
    manifest::{FileMeta, Version},
    object::Store,
    policy::PolicyOf,
    wal::{self, LogOptions},
};
use crate::{
    clock::{Clock, Randomness},
    memory::Share,
    model::{BucketId, Precision, Result, TypeConflicts},
};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

#[derive(Debug, Clone)]
pub struct StorageOptions {
    /// Buffered bytes past which a flush begins.
    pub flush_bytes: usize,
    /// Rows are in files after about this long.
    pub flush_interval: Duration,
    /// Buffered bytes past which writes are refused until a flush has caught up.
    pub buffer_bytes_max: usize,
    pub log: LogOptions,
    pub files: FileOptions,
    pub type_conflicts: PolicyOf<TypeConflicts>,
    /// Memory for what requests make beside their bodies.
    pub requests: Arc<Share>,
    pub failpoints: Failpoints,
}

impl Default for StorageOptions {
    fn default() -> StorageOptions {
        StorageOptions {
            flush_bytes: 128 << 20,
            flush_interval: Duration::from_secs(60),
            buffer_bytes_max: 768 << 20,
            log: LogOptions::default(),
            files: FileOptions::default(),
            type_conflicts: PolicyOf::default(),
            requests: Share::new("requests", usize::MAX),
            failpoints: Failpoints::default(),
        }
    }
}

impl StorageOptions {
    /// The same failpoints everywhere.
    pub fn with_failpoints(mut self, failpoints: Failpoints) -> StorageOptions {
        self.log.failpoints = failpoints.clone();
        self.files.failpoints = failpoints.clone();
        self.failpoints = failpoints;
        self
    }
}

/// Something on disk that could not be read back; what could be is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BufferedDamage {
    pub file: String,
    pub what: String,
}

/// Ends the names of damaged log segments that were kept aside.
pub const DAMAGED_SUFFIX: &str = ".damaged";

impl Storage {
    /// Opens `store` and replays `log_files` behind it. Only one process may have a store open.
    pub async fn open(
        store: Store,
        log_files: Arc<dyn FileSystem>,
        options: StorageOptions,
        clock: Arc<dyn Clock>,
        randomness: Randomness,
    ) -> Result<Storage> {
        let (files, recovered) = FileStore::open(store, options.files.clone(), clock, randomness.clone()).await?;
        let mut damage: Vec<BufferedDamage> = recovered.damaged.into_iter().map(|(file, what)| BufferedDamage { file, what }).collect();
        let (mut schemas, mut flushed, mut sequence, mut beyond) = (HashMap::new(), HashMap::new(), 0, false);
        for bucket in recovered.buckets {
            let known: Schemas = bucket.schemas.into_iter().map(|s| (s.measurement.clone(), s)).collect();
            schemas.insert(bucket.bucket, known);
            flushed.insert(bucket.bucket, bucket.flushed_through);
            sequence = sequence.max(bucket.flushed_through).max(bucket.sequence_max);
            beyond |= bucket.has_lost;
        }
        let (mut records, mut unconfirmed): (Vec<wal::Record>, BTreeSet<BucketId>) = Default::default();
        let is_dropped = |bucket| files.version(bucket).is_some_and(|version| version.dropped);
        let mut replayed = wal::replay(log_files.as_ref(), |record| {
            let is_in_files = flushed.get(&record.bucket).is_some_and(|through| record.sequence <= *through);
            match is_in_files || is_dropped(record.bucket) {
                true => drop(unconfirmed.insert(record.bucket)),
                false => records.push(record),
            }
        })?;
        // A bucket that was dropped takes rows along that were in no file.
        let states: Vec<_> = files.buckets().into_iter().filter_map(|bucket| files.version(bucket)).collect();
        let versions = || states.iter().map(|version| &**version);
        replayed.missing = missed(replayed.missing, versions());
        damage.extend(replayed.damage.iter().map(|d| BufferedDamage {
            file: d.segment.clone(),
            what: format!("bytes {}..{} hold no readable record; the records after them were kept", d.bytes.start, d.bytes.end),
        }));
        damage.extend(replayed.missing.iter().map(|m| BufferedDamage {
            file: m.segment.clone(),
            what: format!("its end or the segment after it is gone, with records of {} to {}", m.sequences.start(), m.sequences.end()),
        }));
        if let Some(first) = replayed.lacks_before(in_files(versions())) {
            damage.push(BufferedDamage { file: first.to_string(), what: "the segment before it is gone".into() });
        }
        for damaged in replayed.damage.iter().map(|d| &d.segment).chain(replayed.missing.iter().map(|m| &m.segment)) {
            keep_aside(log_files.as_ref(), damaged);
        }
        if !options.failpoints.has(Mistake::RefusedRecordsFound) {
            records.retain(|record| !replayed.was_refused(record.sequence));
        }
        // Segments may be there twice, or under each other's names.
        records.sort_by_key(|record| record.sequence);
        records.dedup_by_key(|record| record.sequence);
        // Its rows become visible. Whoever wrote the last of them may have been killed before they were synced, or have seen that fail.
        let has_last = |(_, last): &&(String, u64)| Some(*last) == replayed.last_record;
        let last = replayed.segments.iter().rfind(has_last).filter(|_| !records.is_empty()).map(|(name, _)| name.clone());
        let last = last.filter(|_| !options.failpoints.has(Mistake::FoundRecordsBelieved));
        let not_renewed = last.filter(|name| match log_files.renew(name) {
            Ok(()) => false,
            Err(e) => {
                tracing::error!(segment = name, "the disk does not keep what the log has; writes are refused until it does: {e}");
                true
            }
        });
        // Sequences are never used twice, also when the log was trimmed to nothing.
        if !options.failpoints.has(Mistake::SequencesForgotten) {
            replayed.last_sequence = replayed.last_sequence.max(sequence);
        }
        if beyond {
            // A lost file carries sequences that nobody may know. When it is restored, deletes and writes of today must stand above it.
            replayed.last_sequence = replayed.last_sequence.saturating_add(wal::SEQUENCE_JUMP);
        }
        let log = wal::Log::open(log_files.clone(), &replayed, not_renewed, options.log.clone())?;
        let inner = Inner {
            options,
            files,
            log,
            log_files,
            randomness,
            schemas: RwLock::new(schemas),
            buckets: RwLock::default(),
            in_flight: Mutex::new(InFlight { open: Default::default(), last: replayed.last_sequence }),
            landed: Default::default(),
            buffered: AtomicUsize::new(0),
            flushing: Default::default(),
            writing: Default::default(),
            drops: AtomicUsize::new(0),
            flush_wanted: Default::default(),
            unconfirmed: Mutex::new(unconfirmed),
            damage: vec![],
        };
        let mut storage = Storage { inner: Arc::new(inner) };
        let is_ahead = |version: &Arc<Version>| version.files.iter().any(|f| f.sequence_max > version.flushed_through);
        let ahead: HashMap<_, _> = states.into_iter().filter(is_ahead).map(|version| (version.bucket, version)).collect();
        for record in records {
            storage.replay(record, &ahead, &mut damage);
        }
        Arc::get_mut(&mut storage.inner).expect("nobody else has the store yet").damage = damage;
        Ok(storage)
    }

    /// `ahead`: states with files of a flush whose commit did not arrive before the process died, or was lost with a damaged version.
    fn replay(&self, record: wal::Record, ahead: &HashMap<BucketId, Arc<Version>>, damage: &mut Vec<BufferedDamage>) {
        let Some(precision) = Precision::of_nanoseconds(record.unit_ns) else {
            damage.push(BufferedDamage {
                file: "log".into(),
                what: format!("record {} has the unknown time unit {} ns", record.sequence, record.unit_ns),
            });
            return;
        };
        // The log has lines as they were stored: a replay decides nothing anew, whatever the bucket is set to by now.
        let staged = stage(&record.text, precision, record.now, None, Conflicts::Reject, |m| self.schema(record.bucket, m));
        let named = staged.rejected.named();
        let not_named = staged.rejected.count() - named.len();
        damage.extend(named.into_iter().map(|line| BufferedDamage {
            file: "log".into(),
            what: format!("record {}: `{}` can no longer be stored: {}", record.sequence, line.text, line.reason),
        }));
        if not_named > 0 {
            let what = format!("record {}: {not_named} more lines can no longer be stored", record.sequence);
            damage.push(BufferedDamage { file: "log".into(), what });
        }
        if self.admit(record.bucket, &staged.tables) {
            let tables = match ahead.get(&record.bucket) {
                Some(version) if !self.options().failpoints.has(Mistake::FoundRowsReplayed) => {
                    self.in_no_file(version, record.sequence, staged.tables)
                }
                _ => staged.tables,
            };
            self.apply(record.bucket, record.sequence, tables);
        }
    }

    /// Rows of a record without those that a file of the version has.
    fn in_no_file(&self, version: &Version, sequence: u64, mut tables: Vec<StagedTable>) -> Vec<StagedTable> {
        let partition_ns = self.options().files.partition_ns;
        let rows = |tables: &[StagedTable]| tables.iter().map(|table| table.times.len()).sum::<usize>();
        let before = rows(&tables);
        for table in &mut tables {
            let has =
                |f: &Arc<FileMeta>| f.sequence_min <= sequence && sequence <= f.sequence_max && !self.inner.files.was_damaged(&f.path);
            let measurement = table.measurement.clone();
            table.retain(|time| !version.files_in(&measurement, partition_of(time, partition_ns)).iter().any(has));
        }
        tables.retain(|table| !table.times.is_empty());
        if rows(&tables) < before {
            // The version that names the file may be in memory only: the store had no room for it, or did not answer.
            self.inner.unconfirmed.lock().insert(version.bucket);
        }
        tables
    }
}

/// Every record up to here is in files; without bound where a dropped bucket has taken some along, or files are lost: then nobody can
/// tell.
pub(super) fn in_files<'a>(versions: impl Iterator<Item = &'a Version>) -> u64 {
    let unknown = |v: &Version| v.dropped || !v.lost.is_empty();
    let through = |v: &Version| if unknown(v) { u64::MAX } else { v.flushed_through.max(v.sequence_max()) };
    versions.map(through).max().unwrap_or(0)
}

/// Records that are missing and were needed. Of segments that were trimmed some may be there again after a power loss, or could not be
/// removed; nobody misses those between.
pub(super) fn missed<'a>(missing: Vec<wal::Missing>, versions: impl Iterator<Item = &'a Version>) -> Vec<wal::Missing> {
    let trimmed = |v: &Version| v.flushed_through.max(v.sequence_max());
    let through = versions.map(trimmed).max().unwrap_or(0);
    let needed =
        |m: wal::Missing| wal::Missing { sequences: *m.sequences.start().max(&through.saturating_add(1))..=*m.sequences.end(), ..m };
    missing.into_iter().map(needed).filter(|m| !m.sequences.is_empty()).collect()
}

/// A copy of a damaged segment, since the log will be trimmed.
fn keep_aside(log_files: &dyn FileSystem, segment: &str) {
    let copy = || {
        let bytes = log_files.read(segment)?;
        let mut kept = log_files.create(&format!("{segment}{DAMAGED_SUFFIX}"))?;
        kept.append(&bytes)?;
        kept.sync()
    };
    match copy() {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
            tracing::warn!(segment, %e, "a damaged log segment could not be kept aside")
        }
        _ => {}
    }
}
