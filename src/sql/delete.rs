//! DELETE: the rows of a table that meet a condition on its columns, and how many they were.
//!
//! The condition is planned and simplified as that of a query. What it says of time and of single tags names whole stretches of
//! series; what is left is asked of each row.

use super::tables::Tables;
use crate::{
    model::{DeleteSpec, Failure, MeasurementSchema, Result, TagPredicate, TimeRange},
    plan::{DeletePart, DeleteRows, condition::is_subquery, stream::col, time_bounds::time_bounds},
};
use datafusion::{
    common::{ScalarValue, TableReference, tree_node::TreeNode},
    logical_expr::{
        BinaryExpr, DmlStatement, Expr, LogicalPlan, LogicalPlanBuilder, Operator, WriteOp, expr::InList, utils::split_conjunction,
    },
    prelude::lit,
    sql::sqlparser::ast::{Delete, FromTable, TableFactor, TableWithJoins},
};
use std::sync::Arc;

/// More sets of tags than these are asked of each row, like any other condition.
const ALTERNATIVES_MAX: usize = 1_000;

/// The planner passes over what stands beside a table's name (TABLESAMPLE, PARTITION, hints, and an alias, as which a mistyped
/// WHERE is read): more would go than was asked for.
pub fn check_tables(delete: &Delete) -> Result<()> {
    let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
    let is_plain = |table: &TableWithJoins| {
        let TableFactor::Table { name, .. } = &table.relation else { return false };
        table.joins.is_empty() && table.relation.to_string() == name.to_string()
    };
    if let [table] = tables.as_slice()
        && is_plain(table)
    {
        return Ok(());
    }
    let named: Vec<String> = tables.iter().map(|table| table.to_string()).collect();
    Err(Failure::invalid(format!("DELETE takes the plain name of one table, not `{}`", named.join(", "))))
}

/// Does what a planned DELETE says; the plan of its answer, a row with the column `count`. Blocks.
pub fn delete(plan: LogicalPlan, tables: &Tables<'_>) -> Result<LogicalPlan> {
    let LogicalPlan::Dml(DmlStatement { table_name, op: WriteOp::Delete, input, .. }) = plan else {
        return Err(Failure::internal("a DELETE was planned as something else"));
    };
    check_form(&input)?;
    let bucket = tables.bucket_of(&table_name)?;
    let rows = match conditions(&tables.context.session().optimize(&input)?)? {
        Some(conditions) => {
            let table = tables.context.table(bucket.id, table_name.table())?;
            let missing = || Failure::not_found(format!("table '{}.{}' not found", bucket.name, table_name.table()));
            rows(&conditions, &table_name, &table.ok_or_else(missing)?.schema)
        }
        None => vec![],
    };
    let count = tables.context.delete(&bucket, rows)?;
    let count = lit(ScalarValue::Int64(count.map(|n| n as i64)));
    Ok(LogicalPlanBuilder::values(vec![vec![count]])?.project(vec![col("column1").alias("count")])?.build()?)
}

/// A LIMIT or a sub-query must not be passed over.
fn check_form(plan: &LogicalPlan) -> Result<()> {
    let is_plain = match plan {
        LogicalPlan::TableScan(_) => true,
        LogicalPlan::Filter(filter) => {
            matches!(filter.input.as_ref(), LogicalPlan::TableScan(_)) && !filter.predicate.exists(|e| Ok(is_subquery(e)))?
        }
        _ => false,
    };
    if is_plain {
        Ok(())
    } else {
        Err(Failure::invalid("DELETE takes one table and a WHERE on its columns, without LIMIT and sub-queries"))
    }
}

/// All that must hold; `None`: no row meets it.
pub(super) fn conditions(plan: &LogicalPlan) -> Result<Option<Vec<Expr>>> {
    Ok(match plan {
        LogicalPlan::EmptyRelation(_) => None,
        LogicalPlan::TableScan(scan) => Some(scan.filters.iter().flat_map(split_conjunction).cloned().collect()),
        LogicalPlan::Filter(filter) => {
            let own = split_conjunction(&filter.predicate).into_iter().cloned();
            conditions(&filter.input)?.map(|all| all.into_iter().chain(own).collect())
        }
        LogicalPlan::Projection(projection) => conditions(&projection.input)?,
        other => return Err(Failure::internal(format!("the condition of a DELETE was planned as {}", other.display()))),
    })
}

