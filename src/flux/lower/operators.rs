//! Flux's operators on typed column expressions: what types meet, and what comes out.

use super::{row_function::Typed, value_function::value_function};
use crate::{
    flux::{
        ast::BinaryOp,
        diagnostic::{FluxError, FluxResult},
        eval::Value,
    },
    functions::scalar::bounded,
    model::schema::time_type,
    plan::{float, stream::type_name},
};
use arrow::datatypes::DataType;
use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, cast, lit},
};
use std::sync::Arc;

/// `left op right` with operands that depend on the row.
pub fn binary(op: BinaryOp, left: Typed, right: Typed) -> FluxResult<Typed> {
    use BinaryOp::*;
    let untyped = left.data_type == DataType::Null || right.data_type == DataType::Null;
    match op {
        Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual if untyped => Ok(Typed::null_of(DataType::Boolean)),
        Match | NotMatch if untyped => Ok(Typed::null_of(DataType::Boolean)),
        _ if untyped => Ok(Typed::null_of(DataType::Null)),
        Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual => compare(op, left, right),
        Match | NotMatch => Err(unsupported(op, &left, &right)),
        _ => arithmetic(op, left, right),
    }
}

fn number(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::UInt64 | DataType::Float64)
}

fn compare(op: BinaryOp, left: Typed, right: Typed) -> FluxResult<Typed> {
    let fits = left.data_type == right.data_type || number(&left.data_type) && number(&right.data_type);
    let ordered = !matches!(op, BinaryOp::Equal | BinaryOp::NotEqual);
    if !fits || (ordered && left.data_type == DataType::Boolean) {
        return Err(unsupported(op, &left, &right));
    }
    let operator = match op {
        BinaryOp::Equal => Operator::Eq,
        BinaryOp::NotEqual => Operator::NotEq,
        BinaryOp::Less => Operator::Lt,
        BinaryOp::LessEqual => Operator::LtEq,
        BinaryOp::Greater => Operator::Gt,
        _ => Operator::GtEq,
    };
    let mixed = left.data_type != right.data_type;
    let float = left.data_type == DataType::Float64 || right.data_type == DataType::Float64;
    if !float && !mixed {
        return Ok(Typed::new(Expr::BinaryExpr(BinaryExpr::new(Box::new(left.expr), operator, Box::new(right.expr))), DataType::Boolean));
    }
    // A number of another type is compared as the float nearest to it.
    if float && let Some(expr) = float::compare(operator, to_float(&left), to_float(&right)) {
        return Ok(Typed::new(expr, DataType::Boolean));
    }
    // DataFusion would widen int and uint to decimals.
    let code = move |values: Vec<Value>| -> FluxResult<Value> {
        let (a, b) = (&values[0], &values[1]);
        let order = match (a, b) {
            (Value::Null, _) | (_, Value::Null) => return Ok(Value::Null),
            (Value::Int(a), Value::UInt(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (Value::UInt(a), Value::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
            (a, b) => as_float(a).partial_cmp(&as_float(b)),
        };
        use std::cmp::Ordering::*;
        Ok(Value::Bool(match op {
            BinaryOp::Equal => order == Some(Equal),
            BinaryOp::NotEqual => order != Some(Equal),
            BinaryOp::Less => order == Some(Less),
            BinaryOp::LessEqual => matches!(order, Some(Less | Equal)),
            BinaryOp::Greater => order == Some(Greater),
            _ => matches!(order, Some(Greater | Equal)),
        }))
    };
    Ok(Typed::new(value_function("compare", vec![left.expr, right.expr], DataType::Boolean, Arc::new(code)), DataType::Boolean))
}

fn to_float(operand: &Typed) -> Expr {
    match &operand.expr {
        Expr::Literal(ScalarValue::Int64(Some(v)), _) => lit(*v as f64),
        Expr::Literal(ScalarValue::UInt64(Some(v)), _) => lit(*v as f64),
        expr if operand.data_type == DataType::Float64 => expr.clone(),
        expr => cast(expr.clone(), DataType::Float64),
    }
}

fn as_float(value: &Value) -> f64 {
    match value {
        Value::Int(v) => *v as f64,
        Value::UInt(v) => *v as f64,
        Value::Float(v) => *v,
        _ => f64::NAN,
    }
}

fn arithmetic(op: BinaryOp, left: Typed, right: Typed) -> FluxResult<Typed> {
    use BinaryOp::*;
    let data_type = left.data_type.clone();
    let text = data_type == DataType::Utf8 && op == Add;
    if data_type != right.data_type || !(number(&data_type) || text) {
        return Err(unsupported(op, &left, &right));
    }
    let (l, r) = (left.plain(), right.plain());
    if text {
        return Ok(Typed::new(bounded::joined(l, r), data_type));
    }
    let infix = |operator, l: Expr, r: Expr| Expr::BinaryExpr(BinaryExpr::new(Box::new(l), operator, Box::new(r)));
    let float = data_type == DataType::Float64;
    let expr = match op {
        Add => infix(Operator::Plus, l, r),
        Sub => infix(Operator::Minus, l, r),
        Mul => infix(Operator::Multiply, l, r),
        Div if float => infix(Operator::Divide, l, r),
        Mod if float => infix(Operator::Modulo, l, r),
        // Division and powers go value by value: DataFusion's error on a zero divisor has other words, and `^` of two
        // integers is a float (Flux v0.200).
        Pow => return Ok(Typed::new(by_value("pow", op, l, r, DataType::Float64), DataType::Float64)),
        _ => by_value("divide", op, l, r, data_type.clone()),
    };
    // Integers wrap around in Go; DataFusion's operators on Int64 wrap as well.
    Ok(Typed::new(expr, data_type))
}

fn by_value(name: &str, op: BinaryOp, left: Expr, right: Expr, returns: DataType) -> Expr {
    let code = move |values: Vec<Value>| -> FluxResult<Value> {
        let zero = || FluxError::run("cannot divide by zero");
        Ok(match (op, &values[0], &values[1]) {
            (_, Value::Null, _) | (_, _, Value::Null) => Value::Null,
            (BinaryOp::Pow, a, b) => Value::Float(as_float(a).powf(as_float(b))),
            (_, Value::Int(_), Value::Int(0)) | (_, Value::UInt(_), Value::UInt(0)) => return Err(zero()),
            (BinaryOp::Div, Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_div(*b)),
            (BinaryOp::Div, Value::UInt(a), Value::UInt(b)) => Value::UInt(a / b),
            (BinaryOp::Mod, Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_rem(*b)),
            (BinaryOp::Mod, Value::UInt(a), Value::UInt(b)) => Value::UInt(a % b),
            _ => Value::Null,
        })
    };
    value_function(name, vec![left, right], returns, Arc::new(code))
}

fn unsupported(op: BinaryOp, left: &Typed, right: &Typed) -> FluxError {
    FluxError::run(format!("unsupported binary expression {} {op} {}", type_name(&left.data_type), type_name(&right.data_type)))
}

/// `-x`; null stays null.
pub fn negate(operand: Typed) -> FluxResult<Typed> {
    match operand.data_type {
        DataType::Null => Ok(operand),
        DataType::Int64 | DataType::Float64 => {
            let data_type = operand.data_type.clone();
            Ok(Typed::new(Expr::Negative(Box::new(operand.expr)), data_type))
        }
        other => Err(FluxError::run(format!("unsupported unary operator - on {}", type_name(&other)))),
    }
}

/// A boolean operand of `and`, `or`, `not`, `if`; an untyped null is a null boolean.
pub fn truth(operand: Typed) -> FluxResult<Expr> {
    match operand.data_type {
        DataType::Boolean => Ok(operand.expr),
        DataType::Null => Ok(lit(ScalarValue::Boolean(None))),
        other => Err(FluxError::run(format!("expected bool but found {}", type_name(&other)))),
    }
}

/// The one type of two branches; an untyped null takes the other's.
pub fn common_type(a: &DataType, b: &DataType) -> FluxResult<DataType> {
    match (a, b) {
        (a, b) if a == b => Ok(a.clone()),
        (DataType::Null, other) | (other, DataType::Null) => Ok(other.clone()),
        (a, b) => Err(FluxError::run(format!("expected {} but found {}", type_name(a), type_name(b)))),
    }
}

/// The column type that a signature's result type names.
pub fn type_from_signature(text: &str) -> Option<DataType> {
    Some(match text.trim() {
        "bool" => DataType::Boolean,
        "int" => DataType::Int64,
        "uint" => DataType::UInt64,
        "float" => DataType::Float64,
        "string" => DataType::Utf8,
        "time" => time_type(),
        _ => return None,
    })
}
