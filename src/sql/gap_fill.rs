//! `GROUP BY date_bin_gapfill(interval, time[, origin])`: a row for every time window of the range that WHERE gives, in
//! every group, as InfluxDB 3 has it.
//!
//! The aggregate groups by the window's start instead, and its rows go through the gap-fill node that Flux and InfluxQL
//! use. An aggregate has null in an inserted row; `locf(aggregate)` repeats the row before, `interpolate(aggregate)` draws
//! a line between its neighbours. A group without any row gets none. The range needs a lower bound; without an upper
//! one it ends with the query's `now()`.

use crate::{
    functions::{
        arguments,
        scalar::{gap_fill::Word, time_window},
    },
    kernel::time_window::{Location, TimeWindow},
    model::{Duration, Failure, Result, schema::time_type},
    plan::{
        Context,
        node::{
            gap_fill::{ColumnFill, Fill, GapFill, Windows, gap_fill},
            ordered::ordered,
        },
        stream::col,
        time_bounds::bounds_of,
    },
};
use chrono::DateTime;
use datafusion::{
    common::{
        Column, DFSchemaRef, ScalarValue,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::Result as PlanResult,
    logical_expr::{Aggregate, Expr, LogicalPlan, Projection, expr::ScalarFunction, simplify::SimplifyContext, utils::split_conjunction},
    optimizer::simplify_expressions::ExprSimplifier,
};
use std::sync::Arc;

/// The plan with every gap-filling aggregate replaced. Parameters have their values already.
pub fn rewrite(plan: LogicalPlan, context: &dyn Context) -> Result<LogicalPlan> {
    let calls = calls(&plan)?;
    if calls.is_empty() {
        return Ok(plan);
    }
    let mut fills: Vec<Filled> = calls.iter().filter_map(filled).collect();
    let schemas = filled_schemas(&plan)?;
    fills.retain(|f| schemas.iter().any(|s| s.has_column(&f.column)));
    let plan = plan.transform_up_with_subqueries(|node| {
        let node = match node {
            LogicalPlan::Aggregate(a) if fills_gaps(&a) => Transformed::yes(aggregate(a, &fills, context)?),
            other => other.map_expressions(|e| {
                e.transform_up(|e| {
                    let replaced = filled(&e).filter(|f| fills.iter().any(|known| known.name == f.name));
                    Ok(replaced.map_or_else(|| Transformed::no(e), |f| Transformed::yes(col(&f.name))))
                })
            })?,
        };
        node.map_data(LogicalPlan::recompute_schema)
    })?;
    let plan = plan.data;
    match self::calls(&plan)?.iter().find_map(word) {
        Some(word) => Err(word.misplaced()),
        None => Ok(plan),
    }
}

fn word(expr: &Expr) -> Option<Word> {
    match expr {
        Expr::Alias(a) => word(&a.expr),
        Expr::ScalarFunction(f) => Word::ALL.into_iter().find(|w| w.name() == f.func.name()),
        _ => None,
    }
}

/// Every call of the three words, in all expressions of the plan.
fn calls(plan: &LogicalPlan) -> PlanResult<Vec<Expr>> {
    let mut calls = vec![];
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if matches!(e, Expr::ScalarFunction(_)) && word(e).is_some() {
                    calls.push(e.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(calls)
}

fn fills_gaps(a: &Aggregate) -> bool {
    a.group_expr.iter().any(|e| word(e) == Some(Word::DateBinGapfill))
}

/// The schemas of the aggregates that fill gaps.
fn filled_schemas(plan: &LogicalPlan) -> PlanResult<Vec<DFSchemaRef>> {
    let mut schemas = vec![];
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Aggregate(a) = node
            && fills_gaps(a)
        {
            schemas.push(a.schema.clone());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(schemas)
}

/// A column of the aggregate, filled in one way.
struct Filled {
    column: Column,
    fill: Fill,
    /// What the call is called in the plan's schemas.
    name: String,
}

fn filled(call: &Expr) -> Option<Filled> {
    let Expr::ScalarFunction(ScalarFunction { args, .. }) = call else { return None };
    let fill = match word(call)? {
        Word::Locf => Fill::Previous,
        Word::Interpolate => Fill::Linear,
        Word::DateBinGapfill => return None,
    };
    let [Expr::Column(column)] = args.as_slice() else { return None };
    Some(Filled { column: column.clone(), fill, name: call.schema_name().to_string() })
}

/// The aggregate over windows, with rows for the missing ones: its own columns, then those of `fills`.
fn aggregate(a: Aggregate, fills: &[Filled], context: &dyn Context) -> Result<LogicalPlan> {
    let bins: Vec<usize> = (0..a.group_expr.len()).filter(|i| word(&a.group_expr[*i]) == Some(Word::DateBinGapfill)).collect();
    let [bin] = bins.as_slice() else { return Err(Word::DateBinGapfill.misplaced()) };
    let bin = *bin;
    let Expr::ScalarFunction(call) = a.group_expr[bin].clone().unalias() else { return Err(Word::DateBinGapfill.misplaced()) };
    let simplify = Simplify::new(context, a.input.schema());
    let (window, time) = window_and_time(call.args, &simplify)?;
    let (min, max) = range(&a.input, &time, context)?;
    let Some(min) = min else {
        return Err(Failure::invalid(format!(
            "date_bin_gapfill needs a range of time to fill: add a lower bound to WHERE, such as {0} >= now() - INTERVAL '1 hour' AND {0} < now()",
            time.name
        )));
    };
    let max = max.unwrap_or_else(|| context.now());

    let own: Vec<_> = a.schema.iter().map(|(relation, field)| (relation.cloned(), field.name().clone())).collect();
    let mut groups = a.group_expr.clone();
    groups[bin] = time_window::start_of(window, Expr::Column(time)).alias(own[bin].1.clone());
    let grouped = LogicalPlan::Aggregate(Aggregate::try_new(a.input.clone(), groups, a.aggr_expr.clone())?);

    // Names of several relations may be equal, so columns are numbered while they are filled.
    let number = |i: usize| format!("c{i}");
    let mut numbered: Vec<Expr> =
        own.iter().enumerate().map(|(i, (r, n))| Expr::Column(Column::new(r.clone(), n)).alias(number(i))).collect();
    let mut restored: Vec<Expr> = own.iter().enumerate().map(|(i, (r, n))| col(&number(i)).alias_qualified(r.clone(), n)).collect();
    let mut column_fills: Vec<ColumnFill> = vec![];
    let mut names: Vec<&str> = vec![];
    for filled in fills.iter().filter(|f| a.schema.has_column(&f.column)) {
        if !names.contains(&filled.name.as_str()) {
            let column = number(numbered.len());
            numbered.push(Expr::Column(filled.column.clone()).alias(&column));
            restored.push(col(&column).alias(&filled.name));
            column_fills.push(ColumnFill { column, fill: filled.fill.clone(), nulls_too: false });
            names.push(&filled.name);
        }
    }
    let numbered = LogicalPlan::Projection(Projection::try_new(numbered, Arc::new(grouped))?);
    let series: Vec<String> = (0..a.group_expr.len()).filter(|i| *i != bin).map(number).collect();
    let sorted = ordered(numbered, series.iter().cloned().chain([number(bin)]).collect())?;
    let all = if min <= max {
        let start_of = |t| Some(window.latest(t).start);
        let spec = GapFill {
            series,
            time: number(bin),
            windows: Windows::Regular(window),
            first: start_of(min),
            last: start_of(max),
            descending: false,
            fills: column_fills,
        };
        gap_fill(sorted, spec)?
    } else {
        sorted
    };
    Ok(LogicalPlan::Projection(Projection::try_new(restored, Arc::new(all))?))
}

/// Expressions with their constants worked out, as the optimiser will have them.
struct Simplify<'a> {
    schema: &'a DFSchemaRef,
    simplifier: ExprSimplifier,
}

impl Simplify<'_> {
    fn new<'a>(context: &dyn Context, schema: &'a DFSchemaRef) -> Simplify<'a> {
        let builder = SimplifyContext::builder().with_schema(schema.clone());
        let builder = builder.with_config_options(context.session().config_options().clone());
        let info = builder.with_query_execution_start_time(Some(DateTime::from_timestamp_nanos(context.now()))).build();
        Simplify { schema, simplifier: ExprSimplifier::new(info) }
    }

    fn run(&self, expr: Expr) -> PlanResult<Expr> {
        self.simplifier.simplify(self.simplifier.coerce(expr, self.schema)?)
    }

    fn constant(&self, expr: Expr) -> Option<ScalarValue> {
        match self.run(expr) {
            Ok(Expr::Literal(value, _)) => Some(value),
            _ => None,
        }
    }
}

