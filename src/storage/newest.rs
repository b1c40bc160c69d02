//! The newest rows of each series, found from the newest stretch of time back.
//!
//! A series that has its rows is not looked for in older files. Of those only the tags are read then, once: while every series goes on,
//! its last row costs as much after years as after a day.

use super::{
    block::{RowFilter, SeriesRuns, SeriesSet},
    merge::Merge,
    read::MeasurementSnapshot,
};
use crate::model::Result;
use arrow::{
    array::UInt32Array,
    compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch},
    record_batch::RecordBatch,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

impl MeasurementSnapshot {
    /// The rows that [`MeasurementSnapshot::read`] gives for a filter with `newest`, all at once. `charge` is told of the rows that are held
    /// meanwhile and may refuse them; `charged` has the blocks under a merge charged.
    pub async fn read_newest(
        &self,
        projection: Option<&[usize]>,
        filter: RowFilter,
        batch_rows: usize,
        mut charge: impl FnMut(&RecordBatch) -> Result<()> + Send,
        charged: impl Fn(Merge) -> Merge + Send,
    ) -> Result<Vec<RecordBatch>> {
        let count = filter.newest.unwrap_or(usize::MAX);
        let keys = 1 + self.schema.tags.len();
        let asked: Vec<usize> = projection.map_or_else(|| (0..self.schema.arrow_schema().fields().len()).collect(), <[usize]>::to_vec);
        // Time and tags come first, whatever was asked for: by them the rows of several stretches are put in order.
        let columns: Vec<usize> = (0..keys).chain(asked.iter().copied().filter(|&c| c >= keys)).collect();
        let places: Vec<usize> = asked.iter().filter_map(|c| columns.iter().position(|column| column == c)).collect();
        let stretches = self.stretches(&filter);
        let mut found: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut complete = Arc::new(SeriesSet::new(&self.schema.tags));
        let mut parts = vec![];
        for &(time_min, time_max) in &stretches {
            let filter = RowFilter { time_min, time_max, without: Some(complete.clone()), ..filter.clone() };
            let mut merge = charged(self.read(Some(&columns), filter, batch_rows)?);
            let mut batches = vec![];
            while let Some(batch) = merge.next().await? {
                charge(&batch)?;
                batches.push(batch);
            }
            // It holds on to `complete`, which is to be changed.
            drop(merge);
            let Some(first) = batches.first() else { continue };
            let rows = concat_batches(&first.schema(), &batches)?;
            if stretches.len() == 1 {
                parts.push(rows);
                break;
            }
            let runs = SeriesRuns::of(&self.schema.tags, &rows.columns()[1..keys], rows.num_rows());
            let mut kept: Vec<u32> = vec![];
            // From the last on: where batches met, a series may be in two runs.
            for run in (0..runs.len()).rev() {
                let (start, end) = (runs.starts[run] as usize, runs.starts[run + 1] as usize);
                let mut key = vec![];
                runs.key(run, &self.schema.tags, &mut key);
                let had = found.entry(key.clone()).or_default();
                let start = start.max(end.saturating_sub(count - *had));
                *had += end - start;
                if *had == count {
                    Arc::make_mut(&mut complete).insert(key);
                }
                kept.extend((start as u32..end as u32).rev());
            }
            kept.reverse();
            parts.push(take_record_batch(&rows, &UInt32Array::from(kept))?);
        }
        let Some(first) = parts.first() else { return Ok(vec![]) };
        let rows = concat_batches(&first.schema(), &parts)?;
        let rows = if parts.len() == 1 { rows } else { in_order(&rows, keys)? };
        let rows = rows.project(&places)?;
        let starts = (0..rows.num_rows()).step_by(batch_rows.max(1));
        Ok(starts.map(|at| rows.slice(at, batch_rows.min(rows.num_rows() - at))).collect())
    }

    /// The time of the filter by partitions of files, the newest first; each with both ends.
    fn stretches(&self, filter: &RowFilter) -> Vec<(i64, i64)> {
        let inside = self.files.iter().filter(|f| f.time_min <= filter.time_max && f.time_max >= filter.time_min);
        let begins: BTreeSet<i64> = inside.map(|f| f.partition).filter(|p| *p > filter.time_min && *p <= filter.time_max).collect();
        let mut end = filter.time_max;
        let mut stretches: Vec<(i64, i64)> =
            begins.into_iter().rev().map(|begin| (begin, std::mem::replace(&mut end, begin - 1))).collect();
        stretches.push((filter.time_min, end));
        stretches
    }
}

/// Rows in the order of a measurement: by tags, null first, then by time.
fn in_order(rows: &RecordBatch, keys: usize) -> Result<RecordBatch> {
    let options = Some(SortOptions { descending: false, nulls_first: true });
    let by: Vec<SortColumn> = (1..keys).chain([0]).map(|column| SortColumn { values: rows.column(column).clone(), options }).collect();
    Ok(take_record_batch(rows, &lexsort_to_indices(&by, None)?)?)
}
