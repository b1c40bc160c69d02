//! Deletes. Whole rows of series and times are hidden by a delete in the manifest, until compactions leave them out; what is
//! chosen by a look at the values is cut out of the files at once, see [`super::cut`].
//!
//! Both tell how many rows readers no longer see as they were; the first only where that takes little reading.

use super::{
    Storage,
    block::{RowFilter, SeriesFilter, SeriesRuns, TagBounds},
    cut::Cut,
    failpoint::Mistake,
    files::{BULK_BATCH_ROWS, FileStore, computing},
    manifest::{FileMeta, Version},
    to_the_end,
};
use crate::model::{BucketId, DeleteSpec, MeasurementSchema, Result, TagPredicate, Timestamp};
use std::{collections::BTreeMap, sync::Arc};

/// Rows in files that are read to count those that a delete of whole rows names. Beyond, the delete would be kept waiting for its
/// count.
const COUNTED_ROWS_MAX: u64 = 10_000_000;
/// Partitions of measurements, likewise.
const COUNTED_GROUPS_MAX: usize = 64;

impl Storage {
    /// Hides the rows that any of `specs` names and that were acknowledged before the call, all of them at once; durable when it
    /// returns. Dropping the future does not undo it.
    ///
    /// How many rows at `floor` or later they were; `None` where that takes long to count, or a file that cannot be read may have
    /// had some. A row that two of the specs name counts twice.
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
            let one_at_a_time = storage.inner.flushing.lock().await;
            let flushed = storage.flush_alone(&one_at_a_time).await?;
            drop(one_at_a_time);
            storage.inner.files.cut(bucket, cuts, floor.unwrap_or(Timestamp::MIN), flushed).await
        })
        .await
    }

    /// The state before.
    async fn hide(&self, bucket: BucketId, specs: Vec<DeleteSpec>) -> Result<Option<Arc<Version>>> {
        self.settled().await;
        // What is deleted must be in files, and no file may come between: a chunk or file has rows of one side of a delete
        // only.
        let no_flush = self.inner.flushing.lock().await;
        let sequence = match self.options().failpoints.has(Mistake::DeleteWithoutFlush) {
            true => self.inner.in_flight.lock().settled(),
            false => self.flush_alone(&no_flush).await?,
        };
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
        Ok(counted.await.inspect_err(|failure| tracing::warn!(%bucket, %failure, "deleted rows could not be counted")).ok().flatten())
    }
}

/// Files that may have equal rows: those of a partition, by when it begins.
pub(super) fn by_partition(version: &Version, measurement: &str) -> BTreeMap<i64, Vec<Arc<FileMeta>>> {
    let mut groups: BTreeMap<i64, Vec<Arc<FileMeta>>> = BTreeMap::new();
    for file in version.files_of(measurement) {
        groups.entry(file.partition).or_default().push(file.clone());
    }
    groups
}

/// Reads what a delete names.
pub(super) fn row_filter(spec: &DeleteSpec, floor: Timestamp) -> RowFilter {
    let series = spec.tags.iter().map(|tag| Arc::new(tag.clone()) as Arc<dyn SeriesFilter>).collect();
    RowFilter { time_min: spec.range.start.max(floor), time_max: spec.last(), series, ..RowFilter::all() }
}

/// Files of a measurement's partition, and which of their rows to count.
struct Counted<'a> {
    schema: &'a Arc<MeasurementSchema>,
    files: Vec<Arc<FileMeta>>,
    spec: &'a DeleteSpec,
}

