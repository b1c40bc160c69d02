//! WHERE: bounds of time taken out, the rest as a predicate on the columns of a source.

use super::{
    expression::{Kind, Scope, Typed, comparable, lower},
    source::Columns,
};
use crate::influxql::ast::{BinaryOp, Expr};
use crate::model::{Failure, Result, TIME_COLUMN, Timestamp, time::parse_rfc3339};
use crate::plan::stream::{col, time_literal};
use chrono::{NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use datafusion::{logical_expr as df, prelude::lit};

/// Bounds of time, both inclusive; `None`: not bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    pub min: Option<Timestamp>,
    pub max: Option<Timestamp>,
}

impl Bounds {
    pub fn intersect(self, other: Bounds) -> Bounds {
        let max = match (self.max, other.max) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Bounds { min: self.min.max(other.min), max }
    }

    /// The bounds as a predicate on the time column.
    pub fn predicate(self) -> Vec<df::Expr> {
        let min = self.min.map(|t| col(TIME_COLUMN).gt_eq(time_literal(t)));
        let max = self.max.map(|t| col(TIME_COLUMN).lt_eq(time_literal(t)));
        min.into_iter().chain(max).collect()
    }
}

/// What times in a condition are read against.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Timestamp,
    /// `tz()`: the zone of times written without one.
    pub zone: Option<Tz>,
}

/// Splits a condition into the bounds of time and what is left of it.
///
/// A comparison with time narrows the bounds wherever it stands, beside OR as beside AND (InfluxDB 1.6.7: `h = 'a' OR
/// time > 1m` acts as AND).
pub fn split(condition: Option<&Expr>, moment: Moment) -> Result<(Bounds, Option<Expr>)> {
    let Some(expr) = condition else { return Ok((Bounds::default(), None)) };
    match expr.inner() {
        Expr::Binary { op, left, right } if op.is_logical() => {
            let (left_bounds, left) = split(Some(left), moment)?;
            let (right_bounds, right) = split(Some(right), moment)?;
            let rest = match (left, right) {
                (Some(left), Some(right)) => Some(Expr::binary(*op, left, right)),
                (left, right) => left.or(right),
            };
            Ok((left_bounds.intersect(right_bounds), rest))
        }
        Expr::Binary { op, left, right } if op.is_comparison() && (left.inner().is_time() || right.inner().is_time()) => {
            let (op, value) = if left.inner().is_time() { (*op, right) } else { (op.mirrored(), left) };
            let at = instant(value, moment)?;
            let bounds = match op {
                BinaryOp::Eq => Bounds { min: Some(at), max: Some(at) },
                BinaryOp::Greater => Bounds { min: Some(at.saturating_add(1)), max: None },
                BinaryOp::GreaterEq => Bounds { min: Some(at), max: None },
                BinaryOp::Less => Bounds { min: None, max: Some(at.saturating_sub(1)) },
                BinaryOp::LessEq => Bounds { min: None, max: Some(at) },
                other => return Err(Failure::invalid(format!("invalid time comparison operator: {}", other.text()))),
            };
            Ok((bounds, None))
        }
        // Parentheses do not matter in a tree.
        other => Ok((Bounds::default(), Some(other.clone()))),
    }
}

/// The instant an expression beside `time` stands for.
pub fn instant(expr: &Expr, moment: Moment) -> Result<Timestamp> {
    Ok(match expr.inner() {
        Expr::Integer(v) | Expr::Duration(v) => *v,
        Expr::Number(v) => *v as i64,
        Expr::Call { name, args } if name == "now" && args.is_empty() => moment.now,
        Expr::String(text) => return literal_time(text, moment.zone),
        Expr::Binary { op: op @ (BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul), left, right } => {
            let (left, right) = (instant(left, moment)?, instant(right, moment)?);
            let sum = match op {
                BinaryOp::Add => left.checked_add(right),
                BinaryOp::Sub => left.checked_sub(right),
                _ => left.checked_mul(right),
            };
            sum.ok_or_else(|| Failure::invalid("time is out of range"))?
        }
        other => return Err(Failure::invalid(format!("invalid operation: time and {} are not compatible", go_type(other)))),
    })
}

fn go_type(expr: &Expr) -> &'static str {
    match expr {
        Expr::Variable { .. } => "*influxql.VarRef",
        Expr::Regex(_) => "*influxql.RegexLiteral",
        Expr::Boolean(_) => "*influxql.BooleanLiteral",
        Expr::Call { .. } => "*influxql.Call",
        Expr::Unsigned(_) => "*influxql.UnsignedLiteral",
        Expr::Binary { .. } => "*influxql.BinaryExpr",
        _ => "*influxql.StringLiteral",
    }
}

