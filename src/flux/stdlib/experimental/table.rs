//! Package `experimental/table`.

use crate::{
    flux::{
        diagnostic::FluxResult,
        eval::Value,
        stdlib::{Call, Function, tables::each},
    },
    plan::Frame,
};

pub const FUNCTIONS: &[&Function] = &[&FILL];

static FILL: Function = Function {
    name: "fill",
    signature: "(<-tables: stream[A]) => stream[A]",
    summary: "Gives each table without rows one row: its key, and null in every other column.",
    examples: &[],
    call: fill,
};

/// The row that stands for an empty table is exactly that: without its mark it is a row like any other.
fn fill(call: &mut Call<'_>) -> FluxResult<Value> {
    each(call, Frame::show_empty_tables)
}
