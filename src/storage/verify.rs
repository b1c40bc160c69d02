//! Checking everything that is stored against itself, and changing nothing: every record of the log, every version of the
//! manifests and every delete in them, every page of every file, and what nobody refers to.
//!
//! The same check serves a store that nobody has open, the running server, and the tests. A running server goes on writing
//! meanwhile: what has left its state since is not missed.

use super::{
    Storage,
    files::FileStore,
    fs::FileSystem,
    manifest::{FileMeta, ManifestStore, Version, version::VersionError},
    object::{Listed, STAGED_FOLDER, Store, StoreError},
    open::{DAMAGED_SUFFIX, in_files, missed},
    parquet::file::FileReader,
    recover, wal,
};
use crate::model::{BucketId, Failure, Precision, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Log,
    Manifest,
    Parquet,
    Catalog,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Worth knowing; nothing is wrong.
    Note,
    Damaged,
}

/// Something about one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub kind: Kind,
    /// A path in the store, or the name of a file of the log or of the data directory.
    pub file: String,
    pub verdict: Verdict,
    pub what: String,
    /// What to do about it.
    pub advice: String,
}

/// How much of a kind was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub files: u64,
    pub bytes: u64,
    /// Records of the log, deletes in the manifests, rows of Parquet files.
    pub entries: u64,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub checked: BTreeMap<Kind, Tally>,
    /// In the order they were found: log, manifests and files by bucket, the rest.
    pub findings: Vec<Finding>,
}

impl Report {
    pub fn damaged(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|f| f.verdict == Verdict::Damaged)
    }

    pub fn add(&mut self, kind: Kind, verdict: Verdict, file: impl Into<String>, what: impl Into<String>, advice: &str) {
        self.findings.push(Finding { kind, file: file.into(), verdict, what: what.into(), advice: advice.into() });
    }

    pub fn count(&mut self, kind: Kind, files: u64, bytes: u64, entries: u64) {
        let tally = self.checked.entry(kind).or_default();
        tally.files += files;
        tally.bytes += bytes;
        tally.entries += entries;
    }
}

/// What is checked.
pub struct Place<'a> {
    pub store: &'a Store,
    /// `None`: the rows are checked without their log.
    pub log: Option<&'a dyn FileSystem>,
    /// Length of a partition, nanoseconds.
    pub partition_ns: i64,
    /// The server that has it open.
    pub running: Option<&'a FileStore>,
}

const RESTORE: &str = "restore it from a backup and start the server again; or give its rows up: `tidegauge rebuild-manifest --give-up`";
const RESTART: &str = "start the server: it goes on without the damaged part, finds the files again and keeps these bytes in quarantine/";
const LOG_DAMAGE: &str =
    "start the server: it keeps every good record, and these bytes beside the log; send the lost rows again if you can";
const KEPT: &str = "it was kept by an earlier start; delete it when you need it no more";
const STRAY: &str = "nobody refers to it: move it away";

/// Checks all of it. Fails when the store cannot be listed, a newer Tidegauge wrote to it, or `stop` was cancelled.
pub async fn verify(place: &Place<'_>, stop: &CancellationToken) -> Result<Report> {
    let mut report = Report::default();
    let log = place.log.and_then(|log| verify_log(log, &mut report));
    // The listing first, then what is being written, then the states: a file that is committed meanwhile is in one of the two.
    let listed = place.store.list("").await?;
    let writing: HashSet<String> = place.running.map(|files| files.inner.writing.lock().clone()).unwrap_or_default();
    let mut buckets: BTreeMap<BucketId, Objects> = BTreeMap::new();
    for object in listed {
        match bucket_of(&object.path) {
            Some((bucket, true)) => buckets.entry(bucket).or_default().data.push(object),
            Some((bucket, false)) => buckets.entry(bucket).or_default().manifest.push(object),
            None => verify_other(&object, &mut report),
        }
    }
    let mut versions = vec![];
    for (bucket, objects) in &buckets {
        versions.push(verify_bucket(place, *bucket, objects, &writing, &mut report, stop).await?);
    }
    if let Some(log) = log {
        if let Some(first) = log.lacks_before(in_files(versions.iter())) {
            report.add(Kind::Log, Verdict::Damaged, first, "the segment before it is gone", LOG_DAMAGE);
        }
        for missing in missed(log.missing, versions.iter()) {
            let (first, last) = (missing.sequences.start(), missing.sequences.end());
            let what = format!("its end or the segment after it is gone, with records of {first} to {last}");
            report.add(Kind::Log, Verdict::Damaged, &missing.segment, what, LOG_DAMAGE);
        }
    }
    Ok(report)
}

