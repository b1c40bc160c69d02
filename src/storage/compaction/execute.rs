//! Doing a compaction: read, merge, write, commit.
//!
//! It holds a row group of each input and one of the output in memory, whatever the files' sizes are. The rows that deletes
//! hide are left out for good. Readers go on with the inputs until the commit, which is refused when the state no longer
//! fits; a delete that came meanwhile hides rows of the output as it did of the inputs.

use super::CompactionSpec;
use crate::model::{BucketId, Duplicates, ErrorKind, Failure, Result};
use crate::storage::{
    block::RowFilter,
    cut::{self, Cut},
    failpoint::{Failpoint, Mistake},
    files::{BULK_BATCH_ROWS, Draft, FileStore, computing},
    manifest::{Edit, FileMeta, Version},
    object::Space,
    parquet::{decimal::Decimals, writer::FileWriter},
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Part of the disk that compactions leave to writes and deletes.
const RESERVE_PERCENT: u64 = 5;

/// What a compaction did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    pub files_in: u64,
    pub bytes_in: u64,
    pub rows_in: u64,
    /// 0: no row was left, and no file was made.
    pub bytes_out: u64,
    pub rows_out: u64,
}

/// Rows that a merge does not write again.
pub(in crate::storage) struct LeftOut<'a> {
    /// Rows before it have expired.
    pub time_floor: i64,
    pub cuts: &'a [Cut],
}

impl FileStore {
    /// Replaces the inputs by one file of the same rows. Rows before `time_floor` have expired and are left out.
    ///
    /// `None`, and nothing has changed, when the state has moved on so that the inputs can no longer be replaced. Fails with
    /// `Unavailable` when there is no room or `stop` was cancelled; the old state then stands.
    pub async fn compact(&self, spec: CompactionSpec, time_floor: i64, stop: CancellationToken) -> Result<Option<Compacted>> {
        let outcome = self.compact_each(vec![spec], time_floor, stop).await.pop();
        outcome.unwrap_or_else(|| Err(Failure::internal("a compaction came to nothing")))
    }

    /// The same of several, of one bucket, in one commit, since that names every file of the bucket anew. Each stands or fails by
    /// itself; the outcomes in the order of `specs`.
    pub async fn compact_each(
        &self,
        specs: Vec<CompactionSpec>,
        time_floor: i64,
        stop: CancellationToken,
    ) -> Vec<Result<Option<Compacted>>> {
        let Some(bucket) = specs.first().map(|spec| spec.bucket) else { return vec![] };
        let entry = self.entry(bucket);
        let Ok(_merging) = entry.merging.try_read() else { return specs.iter().map(|_| Ok(None)).collect() };
        let (mut outcomes, mut merged) = (vec![], vec![]);
        for spec in specs {
            outcomes.push(match self.merge(&spec, time_floor, &stop).await {
                Ok(Some(draft)) => {
                    let (rows_out, bytes_out) = (draft.meta.rows, if draft.meta.rows == 0 { 0 } else { draft.meta.bytes });
                    let (files_in, bytes_in, rows_in) = (spec.inputs.len() as u64, spec.bytes(), spec.inputs.iter().map(|f| f.rows).sum());
                    merged.push((spec, draft));
                    Ok(Some(Compacted { files_in, bytes_in, rows_in, bytes_out, rows_out }))
                }
                Ok(None) => Ok(None),
                Err(failure) => Err(failure),
            });
        }
        let committed = self.replace(bucket, merged, Together::AsFit).await;
        for (at, outcome) in outcomes.iter_mut().filter(|o| matches!(o, Ok(Some(_)))).enumerate() {
            match &committed {
                Ok(done) if !done[at] => *outcome = Ok(None),
                Ok(_) => {}
                Err(failure) => *outcome = Err(failure.clone()),
            }
        }
        outcomes
    }

