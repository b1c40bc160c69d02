//! Plans of our own nodes over scans go straight to execution plans.
//!
//! Most questions of Flux and InfluxQL are such plans: operators, choices of columns, small expressions, and a scan under a condition.
//! Of DataFusion's rules only two would have work there, those that bring conditions and choices of columns to the scan, and that is done
//! here on the way. Whatever else is in a plan sends all of it the long way, with the same answer.

use super::{columns::ColumnsExec, few_rules::is_subquery, newest::NewestRows, provider::SnapshotTable, requirements, tag_filter::values};
use crate::plan::{
    condition::{simplified, without_relation},
    node::{
        columns::{Chosen, Columns, Source},
        operator::{OperatorNode, execution},
    },
    time_bounds::time_bounds,
};
use datafusion::{
    common::{
        DFSchema,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    datasource::source_as_provider,
    error::Result,
    execution::context::SessionState,
    logical_expr::{
        Expr, LogicalPlan, Projection, TableScan, UserDefinedLogicalNodeCore,
        physical_planning_context::PhysicalPlanningContext,
        utils::{conjunction, split_conjunction, split_conjunction_owned},
    },
    physical_expr::create_physical_expr,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        filter::FilterExecBuilder,
        projection::{ProjectionExec, ProjectionExpr},
    },
};
use itertools::Itertools;
use std::sync::Arc;

/// The execution plan; `None` when the plan has to go the long way.
pub fn physical(state: &SessionState, plan: &LogicalPlan) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let all = vec![true; plan.schema().fields().len()];
    let Some(Made { plan, .. }) = node(state, plan, &all)? else { return Ok(None) };
    let plan = NewestRows.optimize(plan, state.config_options())?;
    Ok(requirements::are_met(&plan)?.then_some(plan))
}

/// An execution plan, and where in it the columns of the logical one are: nowhere those that nobody wants.
struct Made {
    plan: Arc<dyn ExecutionPlan>,
    places: Vec<Option<usize>>,
}

/// The places of columns of which only the wanted ones are there.
fn places_of(wanted: &[bool]) -> Vec<Option<usize>> {
    let mut place = 0..;
    wanted.iter().map(|wanted| if *wanted { place.next() } else { None }).collect()
}

fn node(state: &SessionState, plan: &LogicalPlan, wanted: &[bool]) -> Result<Option<Made>> {
    match plan {
        LogicalPlan::Projection(projection) => columns(state, projection, wanted),
        LogicalPlan::Extension(_) => match OperatorNode::of(plan) {
            Some(operator) => operation(state, operator, wanted),
            None => Ok(None),
        },
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::TableScan(scan) => rows(state, scan, Some(&filter.predicate), wanted),
            _ => Ok(None),
        },
        LogicalPlan::TableScan(scan) => rows(state, scan, None, wanted),
        _ => Ok(None),
    }
}

fn columns(state: &SessionState, projection: &Projection, wanted: &[bool]) -> Result<Option<Made>> {
    let Some(Columns(sources)) = Columns::chosen_by(projection) else { return computed(state, projection, wanted) };
    let mut below = vec![false; projection.input.schema().fields().len()];
    for (source, wanted) in sources.iter().zip(wanted) {
        if let (Source::Column(at), true) = (source, *wanted) {
            below[*at] = true;
        }
    }
    let Some(input) = node(state, &projection.input, &below)? else { return Ok(None) };
    let (mut kept, mut chosen, places) = (vec![], vec![], places_of(wanted));
    for (at, source) in sources.into_iter().enumerate().filter(|(at, _)| wanted[*at]) {
        let place = |column: usize| input.places[column].map(Source::Column);
        let Some(source) = (if let Source::Column(column) = source { place(column) } else { Some(source) }) else { return Ok(None) };
        kept.push(at);
        chosen.push(source);
    }
    let schema = projection.schema.inner();
    let schema = if kept.len() == wanted.len() { schema.clone() } else { Arc::new(schema.project(&kept)?) };
    let is_same = |(at, source): (usize, &Source)| matches!(source, Source::Column(from) if *from == at);
    if chosen.iter().enumerate().all(is_same) && input.plan.schema() == schema {
        return Ok(Some(Made { plan: input.plan, places }));
    }
    let chosen = Columns(chosen);
    let plan = match OperatorNode::of(&projection.input) {
        Some(_) => {
            let operator = Chosen { columns: chosen, from: input.plan.schema(), to: schema.clone() };
            execution(Arc::new(operator), vec![input.plan], schema)
        }
        None => Arc::new(ColumnsExec::new(chosen, input.plan, schema)),
    };
    Ok(Some(Made { plan, places }))
}

/// Nodes of expressions that are computed straight. Among more of them it may pay to look for those that occur twice.
const SMALL_NODES: usize = 64;

