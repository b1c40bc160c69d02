//! Rows that a node of DataFusion's holds without charging for them are charged on their way to it.

use crate::plan::node::size::held_bytes;
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext, memory_pool::MemoryConsumer},
    physical_expr::PhysicalExpr,
    physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, stream::RecordBatchStreamAdapter},
};
use futures::StreamExt;
use std::{fmt, sync::Arc};

/// The rows of its input, each charged until all are let go.
#[derive(Debug)]
pub struct HeldExec {
    input: Arc<dyn ExecutionPlan>,
    /// Who holds them.
    holder: &'static str,
    /// How often it does: a node that joins its batches has them twice.
    times: usize,
}

impl HeldExec {
    pub fn new(input: Arc<dyn ExecutionPlan>, holder: &'static str, times: usize) -> HeldExec {
        HeldExec { input, holder, times }
    }
}

impl DisplayAs for HeldExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldExec: by {}", self.holder)
    }
}

impl ExecutionPlan for HeldExec {
    fn name(&self) -> &str {
        "HeldExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(HeldExec::new(children.remove(0), self.holder, self.times)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new(self.holder).register(context.memory_pool());
        let times = self.times;
        let rows = self.input.execute(partition, context)?.map(move |batch| {
            let batch = batch?;
            memory.try_grow(held_bytes(&batch) * times)?;
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
