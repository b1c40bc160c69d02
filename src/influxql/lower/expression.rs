//! Expressions of the select list and of WHERE, with their types, as DataFusion expressions.
//!
//! InfluxQL's arithmetic differs from DataFusion's: integers divide as floats, a division by zero is 0, and types that do
//! not fit give null or an error instead of being coerced (InfluxDB 1.6.7).

use super::{condition, not_supported, source::Columns};
use crate::functions::scalar::math::Math;
use crate::influxql::ast::{BinaryOp, Cast, Expr};
use crate::model::{Failure, FieldType, Result};
use crate::plan::stream::col;
use arrow::datatypes::DataType;
use datafusion::{common::ScalarValue, logical_expr as df, prelude::lit};

/// The type of a value; a tag is a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Float,
    Integer,
    Unsigned,
    String,
    Boolean,
    /// No value at all: a name that nothing has, a cast that does not fit.
    Null,
}

impl Kind {
    pub fn of_field(field: FieldType) -> Kind {
        match field {
            FieldType::Float => Kind::Float,
            FieldType::Integer => Kind::Integer,
            FieldType::Unsigned => Kind::Unsigned,
            FieldType::String => Kind::String,
            FieldType::Boolean => Kind::Boolean,
        }
    }

    pub fn of_arrow(data_type: &DataType) -> Kind {
        match data_type {
            DataType::Dictionary(..) => Kind::String,
            other => FieldType::from_arrow(other).map_or(Kind::Null, Kind::of_field),
        }
    }

    pub fn field(self) -> Option<FieldType> {
        Some(match self {
            Kind::Float => FieldType::Float,
            Kind::Integer => FieldType::Integer,
            Kind::Unsigned => FieldType::Unsigned,
            Kind::String => FieldType::String,
            Kind::Boolean => FieldType::Boolean,
            Kind::Null => return None,
        })
    }

    pub fn arrow(self) -> DataType {
        self.field().map_or(DataType::Utf8, FieldType::arrow)
    }

    pub fn is_number(self) -> bool {
        matches!(self, Kind::Float | Kind::Integer | Kind::Unsigned)
    }

    fn name(self) -> &'static str {
        self.field().map_or("unknown", FieldType::name)
    }
}

/// An expression and the type of its values.
#[derive(Debug, Clone)]
pub struct Typed {
    pub expr: df::Expr,
    pub kind: Kind,
    pub is_tag: bool,
}

impl Typed {
    pub fn new(expr: df::Expr, kind: Kind) -> Typed {
        Typed { expr, kind, is_tag: false }
    }

    pub fn null() -> Typed {
        Typed::new(null(Kind::Null), Kind::Null)
    }

    /// The values as another number type.
    fn cast(self, kind: Kind) -> df::Expr {
        match &self.expr {
            _ if self.kind == kind => self.expr,
            // Literals keep their form, so that a scan can compare them with what it knows of the column.
            df::Expr::Literal(value, _) => value.cast_to(&kind.arrow()).map_or(self.expr.clone(), |v| df::Expr::Literal(v, None)),
            _ => df::cast(self.expr, kind.arrow()),
        }
    }
}

fn null(kind: Kind) -> df::Expr {
    df::Expr::Literal(ScalarValue::try_from(&kind.arrow()).unwrap_or(ScalarValue::Utf8(None)), None)
}

/// Where an expression stands, and so what its names mean.
pub trait Scope {
    fn columns(&self) -> &Columns;

    /// A missing tag, and a name that nothing has, is `''`.
    fn is_condition(&self) -> bool;

    /// A variable that is no column of the source; `None`: it is looked up there.
    fn variable(&self, _variable: &Expr) -> Option<Typed> {
        None
    }

    /// A call that is no mathematical function.
    fn call(&self, expr: &Expr) -> Result<Typed>;
}

/// A select list without calls.
pub struct RowScope<'a>(pub &'a Columns);