/// Objects of one bucket.
#[derive(Default)]
struct Objects {
    manifest: Vec<Listed>,
    data: Vec<Listed>,
}

/// The bucket that an object belongs to, and whether it lies in its folder of data.
fn bucket_of(path: &str) -> Option<(BucketId, bool)> {
    let (bucket, rest) = path.strip_prefix("buckets/")?.split_once('/')?;
    let is_data = match rest.split_once('/')? {
        ("data", _) => true,
        ("manifest", _) => false,
        _ => return None,
    };
    Some((bucket.parse().ok()?, is_data))
}

fn verify_other(object: &Listed, report: &mut Report) {
    report.count(Kind::Other, 1, object.bytes, 0);
    let (what, advice) = match object.path.split('/').next() {
        Some("quarantine") => ("the bytes of a damaged file", KEPT),
        Some(STAGED_FOLDER) => ("a file that is being written, or was when the process died", "the next start of the server removes it"),
        Some("probe") => ("left by the opening of a store", "delete it"),
        _ => ("it is no file of Tidegauge", STRAY),
    };
    report.add(Kind::Other, Verdict::Note, &object.path, what, advice);
}

fn verify_log(log: &dyn FileSystem, report: &mut Report) -> Option<wal::Replayed> {
    let mut strange: Vec<(u64, i64)> = vec![];
    let each = |record: wal::Record| {
        if Precision::of_nanoseconds(record.unit_ns).is_none() {
            strange.push((record.sequence, record.unit_ns));
        }
    };
    let found = match wal::replay(log, each) {
        Ok(found) => found,
        Err(e) => {
            report.add(Kind::Log, Verdict::Damaged, "wal", e.to_string(), "see whether the disk is well, then check again");
            return None;
        }
    };
    report.count(Kind::Log, found.segments.len() as u64, found.bytes, found.records as u64);
    for damage in &found.damage {
        let what = format!("bytes {}..{} hold no readable record", damage.bytes.start, damage.bytes.end);
        report.add(Kind::Log, Verdict::Damaged, &damage.segment, what, LOG_DAMAGE);
    }
    for (sequence, unit_ns) in strange {
        report.add(Kind::Log, Verdict::Damaged, "wal", format!("record {sequence} has the unknown time unit {unit_ns} ns"), LOG_DAMAGE);
    }
    for segment in &found.misnamed {
        let what = "it holds records from before the one in its name: a copy, or under another segment's name";
        report.add(Kind::Log, Verdict::Note, segment, what, "no record is lost by it");
    }
    for name in log.list().unwrap_or_default() {
        match name.ends_with(DAMAGED_SUFFIX) {
            true => report.add(Kind::Log, Verdict::Note, name, "a copy of a damaged segment", KEPT),
            false if wal::named_sequence(&name).is_none() => {
                report.add(Kind::Log, Verdict::Note, name, "it is no segment of the log", STRAY);
            }
            false => {}
        }
    }
    Some(found)
}

