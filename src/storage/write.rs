//! Writing: parse and admit, log, make visible, acknowledge, in this order. Nothing is visible or acknowledged before
//! it is durable. And flushing: freeze, files, manifest, trim.

use super::{
    Bucket, Storage, apart,
    buffer::{Conflicts, RejectedLines, Staged, StagedTable, Table, stage},
    failpoint::{Failpoint, Mistake},
    files::{Flushing, partition_of},
    to_the_end,
    wal::frame,
};
use crate::{
    line_protocol::write_point,
    model::{
        BucketId, ErrorKind, Failure, FieldType, FieldValue, MeasurementSchema, Precision, Result, Timestamp, TypeConflicts, schema::Role,
    },
};
use arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt64Type},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

/// What to do with a request that has bad lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadLines {
    /// Bad lines are reported, the others are stored.
    Skip,
    /// One line that cannot be read, clashes or has expired refuses the whole request; nothing is stored, in quarantine neither.
    RefuseAll,
}

/// One write request.
#[derive(Debug, Clone)]
pub struct WriteRequest {
    pub bucket: BucketId,
    /// Line protocol, decompressed.
    pub body: Bytes,
    pub precision: Precision,
    /// The time of lines without one, nanoseconds.
    pub now: Timestamp,
    pub bad_lines: BadLines,
    /// Rows before this instant have expired and are rejected.
    pub retention_floor: Option<Timestamp>,
}

/// What became of a write request. Its rows are durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteReport {
    /// Without those in quarantine.
    pub row_count: usize,
    pub rejected: RejectedLines,
    /// Lines that clash and are kept in the measurement `_quarantine`.
    pub quarantined: usize,
}

/// Requests larger than this are worked on off the async threads.
const INLINE_BYTES_MAX: usize = 32 << 10;

impl WriteRequest {
    /// Does work whose length is the request's.
    async fn compute<T: Send + 'static>(&self, what: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        if self.body.len() <= INLINE_BYTES_MAX { Ok(work()) } else { apart(what, work).await }
    }
}

impl Storage {
    /// Stores the good lines of a request; durable when it returns.
    ///
    /// Fails with `Unavailable` when the buffer is over its budget, there is no memory for lines in quarantine, or the log cannot be
    /// written; nothing was then acknowledged. Dropping the future does not undo the write.
    pub async fn write(&self, request: WriteRequest) -> Result<WriteReport> {
        if self.buffered_bytes() > self.options().buffer_bytes_max {
            self.flush_soon();
            let message = "the write buffer is full because flushing does not keep up; the write was not stored";
            return Err(Failure::new(ErrorKind::Unavailable, message).retry_after(1));
        }
        // Once the log has the record, the rows must become visible whether or not the client waits.
        let storage = self.clone();
        to_the_end("a write", async move { storage.write_to_the_end(request).await }).await
    }

    /// Stores rows that carry `tidegauge.role` metadata, as [`write`](Self::write) does. Rows without any field are skipped.
    pub async fn write_rows(&self, bucket: BucketId, measurement: &str, batch: &RecordBatch, now: Timestamp) -> Result<WriteReport> {
        let body = Bytes::from(lines_of(measurement, batch)?);
        let request =
            WriteRequest { bucket, body, precision: Precision::Nanosecond, now, bad_lines: BadLines::Skip, retention_floor: None };
        self.write(request).await
    }

    async fn write_to_the_end(self, request: WriteRequest) -> Result<WriteReport> {
        let request = Arc::new(request);
        let writing = self.inner.writing.read().await;
        // The rows are typed by the schemas that were found, and stand above what was found to be deleted.
        self.inner.files.renew(request.bucket).await?;
        let (mut staged, record) = self.stage_and_admit(&request).await?;
        let (row_count, quarantined) = (staged.row_count, staged.quarantined);
        if !staged.tables.is_empty() {
            let tables = std::mem::take(&mut staged.tables);
            let named: Vec<Arc<str>> = tables.iter().filter(|t| t.names_something()).map(|t| t.measurement.clone()).collect();
            if let Err(failure) = self.append_and_apply(&request, record, tables).await {
                drop(writing);
                if !named.is_empty() {
                    self.forget_names(request.bucket, named).await;
                }
                return Err(failure);
            }
        }
        if self.buffered_bytes() > self.options().flush_bytes {
            self.flush_soon();
        }
        Ok(WriteReport { row_count, rejected: staged.rejected, quarantined })
    }