impl Scope for RowScope<'_> {
    fn columns(&self) -> &Columns {
        self.0
    }

    fn is_condition(&self) -> bool {
        false
    }

    fn call(&self, expr: &Expr) -> Result<Typed> {
        Err(not_supported(expr))
    }
}

/// An expression as the columns of a scope give it.
pub fn lower(expr: &Expr, scope: &dyn Scope) -> Result<Typed> {
    Ok(match expr.inner() {
        own @ Expr::Variable { name, cast } => scope.variable(own).unwrap_or_else(|| variable(name, *cast, scope)),
        Expr::Integer(v) => Typed::new(lit(*v), Kind::Integer),
        Expr::Unsigned(v) => Typed::new(lit(*v), Kind::Unsigned),
        Expr::Number(v) => Typed::new(lit(*v), Kind::Float),
        Expr::String(v) => Typed::new(lit(v.as_str()), Kind::String),
        Expr::Boolean(v) => Typed::new(lit(*v), Kind::Boolean),
        Expr::Call { name, args } => match Math::by_name(name) {
            Some(math) => mathematical(math, args, scope)?,
            None => scope.call(expr.inner())?,
        },
        Expr::Distinct(_) => scope.call(expr.inner())?,
        Expr::Binary { op, .. } if op.is_comparison() || op.is_logical() => {
            if !scope.is_condition() {
                return Err(Failure::invalid(format!(
                    "invalid operator {} in SELECT clause; operator is intended for WHERE clause",
                    op.text()
                )));
            }
            Typed::new(condition::predicate(expr, scope)?, Kind::Boolean)
        }
        Expr::Binary { op, left, right } => arithmetic(*op, left, right, scope)?,
        other => return Err(not_supported(format!("{other} in an expression"))),
    })
}

fn variable(name: &str, cast: Option<Cast>, scope: &dyn Scope) -> Typed {
    let columns = scope.columns();
    if let Some(field) = columns.fields.get(name) {
        let kind = Kind::of_field(*field);
        let own = Typed::new(col(name), kind);
        let wanted = match cast {
            None | Some(Cast::Field) => return own,
            Some(Cast::Float) => Kind::Float,
            Some(Cast::Integer) => Kind::Integer,
            Some(Cast::Unsigned) => Kind::Unsigned,
            Some(Cast::String) => Kind::String,
            Some(Cast::Boolean) => Kind::Boolean,
            Some(Cast::Tag) => return Typed::null(),
        };
        return match kind == wanted || kind.is_number() && wanted.is_number() {
            true => Typed::new(own.cast(wanted), wanted),
            false => Typed::null(),
        };
    }
    if columns.has_tag(name) && matches!(cast, None | Some(Cast::Tag)) {
        let expr = if scope.is_condition() {
            datafusion::functions::expr_fn::coalesce(vec![df::cast(col(name), DataType::Utf8), lit("")])
        } else {
            col(name)
        };
        return Typed { expr, kind: Kind::String, is_tag: true };
    }
    match scope.is_condition() && matches!(cast, None | Some(Cast::Tag)) {
        true => Typed { expr: lit(""), kind: Kind::String, is_tag: true },
        false => Typed::null(),
    }
}

fn mathematical(math: Math, args: &[Expr], scope: &dyn Scope) -> Result<Typed> {
    let (name, count) = (math.name(), math.argument_count());
    if args.len() != count {
        return Err(Failure::invalid(format!("invalid number of arguments for {name}, expected {count}, got {}", args.len())));
    }
    let args = args.iter().map(|a| lower(a, scope)).collect::<Result<Vec<_>>>()?;
    if args.iter().any(|a| a.kind == Kind::Null) {
        return Ok(Typed::null());
    }
    if let Some(at) = args.iter().position(|a| !a.kind.is_number()) {
        let place = if at == 0 { "first" } else { "second" };
        return Err(Failure::invalid(format!("invalid argument type for the {place} argument in {name}(): {}", args[at].kind.name())));
    }
    let kind = Kind::of_arrow(&math.output(&args[0].kind.arrow()));
    Ok(Typed::new(math.call(args.into_iter().map(|a| a.expr).collect()), kind))
}

