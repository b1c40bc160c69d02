//! Changes to a bucket's manifest, as pure functions from one version to the next.

use super::version::{FileMeta, LostFile, Removed, Stamp, Tombstone, Version, in_order};
use crate::model::{Failure, MeasurementSchema, Result};
use std::{collections::HashSet, sync::Arc};

/// What one commit changes.
#[derive(Debug, Clone, Default)]
pub struct Edit {
    pub add: Vec<Arc<FileMeta>>,
    /// Ids of files that leave; they stay readable for the grace period.
    pub remove: Vec<u64>,
    /// Widened into what is stored.
    pub schemas: Vec<Arc<MeasurementSchema>>,
    pub tombstones: Vec<Tombstone>,
    pub flushed_through: Option<u64>,
    pub drop_bucket: bool,
    /// Its files leave, and its schema is forgotten.
    pub drop_measurement: Option<Arc<str>>,
    /// Removed files that are deleted from the store by now.
    pub collected: Vec<String>,
    pub lost: Vec<LostFile>,
    /// Paths of lost files that were restored or given up.
    pub no_longer_lost: Vec<String>,
}

impl Edit {
    /// The version after `before`.
    pub fn apply(&self, before: &Version, stamp: Stamp) -> Result<Version> {
        let Stamp { number, writer, now, as_of } = stamp;
        let brings = !(self.add.is_empty() && self.schemas.is_empty() && self.tombstones.is_empty());
        if before.dropped && brings {
            return Err(Failure::not_found(format!("bucket {} was dropped", before.bucket)));
        }
        let mut after = before.clone();
        after.number = number;
        after.writer = writer;
        after.as_of = before.as_of.max(as_of);
        let leaving: HashSet<u64> = match self.drop_bucket {
            true => before.files.iter().map(|f| f.id).collect(),
            false => {
                let dropped = self.drop_measurement.iter().flat_map(|measurement| before.files_of(measurement));
                self.remove.iter().copied().chain(dropped.map(|f| f.id)).collect()
            }
        };
        let (gone, kept): (Vec<_>, Vec<_>) = after.files.drain(..).partition(|f| leaving.contains(&f.id));
        if gone.len() != leaving.len() {
            return Err(Failure::internal("an edit of the manifest removes a file that is not there"));
        }
        after.files = kept;
        after.removed.retain(|r| !self.collected.contains(&r.path));
        after.removed.extend(gone.iter().map(|f| Removed { path: f.path.clone(), at: now, version: number }));
        after.files.extend(self.add.iter().cloned());
        in_order(&mut after.files);
        after.lost.retain(|l| !self.no_longer_lost.contains(&l.path));
        after.lost.extend(self.lost.iter().cloned());
        if let Some(measurement) = &self.drop_measurement {
            after.schemas.remove(measurement);
        }
        for schema in &self.schemas {
            let widened = match after.schemas.get(&schema.measurement) {
                Some(stored) if stored == schema => continue,
                Some(stored) => widen(stored, schema)?,
                None => schema.as_ref().clone(),
            };
            after.schemas.insert(schema.measurement.clone(), Arc::new(widened));
        }
        let stamped = |t: &Tombstone| Arc::new(Tombstone { version: number, at: now, ..t.clone() });
        after.tombstones.extend(self.tombstones.iter().map(stamped));
        if !(gone.is_empty() && self.tombstones.is_empty() && self.no_longer_lost.is_empty()) {
            // A delete is over when no file has rows that it could hide: whatever it hid is in files, or in one that is lost and
            // may be restored.
            let mut tombstones = std::mem::take(&mut after.tombstones);
            tombstones.retain(|t| after.has_hidden(t) || after.lost.iter().any(|l| t.may_hide_in(l)));
            after.tombstones = tombstones;
        }
        if let Some(through) = self.flushed_through {
            after.flushed_through = after.flushed_through.max(through);
        }
        if self.drop_bucket {
            after.dropped = true;
            after.schemas.clear();
            after.tombstones.clear();
            after.lost.clear();
        }
        Ok(after)
    }
}

/// The schema that holds the columns of both. A column that is one thing here and another there is a broken
/// invariant: writes were checked against the stored schema before.
pub fn widen(a: &MeasurementSchema, b: &MeasurementSchema) -> Result<MeasurementSchema> {
    let mut out = a.clone();
    for tag in &b.tags {
        out.add_tag(tag);
    }
    for (name, &field_type) in &b.fields {
        match out.fields.insert(name.clone(), field_type) {
            Some(stored) if stored != field_type => {
                let m = &a.measurement;
                return Err(Failure::internal(format!("field `{name}` of `{m}` is stored as {stored} and now comes as {field_type}")));
            }
            _ => {}
        }
    }
    match out.fields.keys().find(|name| out.is_tag(name)) {
        Some(name) => Err(Failure::internal(format!("column `{name}` of `{}` is both a tag and a field", a.measurement))),
        None => Ok(out),
    }
}
