//! DELETE and DROP SERIES as deletes by measurement, tags and time.

use super::{
    bucket,
    condition::{self, Bounds, Moment},
    show::{One, check_tags_only, of_sources},
};
use crate::influxql::ast::{BinaryOp, Expr, Measurement, NameMatch, Source, Statement};
use crate::influxql::{Defaults, Effect};
use crate::model::{Failure, Result, TimeRange};
use crate::plan::{Context, DeleteRows, TagCondition};
use arrow::array::{Array, AsArray};

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
    let mut deletes = vec![];
    for one in of_sources(&sources, None, condition, context, defaults)? {
        check_fields(tags.as_ref(), &one)?;
        check_tags_only(tags.as_ref())?;
        match simple(tags.as_ref()) {
            Some(tags) => deletes.push(DeleteRows { measurement: one.name.to_string(), range, tags }),
            None => deletes.extend(by_series(&one, range)?),
        }
        if deletes.len() > SERIES_MAX {
            let text = format!("this condition matches more than {SERIES_MAX} series; delete by = and != joined by AND, or in parts");
            return Err(Failure::invalid(text));
        }
    }
    Ok(Some(Effect::Delete { bucket: target, deletes }))
}

fn check_fields(condition: Option<&Expr>, one: &One<'_>) -> Result<()> {
    let mut names_field = false;
    if let Some(condition) = condition {
        condition.walk(&mut |e| names_field |= matches!(e, Expr::Variable { name, .. } if one.is_field(name)));
    }
    if names_field { Err(Failure::invalid("fields not supported in WHERE clause during deletion")) } else { Ok(()) }
}

/// `tag = 'v'` and `tag != 'v'` joined by AND; `None`: the condition is something else.
fn simple(condition: Option<&Expr>) -> Option<Vec<TagCondition>> {
    let Some(condition) = condition else { return Some(vec![]) };
    match condition.inner() {
        Expr::Binary { op: BinaryOp::And, left, right } => {
            let mut all = simple(Some(left))?;
            all.extend(simple(Some(right))?);
            Some(all)
        }
        Expr::Binary { op: op @ (BinaryOp::Eq | BinaryOp::NotEq), left, right } => match (left.inner(), right.inner()) {
            (Expr::Variable { name, cast: None }, Expr::String(value)) | (Expr::String(value), Expr::Variable { name, cast: None }) => {
                Some(vec![TagCondition { tag: name.clone(), equal: *op == BinaryOp::Eq, value: value.clone() }])
            }
            _ => None,
        },
        _ => None,
    }
}

/// Each matching series by its whole tag set.
fn by_series(one: &One<'_>, range: TimeRange) -> Result<Vec<DeleteRows>> {
    let tags: Vec<String> = one.tags().cloned().collect();
    let mut deletes = vec![];
    for set in one.tag_sets(&tags)? {
        for row in 0..set.num_rows() {
            let value = |at: usize| {
                let values = set.column(at).as_string::<i32>();
                if values.is_valid(row) { values.value(row).to_string() } else { String::new() }
            };
            let tags = tags.iter().enumerate().map(|(at, tag)| TagCondition { tag: tag.clone(), equal: true, value: value(at) });
            deletes.push(DeleteRows { measurement: one.name.to_string(), range, tags: tags.collect() });
        }
    }
    Ok(deletes)
}
