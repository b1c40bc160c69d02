//! Finding files again when the manifest version that named them is damaged or gone: each file says what it is.
//!
//! What no file says is lost with the manifest: deletes that no compaction has folded in, and that a bucket was dropped.
//! Therefore those are acknowledged when two versions say them. A file that may have been named and cannot be read is kept in
//! the manifest as lost, so that no answer leaves out its rows in silence.

use crate::model::{Failure, MeasurementSchema, Result};
use crate::storage::{
    manifest::{Committed, Edit, FileMeta, Loaded, LostFile, ManifestStore, Stamp, Version, edit::widen},
    object::{Listed, Store, StoreError},
    parquet::{file::inspect, writer::Footer},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Paths of damaged objects, and why.
pub type Damage = Vec<(String, String)>;

/// What a repair found.
#[derive(Debug)]
pub struct Repaired {
    pub damaged: Damage,
    /// Why the repaired version is in memory only.
    pub failure: Option<Failure>,
    /// Paths of files in it that are to be renewed before any version names them.
    pub to_renew: Mutex<Vec<String>>,
}

/// Brings the state of a bucket into line with the files that are there, as a new version where that differs, and tells what
/// is damaged. An error of the store does not stop it: what could not be looked at counts as lost until the next opening.
pub async fn repair(store: &Store, manifest: &ManifestStore, loaded: &mut Loaded, partition_ns: i64, writer: u64, now: i64) -> Repaired {
    let (mut not_stored, mut to_renew) = (None, Mutex::default());
    let mut kept: Vec<&String> = vec![];
    for (path, _) in &loaded.damaged {
        match keep_aside(store, path).await {
            Ok(()) => kept.push(path),
            Err(error) => tracing::warn!(path, %error, "a damaged manifest version could not be kept aside"),
        }
    }
    let folder = format!("buckets/{}/data", loaded.version.bucket);
    let found = match store.list(&folder).await {
        Ok(listed) => find(store, &loaded.version, &listed, partition_ns).await,
        Err(e) => {
            let what = format!("it could not be listed: {e}");
            let known_through = Some(known_through(&loaded.version));
            let lost = LostFile { path: folder.clone(), what: what.clone(), time_min: i64::MIN, time_max: i64::MAX, known_through };
            // Without a sign of damage the newest version says all.
            let edit = match loaded.damaged.is_empty() {
                true => Edit::default(),
                false => Edit { lost: vec![lost], no_longer_lost: vec![folder.clone()], ..Edit::default() },
            };
            Found { edit, damaged: vec![(folder, what)], ..Found::default() }
        }
    };
    // A version that is gone altogether took this number.
    loaded.next = loaded.next.max(found.created_max + 1);
    if !loaded.damaged.is_empty() || found.changes_something() {
        let bucket = loaded.version.bucket;
        let (added, lost) = (found.edit.add.len(), found.edit.lost.len());
        // After a kill between a file and its commit this is how the file is found: nothing to worry about.
        match loaded.damaged.is_empty() && lost == 0 {
            true => tracing::info!(%bucket, added, "manifest completed from what the files say"),
            false => tracing::warn!(%bucket, added, lost, "manifest repaired from what the files say"),
        }
        let stamp = Stamp { number: loaded.next, writer, now, as_of: loaded.version.as_of };
        // What they replace is deleted one day.
        to_renew = Mutex::new(found.edit.add.iter().map(|file| file.path.clone()).collect());
        let committed = match renew(store, &to_renew).await {
            Ok(()) => manifest.commit(&loaded.version, &found.edit, stamp).await,
            Err(error) => Err(error.into()),
        };
        match committed {
            Ok(Committed::Now(version) | Committed::Earlier(version)) => {
                loaded.version = version;
                loaded.next += 1;
                for path in kept {
                    if let Err(error) = store.delete(path).await {
                        tracing::warn!(path, %error, "a damaged manifest version stays; a newer one says all");
                    }
                }
            }
            Err(failure) => {
                tracing::error!(%bucket, %failure, "the repaired manifest could not be stored; the next commit will have it");
                // It is still another's: nothing may be deleted on its word.
                let Version { number, writer, .. } = loaded.version;
                match found.edit.apply(&loaded.version, Stamp { number, writer, ..stamp }) {
                    Ok(version) => loaded.version = version,
                    Err(failure) => tracing::error!(%bucket, %failure, "the manifest could not be repaired"),
                }
                not_stored = Some(failure);
            }
        }
    }
    Repaired { damaged: found.damaged, failure: not_stored, to_renew }
}

/// Makes sure that objects that were found last: whoever wrote them may have been killed before he knew, or have been told that they may not.
/// Those that it got to are taken out of the list.
pub async fn renew(store: &Store, paths: &Mutex<Vec<String>>) -> Result<(), StoreError> {
    loop {
        let Some(path) = paths.lock().last().cloned() else { return Ok(()) };
        match store.renew(&path).await {
            // Whoever wants it is told that it is gone.
            Err(StoreError::NotFound { .. }) => {}
            renewed => renewed?,
        }
        paths.lock().retain(|p| *p != path);
    }
}

/// Files that were written for this version of the manifest or an earlier one, and are not in it, are garbage.
fn known_through(version: &Version) -> u64 {
    version.lost.iter().filter_map(|l| l.known_through).fold(version.number, u64::min)
}

/// Copies an object into the folder `quarantine/`.
pub(super) async fn keep_aside(store: &Store, path: &str) -> Result<()> {
    Ok(store.create(&format!("quarantine/{path}"), store.get(path).await?).await?)
}

/// How the store differs from the manifest.
#[derive(Debug, Default)]
struct Found {
    /// Brings the found files into the manifest.
    edit: Edit,
    /// Files that cannot be read, and why.
    damaged: Damage,
    /// Greatest version that a found file was written for.
    created_max: u64,
}

impl Found {
    fn changes_something(&self) -> bool {
        let Edit { add, lost, no_longer_lost, .. } = &self.edit;
        !(add.is_empty() && lost.is_empty() && no_longer_lost.is_empty())
    }
}

/// The files of the bucket that were written for versions after `version`. Inputs of a compaction leave when its output
/// is found.
///
/// A file that was lost and is there again comes under the deletes that were made meanwhile, which the manifest has kept for
/// it; where they leave no row of it, as when its measurement was dropped, it stays out. Nothing was merged meanwhile in its
/// partition, so a file of the state that holds the rows of its sequences was made of it.
///
/// A file whose commit never happened is found as well. That adds nothing wrong: its rows are acknowledged and in the log, which is
/// then replayed without them, or in the files that it was compacted from, which leave.
async fn find(store: &Store, version: &Version, listed: &[Listed], partition_ns: i64) -> Found {
    let mut found = Found { damaged: misfits(version, listed), ..Found::default() };
    let known: HashSet<&str> =
        version.files.iter().map(|f| f.path.as_str()).chain(version.removed.iter().map(|r| r.path.as_str())).collect();
    let lost_before: HashSet<&str> = version.lost.iter().map(|l| l.path.as_str()).collect();
    let known_through = known_through(version);
    // What was lost and is no longer there was given up; what is there again is judged anew.
    found.edit.no_longer_lost = version.lost.iter().map(|l| l.path.clone()).collect();
    let mut schemas: BTreeMap<Arc<str>, MeasurementSchema> =
        version.schemas.iter().map(|(name, schema)| (name.clone(), schema.as_ref().clone())).collect();
    let mut files: Vec<Arc<FileMeta>> = vec![];
    for object in listed {
        let path = object.path.as_str();
        if known.contains(path) || !is_data_path(path) {
            continue;
        }
        let inspected = match store.get(path).await {
            Ok(bytes) => inspect(&bytes),
            Err(e) => Err(format!("it could not be read: {e}")),
        };
        let footer = match inspected {
            Ok((Footer { bucket, file, .. }, _)) if bucket == version.bucket && file.path != path && known.contains(file.path.as_str()) => {
                // Whatever became of the file that it says it is, the manifest knows of that one.
                found.damaged.push((path.to_string(), format!("it is a copy of `{}`, or was moved from there", file.path)));
                continue;
            }
            Ok((footer, _)) if footer.bucket != version.bucket || footer.file.path != path => {
                Err(format!("it says that it is `{}`", footer.file.path))
            }
            other => other,
        };
        let (footer, damage) = match footer {
            Ok(footer) => footer,
            Err(what) => {
                let (time_min, time_max) = partition_of(path, partition_ns);
                found.damaged.push((path.to_string(), what.clone()));
                found.edit.lost.push(LostFile { path: path.to_string(), what, time_min, time_max, known_through: None });
                continue;
            }
        };
        // Older ones left the manifest, or never came into it.
        let older = footer.file.created_in <= known_through && !lost_before.contains(path);
        if older || version.tombstones.iter().any(|t| t.hides_all_of(&footer.file)) {
            continue;
        }
        found.created_max = found.created_max.max(footer.file.created_in);
        let measurement = footer.file.measurement.clone();
        let schema = MeasurementSchema::of(measurement.clone(), footer.tags, footer.fields);
        let widened = match schemas.get(&measurement) {
            Some(known) => widen(known, &schema),
            None => Ok(schema.clone()),
        };
        match widened {
            Ok(widened) => schemas.insert(measurement, widened),
            Err(conflict) => {
                let (time_min, time_max) = (footer.file.time_min, footer.file.time_max);
                found.damaged.push((path.to_string(), conflict.to_string()));
                let what = conflict.to_string();
                found.edit.lost.push(LostFile { path: path.to_string(), what, time_min, time_max, known_through: None });
                continue;
            }
        };
        // It comes into the manifest all the same: whoever needs its rows gets an error that names it.
        found.damaged.extend(damage.map(|what| (path.to_string(), what)));
        found.edit.schemas.push(Arc::new(schema));
        files.push(Arc::new(footer.file));
    }
    let good = |f: &FileMeta| !found.damaged.iter().any(|d| d.0 == f.path);
    let superseded = |f: &FileMeta, by: &[Arc<FileMeta>]| by.iter().any(|by| good(by) && holds_rows_of(by, f));
    // One that was lost may hold rows that no later file has.
    let is_new = |f: &FileMeta| !lost_before.contains(f.path.as_str());
    let repeated = |f: &FileMeta| is_new(f) && files.iter().any(|by| good(by) && is_new(by) && repeats(by, f));
    let remove = version.files.iter().filter(|f| superseded(f, &files)).map(|f| f.id).collect();
    let add = files.iter().filter(|f| !superseded(f, &files) && !superseded(f, &version.files) && !repeated(f)).cloned().collect();
    (found.edit.remove, found.edit.add) = (remove, add);
    // Lost as before: nothing new.
    if found.edit.lost == version.lost {
        found.edit.lost.clear();
        found.edit.no_longer_lost.clear();
    }
    found
}

/// Files of the version that are not in the store as they were written, as far as a listing tells.
fn misfits(version: &Version, listed: &[Listed]) -> Damage {
    let sizes: HashMap<&str, u64> = listed.iter().map(|l| (l.path.as_str(), l.bytes)).collect();
    let judge = |f: &Arc<FileMeta>| match sizes.get(f.path.as_str()) {
        None => Some((f.path.clone(), "it is gone".to_string())),
        Some(&bytes) if bytes != f.bytes => Some((f.path.clone(), format!("it has {bytes} bytes and was written with {}", f.bytes))),
        Some(_) => None,
    };
    version.files.iter().filter_map(judge).collect()
}

/// Whether a file of a bucket may have this name.
fn is_data_path(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    let id = parts.next().and_then(|name| name.strip_suffix(".parquet")).filter(|hex| hex.len() == 16);
    let is_id = id.is_some_and(|hex| u64::from_str_radix(hex, 16).is_ok());
    is_id && parts.next().is_some_and(|partition| partition.parse::<i64>().is_ok())
}

/// The times that rows of a file may have, by the folder that it lies in.
fn partition_of(path: &str, partition_ns: i64) -> (i64, i64) {
    match path.rsplit('/').nth(1).and_then(|p| p.parse::<i64>().ok()) {
        Some(start) => (start, start.saturating_add(partition_ns - 1)),
        None => (i64::MIN, i64::MAX),
    }
}

/// What the next opening would do with a file that is in no version.
#[derive(Debug)]
pub enum Fate {
    /// It comes into the manifest.
    Found,
    /// It cannot be read, or is not what its name says.
    Damaged(String),
}

/// The fates of files beside a version, by path; the others are garbage.
pub async fn fate(store: &Store, version: &Version, listed: &[Listed], partition_ns: i64) -> HashMap<String, Fate> {
    let found = find(store, version, listed, partition_ns).await;
    let added = found.edit.add.iter().map(|f| (f.path.clone(), Fate::Found));
    added.chain(found.damaged.into_iter().map(|(path, what)| (path, Fate::Damaged(what)))).collect()
}

/// A compaction takes every file of a measurement and partition whose sequences lie in a range, so its output, of a higher
/// level and written for a later version, holds what any file inside that range holds.
fn holds_rows_of(by: &FileMeta, f: &FileMeta) -> bool {
    let same = by.measurement == f.measurement && by.partition == f.partition;
    let later = by.level > f.level && by.created_in > f.created_in;
    same && later && by.sequence_min <= f.sequence_min && f.sequence_max <= by.sequence_max
}

/// Whether `by` was a later attempt at the same flush or compaction, or at one of more files: the former never came into a version.
fn repeats(by: &FileMeta, f: &FileMeta) -> bool {
    let same = by.measurement == f.measurement && by.partition == f.partition && (by.level == 0) == (f.level == 0);
    let covers = by.sequence_min <= f.sequence_min && f.sequence_max <= by.sequence_max;
    let rank = |f: &FileMeta| (f.created_in, f.sequence_max - f.sequence_min.min(f.sequence_max), f.id);
    same && covers && rank(by) > rank(f)
}

#[cfg(test)]
mod tests;
