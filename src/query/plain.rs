//! Plans of our own nodes over scans go straight to execution plans.
//!
//! Most questions of Flux and InfluxQL are such plans: operators, choices of columns, small expressions, and a scan under a condition;
//! those of SQL often have one aggregate and one sort above that. Of DataFusion's rules only two would have work there, those that bring
//! conditions and choices of columns to the scan, and that is done here on the way. Whatever else is in a plan sends all of it the long
//! way, with the same answer.

use super::{columns::ColumnsExec, few_rules::needs_rules, newest::NewestRows, provider::SnapshotTable, requirements, tag_filter::values};
use crate::plan::{
    condition::{simplified, without_relation},
    node::{
        columns::{Chosen, Columns, Source},
        operator::{OperatorNode, execution},
    },
    time_bounds::time_bounds,
};
use arrow::{
    compute::SortOptions,
    datatypes::{FieldRef, SchemaRef},
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
        Expr, FetchType, Limit, LogicalPlan, Projection, SkipType, Sort, TableScan, UserDefinedLogicalNodeCore,
        physical_planning_context::PhysicalPlanningContext,
        utils::{conjunction, split_conjunction, split_conjunction_owned},
    },
    physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, create_physical_expr},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        filter::FilterExecBuilder,
        limit::GlobalLimitExec,
        projection::{ProjectionExec, ProjectionExpr},
        sorts::sort::SortExec,
    },
};
use itertools::Itertools;
use std::sync::Arc;

mod grouped;

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
        LogicalPlan::Filter(filter) => match without_alias(&filter.input) {
            LogicalPlan::TableScan(scan) => rows(state, scan, Some(&filter.predicate), wanted),
            _ => Ok(None),
        },
        LogicalPlan::TableScan(scan) => rows(state, scan, None, wanted),
        LogicalPlan::SubqueryAlias(alias) => node(state, &alias.input, wanted),
        LogicalPlan::Aggregate(aggregate) => grouped::aggregate(state, aggregate, wanted),
        LogicalPlan::Sort(sort) => sorted(state, sort, wanted, None),
        LogicalPlan::Limit(limit) => first_of_sorted(state, limit, wanted),
        _ => Ok(None),
    }
}

/// What another name of a table stands for.
fn without_alias(plan: &LogicalPlan) -> &LogicalPlan {
    if let LogicalPlan::SubqueryAlias(alias) = plan { without_alias(&alias.input) } else { plan }
}

/// The columns of a schema that expressions read.
fn below<'a>(exprs: impl Iterator<Item = &'a Expr>, schema: &DFSchema) -> Result<Vec<bool>> {
    let mut below = vec![false; schema.fields().len()];
    for column in exprs.flat_map(|e| e.column_refs()) {
        below[schema.index_of_column(column)?] = true;
    }
    Ok(below)
}

/// Whether rows are what a logical plan says: its types are not always those of the coerced expressions.
fn has_types<'a>(plan: &Arc<dyn ExecutionPlan>, said: impl Iterator<Item = &'a FieldRef>) -> bool {
    let made = plan.schema();
    let same = |(made, said): (&FieldRef, &FieldRef)| made.data_type() == said.data_type() && (said.is_nullable() || !made.is_nullable());
    made.fields().iter().zip(said).all(same)
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

/// Whether expressions are computed straight.
fn are_small<'a>(exprs: impl Iterator<Item = &'a Expr>) -> Result<bool> {
    let (mut nodes, mut small) = (0, true);
    for expr in exprs {
        expr.apply(|e| {
            nodes += 1;
            small &= nodes <= SMALL_NODES && !needs_rules(e);
            Ok(if small { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
        })?;
    }
    Ok(small)
}

/// What expressions are computed from.
struct Rows<'a> {
    state: &'a SessionState,
    named: Arc<DFSchema>,
}

impl<'a> Rows<'a> {
    fn of(state: &'a SessionState, schema: SchemaRef) -> Result<Rows<'a>> {
        Ok(Rows { state, named: Arc::new(DFSchema::try_from(schema)?) })
    }

    fn simplified(&self, expr: &Expr) -> Result<Expr> {
        match without_relation(expr.clone().unalias())? {
            expr @ (Expr::Column(_) | Expr::Literal(..)) => Ok(expr),
            expr => simplified(expr, &self.named, self.state),
        }
    }

    /// Of an expression that is simplified.
    fn physical(&self, expr: &Expr) -> Result<Arc<dyn PhysicalExpr>> {
        create_physical_expr(expr, &self.named, self.state.execution_props(), &PhysicalPlanningContext::default())
    }

    fn computed(&self, expr: &Expr) -> Result<Arc<dyn PhysicalExpr>> {
        self.physical(&self.simplified(expr)?)
    }
}

/// Small expressions.
fn computed(state: &SessionState, projection: &Projection, wanted: &[bool]) -> Result<Option<Made>> {
    if !are_small(projection.expr.iter())? {
        return Ok(None);
    }
    let exprs: Vec<&Expr> = projection.expr.iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(expr, _)| expr).collect();
    let below = below(exprs.iter().copied(), projection.input.schema())?;
    let Some(input) = node(state, &projection.input, &below)? else { return Ok(None) };
    let rows = Rows::of(state, input.plan.schema())?;
    let fields = || projection.schema.fields().iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(field, _)| field);
    let made = exprs.into_iter().zip(fields());
    let made = made.map(|(expr, field)| Ok(ProjectionExpr { expr: rows.computed(expr)?, alias: field.name().clone() }));
    let plan: Arc<dyn ExecutionPlan> = Arc::new(ProjectionExec::try_new(made.collect::<Result<Vec<_>>>()?, input.plan)?);
    Ok(has_types(&plan, fields()).then(|| Made { plan, places: places_of(wanted) }))
}

