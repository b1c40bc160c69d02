//! Packages `json` and `experimental/json`: Flux values as JSON text and back.
//!
//! The text is what Go's encoder writes (Flux v0.200): keys in order, whole floats without a point, exponents below
//! 1e-6 and from 1e21, `<`, `>` and `&` escaped, bytes in base64.

use super::function::functions;
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{
            Value,
            text::{check_room, text_of},
        },
    },
    model::time::rfc3339,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value as Json;
use std::sync::Arc;

functions! {
    "encode" "(v: A) => bytes" "A value as JSON." |c| {
        let value = c.get("v").unwrap_or(Value::Null);
        check_room(&value, "json.encode")?;
        let text = text(&value).map_err(|e| e.at(c.span))?;
        Ok(Value::Bytes(text.as_bytes().into()))
    };
}

/// `experimental/json`.
pub mod parse {
    use super::*;

    functions! {
        "parse" "(data: bytes) => A" "The value of JSON text; every number is a float." |c| {
            let data = c.required::<Arc<[u8]>>("data")?;
            let json = serde_json::from_slice(&data).map_err(|e| FluxError::invalid(format!("cannot parse JSON: {e}")).at(c.span))?;
            Ok(value(json))
        };
    }
}

/// JSON as a Flux value.
pub fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(v) => Value::Bool(v),
        Json::Number(v) => Value::Float(v.as_f64().unwrap_or(f64::NAN)),
        Json::String(v) => Value::string(v),
        Json::Array(items) => Value::array(items.into_iter().map(value).collect()),
        Json::Object(properties) => Value::Record(Arc::new(properties.into_iter().map(|(k, v)| (k.into(), value(v))).collect())),
    }
}

/// A value as JSON text.
pub fn text(value: &Value) -> FluxResult<String> {
    Ok(match value {
        v if v.is_null() => "null".to_string(),
        Value::Bool(_) | Value::Int(_) | Value::UInt(_) => text_of(value).unwrap_or_default(),
        Value::Float(v) => number(*v)?,
        Value::String(v) => quoted(v),
        Value::Bytes(v) => quoted(&BASE64_STANDARD.encode(v)),
        Value::Time(v) => quoted(&rfc3339(*v)),
        Value::Duration(v) => quoted(&v.to_string()),
        Value::Regex(v) => quoted(v.as_str()),
        Value::Dynamic(inner) => text(inner)?,
        Value::Array(items) => format!("[{}]", items.iter().map(text).collect::<FluxResult<Vec<_>>>()?.join(",")),
        Value::Record(record) => object(record.iter().map(|(k, v)| (k.to_string(), v)))?,
        Value::Dict(dict) => object(dict.entries.iter().map(|(k, v)| (crate::flux::eval::text::display(k), v)))?,
        Value::Stream(_) | Value::Selection(_) => {
            let message = "got table stream instead of array. Try using tableFind() or findRecord() to extract data from stream";
            return Err(FluxError::invalid(message));
        }
        other => return Err(FluxError::invalid(format!("cannot encode a {} value", other.type_name()))),
    })
}

fn object<'v>(properties: impl Iterator<Item = (String, &'v Value)>) -> FluxResult<String> {
    let mut properties: Vec<_> = properties.collect();
    properties.sort_by(|a, b| a.0.cmp(&b.0));
    let members = properties.into_iter().map(|(name, value)| Ok(format!("{}:{}", quoted(&name), text(value)?)));
    Ok(format!("{{{}}}", members.collect::<FluxResult<Vec<_>>>()?.join(",")))
}

fn quoted(text: &str) -> String {
    let mut out = Json::from(text).to_string();
    for (from, to) in [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u{2028}", "\\u2028"), ("\u{2029}", "\\u2029")] {
        if out.contains(from) {
            out = out.replace(from, to);
        }
    }
    out
}

fn number(v: f64) -> FluxResult<String> {
    if !v.is_finite() {
        return Err(FluxError::invalid(format!(
            "cannot encode {} as JSON, which has no such number",
            text_of(&Value::Float(v)).unwrap_or_default()
        )));
    }
    let plain = v == 0.0 || (1e-6..1e21).contains(&v.abs());
    Ok(if plain { v.to_string() } else { format!("{v:e}").replacen('e', if v.abs() >= 1e21 { "e+" } else { "e" }, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_as_go_does() {
        let value = Value::record([
            ("b", Value::array(vec![Value::Float(2.0), Value::Float(1.5e22), Value::Float(2e-7), Value::Int(-3)])),
            ("a", Value::string("<\"&\u{e9}")),
            ("c", Value::Bytes([1, 2].into())),
            ("d", Value::Null),
        ]);
        let text = text(&value).expect("encodes");
        assert_eq!(text, "{\"a\":\"\\u003c\\\"\\u0026\u{e9}\",\"b\":[2,1.5e+22,2e-7,-3],\"c\":\"AQI=\",\"d\":null}");
    }
}
