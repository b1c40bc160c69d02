//! Package `experimental/table`.

use crate::{
    flux::{
        diagnostic::FluxResult,
        eval::Value,
        stdlib::{Call, Function, tables::each},
    },
    plan::{Frame, stream::col},
};
use datafusion::logical_expr::{LogicalPlan, Projection};
use std::sync::Arc;

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
    each(call, |frame: &Frame| {
        if !frame.has_empty_tables() {
            return Ok(frame.clone());
        }
        let columns = frame.columns().iter().map(|c| col(c)).collect();
        let plan = LogicalPlan::Projection(Projection::try_new(columns, Arc::new(frame.plan.clone()))?);
        Ok(Frame { plan, ..frame.clone() })
    })
}
