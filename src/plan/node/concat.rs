//! One plan after the other: the rows of the first, then the rows of the second, each in its own order.

use super::operator::{Batches, Operator, OperatorNode};
use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use futures::StreamExt;
use std::sync::Arc;

#[derive(Debug)]
struct Concat;

/// All rows of `inputs`, one input after the other. The inputs have the same column types in the same order; names
/// come from the first.
pub fn concat(mut inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    if inputs.len() == 1 {
        return Ok(inputs.remove(0));
    }
    let fields: Vec<_> = inputs[0].schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    OperatorNode::plan(Arc::new(Concat), inputs, Arc::new(arrow::datatypes::Schema::new(fields)))
}

impl Operator for Concat {
    fn name(&self) -> &'static str {
        "Concat"
    }

    fn run(&self, inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, _memory: MemoryReservation) -> Result<Batches> {
        let rename = move |batch: Result<RecordBatch>| Ok(RecordBatch::try_new(schema.clone(), batch?.columns().to_vec())?);
        Ok(futures::stream::iter(inputs).flatten().map(rename).boxed())
    }
}
