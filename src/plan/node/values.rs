//! Rows that are already in memory, in the order they are given.

use super::operator::{Batches, Operator, OperatorNode};
use arrow::{
    datatypes::SchemaRef,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use futures::StreamExt;
use std::{fmt, sync::Arc};

struct Values(Vec<RecordBatch>);

/// A plan that gives `batches` as they are; each has `schema`'s columns.
pub fn values(schema: SchemaRef, batches: Vec<RecordBatch>) -> Result<LogicalPlan> {
    OperatorNode::plan(Arc::new(Values(batches)), vec![], schema)
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Values({} rows)", self.0.iter().map(RecordBatch::num_rows).sum::<usize>())
    }
}

impl Operator for Values {
    fn name(&self) -> &'static str {
        "Values"
    }

    fn describe(&self) -> String {
        format!("{} rows", self.0.iter().map(RecordBatch::num_rows).sum::<usize>())
    }

    fn run(&self, _inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, _memory: MemoryReservation) -> Result<Batches> {
        let conform = |b: &RecordBatch| {
            // The count matters where there are no columns.
            let options = RecordBatchOptions::new().with_row_count(Some(b.num_rows()));
            Ok(RecordBatch::try_new_with_options(schema.clone(), b.columns().to_vec(), &options)?)
        };
        let batches: Vec<_> = self.0.iter().map(conform).collect();
        Ok(futures::stream::iter(batches).boxed())
    }
}