    /// What of the request is to be stored, and names and types that it may be stored with. And its record for the log.
    async fn stage_and_admit(&self, request: &Arc<WriteRequest>) -> Result<(Staged, Vec<u8>)> {
        let conflicts = match (self.options().type_conflicts.get(request.bucket), request.bad_lines) {
            (TypeConflicts::Coerce, _) => Conflicts::Coerce,
            (TypeConflicts::Quarantine, BadLines::Skip) => {
                Conflicts::Quarantine { write: self.inner.randomness.next_u64(), memory: self.options().requests.clone() }
            }
            (TypeConflicts::Quarantine, BadLines::RefuseAll) | (TypeConflicts::Reject, _) => Conflicts::Reject,
        };
        loop {
            let (storage, work, conflicts) = (self.clone(), request.clone(), conflicts.clone());
            let read = move || {
                let schema = |measurement: &str| storage.schema(work.bucket, measurement);
                let staged = stage(&work.body, work.precision, work.now, work.retention_floor, conflicts, schema);
                if staged.tables.is_empty() {
                    return (staged, vec![]);
                }
                let text = match storage.options().failpoints.has(Mistake::LinesLoggedAsSent) {
                    true => Cow::Borrowed(&*work.body),
                    false => staged.log_text(&work.body),
                };
                let record = frame::encode(work.bucket, work.precision.nanoseconds(), work.now, &text);
                (staged, record)
            };
            let (staged, record) = request.compute("reading a write", read).await?;
            if staged.lacks_memory {
                let message = "other requests hold the memory that lines in quarantine need; nothing was stored";
                return Err(Failure::new(ErrorKind::Unavailable, message).retry_after(1));
            }
            if request.bad_lines == BadLines::RefuseAll && !staged.rejected.is_empty() {
                return Ok((Staged { rejected: staged.rejected, ..Staged::default() }, vec![]));
            }
            // Another request may have given a new field another type since; then the lines are read again.
            if self.admit(request.bucket, &staged.tables) {
                return Ok((staged, record));
            }
        }
    }

    /// Adds new tags and fields to the schemas; false, and nothing added, when one has become something else meanwhile.
    pub(super) fn admit(&self, bucket: BucketId, tables: &[StagedTable]) -> bool {
        if !tables.iter().any(StagedTable::names_something) {
            return true;
        }
        let mut schemas = self.inner.schemas.write();
        let schemas = schemas.entry(bucket).or_default();
        let mut changed = vec![];
        for table in tables {
            let known = schemas.get(&table.measurement).cloned();
            let mut schema = known.map_or_else(|| MeasurementSchema::new(table.measurement.clone()), |s| MeasurementSchema::clone(&s));
            for tag in &table.new_tags {
                if schema.fields.contains_key(tag) {
                    return false;
                }
                schema.add_tag(tag);
            }
            for (name, field_type, _) in &table.columns {
                let stored = *schema.fields.entry(name.clone()).or_insert(*field_type);
                if stored != *field_type || schema.is_tag(name) {
                    return false;
                }
            }
            changed.push(Arc::new(schema));
        }
        schemas.extend(changed.into_iter().map(|s| (s.measurement.clone(), s)));
        true
    }

    /// Takes out of the schemas of measurements what neither files nor buffered rows have: a write has brought it, and was not stored. Later
    /// lines are not held to it.
    async fn forget_names(&self, bucket: BucketId, measurements: Vec<Arc<str>>) {
        // No flush is under way with a schema that it has taken before, and no write between its look at one and its rows.
        let _no_flush = self.inner.flushing.lock().await;
        let _no_write = self.inner.writing.write().await;
        // Where a flush may have arrived unheard, files may have more than is known.
        if self.inner.files.entry(bucket).is_in_doubt() {
            return;
        }
        let (version, rows) = (self.inner.files.version(bucket), self.inner.buckets.read().get(&bucket).cloned().unwrap_or_default());
        for measurement in measurements {
            let stored = version.as_ref().and_then(|version| version.schemas.get(&measurement));
            let mut schema = stored.map_or_else(|| MeasurementSchema::new(measurement.clone()), |schema| MeasurementSchema::clone(schema));
            let mut tables = rows.tables.lock();
            tables.of_mut(&measurement).for_each(|table| table.add_names(&mut schema));
            if let Some(schemas) = self.inner.schemas.write().get_mut(&bucket) {
                match schema.fields.is_empty() {
                    true => schemas.remove(&measurement),
                    false => schemas.insert(measurement.clone(), Arc::new(schema)),
                };
            }
            tables.of_mut(&measurement).for_each(Table::forget_sorted);
        }
        self.inner.drops.fetch_add(1, std::sync::atomic::Ordering::Release);
    }