fn arithmetic(op: BinaryOp, left: &Expr, right: &Expr, scope: &dyn Scope) -> Result<Typed> {
    let (a, b) = (lower(left, scope)?, lower(right, scope)?);
    let mismatch = |a: &Typed, b: &Typed| {
        let side = |expr: &Expr, typed: &Typed| match expr.inner() {
            Expr::Variable { name, .. } => format!("{name}::{}", typed.kind.name()),
            other => other.to_string(),
        };
        let text = format!("{} {} {}", side(left, a), op.text(), side(right, b));
        Failure::invalid(format!("type error: {text}: incompatible types: {} and {}", a.kind.name(), b.kind.name()))
    };
    if a.kind == Kind::Null || b.kind == Kind::Null {
        let known = if a.kind == Kind::Null { b.kind } else { a.kind };
        return Ok(Typed::new(null(known), known));
    }
    let bitwise = matches!(op, BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor);
    if (a.kind, b.kind, bitwise) == (Kind::Boolean, Kind::Boolean, true) {
        let expr = match op {
            BinaryOp::BitAnd => a.expr.and(b.expr),
            BinaryOp::BitOr => a.expr.or(b.expr),
            _ => a.expr.not_eq(b.expr),
        };
        return Ok(Typed::new(expr, Kind::Boolean));
    }
    if !a.kind.is_number() || !b.kind.is_number() || bitwise && (a.kind == Kind::Float || b.kind == Kind::Float) {
        return Err(mismatch(&a, &b));
    }
    let kind = match (op, a.kind, b.kind) {
        (BinaryOp::Div, _, _) | (_, Kind::Float, _) | (_, _, Kind::Float) => Kind::Float,
        (_, Kind::Unsigned, _) | (_, _, Kind::Unsigned) => Kind::Unsigned,
        _ => Kind::Integer,
    };
    let (x, y) = (a.cast(kind), b.cast(kind));
    let by_zero = |y: &df::Expr, divided: df::Expr| -> Result<df::Expr> {
        let zero = ScalarValue::new_zero(&kind.arrow())?;
        let zero = || df::Expr::Literal(zero.clone(), None);
        Ok(df::when(y.clone().eq(zero()), zero()).otherwise(divided)?)
    };
    let expr = match op {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        // Null over zero is null, not zero.
        BinaryOp::Div => df::when(x.clone().is_null(), null(kind)).otherwise(by_zero(&y, x / y.clone())?)?,
        BinaryOp::Mod if kind == Kind::Float => x % y,
        BinaryOp::Mod => by_zero(&y, x % y.clone())?,
        BinaryOp::BitAnd => df::binary_expr(x, df::Operator::BitwiseAnd, y),
        BinaryOp::BitOr => df::binary_expr(x, df::Operator::BitwiseOr, y),
        _ => df::binary_expr(x, df::Operator::BitwiseXor, y),
    };
    Ok(Typed::new(expr, kind))
}

/// Two numbers brought to a type in which they compare exactly.
pub fn comparable(a: Typed, b: Typed) -> (df::Expr, df::Expr) {
    match (a.kind, b.kind) {
        (x, y) if x == y => (a.expr, b.expr),
        (Kind::Float, _) | (_, Kind::Float) => (a.cast(Kind::Float), b.cast(Kind::Float)),
        _ => {
            let wide = DataType::Decimal128(20, 0);
            let of = |t: Typed| match &t.expr {
                // A whole number written in a condition fits the field's type, or no value equals it.
                df::Expr::Literal(ScalarValue::Int64(Some(v)), _) if *v >= 0 => lit(*v as u64),
                _ if t.kind == Kind::Unsigned => t.expr,
                _ => df::cast(t.expr, wide.clone()),
            };
            let (a, b) = (of(a), of(b));
            let both = |e: &df::Expr| matches!(e, df::Expr::Cast(_));
            if both(&a) || both(&b) { (df::cast(a, wide.clone()), df::cast(b, wide)) } else { (a, b) }
        }
    }
}
