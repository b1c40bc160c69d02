//! Two plans for one answer: a cheap one that may not find enough, and the whole one, which is planned only then.

use super::operator::{Batches, Operator, OperatorNode};
use super::size::held_bytes;
use crate::plan::Context;
use arrow::{array::Array, datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
    physical_plan::execute_stream,
};
use futures::{StreamExt, TryStreamExt};
use std::{fmt, sync::Arc};

#[derive(Clone)]
struct FirstEnough {
    whole: LogicalPlan,
    row_count: usize,
    without_nulls: Vec<String>,
    context: Arc<dyn Context>,
}

impl fmt::Debug for FirstEnough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

/// The rows of `narrow` when there are at least `row_count` of them and none of the columns `without_nulls` has a null
/// there; else the rows of `whole`, of which nothing is read before. Both have the same columns; `narrow` is small.
pub fn first_enough(
    narrow: LogicalPlan,
    whole: LogicalPlan,
    row_count: usize,
    without_nulls: Vec<String>,
    context: &dyn Context,
) -> Result<LogicalPlan> {
    let schema = Arc::new(whole.schema().as_arrow().clone());
    OperatorNode::plan(Arc::new(FirstEnough { whole, row_count, without_nulls, context: context.shared() }), vec![narrow], schema)
}

impl Operator for FirstEnough {
    fn name(&self) -> &'static str {
        "FirstEnough"
    }

    fn describe(&self) -> String {
        format!("{} rows, else all of it", self.row_count)
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, memory: MemoryReservation) -> Result<Batches> {
        let mut narrow = inputs.remove(0);
        let spec = self.clone();
        let work = async move {
            let mut found: Vec<RecordBatch> = vec![];
            while let Some(batch) = narrow.try_next().await? {
                memory.try_grow(held_bytes(&batch))?;
                found.push(batch);
            }
            let has_null =
                |batch: &RecordBatch| spec.without_nulls.iter().any(|c| batch.column_by_name(c).is_none_or(|c| c.null_count() > 0));
            let is_enough = found.iter().map(RecordBatch::num_rows).sum::<usize>() >= spec.row_count && !found.iter().any(has_null);
            let rows: Batches = if is_enough {
                futures::stream::iter(found).map(Ok).boxed()
            } else {
                drop(found);
                memory.free();
                let state = spec.context.session();
                execute_stream(state.create_physical_plan(&spec.whole).await?, state.task_ctx())?.boxed()
            };
            Result::<_>::Ok(rows.map(move |batch| {
                // The reservation lives as long as the rows do.
                let _charged = &memory;
                Ok(RecordBatch::try_new(schema.clone(), batch?.columns().to_vec())?)
            }))
        };
        Ok(futures::stream::once(work).try_flatten().boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{memory::MemoryContext, node::values::values};
    use arrow::array::{ArrayRef, AsArray, Int64Array, types::Int64Type};

    fn answer(narrow: Vec<Option<i64>>, row_count: usize, without_nulls: &[&str]) -> Vec<Option<i64>> {
        let rows = |v: Vec<Option<i64>>| {
            RecordBatch::try_from_iter_with_nullable([("v", Arc::new(Int64Array::from(v)) as ArrayRef, true)]).expect("valid")
        };
        let plan = |batch: RecordBatch| values(batch.schema(), vec![batch]).expect("plans");
        let without_nulls = without_nulls.iter().map(|c| c.to_string()).collect();
        let context = MemoryContext::new(0);
        let whole = plan(rows(vec![Some(7), Some(8), Some(9)]));
        let plan = first_enough(plan(rows(narrow)), whole, row_count, without_nulls, &context).expect("plans");
        let batches = context.collect(plan).expect("runs");
        batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().iter().collect::<Vec<_>>()).collect()
    }

    #[test]
    fn the_whole_is_asked_when_the_first_is_not_enough() {
        assert_eq!(answer(vec![Some(1), None], 2, &[]), [Some(1), None]);
        assert_eq!(answer(vec![Some(1), None], 3, &[]), [Some(7), Some(8), Some(9)]);
        assert_eq!(answer(vec![Some(1), None], 2, &["v"]), [Some(7), Some(8), Some(9)]);
    }
}