    async fn append_and_apply(&self, request: &WriteRequest, record: Vec<u8>, tables: Vec<StagedTable>) -> Result<()> {
        let landing = Landing { storage: self, begun: Arc::default() };
        let (inner, mark) = (self.inner.clone(), landing.begun.clone());
        let told = move |sequence| {
            inner.in_flight.lock().begin(sequence);
            let _ = mark.set(sequence);
        };
        let logged = self.inner.log.append(record, told).await;
        let applied = match logged {
            Ok(sequence) => {
                let (storage, bucket) = (self.clone(), request.bucket);
                request.compute("taking in a write", move || storage.apply(bucket, sequence, tables)).await
            }
            Err(failure) => Err(failure),
        };
        drop(landing);
        applied?;
        self.options().failpoints.pass(Failpoint::Acknowledge)
    }

    /// Moves what is buffered into files and shortens the log. Rows stay visible all the while. On an error the rows
    /// stay in the buffer and the next flush takes them along.
    pub async fn flush(&self) -> Result<()> {
        let one_at_a_time = self.inner.flushing.lock().await;
        self.flush_alone(&one_at_a_time).await.map(drop)
    }

    /// Every row up to the sequence returned is in files.
    pub(super) async fn flush_alone(&self, _one_at_a_time: &tokio::sync::MutexGuard<'_, ()>) -> Result<u64> {
        let through = self.inner.in_flight.lock().settled();
        let buckets: Vec<_> = self.inner.buckets.read().iter().map(|(id, b)| (*id, b.clone())).collect();
        if self.options().failpoints.has(Mistake::LogTrimmedTooEarly) {
            self.trim_log(through).await;
        }
        // One bucket that cannot be flushed must not keep the others in memory.
        let mut outcome = Ok(through);
        for (id, bucket) in buckets {
            if let Err(failure) = self.flush_bucket(id, &bucket, through).await {
                tracing::error!(bucket = %id, %failure, "a bucket was not flushed; its rows stay in the log and the buffer");
                outcome = Err(failure);
            }
        }
        if outcome.is_ok() {
            self.confirm_found(through).await?;
            self.trim_log(through).await;
        }
        outcome
    }

    /// What the log may lose is in files for sure, and their buckets' versions say so.
    async fn confirm_found(&self, through: u64) -> Result<()> {
        let found = || self.inner.unconfirmed.lock().first().copied();
        while let Some(bucket) = found() {
            self.inner.files.confirm(bucket, through).await?;
            self.inner.unconfirmed.lock().remove(&bucket);
        }
        Ok(())
    }

    /// It waits for the disk, and what it cannot do it does the next time.
    async fn trim_log(&self, through: u64) {
        let storage = self.clone();
        let _ = tokio::task::spawn_blocking(move || storage.inner.log.trim(through)).await;
    }

    async fn flush_bucket(&self, id: BucketId, bucket: &Bucket, through: u64) -> Result<()> {
        // The commit of an earlier flush may have arrived unheard. Its rows are in files then, and need no second one.
        self.inner.files.settle_doubt(id).await?;
        self.let_go(bucket, self.inner.files.flushed_through(id));
        let tables: Vec<_> = bucket.freeze(through).into_iter().map(|(m, rows)| (self.schema(id, &m), rows)).collect();
        if tables.is_empty() {
            return Ok(());
        }
        self.options().failpoints.pass(Failpoint::Freeze)?;
        let (duplicates, partition_ns) = (self.inner.files.duplicates(id), self.options().files.partition_ns);
        let build = move || {
            let flushing = tables.into_iter().filter_map(|(schema, rows)| {
                let first_sequences = rows.first_sequences(|time| partition_of(time, partition_ns));
                Some(Flushing::new(&rows.into_chunk(&schema?, duplicates)?, &first_sequences, partition_ns))
            });
            flushing.collect::<Result<Vec<_>>>()
        };
        let flushing = apart("sorting a flush", build).await??;
        match self.inner.files.flush(id, flushing, through).await {
            // Dropped while the rows were under way: they go with it.
            Err(failure) if failure.kind != ErrorKind::NotFound => return Err(failure),
            _ => {}
        }
        self.let_go(bucket, through);
        Ok(())
    }