fn literal_time(text: &str, zone: Option<Tz>) -> Result<Timestamp> {
    let bytes = text.as_bytes();
    let is_date = bytes.len() >= 10 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-' && bytes[7] == b'-';
    if !is_date {
        return Err(Failure::invalid("invalid operation: time and *influxql.StringLiteral are not compatible"));
    }
    let local = match bytes.len() {
        10 => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|d| d.and_hms_opt(0, 0, 0)),
        _ => NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").ok(),
    };
    let (year, found) = match (local, zone) {
        (Some(local), None) => (text, local.and_utc().timestamp_nanos_opt()),
        (Some(local), Some(zone)) => (text, zone.from_local_datetime(&local).earliest().and_then(|t| t.timestamp_nanos_opt())),
        (None, _) if chrono::DateTime::parse_from_rfc3339(text).is_ok() => (text, parse_rfc3339(text)),
        (None, _) => return Err(Failure::invalid("invalid timestamp string")),
    };
    found.ok_or_else(|| {
        let full = local.map_or(text.to_string(), |t| t.and_utc().to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
        let direction = if year < "1900" { "underflows" } else { "overflows" };
        Failure::invalid(format!("time {full} {direction} time literal"))
    })
}

/// A condition on rows of a source.
pub struct ConditionScope<'a>(pub &'a Columns);

impl Scope for ConditionScope<'_> {
    fn columns(&self) -> &Columns {
        self.0
    }

    fn is_condition(&self) -> bool {
        true
    }

    fn call(&self, expr: &Expr) -> Result<Typed> {
        Err(Failure::invalid(format!("invalid function call in condition: {expr}")))
    }
}

/// A condition without time. A missing tag is `''`; a missing field, and a comparison with a value of another type, is
/// false (InfluxDB 1.6.7: `v != 1` leaves out rows without `v`).
pub fn predicate(expr: &Expr, scope: &dyn Scope) -> Result<df::Expr> {
    match expr.inner() {
        Expr::Boolean(v) => Ok(lit(*v)),
        Expr::Binary { op: BinaryOp::And, left, right } => Ok(predicate(left, scope)?.and(predicate(right, scope)?)),
        Expr::Binary { op: BinaryOp::Or, left, right } => Ok(predicate(left, scope)?.or(predicate(right, scope)?)),
        Expr::Binary { op, left, right } if op.is_comparison() => compare(*op, left, right, scope),
        other => Err(Failure::invalid(format!("invalid condition expression: {other}"))),
    }
}

fn compare(op: BinaryOp, left: &Expr, right: &Expr, scope: &dyn Scope) -> Result<df::Expr> {
    if let (BinaryOp::Match | BinaryOp::NotMatch, Expr::Regex(pattern)) = (op, right.inner()) {
        let text = lower(left, scope)?;
        if text.kind != Kind::String {
            return Ok(lit(false));
        }
        let found = datafusion::functions::expr_fn::regexp_like(text.expr, lit(pattern.as_str()), None);
        return Ok(if op == BinaryOp::NotMatch { df::not(found) } else { found });
    }
    if let (BinaryOp::Eq, Expr::Variable { name, cast: None }, Expr::String(value)) = (op, left.inner(), right.inner())
        && !value.is_empty()
        && scope.columns().has_tag(name)
        && !scope.columns().fields.contains_key(name.as_str())
    {
        // Left bare, so that the scan can use it.
        return Ok(col(name).eq(lit(value.as_str())));
    }
    let (a, b) = (lower(left, scope)?, lower(right, scope)?);
    let equality = matches!(op, BinaryOp::Eq | BinaryOp::NotEq);
    let (a, b) = match (a.kind, b.kind) {
        (x, y) if x.is_number() && y.is_number() => comparable(a, b),
        // Two tags find nothing (InfluxDB 1.6.7).
        (Kind::String, Kind::String) if equality && !(a.is_tag && b.is_tag) => (a.expr, b.expr),
        (Kind::Boolean, Kind::Boolean) if equality => (a.expr, b.expr),
        _ => return Ok(lit(false)),
    };
    Ok(match op {
        BinaryOp::Eq => a.eq(b),
        BinaryOp::NotEq => a.not_eq(b),
        BinaryOp::Less => a.lt(b),
        BinaryOp::LessEq => a.lt_eq(b),
        BinaryOp::Greater => a.gt(b),
        BinaryOp::GreaterEq => a.gt_eq(b),
        _ => lit(false),
    })
}
