//! InfluxQL's four limits: rows of each series, and series. Rows stream, and nothing more is read once all are found.

use super::{
    groups::Groups,
    operator::{Batches, Operator, OperatorNode},
};
use arrow::{
    array::{ArrayRef, UInt32Array},
    compute::take_record_batch,
    datatypes::SchemaRef,
    record_batch::RecordBatch,
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use futures::{StreamExt, TryStreamExt};
use std::{ops::Range, sync::Arc};

/// Zero limits count as none.
#[derive(Debug, Clone)]
pub struct SeriesLimit {
    /// Text columns that tell series apart; the rows of a series stand together.
    pub key: Vec<String>,
    pub rows: usize,
    pub rows_offset: usize,
    pub series: usize,
    pub series_offset: usize,
}

/// The wanted rows of `input`, which has series one after the other.
pub fn series_limit(input: LogicalPlan, spec: SeriesLimit) -> Result<LogicalPlan> {
    let schema = Arc::new(input.schema().as_arrow().clone());
    OperatorNode::plan(Arc::new(spec), vec![input], schema)
}

impl Operator for SeriesLimit {
    fn name(&self) -> &'static str {
        "SeriesLimit"
    }

    fn describe(&self) -> String {
        format!("{} rows from {}, {} series from {}", self.rows, self.rows_offset, self.series, self.series_offset)
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, _memory: MemoryReservation) -> Result<Batches> {
        let input = inputs.remove(0);
        let key = self.key.iter().map(|k| schema.index_of(k)).collect::<Result<Vec<_>, _>>()?;
        let work = Work { spec: self.clone(), key, groups: Groups::default(), current: None, seen: 0, series: 0 };
        Ok(futures::stream::try_unfold((input, work), |(mut input, mut work)| async move {
            while !work.is_done() {
                let Some(batch) = input.try_next().await? else { break };
                let wanted = work.wanted(&batch)?;
                if wanted.num_rows() > 0 {
                    return Ok(Some((wanted, (input, work))));
                }
            }
            Ok(None)
        })
        .boxed())
    }
}

struct Work {
    spec: SeriesLimit,
    key: Vec<usize>,
    groups: Groups,
    current: Option<u32>,
    /// Rows seen of the current series, and series seen.
    seen: usize,
    series: usize,
}

fn end(offset: usize, count: usize) -> usize {
    if count == 0 { usize::MAX } else { offset.saturating_add(count) }
}

impl Work {
    fn is_done(&self) -> bool {
        let last = end(self.spec.series_offset, self.spec.series);
        let series_is_done = self.seen >= end(self.spec.rows_offset, self.spec.rows);
        self.series > last || series_is_done && (self.key.is_empty() || self.series == last)
    }

    fn wanted(&mut self, batch: &RecordBatch) -> Result<RecordBatch> {
        let keys: Vec<ArrayRef> = self.key.iter().map(|k| batch.column(*k).clone()).collect();
        let mut stretches: Vec<Range<usize>> = vec![];
        for (run, group) in self.groups.runs(&keys, batch.num_rows())? {
            if self.current != Some(group) {
                (self.current, self.seen, self.series) = (Some(group), 0, self.series + 1);
            }
            let is_wanted = self.series > self.spec.series_offset && self.series <= end(self.spec.series_offset, self.spec.series);
            let from = self.spec.rows_offset.saturating_sub(self.seen).min(run.len());
            let to = end(self.spec.rows_offset, self.spec.rows).saturating_sub(self.seen).min(run.len());
            self.seen += run.len();
            if is_wanted && from < to {
                let wanted = run.start + from..run.start + to;
                match stretches.last_mut() {
                    Some(last) if last.end == wanted.start => last.end = wanted.end,
                    _ => stretches.push(wanted),
                }
            }
        }
        Ok(match stretches.as_slice() {
            [] => batch.slice(0, 0),
            [all] => batch.slice(all.start, all.len()),
            _ => take_record_batch(batch, &UInt32Array::from_iter_values(stretches.into_iter().flatten().map(|row| row as u32)))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Context, memory::MemoryContext, node::values::values};
    use arrow::array::{AsArray, Int64Array, StringArray, types::Int64Type};

    fn rows(limits: [usize; 4], key: bool) -> Vec<i64> {
        let k: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "a", "b", "b", "c"]));
        let v: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, 2, 3, 4, 5]));
        let all = RecordBatch::try_from_iter([("k", k), ("v", v)]).expect("valid");
        let [rows, rows_offset, series, series_offset] = limits;
        let key = if key { vec!["k".to_string()] } else { vec![] };
        let spec = SeriesLimit { key, rows, rows_offset, series, series_offset };
        let parts = (0..3).map(|i| all.slice(i * 2, 2)).collect();
        let plan = values(all.schema(), parts).and_then(|p| series_limit(p, spec)).expect("plans");
        let batches = MemoryContext::new(0).collect(plan).expect("runs");
        batches.iter().flat_map(|b| b.column(1).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn rows_count_per_series() {
        assert_eq!(rows([1, 1, 0, 0], true), [1, 4]);
        assert_eq!(rows([2, 0, 1, 1], true), [3, 4]);
        assert_eq!(rows([0, 1, 0, 1], true), [4]);
        assert_eq!(rows([2, 3, 0, 0], false), [3, 4]);
        assert_eq!(rows([0, 0, 0, 1], false), Vec::<i64>::new());
    }
}