fn window_and_time(args: Vec<Expr>, simplify: &Simplify) -> Result<(TimeWindow, Column)> {
    let mut args = args.into_iter();
    let (Some(interval), Some(Expr::Column(time)), origin) = (args.next(), args.next(), args.next()) else {
        return Err(Failure::invalid("date_bin_gapfill expects an interval and a time column, and perhaps an origin"));
    };
    let every = simplify.constant(interval).and_then(|v| length(&v)).ok_or_else(|| {
        Failure::invalid(
            "date_bin_gapfill expects a constant, positive interval of either months or shorter units, such as INTERVAL '1 hour'",
        )
    })?;
    let origin = match origin.map(|o| simplify.constant(o).and_then(|v| v.cast_to(&time_type()).ok())) {
        None => 0,
        Some(Some(ScalarValue::TimestampNanosecond(Some(t), _))) => t,
        Some(_) => return Err(Failure::invalid("date_bin_gapfill expects a constant time as its origin")),
    };
    Ok((TimeWindow::from_zero(every, every, origin, Location::UTC)?, time))
}

fn length(value: &ScalarValue) -> Option<Duration> {
    match value {
        ScalarValue::IntervalMonthDayNano(Some(i)) if i.months > 0 && i.days == 0 && i.nanoseconds == 0 => {
            Some(Duration::from_months(i64::from(i.months)))
        }
        ScalarValue::IntervalYearMonth(Some(months)) if *months > 0 => Some(Duration::from_months(i64::from(*months))),
        other => arguments::nanoseconds(Some(other)).map(Duration::from_nanoseconds),
    }
}

