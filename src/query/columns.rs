//! Projections that only choose and name columns.
//!
//! DataFusion's projection counts the bytes of every batch for its metrics, column by column; below a node that works on many
//! columns that costs more than the choice itself.

use crate::plan::node::columns::{Columns, Source};
use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::Result,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{
        EquivalenceProperties, PhysicalExpr, PhysicalSortExpr,
        expressions::{Column, Literal},
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, projection::ProjectionExec,
        stream::RecordBatchStreamAdapter,
    },
};
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
pub struct ColumnsExec {
    input: Arc<dyn ExecutionPlan>,
    columns: Columns,
    properties: Arc<PlanProperties>,
}

impl ColumnsExec {
    /// `schema` is that of the columns. Rows come in the order of the input as far as its columns are chosen.
    pub fn new(columns: Columns, input: Arc<dyn ExecutionPlan>, schema: SchemaRef) -> ColumnsExec {
        let place = |sort: &PhysicalSortExpr| {
            let below = sort.expr.downcast_ref::<Column>()?.index();
            let at = columns.0.iter().position(|source| matches!(source, Source::Column(at) if *at == below))?;
            Some(PhysicalSortExpr::new(Arc::new(Column::new(schema.field(at).name(), at)), sort.options))
        };
        let order: Vec<PhysicalSortExpr> = input.output_ordering().into_iter().flatten().map_while(place).collect();
        let equivalence = EquivalenceProperties::new_with_orderings(schema, (!order.is_empty()).then_some(order));
        let properties =
            PlanProperties::new(equivalence, input.output_partitioning().clone(), input.pipeline_behavior(), input.boundedness());
        ColumnsExec { input, columns, properties: Arc::new(properties) }
    }

    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    fn instead_of(projection: &ProjectionExec) -> Option<ColumnsExec> {
        let columns = Columns(sources(projection).into_iter().collect::<Option<_>>()?);
        Some(ColumnsExec { input: projection.input().clone(), columns, properties: projection.properties().clone() })
    }
}

/// Where the columns of a projection come from; `None` for one that is computed.
pub fn sources(projection: &ProjectionExec) -> Vec<Option<Source>> {
    let source = |e: &Arc<dyn PhysicalExpr>| {
        let column = e.downcast_ref::<Column>().map(|column| Source::Column(column.index()));
        column.or_else(|| e.downcast_ref::<Literal>().map(|literal| Source::Constant(literal.value().clone())))
    };
    projection.expr().iter().map(|e| source(&e.expr)).collect()
}

impl DisplayAs for ColumnsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ColumnsExec: [{}]", self.columns.describe(&self.input.schema(), &self.schema()))
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
        let rows = self.columns.clone().of(self.input.execute(partition, context)?, self.schema());
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
