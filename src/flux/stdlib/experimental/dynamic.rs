//! Package `experimental/dynamic`: values whose type is looked at while the script runs.
//!
//! Elements of arrays and properties of records inside a dynamic value are dynamic themselves.

use crate::flux::{
    diagnostic::FluxError,
    eval::Value,
    stdlib::{function::functions, json},
};
use std::sync::Arc;

/// The value as a dynamic one; what is dynamic already stays as it is.
fn wrap(value: Value) -> Value {
    let inner = match value {
        Value::Dynamic(_) => return value,
        Value::Array(items) => Value::array(items.iter().cloned().map(wrap).collect()),
        Value::Record(record) => Value::Record(Arc::new(record.iter().map(|(k, v)| (k.clone(), wrap(v.clone()))).collect())),
        null if null.is_null() => Value::Null,
        other => other,
    };
    Value::Dynamic(Arc::new(inner))
}

functions! {
    "dynamic" "(v: A) => dynamic" "Any value as a dynamic one." |c| Ok(wrap(c.get("v").unwrap_or(Value::Null)));
    "asArray" "(<-v: dynamic) => [dynamic]" "The elements of a dynamic array." |c| {
        let value = c.get("v").unwrap_or(Value::Null);
        match &value {
            Value::Dynamic(inner) if matches!(inner.as_ref(), Value::Array(_)) => Ok(inner.as_ref().clone()),
            Value::Dynamic(inner) if !inner.is_null() => {
                Err(FluxError::invalid(format!("unable to convert {} to array", inner.type_name())).at(c.span))
            }
            _ => Err(FluxError::invalid("unable to convert <null> to array").at(c.span)),
        }
    };
    "jsonParse" "(data: bytes) => dynamic" "JSON text as a dynamic value; every number is a float." |c| {
        let data = c.required::<Arc<[u8]>>("data")?;
        let parsed = serde_json::from_slice(&data).map_err(|e| FluxError::invalid(format!("cannot parse JSON: {e}")).at(c.span))?;
        Ok(wrap(json::value(parsed)))
    };
    "jsonEncode" "(v: dynamic) => bytes" "A dynamic value as JSON." |c| {
        let text = json::text(&c.get("v").unwrap_or(Value::Null)).map_err(|e| e.at(c.span))?;
        Ok(Value::Bytes(text.as_bytes().into()))
    };
    "isType" "(v: dynamic, type: string) => bool" "Whether the value inside is of a type, as `types.isType` names it, or an array, object, function or dictionary."
        |c| {
            let wanted = c.required::<Arc<str>>("type")?;
            Ok(Value::Bool(match c.get("v") {
                Some(Value::Dynamic(inner)) => !inner.is_null() && inner.type_name() == wanted.as_ref(),
                _ => false,
            }))
        };
}
