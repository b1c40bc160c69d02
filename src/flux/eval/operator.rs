//! Flux's operators on values (Flux v0.200 `values/binary.go`): nothing is promoted in arithmetic, numbers of all
//! types compare, null in gives null out.

use super::{text::type_of, value::Value};
use crate::{
    flux::{
        ast::{BinaryOp, UnaryOp},
        diagnostic::{FluxError, FluxResult},
    },
    memory,
};
use std::cmp::Ordering;

/// `left op right`.
pub fn binary(op: BinaryOp, left: &Value, right: &Value) -> FluxResult<Value> {
    use BinaryOp::*;
    use Value::*;
    if left.is_null() || right.is_null() {
        return Ok(Null);
    }
    let zero = || FluxError::invalid("cannot divide by zero");
    Ok(match (op, left, right) {
        (Equal, a, b) => Bool(equal(a, b).ok_or_else(|| unsupported(op, a, b))?),
        (NotEqual, a, b) => Bool(!equal(a, b).ok_or_else(|| unsupported(op, a, b))?),
        (Less | LessEqual | Greater | GreaterEqual, a, b) => {
            let order = compare(a, b).ok_or_else(|| unsupported(op, a, b))?;
            Bool(match op {
                Less => order == Some(Ordering::Less),
                LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
                Greater => order == Some(Ordering::Greater),
                _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            })
        }
        (Match, String(text), Regex(pattern)) => Bool(pattern.is_match(text)),
        (NotMatch, String(text), Regex(pattern)) => Bool(!pattern.is_match(text)),
        (Add, String(a), String(b)) => {
            memory::allow(a.len() + b.len(), "+")?;
            Value::string(format!("{a}{b}"))
        }
        // Integers wrap around, as in Go.
        (Add, Int(a), Int(b)) => Int(a.wrapping_add(*b)),
        (Sub, Int(a), Int(b)) => Int(a.wrapping_sub(*b)),
        (Mul, Int(a), Int(b)) => Int(a.wrapping_mul(*b)),
        (Div | Mod, Int(_), Int(0)) | (Div | Mod, UInt(_), UInt(0)) => return Err(zero()),
        (Div, Int(a), Int(b)) => Int(a.wrapping_div(*b)),
        (Mod, Int(a), Int(b)) => Int(a.wrapping_rem(*b)),
        (Pow, Int(a), Int(b)) => Float((*a as f64).powf(*b as f64)),
        (Add, UInt(a), UInt(b)) => UInt(a.wrapping_add(*b)),
        (Sub, UInt(a), UInt(b)) => UInt(a.wrapping_sub(*b)),
        (Mul, UInt(a), UInt(b)) => UInt(a.wrapping_mul(*b)),
        (Div, UInt(a), UInt(b)) => UInt(a / b),
        (Mod, UInt(a), UInt(b)) => UInt(a % b),
        (Pow, UInt(a), UInt(b)) => Float((*a as f64).powf(*b as f64)),
        (Add, Float(a), Float(b)) => Float(a + b),
        (Sub, Float(a), Float(b)) => Float(a - b),
        (Mul, Float(a), Float(b)) => Float(a * b),
        (Div, Float(a), Float(b)) => Float(a / b),
        (Mod, Float(a), Float(b)) => Float(a % b),
        (Pow, Float(a), Float(b)) => Float(a.powf(*b)),
        (_, a, b) => return Err(unsupported(op, a, b)),
    })
}

/// `-x`, `+x`, `not x`.
pub fn unary(op: UnaryOp, value: &Value) -> FluxResult<Value> {
    Ok(match (op, value) {
        (UnaryOp::Exists, _) if value.is_null() => Value::Bool(false),
        _ if value.is_null() => value.clone(),
        (UnaryOp::Not, Value::Bool(v)) => Value::Bool(!v),
        (UnaryOp::Minus, Value::Int(v)) => Value::Int(v.wrapping_neg()),
        (UnaryOp::Minus, Value::Float(v)) => Value::Float(-v),
        (UnaryOp::Minus, Value::Duration(v)) => Value::Duration(v.negate()),
        (UnaryOp::Plus, Value::Int(_) | Value::UInt(_) | Value::Float(_) | Value::Duration(_)) => value.clone(),
        (UnaryOp::Exists, _) => Value::Bool(true),
        _ => return Err(FluxError::invalid(format!("unsupported unary operator on {}", type_of(value)))),
    })
}

/// Equality; structural for records, arrays and dictionaries. `None` where the types do not meet.
pub fn equal(left: &Value, right: &Value) -> Option<bool> {
    use Value::*;
    Some(match (left, right) {
        (Null, Null) => true,
        (Bool(a), Bool(b)) => a == b,
        (Bytes(a), Bytes(b)) => a == b,
        (Regex(a), Regex(b)) => a.as_str() == b.as_str(),
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b) == Some(true)),
        (Record(a), Record(b)) => {
            a.len() == b.len() && a.iter().all(|(name, value)| b.get(name).is_some_and(|other| equal(value, other) == Some(true)))
        }
        (Dict(a), Dict(b)) => {
            a.entries.len() == b.entries.len()
                && a.entries.iter().zip(&b.entries).all(|(a, b)| equal(&a.0, &b.0) == Some(true) && equal(&a.1, &b.1) == Some(true))
        }
        (Dynamic(a), Dynamic(b)) => return equal(a, b),
        (a, b) => compare(a, b)? == Some(Ordering::Equal),
    })
}

/// Order of two values: outer `None` where the types have no order, inner `None` for a NaN.
pub fn compare(left: &Value, right: &Value) -> Option<Option<Ordering>> {
    use Value::*;
    Some(match (left, right) {
        (Int(a), Int(b)) => Some(a.cmp(b)),
        (UInt(a), UInt(b)) => Some(a.cmp(b)),
        (Int(a), UInt(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (UInt(a), Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Float(a), Float(b)) => a.partial_cmp(b),
        (Float(a), Int(b)) => a.partial_cmp(&(*b as f64)),
        (Float(a), UInt(b)) => a.partial_cmp(&(*b as f64)),
        (Int(a), Float(b)) => (*a as f64).partial_cmp(b),
        (UInt(a), Float(b)) => (*a as f64).partial_cmp(b),
        (String(a), String(b)) => Some(a.cmp(b)),
        (Time(a), Time(b)) => Some(a.cmp(b)),
        (Duration(a), Duration(b)) => Some(a.mean_nanoseconds().cmp(&b.mean_nanoseconds())),
        _ => return None,
    })
}

fn unsupported(op: BinaryOp, left: &Value, right: &Value) -> FluxError {
    FluxError::invalid(format!("unsupported binary expression {} {op} {}", type_of(left), type_of(right)))
}