/// The state that was checked.
async fn verify_bucket(
    place: &Place<'_>,
    bucket: BucketId,
    objects: &Objects,
    writing: &HashSet<String>,
    report: &mut Report,
    stop: &CancellationToken,
) -> Result<Version> {
    let newest = verify_versions(place.store, bucket, &objects.manifest, report).await?;
    let running = place.running.and_then(|files| files.version(bucket));
    let Some(version) = running.map(|v| Version::clone(&v)).or(newest) else {
        let (path, files) = (format!("buckets/{bucket}/manifest"), objects.data.len());
        if files > 0 {
            let what = format!("no version of the manifest can be read, and there are {files} files of data");
            let advice = "start the server, or run `tidegauge rebuild-manifest`: it is made anew from what the files say; deletes that no \
                compaction had folded in are lost";
            report.add(Kind::Manifest, Verdict::Damaged, path, what, advice);
        }
        let empty = Version::empty(bucket);
        verify_data(place, &empty, objects, writing, report, stop).await?;
        return Ok(Version { flushed_through: u64::MAX, ..empty });
    };
    verify_state(&version, place.partition_ns, report);
    let all_known = verify_data(place, &version, objects, writing, report, stop).await?;
    // What files say that no version names is not known before a start has looked.
    Ok(if all_known { version } else { Version { flushed_through: u64::MAX, ..version } })
}

/// Every version there is; the newest good one.
async fn verify_versions(store: &Store, bucket: BucketId, listed: &[Listed], report: &mut Report) -> Result<Option<Version>> {
    let mut newest: Option<Version> = None;
    let mut damaged: Vec<(u64, &Listed, String)> = vec![];
    for object in listed {
        let Some(number) = ManifestStore::number_of(&object.path) else {
            report.add(Kind::Manifest, Verdict::Note, &object.path, "it is no version of the manifest", STRAY);
            continue;
        };
        let decoded = match store.get(&object.path).await {
            Ok(bytes) => Version::decode(&bytes),
            // A commit has removed it since.
            Err(StoreError::NotFound { .. }) => continue,
            Err(e) => Err(VersionError::Damaged(e.to_string())),
        };
        let wrong = match decoded {
            Ok(version) if (version.bucket, version.number) == (bucket, number) => {
                report.count(Kind::Manifest, 1, object.bytes, version.tombstones.len() as u64);
                if newest.as_ref().is_none_or(|n| n.number < number) {
                    newest = Some(version);
                }
                continue;
            }
            Ok(other) => format!("it holds version {} of bucket {}", other.number, other.bucket),
            Err(e @ VersionError::Newer { .. }) => return Err(Failure::internal(format!("{}: {e}", object.path))),
            Err(e) => e.to_string(),
        };
        report.count(Kind::Manifest, 1, object.bytes, 0);
        damaged.push((number, object, wrong));
    }
    for (number, object, wrong) in damaged {
        let outdated = newest.as_ref().is_some_and(|n| n.number > number);
        let advice = if outdated { "a newer version says all: delete it" } else { RESTART };
        report.add(Kind::Manifest, Verdict::Damaged, &object.path, wrong, advice);
    }
    Ok(newest)
}

/// Whether a version makes sense in itself.
fn verify_state(version: &Version, partition_ns: i64, report: &mut Report) {
    let path = ManifestStore::path_of(version.bucket, version.number);
    let mut wrong =
        |what: String| report.add(Kind::Manifest, Verdict::Damaged, &path, what, "keep a copy of the store, and report this as a bug");
    let mut ids = HashSet::new();
    for file in &version.files {
        if !ids.insert(file.id) {
            wrong(format!("it names file `{}` twice", file.path));
        }
        if file.path != FileMeta::draft(version.bucket, file.measurement.clone(), file.partition, file.id).path {
            wrong(format!("file `{}` is not where its partition and id say", file.path));
        }
        if version.removed.iter().any(|r| r.path == file.path) {
            wrong(format!("file `{}` is in the state and has left it", file.path));
        }
        let end = file.partition.saturating_add(partition_ns - 1);
        let ordered = file.sequence_min <= file.sequence_max && file.time_min <= file.time_max;
        if !ordered || file.time_min < file.partition || file.time_max > end {
            wrong(format!("the bounds of file `{}` are in disorder", file.path));
        }
    }
    for tombstone in &version.tombstones {
        if tombstone.version > version.number || tombstone.sequence > version.flushed_through {
            wrong(format!("the delete of version {} is younger than the version", tombstone.version));
        }
    }
    for lost in &version.lost {
        report.add(Kind::Parquet, Verdict::Damaged, &lost.path, format!("lost with a damaged manifest: {}", lost.what), RESTORE);
    }
}

