//! WHERE: bounds of time taken out, the rest as a predicate on stored columns.

use super::not_supported;
use crate::influxql::ast::{BinaryOp, Expr};
use crate::model::{Failure, MeasurementSchema, Result, TIME_COLUMN, Timestamp, time::parse_rfc3339};
use crate::plan::stream::col;
use datafusion::{logical_expr as df, prelude::lit};

/// Bounds of time, both inclusive; `None`: not bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    pub min: Option<Timestamp>,
    pub max: Option<Timestamp>,
}

impl Bounds {
    fn narrow(&mut self, min: Option<Timestamp>, max: Option<Timestamp>) {
        self.min = self.min.max(min);
        self.max = match (self.max, max) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

/// Splits a condition into the bounds of time and the other terms joined by AND.
pub fn split(condition: Option<&Expr>, now: Timestamp) -> Result<(Bounds, Vec<&Expr>)> {
    let (mut bounds, mut terms) = (Bounds::default(), Vec::new());
    if let Some(condition) = condition {
        collect(condition, now, &mut bounds, &mut terms)?;
    }
    Ok((bounds, terms))
}

fn collect<'a>(expr: &'a Expr, now: Timestamp, bounds: &mut Bounds, terms: &mut Vec<&'a Expr>) -> Result<()> {
    match expr.inner() {
        Expr::Binary { op: BinaryOp::And, left, right } => {
            collect(left, now, bounds, terms)?;
            collect(right, now, bounds, terms)
        }
        Expr::Binary { op, left, right } if op.is_comparison() && (left.inner().is_time() || right.inner().is_time()) => {
            let (op, value) = if left.inner().is_time() { (*op, right) } else { (op.mirrored(), left) };
            let at = instant(value, now)?;
            match op {
                BinaryOp::Eq => bounds.narrow(Some(at), Some(at)),
                BinaryOp::Greater => bounds.narrow(Some(at.saturating_add(1)), None),
                BinaryOp::GreaterEq => bounds.narrow(Some(at), None),
                BinaryOp::Less => bounds.narrow(None, Some(at.saturating_sub(1))),
                BinaryOp::LessEq => bounds.narrow(None, Some(at)),
                other => return Err(Failure::invalid(format!("invalid time comparison operator: {}", other.text()))),
            }
            Ok(())
        }
        other => {
            let mut time = false;
            other.walk(&mut |e| time |= e.is_time());
            if time {
                return Err(not_supported("time beside OR"));
            }
            terms.push(other);
            Ok(())
        }
    }
}

/// The instant an expression beside `time` stands for.
fn instant(expr: &Expr, now: Timestamp) -> Result<Timestamp> {
    Ok(match expr.inner() {
        Expr::Integer(v) | Expr::Duration(v) => *v,
        Expr::Number(v) => *v as i64,
        Expr::Call { name, args } if name == "now" && args.is_empty() => now,
        Expr::String(text) => return literal_time(text),
        Expr::Binary { op, left, right } if matches!(op, BinaryOp::Add | BinaryOp::Sub) => {
            let (left, right) = (instant(left, now)?, instant(right, now)?);
            let sum = if *op == BinaryOp::Add { left.checked_add(right) } else { left.checked_sub(right) };
            sum.ok_or_else(|| Failure::invalid("time is out of range"))?
        }
        other => return Err(Failure::invalid(format!("invalid operation: time and {other} are not compatible"))),
    })
}

fn literal_time(text: &str) -> Result<Timestamp> {
    let digits = |n: usize| text.len() >= n && text.as_bytes()[..4].iter().all(u8::is_ascii_digit);
    if !digits(10) || text.as_bytes()[4] != b'-' {
        return Err(Failure::invalid("invalid operation: time and *influxql.StringLiteral are not compatible"));
    }
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ if text.as_bytes()[10] == b' ' => format!("{}T{}Z", &text[..10], text.get(11..).unwrap_or_default()),
        _ => text.to_string(),
    };
    parse_rfc3339(&full).ok_or_else(|| Failure::invalid("invalid timestamp string"))
}

