//! `group`: tables by other columns.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{may_regroup_wide, stream},
        },
    },
    model::Result,
    plan::{Frame, stream::regroup_frames},
};
use std::{collections::HashSet, sync::Arc};

pub static FUNCTION: Function = Function {
    name: "group",
    signature: "(<-tables: stream[A], ?mode: string, ?columns: [string]) => stream[A]",
    summary: "Regroups rows by `columns` (`mode: \"by\"`) or by all columns but those (`mode: \"except\"`). Unknown names are ignored.",
    examples: &[],
    call: group,
};

fn group(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.tables()?;
    let columns = call.column_names("columns", &[])?;
    let except = match call.or::<Arc<str>>("mode", "by".into())?.as_ref() {
        "by" => false,
        "except" => true,
        other => return Err(FluxError::invalid(format!("invalid mode \"{other}\": must be \"by\" or \"except\"")).at(call.span)),
    };
    // Rows of a wide frame carry all fields at once: that stays so while fields stay tables of their own.
    let wide = !except && columns.iter().any(|c| c == "_field") && may_regroup_wide(&tables);
    let frames = if wide { tables.frames.clone() } else { tables.to_long()?.frames };
    let mut same = true;
    let regrouped: Vec<Frame> = frames
        .iter()
        .map(|frame| {
            let all = frame.columns();
            let key: Vec<String> = if except {
                all.into_iter().filter(|c| !columns.contains(c)).collect()
            } else {
                columns.iter().filter(|c| all.contains(c) && !frame.fields.contains(c)).cloned().collect()
            };
            same &= key.iter().collect::<HashSet<_>>() == frame.key.iter().collect::<HashSet<_>>();
            let mut frame = frame.without_empty_tables()?;
            frame.key = key;
            Ok(frame)
        })
        .collect::<Result<_>>()?;
    if same {
        return Ok(stream(regrouped, &tables));
    }
    Ok(stream(regroup_frames(regrouped, call.context())?, &tables))
}
