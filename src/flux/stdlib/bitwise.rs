//! Package `bitwise`: operations on the bits of integers, signed (`s...`) and unsigned (`u...`).

use super::{Call, function::functions};
use crate::flux::{
    diagnostic::{FluxError, FluxResult},
    eval::Value,
};

fn unsigned(call: &mut Call<'_>, code: fn(u64, u64) -> u64) -> FluxResult<Value> {
    Ok(Value::UInt(code(call.required("a")?, call.required("b")?)))
}

fn signed(call: &mut Call<'_>, code: fn(i64, i64) -> i64) -> FluxResult<Value> {
    Ok(Value::Int(code(call.required("a")?, call.required("b")?)))
}

/// Shifts by more bits than there are give what as many single steps would.
fn shift(call: &mut Call<'_>, code: fn(i64, u32) -> i64) -> FluxResult<Value> {
    let (a, b) = (call.required("a")?, call.required::<i64>("b")?);
    let b = u32::try_from(b.min(64)).map_err(|_| FluxError::invalid(format!("negative shift amount {b}")).at(call.span))?;
    Ok(Value::Int(code(a, b)))
}

functions! {
    "uand" "(a: uint, b: uint) => uint" "Bits of both." |c| unsigned(c, |a, b| a & b);
    "uor" "(a: uint, b: uint) => uint" "Bits of either." |c| unsigned(c, |a, b| a | b);
    "unot" "(a: uint) => uint" "The other bits." |c| Ok(Value::UInt(!c.required::<u64>("a")?));
    "uxor" "(a: uint, b: uint) => uint" "Bits of one but not both." |c| unsigned(c, |a, b| a ^ b);
    "uclear" "(a: uint, b: uint) => uint" "Bits of `a` that are not in `b`." |c| unsigned(c, |a, b| a & !b);
    "ulshift" "(a: uint, b: uint) => uint" "`a` shifted left by `b` bits." |c| unsigned(c, |a, b| if b < 64 { a << b } else { 0 });
    "urshift" "(a: uint, b: uint) => uint" "`a` shifted right by `b` bits." |c| unsigned(c, |a, b| if b < 64 { a >> b } else { 0 });
    "sand" "(a: int, b: int) => int" "Bits of both." |c| signed(c, |a, b| a & b);
    "sor" "(a: int, b: int) => int" "Bits of either." |c| signed(c, |a, b| a | b);
    "snot" "(a: int) => int" "The other bits." |c| Ok(Value::Int(!c.required::<i64>("a")?));
    "sxor" "(a: int, b: int) => int" "Bits of one but not both." |c| signed(c, |a, b| a ^ b);
    "sclear" "(a: int, b: int) => int" "Bits of `a` that are not in `b`." |c| signed(c, |a, b| a & !b);
    "slshift" "(a: int, b: int) => int" "`a` shifted left by `b` bits." |c| shift(c, |a, b| if b < 64 { a << b } else { 0 });
    "srshift" "(a: int, b: int) => int" "`a` shifted right by `b` bits; the sign stays." |c| shift(c, |a, b| a >> b.min(63));
}