/// The first `fetch` rows of a sort, or all.
fn sorted(state: &SessionState, sort: &Sort, wanted: &[bool], fetch: Option<usize>) -> Result<Option<Made>> {
    let exprs = || sort.expr.iter().map(|sort| &sort.expr);
    if !are_small(exprs())? {
        return Ok(None);
    }
    let by = below(exprs(), sort.input.schema())?;
    let read: Vec<bool> = by.iter().zip(wanted).map(|(by, wanted)| *by || *wanted).collect();
    let Some(Made { plan, places }) = node(state, &sort.input, &read)? else { return Ok(None) };
    let rows = Rows::of(state, plan.schema())?;
    let by = sort.expr.iter().map(|sort| {
        let options = SortOptions { descending: !sort.asc, nulls_first: sort.nulls_first };
        Ok(PhysicalSortExpr::new(rows.computed(&sort.expr)?, options))
    });
    let Some(by) = LexOrdering::new(by.collect::<Result<Vec<_>>>()?) else { return Ok(None) };
    let fetch = fetch.into_iter().chain(sort.fetch).min();
    let comes_so = plan.equivalence_properties().ordering_satisfy(by.clone())?;
    let plan: Arc<dyn ExecutionPlan> = match (comes_so, fetch) {
        (true, None) => plan,
        (true, Some(_)) => Arc::new(GlobalLimitExec::new(plan, 0, fetch)),
        (false, _) => Arc::new(SortExec::new(by, plan).with_fetch(fetch)),
    };
    Ok(Some(Made { plan, places }))
}

/// A limit above a sort; others are for the scan to know.
fn first_of_sorted(state: &SessionState, limit: &Limit, wanted: &[bool]) -> Result<Option<Made>> {
    let (SkipType::Literal(skip), FetchType::Literal(fetch)) = (limit.get_skip_type()?, limit.get_fetch_type()?) else { return Ok(None) };
    let LogicalPlan::Sort(sort) = limit.input.as_ref() else { return Ok(None) };
    let Some(Made { plan, places }) = sorted(state, sort, wanted, fetch.map(|fetch| fetch.saturating_add(skip)))? else { return Ok(None) };
    let plan = if skip > 0 { Arc::new(GlobalLimitExec::new(plan, skip, fetch)) } else { plan };
    Ok(Some(Made { plan, places }))
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
        if others.exists(|e| Ok(needs_rules(e)))? {
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
    let test = Rows::of(state, plan.schema())?.physical(&rest)?;
    let mut filter = FilterExecBuilder::new(test, plan).with_batch_size(state.config().batch_size());
    if read != wanted {
        // What only the condition asked for stays below.
        filter = filter.apply_projection(Some(kept.iter().positions(|at| wanted[*at]).collect()))?;
    }
    Ok(Some(Made { plan: Arc::new(filter.build()?), places: places_of(wanted) }))
}

#[cfg(test)]
mod tests;
