//! `experimental.catch`: an error as a value.

use crate::{
    flux::{
        eval::{Record, Value},
        stdlib::Function,
    },
    model::ErrorKind,
};

pub static FUNCTION: Function = Function {
    name: "catch",
    signature: "(fn: () => A) => {value: A, code: uint, msg: string}",
    summary: "Calls `fn`: its value, or the code and message of the error it ended with.",
    examples: &[],
    call: |call| {
        let function = call.required::<Value>("fn")?;
        let (value, code, message) = match call.interpreter.call(&function, vec![], None, call.span) {
            Ok(value) => (value, 0, Value::Null),
            Err(error) => (Value::Null, code(error.code), Value::string(error.message)),
        };
        let record: Record = [("value".into(), value), ("code".into(), Value::UInt(code)), ("msg".into(), message)].into_iter().collect();
        Ok(Value::Record(record.into()))
    },
};

/// Flux's numbers of error codes (v0.200 `codes`).
fn code(kind: ErrorKind) -> u64 {
    match kind {
        ErrorKind::Invalid | ErrorKind::EmptyValue => 3,
        ErrorKind::Timeout => 4,
        ErrorKind::NotFound => 5,
        ErrorKind::Conflict => 6,
        ErrorKind::Forbidden => 7,
        ErrorKind::TooLarge | ErrorKind::TooMany => 8,
        ErrorKind::Unprocessable => 9,
        ErrorKind::NotImplemented => 12,
        ErrorKind::Internal => 13,
        ErrorKind::Unavailable => 14,
        ErrorKind::Unauthorized => 16,
    }
}
