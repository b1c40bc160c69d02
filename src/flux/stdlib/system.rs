//! Package `system`.

use super::Function;
use crate::flux::eval::Value;

/// The instant of the query rather than the wall clock: everything that one query reads agrees.
static TIME: Function = Function {
    name: "time",
    signature: "() => time",
    summary: "The time at which the query began.",
    examples: &[],
    call: |call| Ok(Value::Time(call.context().now())),
};

pub const FUNCTIONS: &[&Function] = &[&TIME];
