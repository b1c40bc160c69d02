//! Package `testing`: assertions on streams; comparison is `experimental.diff`.

use super::{Call, Function};
use crate::{
    flux::{
        diagnostic::FluxResult,
        eval::{Record, Value},
        stdlib::tables::each,
    },
    model::Failure,
};
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&ASSERT_EMPTY];

/// Package `testing/expect`.
pub const EXPECT: &[&Function] = &[&PLANNER];

static ASSERT_EMPTY: Function = Function {
    name: "assertEmpty",
    signature: "(<-tables: stream[A]) => stream[A]",
    summary: "Fails when the stream has rows.",
    examples: &[],
    call: assert_empty,
};

fn assert_empty(call: &mut Call<'_>) -> FluxResult<Value> {
    each(call, |frame| {
        frame.whole_tables("assertEmpty", frame.schema(), frame.key.clone(), frame.has_empty_tables(), |_, rows| match rows.num_rows() {
            0 => Ok(rows.clone()),
            count => Err(Failure::invalid(format!("assertEmpty: expected no rows, found {count}")).into()),
        })
    })
}

static PLANNER: Function = Function {
    name: "planner",
    signature: "(rules: [string: int]) => {}",
    summary: "Says which rules of InfluxDB's planner a test is about; our planner has others, so it asserts nothing.",
    examples: &[],
    call: |call| {
        call.required::<Value>("rules")?;
        Ok(Value::Record(Arc::new(Record::new())))
    },
};