type Range = (Option<i64>, Option<i64>);

/// First and last instant that the conditions below let through, as far as they speak of the time column alone.
fn range(plan: &LogicalPlan, time: &Column, context: &dyn Context) -> Result<Range> {
    let (mut min, mut max) = (None::<i64>, None::<i64>);
    let (mut plan, mut name) = (plan, time.name.clone());
    loop {
        plan = match plan {
            LogicalPlan::Filter(filter) => {
                let simplify = Simplify::new(context, filter.input.schema());
                let condition = simplify.run(filter.predicate.clone())?;
                for (low, high) in split_conjunction(&condition).into_iter().filter_map(|c| bounds_of(c, &name)) {
                    // The ends of the type stand for no bound at all.
                    min = min.max((low != i64::MIN).then_some(low));
                    max = [max, (high != i64::MAX).then_some(high)].into_iter().flatten().min();
                }
                filter.input.as_ref()
            }
            LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
            LogicalPlan::Sort(sort) => sort.input.as_ref(),
            LogicalPlan::Projection(projection) => {
                let at = projection.schema.fields().iter().position(|f| *f.name() == name);
                match at.map(|i| projection.expr[i].clone().unalias()) {
                    Some(Expr::Column(below)) => name = below.name,
                    _ => return Ok((min, max)),
                }
                projection.input.as_ref()
            }
            _ => return Ok((min, max)),
        };
    }
}

#[cfg(test)]
mod tests;
