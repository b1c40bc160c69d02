//! Package `contrib/bonitoo-io/hex`: numbers and bytes as hexadecimal digits.

use crate::flux::{
    diagnostic::{FluxError, FluxResult},
    eval::{Value, text::text_of},
    stdlib::{Call, function::functions},
};
use std::sync::Arc;

/// Reads text, or gives null for null.
fn read(call: &mut Call<'_>, kind: &str, code: fn(&str) -> Option<Value>) -> FluxResult<Value> {
    let Some(text) = call.optional::<Arc<str>>("v")? else { return Ok(Value::Null) };
    code(&text).ok_or_else(|| FluxError::invalid(format!("cannot convert string \"{text}\" to {kind} due to invalid syntax")).at(call.span))
}

functions! {
    "int" "(v: string) => int" "An integer from hexadecimal digits, with or without sign and `0x`." |c| read(c, "int", |text| {
        let (sign, digits) = match text.split_at_checked(1) {
            Some(("-", rest)) => ("-", rest),
            Some(("+", rest)) => ("", rest),
            _ => ("", text),
        };
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        i64::from_str_radix(&format!("{sign}{digits}"), 16).ok().map(Value::Int)
    });
    "uint" "(v: string) => uint" "An unsigned integer from hexadecimal digits, with or without `0x`."
        |c| read(c, "uint", |text| u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok().map(Value::UInt));
    "bytes" "(v: string) => bytes" "Bytes from pairs of hexadecimal digits." |c| read(c, "bytes", |text| {
        let pair = |at| text.get(at..at + 2).and_then(|p| u8::from_str_radix(p, 16).ok());
        (text.len() % 2 == 0).then_some(())?;
        (0..text.len()).step_by(2).map(pair).collect::<Option<Vec<u8>>>().map(|b| Value::Bytes(b.into()))
    });
    "string" "(v: A) => string" "Hexadecimal digits of integers and bytes; other values as `string` writes them." |c| Ok(match c.get("v") {
        None => Value::Null,
        Some(Value::Int(v)) if v < 0 => Value::string(format!("-{:x}", v.unsigned_abs())),
        Some(Value::Int(v)) => Value::string(format!("{v:x}")),
        Some(Value::UInt(v)) => Value::string(format!("{v:x}")),
        Some(Value::Bytes(v)) => Value::string(v.iter().map(|b| format!("{b:02x}")).collect::<String>()),
        Some(other) => {
            let text = text_of(&other).ok_or_else(|| FluxError::invalid(format!("cannot convert {} to string", other.type_name())).at(c.span))?;
            Value::string(text)
        }
    });
}
