//! Reads a scan in its declared order: several sorted partitions are merged, never thrown together.

use super::operator::{Batches, Operator, OperatorNode};
use arrow::datatypes::SchemaRef;
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use futures::StreamExt;
use std::sync::Arc;

/// The operator of [`ordered`].
#[derive(Debug)]
pub struct Ordered(Vec<String>);

/// The rows of `input` sorted by `columns` (ascending, nulls first); free when the input declares that order.
pub fn ordered(input: LogicalPlan, columns: Vec<String>) -> Result<LogicalPlan> {
    let schema = Arc::new(input.schema().as_arrow().clone());
    OperatorNode::plan(Arc::new(Ordered(columns)), vec![input], schema)
}

impl Operator for Ordered {
    fn name(&self) -> &'static str {
        "Ordered"
    }

    fn describe(&self) -> String {
        self.0.join(", ")
    }

    fn input_order(&self, _index: usize) -> Vec<String> {
        self.0.clone()
    }

    fn passes_rows_on(&self) -> bool {
        true
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, _schema: SchemaRef, _memory: MemoryReservation) -> Result<Batches> {
        Ok(inputs.remove(0).boxed())
    }
}
