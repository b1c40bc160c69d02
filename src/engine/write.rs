//! Rows in, rows out of sight: the caller's right is checked, the target found, and storage does the rest.

use super::{CallerDirectory, Engine};
use crate::{
    catalog::{Action, Caller},
    model::{DeleteSpec, ErrorKind, Failure, Precision, Result, Timestamp},
    plan::{BucketInfo, BucketRef, DeleteRows, values::ValueFilter},
    query::{delete, tables::Directory},
    storage::{BadLines, WriteReport, WriteRequest},
};
use bytes::Bytes;
use std::sync::Arc;

/// Where a request wants to go, as it names it.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Name or id; `None`: the caller's own organisation.
    pub org: Option<&'a str>,
    pub bucket: BucketRef<'a>,
}

#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    pub precision: Precision,
    pub bad_lines: BadLines,
    /// A database that is not there is created (InfluxDB 3); the caller needs the right to create buckets.
    pub create: bool,
}

/// What became of a write.
#[derive(Debug, Clone)]
pub struct Written {
    pub report: WriteReport,
    pub bucket: BucketInfo,
    /// Rows before this instant were refused.
    pub retention_floor: Option<Timestamp>,
}

impl Engine {
    /// Stores line protocol; durable when it returns.
    ///
    /// The organisation is looked up before the bucket, the bucket before the right, and the right before the lines are
    /// read (InfluxDB 2.7). A bucket that the caller may not write to is `Forbidden`, known to the caller or not: Telegraf
    /// keeps its rows for later then, and throws them away where a bucket is not found.
    pub async fn write(&self, caller: &Caller, target: Target<'_>, body: Bytes, options: WriteOptions) -> Result<Written> {
        let bucket = self.writable(caller, target, options.create)?;
        let now = self.now();
        // By the clock that rows are erased by: none is refused for good because the wall clock has jumped ahead.
        let retention_floor = bucket.retention_ns.map(|ns| self.storage().files().erase_floor(ns));
        let WriteOptions { precision, bad_lines, .. } = options;
        let request = WriteRequest { bucket: bucket.id, body, precision, now, bad_lines, retention_floor };
        let report = self.storage().write(request).await?;
        Ok(Written { report, bucket, retention_floor })
    }

    /// Deletes rows, or values of theirs; durable when it returns. How many rows went or lost a value; `None` where that
    /// takes long to count, or a file that cannot be read may have had some.
    pub async fn delete(&self, caller: &Caller, target: Target<'_>, spec: DeleteSpec, values: &ValueFilter) -> Result<Option<u64>> {
        let directory = self.target_directory(caller, target.org)?;
        let bucket = directory.find_any(target.bucket)?;
        if !directory.may(Action::Write, &bucket) {
            return Err(Failure::new(ErrorKind::Forbidden, "insufficient permissions to delete"));
        }
        let now = self.now();
        let rows = match values.is_empty() {
            true => vec![DeleteRows { spec, parts: vec![] }],
            false => {
                let schemas = self.storage().schemas(bucket.id).into_iter().filter(|schema| spec.concerns(&schema.measurement));
                let of = |measurement: &Arc<str>| DeleteSpec { measurement: Some(measurement.clone()), ..spec.clone() };
                let rows = schemas.map(|schema| DeleteRows { spec: of(&schema.measurement), parts: values.parts(&schema) });
                rows.filter(|rows| !rows.parts.is_empty()).collect()
            }
        };
        let floor = bucket.retention_ns.map(|ns| now.saturating_sub(ns));
        delete::delete(self.storage(), &self.inner.sessions.session(now).state, bucket.id, rows, floor).await
    }

    /// An organisation that is named is found, also one that has nothing for the caller: the bucket's right decides.
    fn target_directory(&self, caller: &Caller, org: Option<&str>) -> Result<CallerDirectory> {
        match org.and_then(|text| self.catalog().state().organization(text).map(|org| org.id)) {
            Some(org) => Ok(CallerDirectory::new(self.catalog().clone(), caller.clone(), org)),
            None => self.directory(caller, org),
        }
    }

    fn writable(&self, caller: &Caller, target: Target<'_>, create: bool) -> Result<BucketInfo> {
        let directory = self.target_directory(caller, target.org)?;
        let find = || directory.find_any(target.bucket);
        let bucket = match (find(), target.bucket) {
            (Err(failure), BucketRef::Database { database, policy }) if create && failure.kind == ErrorKind::NotFound => {
                directory.create_database(database, policy, None)?;
                find()?
            }
            (found, _) => found?,
        };
        directory.check_write(&bucket)?;
        Ok(bucket)
    }
}
