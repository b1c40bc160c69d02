//! `experimental.preview`: the first rows of the first tables.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{
            Call, Function,
            run::{frames, run},
            tables::stream,
            universe::sort::first_rows,
        },
    },
    model::Result,
};

pub static FUNCTION: Function = Function {
    name: "preview",
    signature: "(<-tables: stream[A], ?nrows: int, ?ntables: int) => stream[A]",
    summary: "The first `nrows` rows of the first `ntables` tables, 5 of each unless told.",
    examples: &[],
    call: preview,
};

fn preview(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let mut extent = |name: &str| {
        let n = call.or::<i64>(name, 5)?;
        usize::try_from(n).map_err(|_| FluxError::invalid(format!("preview: {name} cannot be negative")).at(call.span))
    };
    let (row_count, table_count) = (extent("nrows")?, extent("ntables")?);
    let limited = tables.frames.iter().map(|f| first_rows(f, row_count)).collect::<Result<Vec<_>>>()?;
    let found = run(&tables.with_frames(limited), call.context())?;
    let kept = found.into_iter().take(table_count).map(|t| (t.key, t.rows)).collect();
    Ok(stream(frames(kept, call.context())?, &tables))
}
