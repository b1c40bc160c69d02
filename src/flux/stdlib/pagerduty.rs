//! Package `pagerduty`: only `dedupKey` is built in, the rest is the prelude.

use super::{Call, Function, tables::each};
use crate::{
    flux::{
        diagnostic::FluxResult,
        eval::{Value, text::text_of},
        lower::value_function::value_function,
    },
    plan::{Frame, stream::col},
};
use arrow::datatypes::DataType;
use sha2::{Digest, Sha256};
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&DEDUP_KEY];

static DEDUP_KEY: Function = Function {
    name: "dedupKey",
    signature: "(<-tables: stream[A], ?exclude: [string]) => stream[B]",
    summary: "Adds `_pagerdutyDedupKey`, a hash of the group key without the columns of `exclude`.",
    examples: &[],
    call: dedup_key,
};

/// SHA-256 over `name\nvalue\n` of each key column in name order, as hexadecimal digits (Flux v0.200).
fn dedup_key(call: &mut Call<'_>) -> FluxResult<Value> {
    let exclude = call.column_names("exclude", &["_start", "_stop", "_level"])?;
    each(call, |frame: &Frame| {
        let mut names: Vec<String> = frame.key.iter().filter(|k| !exclude.contains(k)).cloned().collect();
        names.sort();
        let arguments = names.iter().map(|n| col(n)).collect();
        let code = move |values: Vec<Value>| {
            let mut hash = Sha256::new();
            for (name, value) in names.iter().zip(&values) {
                if let Some(text) = text_of(value) {
                    hash.update(format!("{name}\n{text}\n"));
                }
            }
            Ok(Value::string(hash.finalize().iter().map(|b| format!("{b:02x}")).collect::<String>()))
        };
        let hash = value_function("dedupKey", arguments, DataType::Utf8, Arc::new(code));
        frame.with_columns(vec![("_pagerdutyDedupKey".to_string(), hash)])
    })
}
