//! Aggregates by group, straight to an execution plan.
//!
//! Those that a rule of DataFusion's would rewrite, that are ordered or filtered, or whose input several threads should read, go the long
//! way.

use super::{Made, SMALL_NODES, below, has_types, node};
use crate::{
    plan::condition::{simplified, without_relation},
    query::{few_rules::needs_rules, split, text_keys},
};
use arrow::datatypes::SchemaRef;
use datafusion::{
    common::{
        DFSchema,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    error::Result,
    execution::context::SessionState,
    logical_expr::{Aggregate, Expr, expr::AggregateFunction, physical_planning_context::PhysicalPlanningContext},
    physical_expr::{
        PhysicalExpr,
        aggregate::{AggregateExprBuilder, AggregateFunctionExpr},
        create_physical_expr,
    },
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy},
    },
};
use std::sync::Arc;

pub fn aggregate(state: &SessionState, aggregate: &Aggregate, wanted: &[bool]) -> Result<Option<Made>> {
    let exprs = || aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    let (mut nodes, mut asks) = (0, false);
    for expr in exprs() {
        expr.apply(|e| {
            nodes += 1;
            asks |= needs_rules(e) || matches!(e, Expr::GroupingSet(_));
            Ok(if asks || nodes > SMALL_NODES { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
    }
    if asks || nodes > SMALL_NODES {
        return Ok(None);
    }
    let Some(Made { plan: input, .. }) = node(state, &aggregate.input, &below(exprs(), aggregate.input.schema())?)? else {
        return Ok(None);
    };
    let threads = state.config().target_partitions();
    if threads > 1 && split::parted(&input, threads)?.is_some() {
        return Ok(None);
    }
    let given = Given { state, schema: input.schema(), named: Arc::new(DFSchema::try_from(input.schema())?) };
    let mut names = aggregate.schema.fields().iter().map(|field| field.name().clone());
    let mut keys = vec![];
    for (expr, name) in aggregate.group_expr.iter().zip(&mut names) {
        keys.push((given.physical(&given.simplified(expr)?)?, name));
    }
    let mut calls = vec![];
    for (expr, name) in aggregate.aggr_expr.iter().zip(names) {
        let Some(call) = given.call(expr, name)? else { return Ok(None) };
        calls.push(Arc::new(call));
    }
    let filters = vec![None; calls.len()];
    let single = |keys| {
        AggregateExec::try_new(
            AggregateMode::Single,
            PhysicalGroupBy::new_single(keys),
            calls.clone(),
            filters.clone(),
            input.clone(),
            given.schema.clone(),
        )
    };
    // Rows that come by a key are grouped as they come.
    let come_by_key = input.output_ordering().is_some_and(|order| keys.iter().any(|(key, _)| order.first().expr.eq(key)));
    let texts = if come_by_key { None } else { text_keys::as_text(&keys, &input)? };
    let plan = match texts {
        None => Arc::new(single(keys)?) as Arc<dyn ExecutionPlan>,
        Some(texts) => text_keys::as_tags(Arc::new(single(texts)?), &keys, &given.schema)?,
    };
    if !has_types(&plan, aggregate.schema.fields().iter()) {
        return Ok(None);
    }
    Ok(Some(Made { plan, places: (0..wanted.len()).map(Some).collect() }))
}

/// The rows that are grouped.
struct Given<'a> {
    state: &'a SessionState,
    schema: SchemaRef,
    named: Arc<DFSchema>,
}

impl Given<'_> {
    fn simplified(&self, expr: &Expr) -> Result<Expr> {
        simplified(without_relation(expr.clone().unalias())?, &self.named, self.state)
    }

    fn physical(&self, expr: &Expr) -> Result<Arc<dyn PhysicalExpr>> {
        create_physical_expr(expr, &self.named, self.state.execution_props(), &PhysicalPlanningContext::default())
    }

    /// `None`: it is more than a function of values.
    fn call(&self, expr: &Expr, name: String) -> Result<Option<AggregateFunctionExpr>> {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = self.simplified(expr)? else { return Ok(None) };
        if params.distinct || params.filter.is_some() || !params.order_by.is_empty() || params.null_treatment.is_some() {
            return Ok(None);
        }
        let args = params.args.iter().map(|e| self.physical(e)).collect::<Result<Vec<_>>>()?;
        Ok(Some(AggregateExprBuilder::new(func, args).schema(self.schema.clone()).alias(name).build()?))
    }
}
