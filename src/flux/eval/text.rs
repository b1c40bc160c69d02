//! Values as text: `string()`, interpolation, and `display()`.

use super::value::Value;
use crate::model::time::rfc3339;

/// The text of a value that has one: `string(v:)` and `"${v}"`. Floats never use exponents (Flux v0.200).
pub fn text_of(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        Value::Int(v) => v.to_string(),
        Value::UInt(v) => v.to_string(),
        Value::Float(v) => float(*v),
        Value::Time(v) => rfc3339(*v),
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

/// A value as `display` shows it.
pub fn display(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Null | Value::NullOf(_) => "<null>".to_string(),
        Value::Bytes(bytes) => format!("0x{}", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()),
        Value::Regex(regex) => regex.as_str().to_string(),
        Value::Array(items) => format!("[{}]", list(items.iter().map(display).collect())),
        Value::Record(record) => format!("{{{}}}", list(record.iter().map(|(k, v)| format!("{k}: {}", display(v))).collect())),
        Value::Dict(dict) if dict.entries.is_empty() => "[:]".to_string(),
        Value::Dict(dict) => {
            format!("[{}]", list(dict.entries.iter().map(|(k, v)| format!("{}: {}", display(k), display(v))).collect()))
        }
        Value::Dynamic(inner) => format!("dynamic({})", display(inner)),
        other => text_of(other).unwrap_or_else(|| format!("<{}>", other.type_name())),
    }
}

/// Flux's name of a value's type.
pub fn type_of(value: &Value) -> &'static str {
    value.type_name()
}