    /// The file that is to replace the inputs, written and not yet referred to.
    async fn merge(&self, spec: &CompactionSpec, time_floor: i64, stop: &CancellationToken) -> Result<Option<Draft>> {
        let Some(base) = self.version(spec.bucket).filter(|v| spec.fits(v)) else { return Ok(None) };
        let mut room = self.reserve(spec.bytes())?;
        // Deletes up to `base` are folded in. The inputs are in every version from `base` to the commit, so whichever of them a
        // damaged manifest falls back to has the rows.
        let draft = self.merged_draft(spec, base.number + 1);
        let (files, work, stop) = (self.clone(), spec.clone(), stop.clone());
        let merge = async move { files.merge_into(draft, &base, &work, LeftOut { time_floor, cuts: &[] }, &mut room, &stop).await };
        computing("a compaction", merge).await.map(Some)
    }

    /// The file that the inputs are to become.
    pub(in crate::storage) fn merged_draft(&self, spec: &CompactionSpec, created_in: u64) -> Draft {
        let first = &spec.inputs[0];
        self.draft(spec.bucket, first.measurement.clone(), first.partition, |meta| {
            if !self.has(Mistake::CompactedSequencesLost) {
                (meta.sequence_min, meta.sequence_max) = spec.sequences();
            }
            meta.level = 1 + spec.inputs.iter().map(|f| f.level).max().unwrap_or(0);
            meta.created_in = created_in;
        })
    }

    /// Writes the rows of the inputs, as `base` has them, into one file, without what is `left_out`. The draft then says what the file
    /// holds; without any row there is none.
    pub(in crate::storage) async fn merge_into(
        &self,
        mut draft: Draft,
        base: &Version,
        spec: &CompactionSpec,
        left_out: LeftOut<'_>,
        room: &mut Room,
        stop: &CancellationToken,
    ) -> Result<Draft> {
        let measurement = &draft.meta.measurement;
        let schema = base.schemas.get(measurement).ok_or_else(|| Failure::internal(format!("`{measurement}` has files and no schema")))?;
        let snapshot = self.bulk_snapshot(base, schema, spec.inputs.clone());
        let mut rows = snapshot.read(None, RowFilter { time_min: left_out.time_floor, ..RowFilter::all() }, BULK_BATCH_ROWS)?;
        let decimals = match snapshot.duplicates {
            // Of two sums of decimals one may be none.
            Duplicates::Sum => Decimals::default(),
            _ => Decimals::of_files(&snapshot.reader, schema, &spec.inputs).await?,
        };
        let mut writer = FileWriter::new(spec.bucket, schema, decimals, draft.meta.clone())?;
        let mut upload = self.inner.store.upload(&draft.meta.path);
        let written = async {
            while let Some(batch) = rows.next().await? {
                if stop.is_cancelled() {
                    return Err(Failure::new(ErrorKind::Unavailable, "a compaction was broken off: the server is shutting down"));
                }
                writer.write(&cut::apply(left_out.cuts, batch)?)?;
                let bytes = writer.take()?;
                room.spend(bytes.len() as u64);
                upload.write(bytes).await?;
            }
            Ok(())
        };
        let written = written.await;
        let finished = match written {
            Ok(()) => writer.finish(),
            Err(failure) => Err(failure),
        };
        let (rest, meta) = match finished {
            Ok((_, meta)) if meta.rows == 0 => {
                upload.abort().await;
                draft.meta = meta;
                return Ok(draft);
            }
            Ok(finished) => finished,
            Err(failure) => {
                upload.abort().await;
                return Err(failure);
            }
        };
        if let Err(failure) = upload.write(rest).await {
            upload.abort().await;
            return Err(failure.into());
        }
        self.pass(Failpoint::ParquetWrite)?;
        upload.finish().await?;
        self.pass(Failpoint::Compacted)?;
        draft.meta = meta;
        Ok(draft)
    }

