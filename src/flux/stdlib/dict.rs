//! Package `dict`. Dictionaries are values: `insert` and `remove` give new ones.

use super::{Call, function::functions};
use crate::flux::{
    diagnostic::{FluxError, FluxResult},
    eval::{Value, value::Dict},
};
use std::sync::Arc;

fn dict(call: &mut Call<'_>) -> FluxResult<Dict> {
    match call.required::<Value>("dict")? {
        Value::Dict(dict) => Ok(dict.as_ref().clone()),
        other => Err(FluxError::invalid(format!("expected a dictionary but found {}", other.type_name())).at(call.span)),
    }
}

functions! {
    "fromList" "(pairs: [{key: K, value: V}]) => [K: V]" "A dictionary of records with `key` and `value`." |call| {
        let mut out = Dict::default();
        for pair in call.required::<Arc<Vec<Value>>>("pairs")?.iter() {
            let Value::Record(pair) = pair else {
                return Err(FluxError::invalid("fromList: expected records with key and value").at(call.span));
            };
            let get = |name: &str| pair.get(name).cloned().unwrap_or(Value::Null);
            out.insert(get("key"), get("value"));
        }
        Ok(Value::Dict(Arc::new(out)))
    };
    "get" "(dict: [K: V], key: K, default: V) => V" "The value of a key, or the default." |call| {
        let dict = dict(call)?;
        let key = call.required::<Value>("key")?;
        let default = call.get("default").unwrap_or(Value::Null);
        Ok(dict.get(&key).cloned().unwrap_or(default))
    };
    "insert" "(dict: [K: V], key: K, value: V) => [K: V]" "The dictionary with a value added or replaced." |call| {
        let mut dict = dict(call)?;
        dict.insert(call.required("key")?, call.required("value")?);
        Ok(Value::Dict(Arc::new(dict)))
    };
    "remove" "(dict: [K: V], key: K) => [K: V]" "The dictionary without a key." |call| {
        let mut dict = dict(call)?;
        dict.remove(&call.required("key")?);
        Ok(Value::Dict(Arc::new(dict)))
    };
}