/// Every file of a version, and what lies beside them; false when a start would take some of that in.
async fn verify_data(
    place: &Place<'_>,
    version: &Version,
    objects: &Objects,
    writing: &HashSet<String>,
    report: &mut Report,
    stop: &CancellationToken,
) -> Result<bool> {
    let bucket = version.bucket;
    let sizes: BTreeMap<&str, u64> = objects.data.iter().map(|l| (l.path.as_str(), l.bytes)).collect();
    // Nothing is read twice, and what other readers think of a file is not asked.
    let reader = FileReader::new(place.store.clone(), 0);
    for file in &version.files {
        report.count(Kind::Parquet, 1, file.bytes, file.rows);
        let checked = match sizes.get(file.path.as_str()) {
            Some(&bytes) if bytes != file.bytes => Ok(Some(format!("it has {bytes} bytes and was written with {}", file.bytes))),
            _ => reader.check(version, file, stop).await,
        };
        let wrong = match checked {
            Ok(wrong) => wrong,
            Err(failure) if stop.is_cancelled() => return Err(failure),
            Err(failure) => {
                let what = format!("it could not be read: {failure}");
                report.add(Kind::Parquet, Verdict::Damaged, &file.path, what, "see whether disk and store are well, then check again");
                continue;
            }
        };
        match (wrong, place.running) {
            (None, running) => running.into_iter().for_each(|files| files.inner.reader.mended(&file.path)),
            // It has left the state since, and is deleted.
            (Some(_), Some(files)) if !files.version(bucket).is_some_and(|v| v.files.iter().any(|f| f.id == file.id)) => {}
            (Some(what), running) => {
                if let Some(files) = running {
                    files.inner.reader.damage(&file.path, &what);
                }
                report.add(Kind::Parquet, Verdict::Damaged, &file.path, what, RESTORE);
            }
        }
    }
    let current = place.running.and_then(|files| files.version(bucket));
    let states: Vec<&Version> = [version].into_iter().chain(current.as_deref()).collect();
    let named: HashSet<&str> = states
        .iter()
        .flat_map(|v| v.files.iter().map(|f| &f.path).chain(v.removed.iter().map(|r| &r.path)).chain(v.lost.iter().map(|l| &l.path)))
        .map(String::as_str)
        .collect();
    let beside = objects.data.iter().filter(|l| !named.contains(l.path.as_str()) && !writing.contains(&l.path));
    // What a start would make of them; a running server has made it.
    let fate = match place.running {
        None if !version.dropped => recover::fate(place.store, version, &objects.data, place.partition_ns).await,
        _ => Default::default(),
    };
    for object in beside {
        report.count(Kind::Parquet, 1, object.bytes, 0);
        match fate.get(&object.path) {
            Some(recover::Fate::Found) => {
                let what = "it is in no version of the manifest yet: the process died before the commit, or the newest version is gone";
                report.add(Kind::Parquet, Verdict::Note, &object.path, what, "the next start of the server takes it in");
            }
            Some(recover::Fate::Damaged(what)) => report.add(Kind::Parquet, Verdict::Damaged, &object.path, what, RESTORE),
            None => report.add(
                Kind::Parquet,
                Verdict::Note,
                &object.path,
                "nobody refers to it: it was merged, dropped, or never committed",
                "the server deletes it by and by",
            ),
        }
    }
    Ok(fate.is_empty())
}

impl Storage {
    /// Checks everything that is stored while the server runs. A damaged file is named from then on, in `damage_now` too; one that was
    /// damaged and is well again is used again.
    pub async fn verify(&self, stop: &CancellationToken) -> Result<Report> {
        let files = self.files();
        let place = Place {
            store: &files.inner.store,
            log: Some(self.inner.log_files.as_ref()),
            partition_ns: files.inner.options.partition_ns,
            running: Some(files),
        };
        verify(&place, stop).await
    }
}

#[cfg(test)]
mod tests;
