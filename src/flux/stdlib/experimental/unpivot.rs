//! `experimental.unpivot`: columns become rows with `_field` and `_value`.

use crate::{
    flux::{
        diagnostic::FluxResult,
        eval::Value,
        stdlib::{Call, Function, tables::stream},
    },
    plan::{
        Frame,
        stream::{col, regroup_frames},
    },
};
use datafusion::logical_expr::{Expr, lit};

pub static FUNCTION: Function = Function {
    name: "unpivot",
    signature: "(<-tables: stream[A], ?otherColumns: [string]) => stream[B]",
    summary: "Makes a table of every column that is neither key nor in `otherColumns`: its name in `_field`, its values in `_value`. Nulls make no row.",
    examples: &[],
    call: unpivot,
};

fn unpivot(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let others = call.column_names("otherColumns", &["_time"])?;
    // With `_field` among the other columns, it is no part of the key.
    let in_key = !others.iter().any(|c| c == "_field");
    let mut frames = vec![];
    for frame in &tables.frames {
        if frame.has("_field") || frame.has("_value") {
            frames.push(frame.fail("unpivot", "unpivot: unpivot can't have \"_field\" or \"_value\" as an input column".to_string())?);
            continue;
        }
        if let Some(unknown) = others.iter().find(|c| *c != "_field" && !frame.has(c)) {
            frames.push(frame.fail("unpivot", format!("unpivot: unpivot could not find column named \"{unknown}\""))?);
            continue;
        }
        let frame = frame.without_empty_tables()?;
        let fields: Vec<String> = frame.columns().into_iter().filter(|c| !frame.is_key(c) && !others.contains(c)).collect();
        for field in fields {
            frames.push(one(&frame, &field, &others, in_key)?);
        }
    }
    Ok(stream(regroup_frames(frames, call.context())?, &tables))
}

fn one(frame: &Frame, field: &str, others: &[String], in_key: bool) -> crate::model::Result<Frame> {
    let mut columns: Vec<(String, Expr)> = frame.key.iter().map(|k| (k.clone(), col(k))).collect();
    columns.push(("_field".to_string(), lit(field)));
    columns.extend(others.iter().filter(|c| *c != "_field" && !frame.is_key(c)).map(|c| (c.clone(), col(c))));
    columns.push(("_value".to_string(), col(field)));
    let mut key = frame.key.clone();
    if in_key {
        key.push("_field".to_string());
    }
    frame.filter(col(field).is_not_null())?.project(columns, key)
}
