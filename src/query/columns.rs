//! Projections that only choose and name columns.
//!
//! DataFusion's projection counts the bytes of every batch for its metrics, column by column; below a node that works on many
//! columns that costs more than the choice itself.

use arrow::{
    datatypes::SchemaRef,
    record_batch::{RecordBatch, RecordBatchOptions},
};
use datafusion::{
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{PhysicalExpr, expressions::Column},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, projection::ProjectionExec, stream::RecordBatchStreamAdapter,
    },
};
use futures::StreamExt;
use std::{fmt, sync::Arc};

/// The rule; it comes last, since others know DataFusion's projection only.
#[derive(Debug, Default)]
pub struct ChooseColumns;

impl PhysicalOptimizerRule for ChooseColumns {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let chosen = plan.transform_up(|node| {
            let columns = node.downcast_ref::<ProjectionExec>().and_then(ColumnsExec::instead_of);
            Ok(columns.map_or(Transformed::no(node), |columns| Transformed::yes(Arc::new(columns) as Arc<dyn ExecutionPlan>)))
        })?;
        Ok(chosen.data)
    }

    fn name(&self) -> &str {
        "ChooseColumns"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct ColumnsExec {
    input: Arc<dyn ExecutionPlan>,
    columns: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl ColumnsExec {
    fn instead_of(projection: &ProjectionExec) -> Option<ColumnsExec> {
        let columns = projection.expr().iter().map(|e| e.expr.downcast_ref::<Column>().map(Column::index)).collect::<Option<_>>()?;
        Some(ColumnsExec { input: projection.input().clone(), columns, properties: projection.properties().clone() })
    }
}

/// The columns of a batch under the names of `schema`.
fn choose(batch: &RecordBatch, columns: &[usize], schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = columns.iter().map(|at| batch.column(*at).clone()).collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?)
}

impl DisplayAs for ColumnsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.input.schema(), self.schema());
        let columns = self.columns.iter().zip(to.fields()).map(|(at, field)| match from.field(*at).name() {
            name if name == field.name() => name.clone(),
            name => format!("{name} as {}", field.name()),
        });
        write!(f, "ColumnsExec: [{}]", columns.collect::<Vec<_>>().join(", "))
    }
}

impl ExecutionPlan for ColumnsExec {
    fn name(&self) -> &str {
        "ColumnsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (columns, properties) = (self.columns.clone(), self.properties.clone());
        Ok(Arc::new(ColumnsExec { input: children.remove(0), columns, properties }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (columns, schema) = (self.columns.clone(), self.schema());
        let rows = self.input.execute(partition, context)?;
        let rows = rows.map(move |batch| choose(&batch?, &columns, &schema));
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
