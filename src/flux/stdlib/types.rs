//! Package `types`: what type a value has.

use super::Function;
use crate::{
    flux::eval::{Value, text::type_of},
    plan::stream::type_name,
};
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&IS_TYPE];

/// On a cell of a row it is the column's type, known before any row is read (`lower::row_function`).
pub static IS_TYPE: Function = Function {
    name: "isType",
    signature: "(v: A, type: string) => bool",
    summary: "Whether a value is of the type named.",
    examples: &[],
    call: |call| {
        let name = call.required::<Arc<str>>("type")?;
        let found = call.arguments.iter().find(|(n, _)| n.as_ref() == "v").map(|(_, v)| match v {
            Value::NullOf(data_type) => type_name(data_type),
            value => type_of(value),
        });
        Ok(Value::Bool(found == Some(name.as_ref())))
    },
};