/// Small expressions.
fn computed(state: &SessionState, projection: &Projection, wanted: &[bool]) -> Result<Option<Made>> {
    let (mut nodes, mut asks) = (0, false);
    for expr in &projection.expr {
        expr.apply(|e| {
            nodes += 1;
            asks |= is_subquery(e);
            Ok(if asks || nodes > SMALL_NODES { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
    }
    if asks || nodes > SMALL_NODES {
        return Ok(None);
    }
    let exprs: Vec<&Expr> = projection.expr.iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(expr, _)| expr).collect();
    let mut below = vec![false; projection.input.schema().fields().len()];
    for column in exprs.iter().flat_map(|e| e.column_refs()) {
        below[projection.input.schema().index_of_column(column)?] = true;
    }
    let Some(input) = node(state, &projection.input, &below)? else { return Ok(None) };
    let named = Arc::new(DFSchema::try_from(input.plan.schema())?);
    let fields = projection.schema.fields().iter().zip(wanted).filter(|(_, wanted)| **wanted);
    let exprs = exprs.into_iter().zip(fields).map(|(expr, (field, _))| {
        let expr = simplified(without_relation(expr.clone().unalias())?, &named, state)?;
        let expr = create_physical_expr(&expr, &named, state.execution_props(), &PhysicalPlanningContext::default())?;
        Ok(ProjectionExpr { expr, alias: field.name().clone() })
    });
    let plan = Arc::new(ProjectionExec::try_new(exprs.collect::<Result<Vec<_>>>()?, input.plan)?);
    Ok(Some(Made { plan, places: places_of(wanted) }))
}

fn operation(state: &SessionState, operation: &OperatorNode, wanted: &[bool]) -> Result<Option<Made>> {
    let operator = operation.operator();
    if let ([input], true) = (operation.inputs().as_slice(), operator.passes_rows_on()) {
        let mut below = wanted.to_vec();
        for name in operator.input_order(0) {
            if let Some(at) = input.schema().index_of_column_by_name(None, &name) {
                below[at] = true;
            }
        }
        let Some(Made { plan, places }) = node(state, input, &below)? else { return Ok(None) };
        let schema = plan.schema();
        return Ok(Some(Made { plan: operation.execution(vec![plan], schema), places }));
    }
    let mut inputs = vec![];
    for input in operation.inputs() {
        let all = vec![true; input.schema().fields().len()];
        let Some(made) = node(state, input, &all)? else { return Ok(None) };
        inputs.push(made.plan);
    }
    let plan = operation.execution(inputs, operation.schema().inner().clone());
    Ok(Some(Made { plan, places: (0..wanted.len()).map(Some).collect() }))
}

fn rows(state: &SessionState, scan: &TableScan, condition: Option<&Expr>, wanted: &[bool]) -> Result<Option<Made>> {
    let provider = source_as_provider(&scan.source)?;
    let Some(table) = provider.downcast_ref::<SnapshotTable>() else { return Ok(None) };
    if scan.fetch.is_some() || !scan.filters.is_empty() {
        return Ok(None);
    }
    let schema = scan.projected_schema.inner();
    let parts = condition.map(split_conjunction).unwrap_or_default().into_iter().cloned();
    let (mut exact, others): (Vec<Expr>, Vec<Expr>) =
        parts.partition(|e| time_bounds(e).is_some() || table.is_exact(e) && values(e).is_some());
    let mut rest = None;
    if let Some(others) = conjunction(others) {
        if others.exists(|e| Ok(is_subquery(e)))? {
            return Ok(None);
        }
        let others = simplified(without_relation(others)?, &Arc::new(DFSchema::try_from(schema.clone())?), state)?;
        // One that settles the matter is for a rule.
        if matches!(others, Expr::Literal(..)) {
            return Ok(None);
        }
        let (more, left): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(others).into_iter().partition(|e| table.is_exact(e));
        exact.extend(more);
        rest = conjunction(left);
    }
    let mut read = wanted.to_vec();
    for column in rest.iter().flat_map(Expr::column_refs) {
        read[schema.index_of(&column.name)?] = true;
    }
    let kept: Vec<usize> = (0..read.len()).filter(|at| read[*at]).collect();
    let layout = |at: &usize| scan.projection.as_ref().map_or(*at, |columns| columns[*at]);
    let plan = table.rows(state, Some(kept.iter().map(layout).collect()), &exact, None)?;
    let Some(rest) = rest else { return Ok(Some(Made { plan, places: places_of(wanted) })) };
    let named = DFSchema::try_from(plan.schema())?;
    let test = create_physical_expr(&rest, &named, state.execution_props(), &PhysicalPlanningContext::default())?;
    let mut filter = FilterExecBuilder::new(test, plan).with_batch_size(state.config().batch_size());
    if read != wanted {
        // What only the condition asked for stays below.
        filter = filter.apply_projection(Some(kept.iter().positions(|at| wanted[*at]).collect()))?;
    }
    Ok(Some(Made { plan: Arc::new(filter.build()?), places: places_of(wanted) }))
}

#[cfg(test)]
mod tests;
