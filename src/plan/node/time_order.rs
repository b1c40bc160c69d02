//! Rows by key and time, where equal times keep the order in which they came (that of their series).
//!
//! A sort of DataFusion's own may exchange rows of equal time, so that an answer would change from run to run. All rows
//! are held in memory and charged to the query; with a limit only as many as may be wanted.

use super::{
    groups::Groups,
    operator::{Batches, Newest, Operator, OperatorNode},
    size::{held_bytes, joined},
};
use arrow::{
    array::{ArrayRef, AsArray, UInt32Array, types::TimestampNanosecondType},
    compute::{concat_batches, take_record_batch},
    datatypes::SchemaRef,
    record_batch::RecordBatch,
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use futures::{StreamExt, TryStreamExt};
use std::sync::Arc;

const BATCH_ROWS: usize = 8192;

/// Fewer rows than this are kept without looking at the limit.
const KEPT_ROWS_MIN: usize = 1 << 16;

#[derive(Debug, Clone)]
pub struct TimeOrder {
    /// Text columns that tell series apart, absent and empty values first; empty: all rows are one series.
    pub key: Vec<String>,
    pub time: String,
    /// The reverse of the ascending order, rows of equal time too.
    pub descending: bool,
    /// How many of the first rows of each series are wanted.
    pub limit: Option<usize>,
}

/// The rows of `input` in order.
pub fn time_order(input: LogicalPlan, spec: TimeOrder) -> Result<LogicalPlan> {
    let schema = Arc::new(input.schema().as_arrow().clone());
    OperatorNode::plan(Arc::new(spec), vec![input], schema)
}

impl Operator for TimeOrder {
    fn name(&self) -> &'static str {
        "TimeOrder"
    }

    fn describe(&self) -> String {
        let direction = if self.descending { ", descending" } else { "" };
        let limit = self.limit.map_or(String::new(), |n| format!(", first {n}"));
        format!("by [{}] and {}{direction}{limit}", self.key.join(", "), self.time)
    }

    fn newest(&self) -> Option<Newest> {
        let count = self.limit.filter(|_| self.descending)?;
        Some(Newest { count, complete: vec![], by: self.key.clone(), time: self.time.clone() })
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, memory: MemoryReservation) -> Result<Batches> {
        let (spec, mut input) = (self.clone(), inputs.remove(0));
        // How many rows may be wanted is known beforehand of one series only.
        let limit = self.limit.filter(|_| self.key.is_empty());
        let work = async move {
            let (mut held, mut row_count) = (vec![], 0);
            while let Some(batch) = input.try_next().await? {
                memory.try_grow(held_bytes(&batch))?;
                row_count += batch.num_rows();
                held.push(batch);
                if limit.is_some_and(|n| row_count > KEPT_ROWS_MIN.max(n.saturating_mul(4))) {
                    // What is dropped here can not come first; what is kept keeps its order of coming.
                    let all = concat_batches(&schema, &held)?;
                    let mut kept = spec.order(&all, limit)?;
                    kept.sort_unstable();
                    let kept = take_record_batch(&all, &UInt32Array::from(kept))?;
                    row_count = kept.num_rows();
                    memory.try_resize(held_bytes(&kept))?;
                    held = vec![kept];
                }
            }
            let all = joined(&schema, held, &memory)?;
            let order = UInt32Array::from(spec.order(&all, limit)?);
            let starts: Vec<usize> = (0..order.len()).step_by(BATCH_ROWS).collect();
            Result::<_>::Ok(futures::stream::iter(starts).map(move |start| -> Result<RecordBatch> {
                // The reservation lives as long as the rows do.
                let _charged = &memory;
                Ok(take_record_batch(&all, &order.slice(start, BATCH_ROWS.min(order.len() - start)))?)
            }))
        };
        Ok(futures::stream::once(work).try_flatten().boxed())
    }
}

impl TimeOrder {
    fn order(&self, rows: &RecordBatch, limit: Option<usize>) -> Result<Vec<u32>> {
        let times = rows.column(rows.schema().index_of(&self.time)?).as_primitive::<TimestampNanosecondType>().values().clone();
        let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
        if self.key.is_empty() {
            order.sort_by_key(|i| times[*i as usize]);
        } else {
            let keys = self.key.iter().map(|k| Ok(rows.column(rows.schema().index_of(k)?).clone()));
            let keys: Vec<ArrayRef> = keys.collect::<Result<_>>()?;
            let mut groups = Groups::default();
            let mut group_of = vec![0; rows.num_rows()];
            for (run, group) in groups.runs(&keys, rows.num_rows())? {
                group_of[run].fill(group);
            }
            let ranks = groups.ranks();
            order.sort_by_key(|i| (ranks[group_of[*i as usize] as usize], times[*i as usize]));
        }
        if self.descending {
            order.reverse();
        }
        order.truncate(limit.unwrap_or(usize::MAX));
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Context, memory::MemoryContext, node::values::values};
    use arrow::array::{Int64Array, StringArray, TimestampNanosecondArray, types::Int64Type};

    fn order(spec: TimeOrder) -> Vec<i64> {
        let key: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), Some("b"), None, Some("a"), Some("a")]));
        let time: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1, 2, 2, 1, 2]));
        let value: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, 2, 3, 4]));
        let rows = RecordBatch::try_from_iter([("k", key), ("time", time), ("v", value)]).expect("valid");
        let plan = values(rows.schema(), vec![rows.slice(0, 3), rows.slice(3, 2)]).and_then(|p| time_order(p, spec)).expect("plans");
        let batches = MemoryContext::new(0).collect(plan).expect("runs");
        batches.iter().flat_map(|b| b.column(2).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    #[test]
    fn equal_times_keep_their_order() {
        let spec = TimeOrder { key: vec![], time: "time".into(), descending: false, limit: None };
        assert_eq!(order(spec.clone()), [0, 3, 1, 2, 4]);
        assert_eq!(order(TimeOrder { descending: true, limit: Some(3), ..spec.clone() }), [4, 2, 1]);
        assert_eq!(order(TimeOrder { key: vec!["k".into()], ..spec }), [2, 3, 4, 0, 1]);
    }
}