pub(super) fn rows(conditions: &[Expr], table: &TableReference, schema: &MeasurementSchema) -> Vec<DeleteRows> {
    let (mut min, mut max) = (i64::MIN, i64::MAX);
    let (mut of_tags, mut rest) = (vec![], vec![]);
    for condition in conditions {
        match (time_bounds(condition), tags(condition, schema)) {
            (Some((from, to)), _) => (min, max) = (min.max(from), max.min(to)),
            (None, Some(alternatives)) => of_tags.push((condition, alternatives)),
            (None, None) => rest.push(condition),
        }
    }
    // Rows that are looked at one by one are looked at once, not once for each set of tags.
    let is_choice = |alternatives: &[Vec<TagPredicate>]| alternatives.len() > 1;
    let count = of_tags.iter().fold(1_usize, |count, (_, alternatives)| count.saturating_mul(alternatives.len()));
    if !rest.is_empty() || count > ALTERNATIVES_MAX {
        rest.extend(of_tags.iter().filter(|(_, a)| is_choice(a)).map(|(condition, _)| *condition));
        of_tags.retain(|(_, a)| !is_choice(a));
    }
    let mut series: Vec<Vec<TagPredicate>> = vec![vec![]];
    for (_, alternatives) in of_tags {
        let both = |one: &Vec<TagPredicate>| alternatives.iter().map(|other| [&one[..], other].concat()).collect::<Vec<_>>();
        series = series.iter().flat_map(both).collect();
    }
    let (range, measurement) = (TimeRange::new(min, max.saturating_add(1)), Some(Arc::from(table.table())));
    let rest = rest.into_iter().cloned().reduce(Expr::and);
    let parts: Vec<DeletePart> = rest.map(|condition| DeletePart { field: None, condition: Some(condition) }).into_iter().collect();
    let spec = |tags| DeleteSpec { range, measurement: measurement.clone(), tags };
    series.into_iter().map(|tags| DeleteRows { spec: spec(tags), parts: parts.clone() }).collect()
}

/// The series that meet a condition on one tag, as alternatives of which no series meets two; `None`: it is another condition.
/// A comparison with a missing tag is null here, and so does not hold.
fn tags(condition: &Expr, schema: &MeasurementSchema) -> Option<Vec<Vec<TagPredicate>>> {
    let tag = |e: &Expr| match e {
        Expr::Column(c) if schema.is_tag(&c.name) => Some(Arc::<str>::from(c.name.as_str())),
        _ => None,
    };
    let predicate = |tag: &Arc<str>, equal: bool, value: &str| TagPredicate { tag: tag.clone(), equal, value: value.into() };
    let is = |e: &Expr| -> Option<(Arc<str>, Operator, String)> {
        let Expr::BinaryExpr(BinaryExpr { left, op, right }) = e else { return None };
        let (name, value) = tag(left).zip(text(right)).or_else(|| tag(right).zip(text(left)))?;
        (!value.is_empty()).then_some((name, *op, value))
    };
    match condition {
        Expr::IsNull(e) => Some(vec![vec![predicate(&tag(e)?, true, "")]]),
        Expr::IsNotNull(e) => Some(vec![vec![predicate(&tag(e)?, false, "")]]),
        Expr::InList(InList { expr, list, negated: false }) => {
            let (name, mut values) = (tag(expr)?, list.iter().map(text).collect::<Option<Vec<_>>>()?);
            values.sort();
            values.dedup();
            values.iter().all(|v| !v.is_empty()).then(|| values.iter().map(|v| vec![predicate(&name, true, v)]).collect())
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut all = tags(left, schema)?;
            all.extend(tags(right, schema)?);
            let first = all.first()?.first()?.tag.clone();
            let is_choice = all.iter().all(|one| matches!(one.as_slice(), [p] if p.equal && p.tag == first));
            all.sort_by(|a, b| a[0].value.cmp(&b[0].value));
            all.dedup();
            is_choice.then_some(all)
        }
        other => match is(other)? {
            (name, Operator::Eq, value) => Some(vec![vec![predicate(&name, true, &value)]]),
            (name, Operator::NotEq, value) => Some(vec![vec![predicate(&name, false, &value), predicate(&name, false, "")]]),
            _ => None,
        },
    }
}

fn text(e: &Expr) -> Option<String> {
    match e {
        Expr::Literal(value, _) => value.try_as_str().flatten().map(str::to_string),
        _ => None,
    }
}
