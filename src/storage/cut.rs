//! Deletes that look at values: what goes is decided on rows as readers see them, where newer writes have filled and
//! overwritten older ones. So no file can be judged by itself, and none keeps what was cut: the files of each partition that
//! has any of it are merged into one without it, and all of them are replaced in one commit.
//!
//! Between the first file and the commit a kill leaves files that no opening may take for what became of their inputs. They
//! say that they were written for a version that is there already, and so are garbage unless a version names them.

use super::{
    compaction::{
        CompactionSpec,
        execute::{LeftOut, Together},
    },
    delete::{by_partition, row_filter},
    files::{BULK_BATCH_ROWS, Draft, FileStore, computing},
    manifest::{Edit, FileMeta, Version},
};
use crate::model::{BucketId, DeleteSpec, Failure, MeasurementSchema, Result, TIME_COLUMN, Timestamp, schema::Role};
use arrow::{
    array::{AsArray, BooleanArray},
    compute::{and, filter_record_batch, is_not_null, not, nullif, or},
    datatypes::TimestampNanosecondType,
    record_batch::RecordBatch,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};
use tokio_util::sync::CancellationToken;

/// What goes of the rows that a delete names. It names one measurement.
#[derive(Debug, Clone)]
pub struct Cut {
    pub spec: DeleteSpec,
    /// Each is about the rows as they are before any of them is cut.
    pub parts: Vec<CutPart>,
}

/// A field's values, or whole rows.
#[derive(Debug, Clone)]
pub struct CutPart {
    /// A row that has no other field goes with its value. `None`: the rows whole.
    pub field: Option<Arc<str>>,
    /// Only where it holds; `None`: everywhere.
    pub condition: Option<Arc<dyn Condition>>,
}

/// A condition on rows.
pub trait Condition: Send + Sync + std::fmt::Debug {
    /// The columns that it looks at.
    fn columns(&self) -> &[Arc<str>];

    /// Of each row, which has those of the columns that anything was flushed of; the others are null. Null: it does not hold.
    fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray>;
}

impl Cut {
    /// Columns that are read to tell what goes, as places in the measurement's layout.
    fn projection(cuts: &[Cut], schema: &MeasurementSchema) -> Vec<usize> {
        let parts = || cuts.iter().flat_map(|cut| &cut.parts);
        let tags = cuts.iter().flat_map(|cut| &cut.spec.tags).map(|t| &t.tag);
        let looked_at = parts().filter_map(|p| p.condition.as_ref()).flat_map(|c| c.columns());
        let names: BTreeSet<&str> = tags.chain(looked_at).chain(parts().filter_map(|p| p.field.as_ref())).map(|n| n.as_ref()).collect();
        let layout = schema.arrow_schema();
        let wanted = |name: &str| name == TIME_COLUMN || names.contains(name);
        (0..layout.fields().len()).filter(|i| wanted(layout.field(*i).name())).collect()
    }

    /// Which rows each part is about, with the place of its field; parts that are about none are left out.
    fn hits(&self, rows: &RecordBatch) -> Result<Vec<(Option<usize>, BooleanArray)>> {
        let named = self.spec.named(rows)?;
        let mut hits = vec![];
        for part in &self.parts {
            let (mut hit, mut place) = (named.clone(), None);
            if let Some(field) = &part.field {
                let Ok(at) = rows.schema().index_of(field) else { continue };
                hit = and(&hit, &is_not_null(rows.column(at))?)?;
                place = Some(at);
            }
            if let (Some(condition), true) = (&part.condition, hit.true_count() > 0) {
                let places: Vec<usize> = condition.columns().iter().filter_map(|name| rows.schema().index_of(name).ok()).collect();
                // Rows that the delete does not name are not asked: a condition may fail on them.
                let asked = filter_record_batch(&rows.project(&places)?, &hit)?;
                let answers = condition.holds(&asked)?;
                let mut answers = answers.iter();
                hit = hit.values().iter().map(|hit| Some(hit && answers.next().flatten() == Some(true))).collect();
            }
            if hit.true_count() > 0 {
                hits.push((place, hit));
            }
        }
        Ok(hits)
    }
}

/// Rows of one measurement in its layout, without what the cuts take.
pub(super) fn apply(cuts: &[Cut], rows: RecordBatch) -> Result<RecordBatch> {
    let (mut columns, mut gone) = (rows.columns().to_vec(), None);
    let mut takes_fields = false;
    for cut in cuts {
        for (place, hit) in cut.hits(&rows)? {
            match place {
                Some(at) => {
                    columns[at] = nullif(&columns[at], &hit)?;
                    takes_fields = true;
                }
                None => gone = Some(gone.map_or(Ok(hit.clone()), |gone| or(&gone, &hit))?),
            }
        }
    }
    if takes_fields {
        let mut has_any = BooleanArray::from(vec![false; rows.num_rows()]);
        for (field, column) in rows.schema().fields().iter().zip(&columns) {
            if Role::of(field) == Some(Role::Field) {
                has_any = or(&has_any, &is_not_null(column)?)?;
            }
        }
        let empty = not(&has_any)?;
        gone = Some(gone.map_or(Ok(empty.clone()), |gone| or(&gone, &empty))?);
    }
    let Some(gone) = gone else { return Ok(rows) };
    Ok(filter_record_batch(&RecordBatch::try_new(rows.schema(), columns)?, &not(&gone)?)?)
}

/// Files of a partition that have something to be cut, and the cuts.
struct Affected {
    files: CompactionSpec,
    cuts: Vec<Cut>,
}