/// A condition without time as a predicate on a measurement's columns. A missing tag is `''`; a missing field, and a
/// comparison with a value of another type, is false (InfluxDB 1.6.7: `v != 1` leaves out rows without `v`).
pub fn predicate(expr: &Expr, schema: &MeasurementSchema) -> Result<df::Expr> {
    match expr.inner() {
        Expr::Boolean(v) => Ok(lit(*v)),
        Expr::Binary { op: BinaryOp::And, left, right } => Ok(predicate(left, schema)?.and(predicate(right, schema)?)),
        Expr::Binary { op: BinaryOp::Or, left, right } => Ok(predicate(left, schema)?.or(predicate(right, schema)?)),
        Expr::Binary { op, left, right } if op.is_comparison() => {
            let (op, left, right) = match (left.inner(), right.inner()) {
                (Expr::Variable { .. }, _) => (*op, left.inner(), right.inner()),
                (_, Expr::Variable { .. }) => (op.mirrored(), right.inner(), left.inner()),
                _ => return Err(not_supported(format!("the condition {expr}"))),
            };
            let Expr::Variable { name, cast: None } = left else { return Err(not_supported("a cast in WHERE")) };
            compare(op, name, right, schema)
        }
        other => Err(Failure::invalid(format!("invalid condition expression: {other}"))),
    }
}

fn compare(op: BinaryOp, name: &str, value: &Expr, schema: &MeasurementSchema) -> Result<df::Expr> {
    use crate::model::FieldType;
    let matches = |text: df::Expr, pattern: &str, not: bool| {
        let found = datafusion::functions::expr_fn::regexp_like(text, lit(pattern), None);
        if not { df::not(found) } else { found }
    };
    let Some(field) = schema.fields.get(name) else {
        // A tag, or a name that no series has: then it is ''.
        let text = if schema.is_tag(name) {
            datafusion::functions::expr_fn::coalesce(vec![df::cast(col(name), arrow::datatypes::DataType::Utf8), lit("")])
        } else {
            lit("")
        };
        return Ok(match (op, value) {
            // Equality with a value is left bare, so that the scan can use it.
            (BinaryOp::Eq, Expr::String(v)) if !v.is_empty() && schema.is_tag(name) => col(name).eq(lit(v.as_str())),
            (BinaryOp::Eq, Expr::String(v)) => text.eq(lit(v.as_str())),
            (BinaryOp::NotEq, Expr::String(v)) => text.not_eq(lit(v.as_str())),
            (BinaryOp::Match, Expr::Regex(p)) => matches(text, p, false),
            (BinaryOp::NotMatch, Expr::Regex(p)) => matches(text, p, true),
            _ => lit(false),
        });
    };
    let number = matches!(field, FieldType::Float | FieldType::Integer | FieldType::Unsigned);
    let right = match (value, field) {
        (Expr::Integer(v), _) if number => lit(*v),
        (Expr::Unsigned(v), _) if number => lit(*v),
        (Expr::Number(v), _) if number => lit(*v),
        (Expr::String(v), FieldType::String) if matches!(op, BinaryOp::Eq | BinaryOp::NotEq) => lit(v.as_str()),
        (Expr::Boolean(v), FieldType::Boolean) if matches!(op, BinaryOp::Eq | BinaryOp::NotEq) => lit(*v),
        (Expr::Regex(p), FieldType::String) => return Ok(matches(col(name), p, op == BinaryOp::NotMatch)),
        (Expr::Variable { name, cast: None }, _) if schema.fields.get(name.as_str()) == Some(field) => col(name),
        (Expr::Variable { .. } | Expr::Binary { .. } | Expr::Call { .. }, _) => return Err(not_supported(format!("{value} in WHERE"))),
        _ => return Ok(lit(false)),
    };
    let left = if matches!(value, Expr::Number(_)) { df::cast(col(name), arrow::datatypes::DataType::Float64) } else { col(name) };
    Ok(match op {
        BinaryOp::Eq => left.eq(right),
        BinaryOp::NotEq => left.not_eq(right),
        BinaryOp::Less => left.lt(right),
        BinaryOp::LessEq => left.lt_eq(right),
        BinaryOp::Greater => left.gt(right),
        BinaryOp::GreaterEq => left.gt_eq(right),
        _ => lit(false),
    })
}

/// The bounds as a predicate on the time column.
pub fn time_predicate(bounds: Bounds) -> Vec<df::Expr> {
    let at = |t: i64| df::Expr::Literal(datafusion::common::ScalarValue::TimestampNanosecond(Some(t), None), None);
    let min = bounds.min.map(|t| col(TIME_COLUMN).gt_eq(at(t)));
    let max = bounds.max.map(|t| col(TIME_COLUMN).lt_eq(at(t)));
    min.into_iter().chain(max).collect()
}
