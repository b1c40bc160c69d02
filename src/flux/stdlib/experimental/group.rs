//! `experimental.group`: more columns in the group key.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{Call, Function, tables::each_regrouped},
    },
    plan::Frame,
};
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "group",
    signature: "(<-tables: stream[A], mode: string, columns: [string]) => stream[A]",
    summary: "Adds `columns` to the group key; the only mode is \"extend\".",
    examples: &[],
    call: group,
};

fn group(call: &mut Call<'_>) -> FluxResult<Value> {
    let mode = call.required::<Arc<str>>("mode")?;
    if mode.as_ref() != "extend" {
        return Err(FluxError::invalid(format!("group: invalid mode \"{mode}\": must be \"extend\"")).at(call.span));
    }
    let columns = call.required::<Vec<String>>("columns")?;
    each_regrouped(call, |frame: &Frame| {
        if let Some(unknown) = columns.iter().find(|c| !frame.has(c)) {
            return frame.fail("group", format!("group: unknown column \"{unknown}\""));
        }
        let mut frame = frame.without_empty_tables()?;
        let added: Vec<String> = columns.iter().filter(|c| !frame.is_key(c)).cloned().collect();
        frame.key.extend(added);
        Ok(frame)
    })
}
