//! Doing a compaction: read, merge, write, commit.
//!
//! It holds a row group of each input and one of the output in memory, whatever the files' sizes are. The rows that deletes
//! hide are left out for good. Readers go on with the inputs until the commit, which is refused when the state no longer
//! fits; a delete that came meanwhile hides rows of the output as it did of the inputs.

use super::CompactionSpec;
use crate::model::{BucketId, ErrorKind, Failure, Result};
use crate::storage::{
    block::RowFilter,
    cut::{self, Cut},
    failpoint::{Failpoint, Mistake},
    files::{BULK_BATCH_ROWS, Draft, FileStore, computing},
    manifest::{Edit, FileMeta, Version},
    object::Space,
    parquet::{decimal::Decimals, writer::FileWriter},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
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

impl FileStore {
    /// Replaces the inputs by one file of the same rows. Rows before `time_floor` have expired and are left out.
    ///
    /// `None`, and nothing has changed, when the state has moved on so that the inputs can no longer be replaced. Fails with
    /// `Unavailable` when there is no room or `stop` was cancelled; the old state then stands.
    pub async fn compact(&self, spec: CompactionSpec, time_floor: i64, stop: CancellationToken) -> Result<Option<Compacted>> {
        let entry = self.entry(spec.bucket);
        let Ok(_merging) = entry.merging.try_read() else { return Ok(None) };
        let Some(base) = self.version(spec.bucket).filter(|v| spec.fits(v)) else { return Ok(None) };
        check_space(self.inner.store.space(), spec.bytes())?;
        // Deletes up to `base` are folded in. The inputs are in every version from `base` to the commit, so whichever of them a
        // damaged manifest falls back to has the rows.
        let draft = self.merged_draft(&spec, base.number + 1);
        let (files, work) = (self.clone(), spec.clone());
        let merge = async move { files.merge_into(draft, &base, &work, time_floor, &[], &stop).await };
        let draft = computing("a compaction", merge).await?;
        let (rows_out, bytes_out) = (draft.meta.rows, if draft.meta.rows == 0 { 0 } else { draft.meta.bytes });
        let (files_in, bytes_in, rows_in) = (spec.inputs.len() as u64, spec.bytes(), spec.inputs.iter().map(|f| f.rows).sum());
        let done = self.replace(spec.bucket, vec![(spec, draft)]).await?;
        Ok(done.then_some(Compacted { files_in, bytes_in, rows_in, bytes_out, rows_out }))
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

    /// Writes the rows of the inputs, as `base` has them, into one file: without those before `time_floor`, and without what
    /// `cuts` take. The draft then says what the file holds; without any row there is none.
    pub(in crate::storage) async fn merge_into(
        &self,
        mut draft: Draft,
        base: &Version,
        spec: &CompactionSpec,
        time_floor: i64,
        cuts: &[Cut],
        stop: &CancellationToken,
    ) -> Result<Draft> {
        let measurement = &draft.meta.measurement;
        let schema = base.schemas.get(measurement).ok_or_else(|| Failure::internal(format!("`{measurement}` has files and no schema")))?;
        let snapshot = self.bulk_snapshot(base, schema, spec.inputs.clone());
        let mut rows = snapshot.read(None, RowFilter { time_min: time_floor, ..RowFilter::all() }, BULK_BATCH_ROWS)?;
        let decimals = Decimals::of_files(&snapshot.reader, schema, &spec.inputs).await?;
        let mut writer = FileWriter::new(spec.bucket, schema, decimals, draft.meta.clone())?;
        let mut upload = self.inner.store.upload(&draft.meta.path);
        let written = async {
            while let Some(batch) = rows.next().await? {
                if stop.is_cancelled() {
                    return Err(Failure::new(ErrorKind::Unavailable, "a compaction was broken off: the server is shutting down"));
                }
                writer.write(&cut::apply(cuts, batch)?)?;
                upload.write(writer.take()?).await?;
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

    /// Puts what was merged in the place of its inputs, all in one commit; false, and nothing has changed, when they can no longer be
    /// replaced.
    pub(in crate::storage) async fn replace(&self, bucket: BucketId, merged: Vec<(CompactionSpec, Draft)>) -> Result<bool> {
        let (specs, drafts): (Vec<_>, Vec<_>) = merged.into_iter().unzip();
        let outputs: Vec<FileMeta> = drafts.iter().map(|draft| draft.meta.clone()).collect();
        let edit = Edit {
            add: outputs.iter().filter(|meta| meta.rows > 0).map(|meta| Arc::new(meta.clone())).collect(),
            remove: specs.iter().flat_map(|spec| &spec.inputs).map(|f| f.id).collect(),
            ..Edit::default()
        };
        let late = |now: &Version, spec: &CompactionSpec, meta: &FileMeta| {
            // Cannot be while deletes flush first and hold flushes off; if it were, the delete would be undone.
            now.tombstones.iter().any(|t| t.version >= meta.created_in && t.sequence < meta.sequence_max && t.hides_in_any(&spec.inputs))
        };
        if self.has(Mistake::InputsDeletedTooEarly) {
            for input in specs.iter().flat_map(|spec| &spec.inputs) {
                self.inner.store.delete(&input.path).await?;
            }
        }
        let fits = AtomicBool::new(true);
        let make = |now: &Version, _| {
            let still = specs.iter().zip(&outputs).all(|(spec, meta)| spec.fits(now) && !late(now, spec, meta));
            fits.store(still, Ordering::Relaxed);
            Ok(still.then(|| edit.clone()))
        };
        self.commit(bucket, drafts, make).await?;
        let done = fits.load(Ordering::Relaxed);
        if !done {
            for meta in &outputs {
                // If it stays, the next sweep finds it.
                let _ = self.inner.store.delete(&meta.path).await;
            }
        }
        Ok(done)
    }
}

pub(in crate::storage) fn check_space(space: Option<Space>, wanted: u64) -> Result<()> {
    let Some(Space { free, total }) = space else { return Ok(()) };
    let reserve = total / 100 * RESERVE_PERCENT;
    if free >= wanted.saturating_add(reserve) {
        return Ok(());
    }
    let message =
        format!("no room to rewrite {wanted} bytes of files: {free} bytes of the disk are free, of which {reserve} are kept back");
    Err(Failure::new(ErrorKind::Unavailable, message).retry_after(600))
}
