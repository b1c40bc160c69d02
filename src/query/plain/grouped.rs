//! Aggregates by group, straight to an execution plan.
//!
//! Those that a rule of DataFusion's would rewrite, that are ordered or filtered, or whose input several threads should read, go the long
//! way.

use super::{Made, Rows, are_small, below, has_types, node};
use crate::query::{split, text_keys};
use datafusion::{
    error::Result,
    execution::context::SessionState,
    logical_expr::{Aggregate, Expr, expr::AggregateFunction},
    physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr},
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        aggregates::{AggregateExec, AggregateMode, PhysicalGroupBy},
    },
};
use std::sync::Arc;

pub fn aggregate(state: &SessionState, aggregate: &Aggregate, wanted: &[bool]) -> Result<Option<Made>> {
    let exprs = || aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    if !are_small(exprs())? {
        return Ok(None);
    }
    let Some(Made { plan: input, .. }) = node(state, &aggregate.input, &below(exprs(), aggregate.input.schema())?)? else {
        return Ok(None);
    };
    let threads = state.config().target_partitions();
    if threads > 1 && split::parted(&input, threads)?.is_some() {
        return Ok(None);
    }
    let (rows, schema) = (Rows::of(state, input.schema())?, input.schema());
    let mut names = aggregate.schema.fields().iter().map(|field| field.name().clone());
    let keys = aggregate.group_expr.iter().zip(&mut names).map(|(expr, name)| Ok((rows.computed(expr)?, name)));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let mut calls = vec![];
    for (expr, name) in aggregate.aggr_expr.iter().zip(names) {
        let Some(call) = call(&rows, expr, name)? else { return Ok(None) };
        calls.push(Arc::new(call));
    }
    // Rows that come by a key are grouped as they come.
    let come_by_key = input.output_ordering().is_some_and(|order| keys.iter().any(|(key, _)| order.first().expr.eq(key)));
    let texts = if come_by_key { None } else { text_keys::as_text(&keys, &input)? };
    let (by, filters) = (texts.as_ref().unwrap_or(&keys).clone(), vec![None; calls.len()]);
    let grouped = AggregateExec::try_new(AggregateMode::Single, PhysicalGroupBy::new_single(by), calls, filters, input, schema.clone())?;
    let mut plan: Arc<dyn ExecutionPlan> = Arc::new(grouped);
    if texts.is_some() {
        plan = text_keys::as_tags(plan, &keys, &schema)?;
    }
    if !has_types(&plan, aggregate.schema.fields().iter()) {
        return Ok(None);
    }
    Ok(Some(Made { plan, places: (0..wanted.len()).map(Some).collect() }))
}

/// An aggregate of `rows`; `None`: it is more than a function of values.
fn call(rows: &Rows<'_>, expr: &Expr, name: String) -> Result<Option<AggregateFunctionExpr>> {
    let Expr::AggregateFunction(AggregateFunction { func, params }) = rows.simplified(expr)? else { return Ok(None) };
    if params.distinct || params.filter.is_some() || !params.order_by.is_empty() || params.null_treatment.is_some() {
        return Ok(None);
    }
    let args = params.args.iter().map(|e| rows.physical(e)).collect::<Result<Vec<_>>>()?;
    Ok(Some(AggregateExprBuilder::new(func, args).schema(rows.named.inner().clone()).alias(name).build()?))
}