impl FileStore {
    /// Takes what `cuts` name out of the rows in files; see [`super::Storage::cut`]. Every row up to `sequence` is in files, and the version
    /// says so before any of these go.
    pub(super) async fn cut(&self, bucket: BucketId, cuts: Vec<Cut>, floor: Timestamp, sequence: u64) -> Result<u64> {
        // A merge at the same time would be done for nothing, or this would.
        let entry = self.entry(bucket);
        let _nothing_merges = entry.merging.write().await;
        let cuts = Arc::new(cuts);
        loop {
            let edit = Edit { flushed_through: Some(sequence), ..Edit::default() };
            let base = self.commit(bucket, vec![], |_, _| Ok(Some(edit.clone()))).await?;
            let (files, work) = (self.clone(), cuts.clone());
            let (count, replaced) = computing("a delete", async move {
                let (count, affected) = files.affected(&base, &work, floor).await?;
                Ok((count, files.without(&base, affected).await?))
            })
            .await?;
            if replaced.is_empty() {
                return Ok(count);
            }
            // Retention may have taken a file meanwhile, or a drop all of them.
            if self.replace(bucket, replaced, Together::AllOrNone).await?.iter().all(|done| *done) {
                self.say_twice(bucket).await?;
                return Ok(count);
            }
        }
    }

    /// Where the cuts find something, and in how many rows at `floor` or later.
    async fn affected(&self, base: &Version, cuts: &[Cut], floor: Timestamp) -> Result<(u64, Vec<Affected>)> {
        if let Some(lost) = base.lost.iter().find(|l| cuts.iter().any(|cut| cut.spec.overlaps(l.time_min, l.time_max))) {
            return Err(lost.failure());
        }
        let mut by_measurement: HashMap<&str, Vec<Cut>> = HashMap::new();
        for cut in cuts {
            let measurement = cut.spec.measurement.as_deref().ok_or_else(|| Failure::internal("a cut names no measurement"))?;
            by_measurement.entry(measurement).or_default().push(cut.clone());
        }
        let (mut count, mut affected) = (0, vec![]);
        for (measurement, cuts) in by_measurement {
            let Some(schema) = base.schemas.get(measurement) else { continue };
            for (partition, mut inputs) in by_partition(base, measurement) {
                // Expired: nobody sees its rows, and retention takes them.
                if inputs.iter().all(|file| file.time_max < floor) {
                    continue;
                }
                inputs.sort_by_key(|f| (f.sequence_min, f.sequence_max, f.id));
                let (seen, any) = self.count_hits(base, schema, &inputs, &cuts, floor).await?;
                if !any {
                    continue;
                }
                if let Some(lost) = base.lost.iter().find(|l| l.may_lie_in(partition)) {
                    return Err(lost.failure());
                }
                count += seen;
                affected.push(Affected { files: CompactionSpec { bucket: base.bucket, inputs }, cuts: cuts.clone() });
            }
        }
        Ok((count, affected))
    }

    /// In how many rows the cuts find something, counted from `floor` on, and whether in any.
    async fn count_hits(
        &self,
        base: &Version,
        schema: &Arc<MeasurementSchema>,
        files: &[Arc<FileMeta>],
        cuts: &[Cut],
        floor: Timestamp,
    ) -> Result<(u64, bool)> {
        let (mut count, mut any) = (0, false);
        for (at, cut) in cuts.iter().enumerate() {
            let files = files.iter().filter(|f| cut.spec.overlaps(f.time_min, f.time_max)).cloned().collect();
            let projection = Cut::projection(cuts, schema);
            let snapshot = self.bulk_snapshot(base, schema, files);
            let mut rows = snapshot.read(Some(&projection), row_filter(&cut.spec, Timestamp::MIN), BULK_BATCH_ROWS)?;
            while let Some(batch) = rows.next().await? {
                let hit = |cut: &Cut| -> Result<Option<BooleanArray>> {
                    let mut hits = cut.hits(&batch)?.into_iter().map(|(_, hit)| hit);
                    let first = hits.next();
                    first.map(|first| hits.try_fold(first, |all, hit| Ok(or(&all, &hit)?))).transpose()
                };
                let Some(mut new) = hit(cut)? else { continue };
                any = true;
                // Rows that an earlier cut has found are counted there.
                for earlier in &cuts[..at] {
                    if let Some(known) = hit(earlier)? {
                        new = and(&new, &not(&known)?)?;
                    }
                }
                let times = batch.column(0).as_primitive::<TimestampNanosecondType>().values();
                count += new.values().iter().zip(times).filter(|(new, time)| *new && **time >= floor).count() as u64;
            }
        }
        Ok((count, any))
    }

    /// The affected files merged, without what is cut; nothing refers to the new ones yet.
    async fn without(&self, base: &Version, affected: Vec<Affected>) -> Result<Vec<(CompactionSpec, Draft)>> {
        let mut room = self.reserve(affected.iter().map(|a| a.files.bytes()).sum())?;
        let mut replaced = vec![];
        for Affected { files, cuts } in affected {
            let draft = self.merged_draft(&files, base.number);
            let left_out = LeftOut { time_floor: Timestamp::MIN, cuts: &cuts };
            let draft = self.merge_into(draft, base, &files, left_out, &mut room, &CancellationToken::new()).await?;
            replaced.push((files, draft));
        }
        Ok(replaced)
    }
}

#[cfg(test)]
mod tests;
