//! One logical node and one `ExecutionPlan` for every operation that depends on the order of rows.
//!
//! An [`Operator`] takes streams of batches in order and gives one stream in order. The pair here adapts it to
//! DataFusion: every input is read as a single partition, and nothing may be moved across the node, since an
//! operator sees tables, not rows. It does not know what any operator does.

use arrow::{
    compute::concat_batches,
    datatypes::{Schema, SchemaRef},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use datafusion::{
    catalog::Session,
    common::{DFSchema, DFSchemaRef, Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext, memory_pool::MemoryConsumer, memory_pool::MemoryReservation},
    logical_expr::{
        Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
        physical_planning_context::PhysicalPlanningContext,
    },
    physical_expr::{EquivalenceProperties, LexOrdering, OrderingRequirements, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, InputDistributionRequirements, Partitioning, PlanProperties,
        ReplaceChildrenOptions,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
    physical_planner::{ExtensionPlanner, PhysicalPlanner},
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use std::{
    any::Any,
    cmp::Ordering,
    collections::{BTreeSet, HashSet},
    fmt,
    hash::Hash,
    sync::{Arc, OnceLock},
};

/// Batches in order.
pub type Batches = BoxStream<'static, Result<RecordBatch>>;

/// Work on batches as they come, each giving at most one, and what is left at the end.
pub trait BatchWork: Send + 'static {
    fn take(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>>;

    /// The input has ended.
    fn close(&mut self) -> Result<Option<RecordBatch>>;
}

/// The batches that the work gives.
pub fn worked(input: SendableRecordBatchStream, work: impl BatchWork) -> Batches {
    futures::stream::try_unfold((input, Some(work)), |(mut input, work)| async move {
        let Some(mut work) = work else { return Ok(None) };
        while let Some(batch) = input.try_next().await? {
            if let Some(out) = work.take(&batch)? {
                return Ok(Some((out, (input, Some(work)))));
            }
        }
        Ok(work.close()?.map(|out| (out, (input, None))))
    })
    .boxed()
}

/// The rows of one batch after those of the other, where there are any.
pub fn joined(first: Option<RecordBatch>, second: Option<RecordBatch>) -> Result<Option<RecordBatch>> {
    match (first, second) {
        (Some(a), Some(b)) => Ok(Some(concat_batches(a.schema_ref(), [&a, &b])?)),
        (a, b) => Ok(a.or(b)),
    }
}

/// An operation on ordered rows. It is a value: two runs of one operator do not see each other.
pub trait Operator: Any + fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;

    /// More words for EXPLAIN.
    fn describe(&self) -> String {
        String::new()
    }

    /// Columns by which input `_index` must come sorted (ascending, nulls first); empty: any order, kept as it is.
    fn input_order(&self, _index: usize) -> Vec<String> {
        vec![]
    }

    /// What of its input matters, where that is only the newest rows of groups.
    fn newest(&self) -> Option<Newest> {
        None
    }

    /// Whether the one input comes out as it is, so that conditions on rows and a choice of columns may be moved to it.
    fn passes_rows_on(&self) -> bool {
        false
    }

    /// Columns that come out row by row as they went in, so that a condition on them alone may be moved to the input.
    fn unchanged(&self, schema: &Schema) -> HashSet<String> {
        match self.passes_rows_on() {
            true => schema.fields().iter().map(|f| f.name().clone()).collect(),
            false => HashSet::new(),
        }
    }

    /// Columns of the answer that need not be made: where nobody asks for one, `run` gets a schema without it.
    fn optional(&self) -> &[String] {
        &[]
    }

    /// Starts the work. `schema` is what [`OperatorNode::plan`] was given; `memory` is charged for what is held.
    fn run(&self, inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, memory: MemoryReservation) -> Result<Batches>;
}

/// The newest rows of groups, in names of input columns.
#[derive(Debug, Clone)]
pub struct Newest {
    /// Rows of each group.
    pub count: usize,
    /// Where the newest row has a null in one of these, all rows matter.
    pub complete: Vec<String>,
    pub by: Vec<String>,
    pub time: String,
}

/// The operator that a plan runs at its top, if it is one of ours.
pub fn operator_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&dyn Operator> {
    plan.downcast_ref::<OperatorExec>().map(|exec| exec.operator.as_ref())
}

/// The logical node.
#[derive(Debug, Clone)]
pub struct OperatorNode {
    inputs: Vec<LogicalPlan>,
    schema: DFSchemaRef,
    operator: Arc<dyn Operator>,
}

impl OperatorNode {
    /// The plan that runs `operator` on `inputs`; `schema` describes what comes out.
    pub fn plan(operator: Arc<dyn Operator>, inputs: Vec<LogicalPlan>, schema: SchemaRef) -> Result<LogicalPlan> {
        Ok(OperatorNode::shaped(operator, inputs, Arc::new(DFSchema::try_from(schema)?)))
    }

    /// The same, where the schema is there already.
    pub fn shaped(operator: Arc<dyn Operator>, inputs: Vec<LogicalPlan>, schema: DFSchemaRef) -> LogicalPlan {
        LogicalPlan::Extension(Extension { node: Arc::new(OperatorNode { inputs, schema, operator }) })
    }

    /// The top of a plan, when it is one of these.
    pub fn of(plan: &LogicalPlan) -> Option<&OperatorNode> {
        if let LogicalPlan::Extension(extension) = plan { extension.node.as_any().downcast_ref() } else { None }
    }

    pub fn operator(&self) -> &dyn Operator {
        self.operator.as_ref()
    }

    /// The execution plan over these inputs, whose rows have this schema.
    pub fn execution(&self, inputs: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef) -> Arc<dyn ExecutionPlan> {
        execution(self.operator.clone(), inputs, schema)
    }

    /// The operator at the top of a plan, when it is an `O`, and its first input.
    pub fn as_operator<O: Operator>(plan: &LogicalPlan) -> Option<(&O, &LogicalPlan)> {
        let node = OperatorNode::of(plan)?;
        let operator: &dyn Any = node.operator.as_ref();
        Some((operator.downcast_ref()?, node.inputs.first()?))
    }

    /// The plan, where one of ours is at its top without those of its optional columns that are not `wanted`.
    pub fn with_only(plan: &LogicalPlan, wanted: impl Fn(&str) -> bool) -> Result<LogicalPlan> {
        let Some(node) = OperatorNode::of(plan) else { return Ok(plan.clone()) };
        let (schema, optional) = (node.schema.as_arrow(), node.operator.optional());
        let stays = |name: &String| !optional.contains(name) || wanted(name);
        let kept: Vec<usize> = (0..schema.fields().len()).filter(|at| stays(schema.field(*at).name())).collect();
        if kept.len() == schema.fields().len() {
            return Ok(plan.clone());
        }
        OperatorNode::plan(node.operator.clone(), node.inputs.clone(), Arc::new(schema.project(&kept)?))
    }

    /// A plan that has one of ours at its top, over another input.
    pub fn over(plan: &LogicalPlan, input: LogicalPlan) -> Result<LogicalPlan> {
        plan.with_new_exprs(vec![], vec![input])
    }
}

// Identity of an operator is the identity of its value: closures inside it cannot be compared.
impl PartialEq for OperatorNode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.operator, &other.operator) && self.inputs == other.inputs
    }
}