    /// Frozen rows up to `sequence` are in files.
    fn let_go(&self, bucket: &Bucket, sequence: u64) {
        let gone = bucket.thaw(sequence);
        self.inner.buffered.fetch_sub(gone.iter().map(Table::bytes).sum(), std::sync::atomic::Ordering::Relaxed);
        // To free that much memory takes a while.
        tokio::task::spawn_blocking(move || drop(gone));
    }
}

/// A write between the log and the buffer. It comes to its end even by a panic: flushes and deletes wait for it.
struct Landing<'a> {
    storage: &'a Storage,
    begun: Arc<OnceLock<u64>>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        if let Some(&sequence) = self.begun.get() {
            self.storage.inner.in_flight.lock().end(sequence);
            self.storage.inner.landed.notify_waiters();
        }
    }
}

/// Rows as line protocol: floats that no line can carry (NaN, infinite) are left out, as InfluxDB does.
fn lines_of(measurement: &str, batch: &RecordBatch) -> Result<String> {
    let schema = batch.schema();
    let (mut tags, mut fields, mut times) = (vec![], vec![], None);
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        match Role::of(field) {
            Some(Role::Time) => times = Some(column.as_primitive::<TimestampNanosecondType>()),
            Some(Role::Tag) => tags.push((field.name().as_str(), cast(column, &DataType::Utf8)?)),
            Some(Role::Field) => fields.push((field.name().as_str(), column)),
            None => return Err(Failure::internal(format!("column `{}` does not say whether it is a tag or a field", field.name()))),
        }
    }
    let times = times.ok_or_else(|| Failure::internal("rows to be written have no time column"))?;
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        let tags = tags.iter().filter(|(_, c)| c.is_valid(row)).map(|(name, c)| (*name, c.as_string::<i32>().value(row)));
        let fields = fields.iter().filter(|(_, c)| c.is_valid(row)).filter_map(|(name, c)| {
            let value = match FieldType::from_arrow(c.data_type())? {
                FieldType::Float => FieldValue::Float(c.as_primitive::<Float64Type>().value(row)),
                FieldType::Integer => FieldValue::Integer(c.as_primitive::<Int64Type>().value(row)),
                FieldType::Unsigned => FieldValue::Unsigned(c.as_primitive::<UInt64Type>().value(row)),
                FieldType::Boolean => FieldValue::Boolean(c.as_boolean().value(row)),
                FieldType::String => FieldValue::String(c.as_string::<i32>().value(row).into()),
            };
            Some((*name, value))
        });
        write_point(&mut out, measurement, tags, fields, Some(times.value(row)));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock,
        storage::{
            fs::faulty::FaultyDisk,
            object::Store,
            testing::{bucket, open, write},
        },
    };

    #[tokio::test]
    async fn a_write_that_panics_keeps_no_delete_waiting() {
        let storage = open(&Store::memory(), &FaultyDisk::default(), ManualClock::at(0)).await;
        let request = WriteRequest {
            bucket: bucket(),
            body: "m f=1 1".into(),
            precision: Precision::Nanosecond,
            now: 0,
            bad_lines: BadLines::Skip,
            retention_floor: None,
        };
        let mut tables = stage(&request.body, request.precision, 0, None, Conflicts::Reject, |_| None).tables;
        tables[0].rows[0] = 9;
        let broken = storage.clone();
        let panicked =
            tokio::spawn(async move { broken.append_and_apply(&request, frame::encode(bucket(), 1, 0, b"m f=1 1"), tables).await }).await;
        assert!(panicked.expect_err("it has no such series").is_panic());
        tokio::time::timeout(std::time::Duration::from_secs(10), storage.settled()).await.expect("nothing is under way");
        write(&storage, "m f=2 2").await;
    }
}
