//! `row_number() OVER (PARTITION BY tags ORDER BY time DESC)` where it is 1: the newest row of each group.
//!
//! As a reduction that needs neither all rows in order nor a window over them, and is planned and read as `last()` of the other
//! languages. Of a group's rows of one time, any may be the first.

use crate::{
    model::{
        Result,
        schema::{tag_type, time_type},
    },
    plan::{
        node::reduce::{Call, Reduce, Reduction, RowTime, reduce},
        stream::col,
    },
};
use arrow::datatypes::DataType;
use datafusion::{
    common::{Column, ExprSchema, ScalarValue, tree_node::Transformed},
    error::Result as PlanResult,
    logical_expr::{
        BinaryExpr, Expr, Filter, LogicalPlan, Operator, Projection, SubqueryAlias, Window, cast,
        expr::{Sort, WindowFunction},
    },
    prelude::lit,
};
use itertools::Itertools;
use std::{collections::HashSet, sync::Arc};

/// The plan with every such condition replaced.
pub fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_down_with_subqueries(|node| {
        let LogicalPlan::Filter(filter) = &node else { return Ok(Transformed::no(node)) };
        let Some(column) = only_first(filter) else { return Ok(Transformed::no(node)) };
        Ok(numbered(&filter.input, column)?.map_or(Transformed::no(node), Transformed::yes))
    })?;
    Ok(rewritten.data)
}

/// The column that is to be 1.
fn only_first(filter: &Filter) -> Option<&Column> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &filter.predicate else { return None };
    let (Expr::Column(column), Expr::Literal(number, _)) = (left.as_ref(), right.as_ref()) else { return None };
    let ScalarValue::Int64(Some(number)) = number.cast_to(&DataType::Int64).ok()? else { return None };
    matches!((op, number), (Operator::Eq | Operator::LtEq, 1) | (Operator::Lt, 2)).then_some(column)
}

/// The plan with only those rows whose row number, which is this column, is 1; `None` when it is no such number.
fn numbered(plan: &LogicalPlan, column: &Column) -> PlanResult<Option<LogicalPlan>> {
    let Some(at) = plan.schema().maybe_index_of_column(column) else { return Ok(None) };
    Ok(match plan {
        LogicalPlan::Projection(projection) => {
            let Expr::Column(below) = projection.expr[at].clone().unalias() else { return Ok(None) };
            let rows = numbered(&projection.input, &below)?;
            let projected = |rows| Projection::try_new(projection.expr.clone(), Arc::new(rows)).map(LogicalPlan::Projection);
            rows.map(projected).transpose()?
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let rows = numbered(&alias.input, &Column::from(alias.input.schema().qualified_field(at)))?;
            let named = |rows| SubqueryAlias::try_new(Arc::new(rows), alias.alias.clone()).map(LogicalPlan::SubqueryAlias);
            rows.map(named).transpose()?
        }
        LogicalPlan::Window(window) if at == window.input.schema().fields().len() => newest(window)?,
        _ => None,
    })
}

/// The newest row of each group, and a 1.
fn newest(window: &Window) -> PlanResult<Option<LogicalPlan>> {
    let [Expr::WindowFunction(function)] = window.window_expr.as_slice() else { return Ok(None) };
    let WindowFunction { fun, params } = function.as_ref();
    let is_plain = params.args.is_empty() && params.filter.is_none() && params.null_treatment.is_none() && !params.distinct;
    let [Sort { expr: Expr::Column(time), asc: false, .. }] = params.order_by.as_slice() else { return Ok(None) };
    let schema = window.input.schema();
    let mut names = HashSet::new();
    if fun.name() != "row_number" || !is_plain || !is_stored(&window.input) || !schema.fields().iter().all(|f| names.insert(f.name())) {
        return Ok(None);
    }
    let is_time = schema.field_from_column(time).is_ok_and(|f| *f.data_type() == time_type() && !f.is_nullable());
    let mut key: Vec<String> = vec![];
    for tag in &params.partition_by {
        match tag {
            Expr::Column(tag) if *schema.field_from_column(tag)?.data_type() == tag_type() => key.push(tag.name.clone()),
            _ => return Ok(None),
        }
    }
    if !is_time || !key.iter().all_unique() {
        return Ok(None);
    }
    let carried =
        schema.fields().iter().map(|field| field.name().as_str()).filter(|name| *name != time.name && !key.iter().any(|k| k == name));
    let mut output = String::from("newest");
    while names.contains(&output) {
        output.push('\'');
    }
    let spec = Reduce {
        carried: carried.map(str::to_string).collect(),
        calls: vec![Call { reduction: Reduction::Last, input: time.name.clone(), output, beyond_bounds: false }],
        key,
        time: time.name.clone(),
        windows: None,
        bounds: (i64::MIN, i64::MAX),
        row_time: RowTime::Point,
        descending: false,
        with_presence: false,
    };
    let rows = reduce(window.input.as_ref().clone(), spec)?;
    let mut columns = vec![];
    for (relation, field) in schema.iter() {
        let is_same = rows.schema().field_with_unqualified_name(field.name())?.data_type() == field.data_type();
        let value = if is_same { col(field.name()) } else { cast(col(field.name()), field.data_type().clone()) };
        columns.push(value.alias_qualified(relation.cloned(), field.name()));
    }
    let number = window.schema.field(columns.len()).name();
    columns.push(lit(ScalarValue::UInt64(Some(1))).alias(number));
    Ok(Some(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(rows))?)))
}

/// Whether rows are stored ones, whose tags are never empty texts.
fn is_stored(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Filter(filter) => is_stored(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => is_stored(&alias.input),
        LogicalPlan::Projection(projection) => {
            projection.expr.iter().all(|e| matches!(e.clone().unalias(), Expr::Column(_))) && is_stored(&projection.input)
        }
        _ => false,
    }
}
