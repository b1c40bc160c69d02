//! Finding files again when the manifest version that named them is damaged or gone: each file says what it is.
//!
//! What no file says is lost with the manifest: deletes that no compaction has folded in, and that a bucket was dropped.

use crate::model::{BucketId, MeasurementSchema, Result};
use crate::storage::{
    manifest::{Edit, FileMeta, Stamp, Version, edit::widen},
    object::Store,
    parquet::file::inspect,
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// What is in the store and not in the manifest.
#[derive(Debug, Default)]
pub struct Found {
    /// Brings the found files into the manifest.
    pub edit: Edit,
    /// Files that cannot be read, and why.
    pub damaged: Vec<(String, String)>,
}

/// The files of the bucket that were written for versions after `version`. Inputs of a compaction leave when its output
/// is found.
///
/// A file whose commit never happened is found as well. That adds nothing wrong: its rows are acknowledged and in the log,
/// or in the files that it was compacted from, and equal rows become one.
pub async fn find(store: &Store, version: &Version) -> Result<Found> {
    let known: HashSet<&str> =
        version.files.iter().map(|f| f.path.as_str()).chain(version.removed.iter().map(|r| r.path.as_str())).collect();
    let mut found = Found::default();
    let mut schemas: BTreeMap<Arc<str>, MeasurementSchema> =
        version.schemas.iter().map(|(name, schema)| (name.clone(), schema.as_ref().clone())).collect();
    let mut files: Vec<Arc<FileMeta>> = vec![];
    for object in store.list(&format!("buckets/{}/data", version.bucket)).await? {
        if known.contains(object.path.as_str()) || !object.path.ends_with(".parquet") {
            continue;
        }
        let footer = match inspect(&store.get(&object.path).await?) {
            Ok(footer) if footer.bucket != version.bucket || footer.file.path != object.path => {
                found.damaged.push((object.path, format!("it says that it is `{}`", footer.file.path)));
                continue;
            }
            Ok(footer) => footer,
            Err(what) => {
                found.damaged.push((object.path, what));
                continue;
            }
        };
        // Older ones left the manifest, or never came into it.
        if footer.file.created_in <= version.number {
            continue;
        }
        let measurement = footer.file.measurement.clone();
        let schema = MeasurementSchema { measurement: measurement.clone(), tags: footer.tags, fields: footer.fields };
        let widened = match schemas.get(&measurement) {
            Some(known) => widen(known, &schema),
            None => Ok(schema.clone()),
        };
        match widened {
            Ok(widened) => schemas.insert(measurement, widened),
            Err(conflict) => {
                found.damaged.push((object.path, conflict.to_string()));
                continue;
            }
        };
        found.edit.schemas.push(Arc::new(schema));
        files.push(Arc::new(footer.file));
    }
    let superseded = |f: &FileMeta| files.iter().any(|by| holds_rows_of(by, f));
    found.edit.remove = version.files.iter().filter(|f| superseded(f)).map(|f| f.id).collect();
    found.edit.add = files.iter().filter(|f| !superseded(f)).cloned().collect();
    Ok(found)
}

/// A bucket's manifest made from its Parquet files alone, as version `number`, with the files that cannot be read.
pub async fn rebuild(store: &Store, bucket: BucketId, stamp: Stamp) -> Result<(Version, Vec<(String, String)>)> {
    let empty = Version::empty(bucket);
    let found = find(store, &empty).await?;
    Ok((found.edit.apply(&empty, stamp)?, found.damaged))
}

/// A compaction takes every file of a measurement and partition whose sequences lie in a range, so its output, of a higher
/// level, holds what any file inside that range holds.
fn holds_rows_of(by: &FileMeta, f: &FileMeta) -> bool {
    let same = by.measurement == f.measurement && by.partition == f.partition;
    same && by.level > f.level && by.sequence_min <= f.sequence_min && f.sequence_max <= by.sequence_max
}
