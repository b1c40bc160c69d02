//! What a condition says about the time of rows.

use crate::model::TIME_COLUMN;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, Operator},
};

/// Inclusive bounds of `time <op> literal`, either way round, and of BETWEEN; `None`: the condition is another one.
/// Bounds that no instant meets come out crossed.
pub fn time_bounds(expr: &Expr) -> Option<(i64, i64)> {
    bounds_of(expr, TIME_COLUMN)
}

/// As [`time_bounds`], for a time column of this name.
pub fn bounds_of(expr: &Expr, column: &str) -> Option<(i64, i64)> {
    match expr {
        Expr::BinaryExpr(b) => {
            let (op, t) = match (is_time(&b.left, column), is_time(&b.right, column)) {
                (true, false) => (b.op, instant(&b.right)?),
                (false, true) => (b.op.swap()?, instant(&b.left)?),
                _ => return None,
            };
            let nothing = (i64::MAX, i64::MIN);
            Some(match op {
                Operator::Eq => (t, t),
                Operator::Lt => t.checked_sub(1).map_or(nothing, |t| (i64::MIN, t)),
                Operator::LtEq => (i64::MIN, t),
                Operator::Gt => t.checked_add(1).map_or(nothing, |t| (t, i64::MAX)),
                Operator::GtEq => (t, i64::MAX),
                _ => return None,
            })
        }
        Expr::Between(b) if !b.negated && is_time(&b.expr, column) => Some((instant(&b.low)?, instant(&b.high)?)),
        _ => None,
    }
}

/// The column, or the column as a time in UTC: `now()` carries that zone, and comparing with it casts the column.
fn is_time(expr: &Expr, column: &str) -> bool {
    match expr {
        Expr::Column(c) => c.name == column,
        Expr::Cast(c) => is_utc(c.field.data_type()) && is_time(&c.expr, column),
        _ => false,
    }
}

fn is_utc(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => zone.as_deref().is_none_or(|z| matches!(z, "+00:00" | "UTC" | "Z")),
        _ => false,
    }
}

fn instant(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::TimestampNanosecond(Some(t), _), _) => Some(*t),
        _ => None,
    }
}
