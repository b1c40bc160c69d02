//! Values as text: `string()`, interpolation, and `display()`.

use super::value::{FunctionValue, Value};
use crate::{
    flux::{
        ast::{Expr, ExprKind, FunctionBody, StatementKind},
        diagnostic::FluxResult,
    },
    memory,
    model::time::rfc3339_full,
};
use itertools::Itertools;

/// The text of a value that has one: `string(v:)` and `"${v}"`. Floats never use exponents (Flux v0.200).
pub fn text_of(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::UInt(v) => v.to_string(),
        Value::Float(v) => float(*v),
        Value::Time(v) => rfc3339_full(*v),
        Value::Duration(v) => v.to_string(),
        _ => return None,
    })
}

fn float(v: f64) -> String {
    match v {
        v if v.is_nan() => "NaN".to_string(),
        f64::INFINITY => "+Inf".to_string(),
        f64::NEG_INFINITY => "-Inf".to_string(),
        v => v.to_string(),
    }
}

/// A value as `display` shows it (Flux v0.200 `values/display.go`): more than three elements or properties stand on
/// lines of their own, properties in order of name, times with nine decimals, floats as Go's `%v`.
pub fn display(value: &Value) -> String {
    shown(value, 0)
}

/// Fails when `function` would make a text of a value that is too large. Parts of a value may be shared, so that a short script
/// has one that is huge when it is written out.
pub fn check_room(value: &Value, function: &str) -> FluxResult<()> {
    let mut left = VALUES_MAX;
    Ok(memory::allow(text_bytes(value, &mut left), function)?)
}

/// So many values are not written out.
const VALUES_MAX: usize = 4 << 20;
/// A value as text, in the text around it, and its place while they are put together.
const VALUE_BYTES: usize = 64;

/// About the bytes that it takes to write a value; the largest number where there are more than `left` values.
fn text_bytes(value: &Value, left: &mut usize) -> usize {
    let Some(rest) = left.checked_sub(1) else { return usize::MAX };
    *left = rest;
    let sum = |sum: usize, bytes: usize| sum.saturating_add(bytes);
    let inside = match value {
        Value::String(text) => 3 * text.len(),
        Value::Bytes(bytes) => 4 * bytes.len(),
        Value::Array(items) => {
            let counted = items.iter().map(|item| text_bytes(item, left));
            // There is no need to look at the others.
            counted.take_while_inclusive(|bytes| *bytes < usize::MAX).fold(0, sum)
        }
        Value::Record(record) => record.values().map(|item| text_bytes(item, left)).fold(0, sum),
        Value::Dict(dict) => dict.entries.iter().map(|(k, v)| sum(text_bytes(k, left), text_bytes(v, left))).fold(0, sum),
        Value::Dynamic(inner) => text_bytes(inner, left),
        _ => 0,
    };
    inside.saturating_add(VALUE_BYTES)
}

fn shown(value: &Value, depth: usize) -> String {
    let inner = |value: &Value| shown(value, depth + 1);
    match value {
        Value::Null | Value::NullOf(_) => "<null>".to_string(),
        Value::Bytes(bytes) => format!("0x{}", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()),
        Value::Regex(regex) => regex.as_str().to_string(),
        Value::Float(v) => go_float(*v),
        Value::Array(items) => block("[", items.iter().map(inner).collect(), ",", "]", depth),
        Value::Record(record) => {
            let mut properties: Vec<_> = record.iter().collect();
            properties.sort_by_key(|(name, _)| (*name).clone());
            block("{", properties.into_iter().map(|(k, v)| format!("{k}: {}", inner(v))).collect(), ",", "}", depth)
        }
        Value::Dict(dict) if dict.entries.is_empty() => "[:]".to_string(),
        Value::Dict(dict) => {
            block("[", dict.entries.iter().map(|(k, v)| format!("{}: {}", inner(k), inner(v))).collect(), ", ", "]", depth)
        }
        Value::Dynamic(inner) => format!("dynamic({})", shown(inner, depth)),
        Value::Function(function) => function_type(function),
        other => text_of(other).unwrap_or_else(|| format!("<{}>", other.type_name())),
    }
}

/// `separator` is what stands before a new line; on one line it is a comma and a space.
fn block(open: &str, items: Vec<String>, separator: &str, close: &str, depth: usize) -> String {
    if items.len() <= 3 {
        return format!("{open}{}{close}", items.join(", "));
    }
    let (line, last) = (format!("\n{}", "    ".repeat(depth + 1)), format!("\n{}", "    ".repeat(depth)));
    format!("{open}{line}{}{last}{close}", items.join(&format!("{separator}{line}")))
}

/// A float as Go's `%v` prints it: shortest digits, with an exponent below 1e-4 and from 1e21.
fn go_float(v: f64) -> String {
    let size = v.abs();
    if !v.is_finite() || size == 0.0 || (1e-4..1e21).contains(&size) {
        return float(v);
    }
    let text = format!("{v:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// The type of a function as Flux writes it, as far as its text tells: parameters are of any type (`A`, `B`, ...), the
/// result is the type of a literal, or any.
fn function_type(function: &FunctionValue) -> String {
    let literal = match function {
        FunctionValue::Builtin(builtin) => return builtin.signature.to_string(),
        FunctionValue::Closure { literal, .. } => literal,
    };
    let mut letters = ('A'..='Z').map(String::from);
    let mut any = || letters.next().unwrap_or_else(|| "Z".to_string());
    let parameters: Vec<String> = literal
        .parameters
        .iter()
        .map(|p| match &p.default {
            None => format!("{}: {}", p.name.name, any()),
            Some(Expr { kind: ExprKind::PipeValue, .. }) => format!("<-{}: {}", p.name.name, any()),
            Some(default) => format!("?{}: {}", p.name.name, literal_type(default).map_or_else(&mut any, String::from)),
        })
        .collect();
    let result = match &literal.body {
        FunctionBody::Expr(e) => literal_type(e),
        FunctionBody::Block(statements) => statements.last().and_then(|s| match &s.kind {
            StatementKind::Return(e) => literal_type(e),
            _ => None,
        }),
    };
    format!("({}) => {}", parameters.join(", "), result.map_or_else(&mut any, String::from))
}

fn literal_type(e: &Expr) -> Option<&'static str> {
    Some(match &e.kind {
        ExprKind::Bool(_) | ExprKind::Logical { .. } => "bool",
        ExprKind::Int(_) => "int",
        ExprKind::UInt(_) => "uint",
        ExprKind::Float(_) => "float",
        ExprKind::String(_) | ExprKind::Interpolation(_) => "string",
        ExprKind::Duration(_) => "duration",
        ExprKind::Time(_) => "time",
        ExprKind::Regex(_) => "regexp",
        _ => return None,
    })
}

/// A value's type as messages name it.
pub fn type_text(value: &Value) -> String {
    match value {
        Value::Function(function) => function_type(function),
        other => other.type_name().to_string(),
    }
}

/// Flux's name of a value's type.
pub fn type_of(value: &Value) -> &'static str {
    value.type_name()
}
