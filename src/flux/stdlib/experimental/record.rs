//! Package `experimental/record`.

use crate::flux::{
    eval::{Record, Value},
    stdlib::function::functions,
};
use std::sync::Arc;

functions! {
    "get" "(r: A, key: string, default: B) => B" "A property of a record, or the default when the record has none of that name." |c| {
        let (record, key) = (c.required::<Arc<Record>>("r")?, c.required::<Arc<str>>("key")?);
        let default = c.get("default").unwrap_or(Value::Null);
        Ok(record.get(&key).cloned().unwrap_or(default))
    };
}

/// `any`: the record without properties, as a default that takes any record.
pub fn values() -> Vec<(&'static str, Value)> {
    vec![("any", Value::record([]))]
}
