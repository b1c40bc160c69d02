//! Deletes. Whole rows of series and times are hidden by a delete in the manifest, until compactions leave them out; what is
//! chosen by a look at the values is cut out of the files at once, see [`super::cut`].
//!
//! Both tell how many rows readers no longer see as they were.

use super::{
    Storage,
    block::{RowFilter, SeriesFilter, SeriesRuns, TagBounds},
    cut::Cut,
    files::{FileStore, computing},
    manifest::{FileMeta, Version},
    to_the_end,
};
use crate::model::{BucketId, DeleteSpec, MeasurementSchema, Result, TagPredicate, Timestamp};
use std::{collections::BTreeMap, sync::Arc};

const BATCH_ROWS: usize = 16_384;

impl Storage {
    /// Hides the rows that any of `specs` names and that were acknowledged before the call, all of them at once; durable when it
    /// returns. Dropping the future does not undo it.
    ///
    /// How many rows at `floor` or later they were; `None` where a file that cannot be read may have had some. A row that two
    /// of the specs name counts twice.
    pub async fn delete(&self, bucket: BucketId, specs: Vec<DeleteSpec>, floor: Option<Timestamp>) -> Result<Option<u64>> {
        if specs.is_empty() {
            return Ok(Some(0));
        }
        let storage = self.clone();
        to_the_end("a delete", async move {
            let before = storage.hide(bucket, specs.clone()).await?;
            storage.count(bucket, before, specs, floor).await
        })
        .await
    }

    /// Takes what `cuts` name out of the rows that were acknowledged before the call, all of it at once; durable when it
    /// returns. A write at the same time counts as before it or after it. Dropping the future does not undo it.
    ///
    /// How many rows at `floor` or later went or lost a value. Fails, and nothing has changed, where a file that cannot be read
    /// may have a say in what the values are.
    pub async fn cut(&self, bucket: BucketId, cuts: Vec<Cut>, floor: Option<Timestamp>) -> Result<u64> {
        if cuts.is_empty() {
            return Ok(0);
        }
        let storage = self.clone();
        to_the_end("a delete", async move {
            storage.settled().await;
            storage.flush().await?;
            storage.inner.files.cut(bucket, cuts, floor.unwrap_or(Timestamp::MIN)).await
        })
        .await
    }

    /// The state before.
    async fn hide(&self, bucket: BucketId, specs: Vec<DeleteSpec>) -> Result<Option<Arc<Version>>> {
        self.settled().await;
        // What is deleted must be in files, and no file may come between: a chunk or file has rows of one side of a delete
        // only.
        let no_flush = self.inner.flushing.lock().await;
        let sequence = self.flush_alone(&no_flush).await?;
        let before = self.inner.files.version(bucket);
        self.inner.files.delete(bucket, specs, sequence).await?;
        Ok(before)
    }

    /// What `before` had of the rows, whose files stay as long as it is held.
    pub(super) async fn count(
        &self,
        bucket: BucketId,
        before: Option<Arc<Version>>,
        specs: Vec<DeleteSpec>,
        floor: Option<Timestamp>,
    ) -> Result<Option<u64>> {
        let (Some(before), files) = (before, self.inner.files.clone()) else { return Ok(Some(0)) };
        let counted = computing("counting rows", async move { files.count(&before, &specs, floor.unwrap_or(Timestamp::MIN)).await });
        // They are gone either way.
        Ok(counted.await.inspect_err(|failure| tracing::warn!(%bucket, %failure, "deleted rows could not be counted")).ok())
    }
}

/// Files that may have equal rows: those of a partition, by when it begins.
pub(super) fn by_partition(version: &Version, measurement: &str) -> BTreeMap<i64, Vec<Arc<FileMeta>>> {
    let mut groups: BTreeMap<i64, Vec<Arc<FileMeta>>> = BTreeMap::new();
    for file in version.files.iter().filter(|f| f.measurement.as_ref() == measurement) {
        groups.entry(file.partition).or_default().push(file.clone());
    }
    groups
}

/// Reads what a delete names.
pub(super) fn row_filter(spec: &DeleteSpec, floor: Timestamp) -> RowFilter {
    let series = spec.tags.iter().map(|tag| Arc::new(tag.clone()) as Arc<dyn SeriesFilter>).collect();
    RowFilter { time_min: spec.range.start.max(floor), time_max: spec.last(), series, newest: None }
}

impl FileStore {
    /// How many rows at `floor` or later each of `specs` names in the version, together.
    async fn count(&self, version: &Version, specs: &[DeleteSpec], floor: Timestamp) -> Result<u64> {
        let mut count = 0;
        for spec in specs {
            let concerned: Vec<_> = version.schemas.values().filter(|schema| spec.concerns(&schema.measurement)).collect();
            if let Some(lost) = version.lost.iter().find(|l| spec.overlaps(l.time_min.max(floor), l.time_max)) {
                return Err(lost.failure());
            }
            for schema in concerned {
                for files in by_partition(version, &schema.measurement).into_values() {
                    count += self.count_in(version, schema, files, spec, floor).await?;
                }
            }
        }
        Ok(count)
    }

    async fn count_in(
        &self,
        version: &Version,
        schema: &Arc<MeasurementSchema>,
        mut files: Vec<Arc<FileMeta>>,
        spec: &DeleteSpec,
        floor: Timestamp,
    ) -> Result<u64> {
        files.retain(|f| spec.overlaps(f.time_min.max(floor), f.time_max));
        if let [file] = files.as_slice() {
            // All rows of it, and no other file has any of them: nothing need be read.
            let all = spec.tags.is_empty() && spec.range.start.max(floor) <= file.time_min && file.time_max <= spec.last();
            if all && !version.tombstones.iter().any(|t| t.hides_in(file)) {
                return Ok(file.rows);
            }
        }
        let mut rows = self.bulk_snapshot(version, schema, files).read(Some(&[]), row_filter(spec, floor), BATCH_ROWS)?;
        let mut count = 0;
        while let Some(batch) = rows.next().await? {
            count += batch.num_rows() as u64;
        }
        Ok(count)
    }
}

impl SeriesFilter for TagPredicate {
    fn keep(&self, runs: &SeriesRuns) -> Result<Vec<bool>> {
        let tag = runs.tag(&self.tag);
        Ok((0..runs.len()).map(|run| self.matches(tag.and_then(|t| t.value(run)))).collect())
    }

    fn tag(&self) -> &str {
        &self.tag
    }

    fn may_keep(&self, stretches: &[TagBounds]) -> Vec<bool> {
        let value = self.value.as_ref();
        let may_have = |bounds: &TagBounds| {
            let outside = bounds.min.as_deref().is_some_and(|min| value < min) || bounds.max.as_deref().is_some_and(|max| max < value);
            !outside && bounds.absent != Some(bounds.rows)
        };
        stretches.iter().map(|bounds| !self.equal || value.is_empty() || may_have(bounds)).collect()
    }
}
