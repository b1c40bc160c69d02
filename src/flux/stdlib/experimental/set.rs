//! `experimental.set`: columns with one value.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{Record, Value},
        lower::cells::literal,
        stdlib::{Call, Function, tables::each_regrouped},
    },
    plan::Frame,
};
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "set",
    signature: "(<-tables: stream[A], o: B) => stream[C]",
    summary: "Gives every row the properties of `o`, in new columns or in place of old ones.",
    examples: &[],
    call: set,
};

fn set(call: &mut Call<'_>) -> FluxResult<Value> {
    let record = call.required::<Arc<Record>>("o")?;
    let mut columns = vec![];
    for (name, value) in record.iter().filter(|(_, v)| !v.is_null()) {
        let Some(literal) = literal(value) else {
            let text = format!("set: property \"{name}\" is {} type which is not supported in a flux table", value.type_name());
            return Err(FluxError::invalid(text).at(call.span));
        };
        columns.push((name.to_string(), literal));
    }
    each_regrouped(call, |frame: &Frame| frame.with_columns(columns.clone()))
}