/// Whether so much may be read for a count.
fn is_little(counted: &[Counted<'_>]) -> bool {
    counted.len() <= COUNTED_GROUPS_MAX && counted.iter().flat_map(|c| &c.files).map(|f| f.rows).sum::<u64>() <= COUNTED_ROWS_MAX
}

impl FileStore {
    /// How many rows at `floor` or later each of `specs` names in the version, together; `None` where that would take long.
    async fn count(&self, version: &Version, specs: &[DeleteSpec], floor: Timestamp) -> Result<Option<u64>> {
        let (mut count, mut counted) = (0, vec![]);
        for spec in specs {
            if let Some(lost) = version.lost.iter().find(|l| spec.overlaps(l.time_min.max(floor), l.time_max)) {
                return Err(lost.failure());
            }
            let mut groups: BTreeMap<(&str, i64), Vec<Arc<FileMeta>>> = BTreeMap::new();
            let named = |f: &&Arc<FileMeta>| spec.concerns(&f.measurement) && spec.overlaps(f.time_min.max(floor), f.time_max);
            for file in version.files.iter().filter(named) {
                groups.entry((file.measurement.as_ref(), file.partition)).or_default().push(file.clone());
            }
            for ((measurement, _), files) in groups {
                let Some(schema) = version.schemas.get(measurement) else { continue };
                match files.as_slice() {
                    // No other file has any of its rows: nothing need be read.
                    [file] if names_all(version, spec, file, floor) => count += file.rows,
                    _ => counted.push(Counted { schema, files, spec }),
                }
            }
            if !is_little(&counted) {
                return Ok(None);
            }
        }
        for Counted { schema, files, spec } in counted {
            let mut rows = self.bulk_snapshot(version, schema, files).read(Some(&[]), row_filter(spec, floor), BULK_BATCH_ROWS)?;
            while let Some(batch) = rows.next().await? {
                count += batch.num_rows() as u64;
            }
        }
        Ok(Some(count))
    }
}

/// Whether every row of the file is named, and none is hidden already.
fn names_all(version: &Version, spec: &DeleteSpec, file: &FileMeta, floor: Timestamp) -> bool {
    let all = spec.tags.is_empty() && spec.range.start.max(floor) <= file.time_min && file.time_max <= spec.last();
    all && !version.tombstones.iter().any(|t| t.hides_in(file))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::ManualClock,
        model::TimeRange,
        storage::{
            fs::faulty::FaultyDisk,
            object::Store,
            testing::{PARTITION, bucket, open, write},
        },
    };

    #[tokio::test]
    async fn what_takes_long_is_not_counted() {
        let storage = open(&Store::memory(), &FaultyDisk::default(), ManualClock::at(0)).await;
        let lines = |partitions: usize| (0..partitions as i64).map(|p| format!("m,h=a f=1 {}\n", p * PARTITION)).collect::<String>();
        let tags = vec![TagPredicate { tag: "h".into(), equal: true, value: "a".into() }];
        let spec = |tags| DeleteSpec { range: TimeRange::ALL, measurement: Some("m".into()), tags };
        for (partitions, tags, expected) in [
            (COUNTED_GROUPS_MAX, tags.clone(), Some(COUNTED_GROUPS_MAX as u64)),
            (COUNTED_GROUPS_MAX + 1, tags.clone(), None),
            // What files say of themselves is told.
            (COUNTED_GROUPS_MAX + 1, vec![], Some(COUNTED_GROUPS_MAX as u64 + 1)),
        ] {
            write(&storage, lines(partitions)).await;
            assert_eq!(storage.delete(bucket(), vec![spec(tags)], None).await, Ok(expected), "{partitions}");
            storage.drop_measurement(bucket(), "m", None).await.expect("dropped");
        }
        write(&storage, lines(1)).await;
        storage.flush().await.expect("flushed");
        let version = storage.files().version(bucket()).expect("flushed");
        let (schema, spec) = (&version.schemas["m"], spec(vec![]));
        let of = |rows| {
            let file = Arc::new(FileMeta { rows, ..FileMeta::clone(&version.files[0]) });
            is_little(&[Counted { schema, files: vec![file.clone(), file], spec: &spec }])
        };
        assert_eq!([of(COUNTED_ROWS_MAX / 2), of(COUNTED_ROWS_MAX / 2 + 1)], [true, false]);
    }
}
