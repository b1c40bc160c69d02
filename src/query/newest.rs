//! Questions for the newest rows of each series read no others: Flux' `last()`, InfluxQL's `last()` and
//! `ORDER BY time DESC LIMIT n`, SQL's `row_number() OVER (PARTITION BY tags ORDER BY time DESC)` up to a number.
//!
//! Groups by tags are made of whole series, so the newest rows of a group are among the newest of its series. Nothing may
//! lie between that drops rows; conditions on time and tags are in the scan already.

use super::{
    columns::{self, ColumnsExec},
    scan::ScanExec,
};
use crate::{
    model::TIME_COLUMN,
    plan::node::{
        columns::{Chosen, Source},
        operator::{Newest, operator_of},
    },
};
use datafusion::{
    common::{
        ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    error::Result,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, Column, Literal},
        window::StandardWindowExpr,
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan,
        execution_plan::replace_children_if_necessary,
        filter::FilterExec,
        projection::ProjectionExec,
        windows::{BoundedWindowAggExec, WindowUDFExpr},
    },
};
use std::{any::Any, sync::Arc};

/// More rows than this of each series are read in order like all others: the newest are held until their series ends.
const COUNT_MAX: usize = 8_192;

/// The rule; it comes before those that add sorts.
#[derive(Debug, Default)]
pub struct NewestRows;

impl PhysicalOptimizerRule for NewestRows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let narrowed = plan.transform_down(|node| {
            let narrowed = match (of_operator(&node), of_row_number(&node)) {
                (Some(wanted), _) => narrow(node.children()[0], &wanted)?.map(|input| (node.clone(), input)),
                (None, Some((window, wanted))) => match narrow(window.children()[0], &wanted)? {
                    Some(input) => Some((node.clone(), replace_children_if_necessary(window, vec![input])?)),
                    None => None,
                },
                (None, None) => None,
            };
            match narrowed {
                Some((node, input)) => Ok(Transformed::yes(replace_children_if_necessary(node, vec![input])?)),
                None => Ok(Transformed::no(node)),
            }
        })?;
        Ok(narrowed.data)
    }

    fn name(&self) -> &str {
        "NewestRows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What a node wants of its input, by the input's columns.
#[derive(Debug, Clone)]
struct Wanted {
    count: usize,
    /// Where a newest row has a null, all rows are wanted.
    complete: Vec<usize>,
    /// Must be tags.
    by: Vec<usize>,
    /// Must be the time.
    time: Option<usize>,
}

fn of_operator(node: &Arc<dyn ExecutionPlan>) -> Option<Wanted> {
    let Newest { count, complete, by, time } = operator_of(node)?.newest()?;
    let schema = node.children()[0].schema();
    let at = |names: Vec<String>| names.iter().map(|n| schema.index_of(n).ok()).collect::<Option<Vec<_>>>();
    Some(Wanted { count, complete: at(complete)?, by: at(by)?, time: Some(schema.index_of(&time).ok()?) })
}

/// The window node below a condition on its row number, and what it wants.
fn of_row_number(node: &Arc<dyn ExecutionPlan>) -> Option<(Arc<dyn ExecutionPlan>, Wanted)> {
    let filter = node.downcast_ref::<FilterExec>()?;
    let (column, count) = row_limit(filter.predicate())?;
    let window = filter.input().downcast_ref::<BoundedWindowAggExec>()?;
    let [function] = window.window_expr() else { return None };
    let numbers = function.as_any().downcast_ref::<StandardWindowExpr>()?.get_standard_func_expr();
    let is_row_number = numbers.as_any().downcast_ref::<WindowUDFExpr>()?.fun().name() == "row_number";
    let [order] = function.order_by() else { return None };
    if column != window.input().schema().fields().len() || !is_row_number || !order.options.descending {
        return None;
    }
    let at = |e: &Arc<dyn PhysicalExpr>| e.downcast_ref::<Column>().map(Column::index);
    let by = function.partition_by().iter().map(at).collect::<Option<Vec<_>>>()?;
    Some((filter.input().clone(), Wanted { count, complete: vec![], by, time: Some(at(&order.expr)?) }))
}

/// `column <= n`, `column < n` or `column = 1`.
fn row_limit(predicate: &Arc<dyn PhysicalExpr>) -> Option<(usize, usize)> {
    let binary = predicate.downcast_ref::<BinaryExpr>()?;
    let column = binary.left().downcast_ref::<Column>()?.index();
    let ScalarValue::UInt64(Some(number)) =
        binary.right().downcast_ref::<Literal>()?.value().cast_to(&arrow::datatypes::DataType::UInt64).ok()?
    else {
        return None;
    };
    let number = usize::try_from(number).ok()?;
    match binary.op() {
        Operator::LtEq => Some((column, number)),
        Operator::Lt => Some((column, number.checked_sub(1)?)),
        Operator::Eq if number == 1 => Some((column, 1)),
        _ => None,
    }
}

/// Where the columns of a node come from that only changes those.
fn sources_of(plan: &Arc<dyn ExecutionPlan>) -> Option<Vec<Option<Source>>> {
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        return Some(columns::sources(projection));
    }
    if let Some(chosen) = plan.downcast_ref::<ColumnsExec>() {
        return Some(chosen.columns().0.iter().cloned().map(Some).collect());
    }
    let operator: &dyn Any = operator_of(plan)?;
    Some(operator.downcast_ref::<Chosen>()?.columns.0.iter().cloned().map(Some).collect())
}

/// The plan with a scan of the newest rows only, where all rows come straight from a scan.
fn narrow(plan: &Arc<dyn ExecutionPlan>, wanted: &Wanted) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    if let Some(scan) = plan.downcast_ref::<ScanExec>() {
        let schema = scan.schema();
        let is_time = wanted.time.is_some_and(|t| schema.field(t).name() == TIME_COLUMN);
        let fits = wanted.count <= COUNT_MAX && is_time && wanted.by.iter().all(|c| scan.is_tag(schema.field(*c).name()));
        return Ok(fits.then(|| Arc::new(scan.newest(wanted.count, wanted.complete.clone())) as Arc<dyn ExecutionPlan>));
    }
    let below = if let Some(sources) = sources_of(plan) {
        let from = |at: &usize| if let Some(Source::Column(from)) = &sources[*at] { Some(*from) } else { None };
        let is_constant = |at: &usize| matches!(&sources[*at], Some(Source::Constant(_)));
        let complete = wanted.complete.iter().map(from).collect::<Option<Vec<_>>>();
        let by = wanted.by.iter().filter(|at| !is_constant(at)).map(from).collect::<Option<Vec<_>>>();
        let (Some(complete), Some(by)) = (complete, by) else { return Ok(None) };
        Wanted { count: wanted.count, complete, by, time: wanted.time.as_ref().and_then(from) }
    } else if operator_of(plan).is_some_and(|o| o.passes_rows_on()) {
        wanted.clone()
    } else {
        return Ok(None);
    };
    match narrow(plan.children()[0], &below)? {
        Some(input) => Ok(Some(replace_children_if_necessary(plan.clone(), vec![input])?)),
        None => Ok(None),
    }
}
