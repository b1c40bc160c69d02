//! DELETE and DROP SERIES as deletes by measurement, tags and time; DELETE by fields, too.

use super::{
    bucket,
    condition::{self, Bounds, Moment},
    show::{One, check_tags_only, of_sources},
};
use crate::influxql::ast::{BinaryOp, Expr, Measurement, NameMatch, Source, Statement};
use crate::influxql::{Defaults, Effect};
use crate::model::{DeleteSpec, Failure, Result, TagPredicate, TimeRange};
use crate::plan::{Context, DeletePart, DeleteRows};
use arrow::array::{Array, AsArray};
use datafusion::{logical_expr as df, prelude::lit};
use std::collections::BTreeSet;

/// More series than this in one statement are refused: each would be remembered by itself until rows are compacted.
const SERIES_MAX: usize = 1_000;

/// What a statement deletes; `None`: it is no delete.
pub fn delete(statement: &Statement, context: &dyn Context, defaults: &Defaults) -> Result<Option<Effect>> {
    let (sources, condition) = match statement {
        Statement::Delete { source, condition } => (source.iter().cloned().collect(), condition.as_ref()),
        Statement::DropSeries { sources, condition } => (sources.clone(), condition.as_ref()),
        _ => return Ok(None),
    };
    let (bounds, tags) = condition::split(condition, Moment { now: context.now(), zone: None })?;
    if matches!(statement, Statement::DropSeries { .. }) && bounds != Bounds::default() {
        return Err(Failure::invalid("DROP SERIES doesn't support time in WHERE clause"));
    }
    let range = TimeRange::new(bounds.min.unwrap_or(i64::MIN), bounds.max.map_or(i64::MAX, |t| t.saturating_add(1)));
    let target = bucket(context, defaults, None, None)?;
    let sources = match sources.is_empty() {
        false => sources,
        true => vec![Source::Measurement(Measurement { database: None, policy: None, name: NameMatch::Regex(String::new()) })],
    };
    let measurements = of_sources(&sources, None, condition, context, defaults)?;
    let mut fields = BTreeSet::new();
    if let Some(condition) = &tags {
        condition.walk(&mut |e| match e {
            Expr::Variable { name, .. } if measurements.iter().any(|one| one.is_field(name)) => _ = fields.insert(name.as_str()),
            _ => {}
        });
    }
    let by_value = !fields.is_empty();
    if by_value && matches!(statement, Statement::DropSeries { .. }) {
        return Err(Failure::invalid("fields not supported in WHERE clause during deletion"));
    }
    let mut deletes = vec![];
    for one in &measurements {
        if by_value {
            let elsewhere = |name: &str| fields.contains(name) && !one.is_field(name) && !one.is_tag(name);
            let condition = tags.as_ref().map(|condition| without(condition, &elsewhere));
            deletes.extend(of_values(condition.as_ref(), one, range)?);
            continue;
        }
        check_tags_only(tags.as_ref())?;
        match simple(tags.as_ref()) {
            Some(tags) => deletes.push(whole(one, range, tags)),
            None => deletes.extend(by_series(one, range)?),
        }
        if deletes.len() > SERIES_MAX {
            let text = format!("this condition matches more than {SERIES_MAX} series; delete by = and != joined by AND, or in parts");
            return Err(Failure::invalid(text));
        }
    }
    Ok(Some(Effect::Delete { bucket: target, deletes, by_value }))
}

fn names(condition: &Expr, is_meant: &dyn Fn(&str) -> bool) -> bool {
    let mut found = false;
    condition.walk(&mut |e| found |= matches!(e, Expr::Variable { name, .. } if is_meant(name)));
    found
}

/// The condition where there are no such fields: what is said of them does not hold, as where a row has no value. Otherwise they
/// would be taken for missing tags, which differ from every text.
fn without(condition: &Expr, is_absent: &dyn Fn(&str) -> bool) -> Expr {
    match condition.inner() {
        Expr::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), left, right } => {
            let (left, right) = (without(left, is_absent).into(), without(right, is_absent).into());
            Expr::Binary { op: *op, left, right }
        }
        other if names(other, is_absent) => Expr::Boolean(false),
        other => other.clone(),
    }
}

fn whole(one: &One<'_>, range: TimeRange, tags: Vec<TagPredicate>) -> DeleteRows {
    DeleteRows { spec: DeleteSpec { range, measurement: Some(one.name.clone()), tags }, parts: vec![] }
}

/// By fields, which InfluxDB refuses: rows whose values meet the condition, of those whose tags do. `None`: none can, as where the
/// measurement has no such field.
fn of_values(condition: Option<&Expr>, one: &One<'_>, range: TimeRange) -> Result<Option<DeleteRows>> {
    let (mut tags, mut rest) = (vec![], None);
    for part in condition.map(conjuncts).unwrap_or_default() {
        match simple(Some(part)).filter(|_| !names(part, &|name| one.is_field(name))) {
            Some(more) => tags.extend(more),
            None => {
                let part = one.predicate(part)?;
                if part == lit(false) {
                    return Ok(None);
                }
                rest = Some(rest.map_or(part.clone(), |rest: df::Expr| rest.and(part)));
            }
        }
    }
    let parts = rest.map(|condition| DeletePart { field: None, condition: Some(condition) }).into_iter().collect();
    Ok(Some(DeleteRows { parts, ..whole(one, range, tags) }))
}

fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    match condition.inner() {
        Expr::Binary { op: BinaryOp::And, left, right } => conjuncts(left).into_iter().chain(conjuncts(right)).collect(),
        other => vec![other],
    }
}

/// `tag = 'v'` and `tag != 'v'` joined by AND; `None`: the condition is something else.
fn simple(condition: Option<&Expr>) -> Option<Vec<TagPredicate>> {
    let Some(condition) = condition else { return Some(vec![]) };
    match condition.inner() {
        Expr::Binary { op: BinaryOp::And, left, right } => {
            let mut all = simple(Some(left))?;
            all.extend(simple(Some(right))?);
            Some(all)
        }
        Expr::Binary { op: op @ (BinaryOp::Eq | BinaryOp::NotEq), left, right } => match (left.inner(), right.inner()) {
            (Expr::Variable { name, cast: None }, Expr::String(value)) | (Expr::String(value), Expr::Variable { name, cast: None }) => {
                Some(vec![TagPredicate { tag: name.as_str().into(), equal: *op == BinaryOp::Eq, value: value.as_str().into() }])
            }
            _ => None,
        },
        _ => None,
    }
}

/// Each matching series by its whole tag set.
fn by_series(one: &One<'_>, range: TimeRange) -> Result<Vec<DeleteRows>> {
    let tags: Vec<String> = one.tags().collect();
    let mut deletes = vec![];
    for set in one.tag_sets(&tags)? {
        for row in 0..set.num_rows() {
            let value = |at: usize| {
                let values = set.column(at).as_string::<i32>();
                if values.is_valid(row) { values.value(row).to_string() } else { String::new() }
            };
            let tags = tags.iter().enumerate();
            let tags = tags.map(|(at, tag)| TagPredicate { tag: tag.as_str().into(), equal: true, value: value(at).into() });
            deletes.push(whole(one, range, tags.collect()));
        }
    }
    Ok(deletes)
}