    /// Puts what was merged in the place of its inputs, all in one commit; which of it was, since what can no longer be replaced
    /// stays as it is.
    pub(in crate::storage) async fn replace(
        &self,
        bucket: BucketId,
        merged: Vec<(CompactionSpec, Draft)>,
        together: Together,
    ) -> Result<Vec<bool>> {
        let (specs, drafts): (Vec<_>, Vec<_>) = merged.into_iter().unzip();
        let outputs: Vec<FileMeta> = drafts.iter().map(|draft| draft.meta.clone()).collect();
        let late = |now: &Version, spec: &CompactionSpec, meta: &FileMeta| {
            // Cannot be while deletes flush first and hold flushes off; if it were, the delete would be undone.
            now.tombstones.iter().any(|t| t.version >= meta.created_in && t.sequence < meta.sequence_max && t.hides_in_any(&spec.inputs))
        };
        if self.has(Mistake::InputsDeletedTooEarly) {
            for input in specs.iter().flat_map(|spec| &spec.inputs) {
                self.inner.store.delete(&input.path).await?;
            }
        }
        let fit = Mutex::new(vec![]);
        let make = |now: &Version, _| {
            let mut fits: Vec<bool> = specs.iter().zip(&outputs).map(|(spec, meta)| spec.fits(now) && !late(now, spec, meta)).collect();
            if together == Together::AllOrNone && fits.contains(&false) {
                fits.fill(false);
            }
            let mut edit = Edit::default();
            for ((spec, meta), _) in specs.iter().zip(&outputs).zip(&fits).filter(|(_, fits)| **fits) {
                edit.remove.extend(spec.inputs.iter().map(|f| f.id));
                edit.add.extend((meta.rows > 0).then(|| Arc::new(meta.clone())));
            }
            *fit.lock() = fits;
            Ok((!edit.remove.is_empty()).then_some(edit))
        };
        self.commit(bucket, drafts, make).await?;
        let done = fit.into_inner();
        for (meta, _) in outputs.iter().zip(&done).filter(|(_, done)| !**done) {
            // If it stays, the next sweep finds it.
            let _ = self.inner.store.delete(&meta.path).await;
        }
        Ok(done)
    }

    /// Sets room for files aside, so that all who rewrite files at the same time find the room that each was promised. Fails with
    /// `Unavailable` when there is not as much, beside what is kept for writes and deletes.
    pub(in crate::storage) fn reserve(&self, bytes: u64) -> Result<Room> {
        let mut reserved = self.inner.reserved.lock();
        check_space(self.inner.store.space(), bytes, *reserved)?;
        *reserved += bytes;
        Ok(Room { files: self.clone(), bytes })
    }
}

/// What to do when only some of the merged files can replace their inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage) enum Together {
    AsFit,
    AllOrNone,
}

/// Room on the disk that is set aside; the rest of it is given back when this is dropped.
pub(in crate::storage) struct Room {
    files: FileStore,
    bytes: u64,
}

impl Room {
    /// Bytes that are written now, and so are no longer free.
    pub fn spend(&mut self, bytes: u64) {
        let spent = bytes.min(self.bytes);
        self.bytes -= spent;
        *self.files.inner.reserved.lock() -= spent;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.spend(self.bytes);
    }
}

fn check_space(space: Option<Space>, wanted: u64, reserved: u64) -> Result<()> {
    let Some(Space { free, total }) = space else { return Ok(()) };
    let kept_back = total / 100 * RESERVE_PERCENT;
    let free = free.saturating_sub(reserved);
    if free >= wanted.saturating_add(kept_back) {
        return Ok(());
    }
    let message = format!(
        "no room to rewrite {wanted} bytes of files: {free} bytes of the disk are free and not promised to others, of which {kept_back} are \
         kept back"
    );
    Err(Failure::new(ErrorKind::Unavailable, message).retry_after(600))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_to_others_is_not_free() {
        let space = |free| Some(Space { free, total: 1_000 });
        assert_eq!(check_space(None, u64::MAX, 0), Ok(()), "nobody knows what an object store has");
        assert_eq!(check_space(space(150), 60, 40), Ok(()));
        let refused = check_space(space(150), 60, 41).expect_err("one byte is missing");
        assert_eq!((refused.kind, refused.retry_after_s), (ErrorKind::Unavailable, Some(600)));
        assert!(refused.message.contains("109 bytes of the disk are free"), "{refused}");
        assert!(check_space(space(10), 0, 50).is_err());
    }
}