impl Eq for OperatorNode {}

impl PartialOrd for OperatorNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl Hash for OperatorNode {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.operator.name().hash(state);
        self.inputs.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for OperatorNode {
    fn name(&self) -> &str {
        self.operator.name()
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![]
    }

    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        let unchanged = self.operator.unchanged(self.schema.as_arrow());
        self.schema.field_names().into_iter().filter(|name| !unchanged.contains(name)).collect()
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        if !self.operator.passes_rows_on() {
            return None;
        }
        let order = self.operator.input_order(0);
        let order = order.iter().filter_map(|name| self.schema.index_of_column_by_name(None, name));
        let needed: BTreeSet<usize> = output_columns.iter().copied().chain(order).collect();
        Some(vec![needed.into_iter().collect()])
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operator.name(), self.operator.describe())
    }

    fn with_exprs_and_inputs(&self, _expressions: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let schema = match inputs.as_slice() {
            // By their names alone, whatever table they come from.
            [input] if self.operator.passes_rows_on() => Arc::new(DFSchema::try_from(input.schema().as_arrow().clone())?),
            _ => self.schema.clone(),
        };
        Ok(OperatorNode { inputs, schema, operator: self.operator.clone() })
    }
}

/// Turns [`OperatorNode`]s into execution plans; a session that runs our plans registers it.
#[derive(Debug, Default)]
pub struct NodePlanner;

#[async_trait]
impl ExtensionPlanner for NodePlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session: &dyn Session,
        _context: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<OperatorNode>() else { return Ok(None) };
        let schema = Arc::new(node.schema.as_arrow().clone());
        Ok(Some(node.execution(physical_inputs.to_vec(), schema)))
    }
}

/// The execution plan of an operator.
pub fn execution(operator: Arc<dyn Operator>, inputs: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef) -> Arc<dyn ExecutionPlan> {
    Arc::new(OperatorExec::new(operator, inputs, schema))
}

#[derive(Debug)]
struct OperatorExec {
    operator: Arc<dyn Operator>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
    /// What is required of each input; asked for many times while a query is planned.
    orderings: OnceLock<Vec<Option<OrderingRequirements>>>,
}

impl OperatorExec {
    fn new(operator: Arc<dyn Operator>, inputs: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef) -> OperatorExec {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        OperatorExec { operator, inputs, properties: Arc::new(properties), orderings: OnceLock::new() }
    }

    fn over(&self, inputs: Vec<Arc<dyn ExecutionPlan>>) -> Arc<dyn ExecutionPlan> {
        let (operator, properties) = (self.operator.clone(), self.properties.clone());
        Arc::new(OperatorExec { operator, inputs, properties, orderings: OnceLock::new() })
    }

    fn ordering(&self, index: usize) -> Option<OrderingRequirements> {
        let schema = self.inputs[index].schema();
        let columns = self.operator.input_order(index);
        let sort = columns.iter().filter_map(|name| {
            let at = schema.index_of(name).ok()?;
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(name, at));
            Some(PhysicalSortExpr::new(column, arrow::compute::SortOptions { descending: false, nulls_first: true }))
        });
        LexOrdering::new(sort.collect::<Vec<_>>()).map(OrderingRequirements::from)
    }
}

impl DisplayAs for OperatorExec {
    fn fmt_as(&self, _type: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operator.name(), self.operator.describe())
    }
}

impl ExecutionPlan for OperatorExec {
    fn name(&self) -> &str {
        self.operator.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition; self.inputs.len()])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.orderings.get_or_init(|| (0..self.inputs.len()).map(|i| self.ordering(i)).collect()).clone()
    }

    // The rows of a table come in an order that columns cannot say; claiming that it is kept makes DataFusion
    // merge sorted partitions in order instead of throwing them together.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true; self.inputs.len()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.inputs.len()]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(&self, _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.over(children))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self.over(children))
    }

    fn execute(&self, _partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let inputs = self.inputs.iter().map(|i| i.execute(0, context.clone())).collect::<Result<Vec<_>>>()?;
        let memory = MemoryConsumer::new(self.operator.name()).register(context.memory_pool());
        let batches = self.operator.run(inputs, self.schema(), memory)?;
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}
