//! `keep`, `drop`, `rename`, `duplicate`, `set`: columns come, go, and change names.

use crate::{
    flux::{
        ast::Span,
        diagnostic::{FluxError, FluxResult},
        eval::{Interpreter, Value},
        stdlib::{
            Call, Function,
            tables::{may_regroup_wide, stream},
        },
    },
    model::Result,
    plan::{
        Frame, TableStream,
        stream::{col, regroup_frames},
    },
};
use datafusion::logical_expr::{Expr, lit};
use std::{collections::HashSet, sync::Arc};

pub const FUNCTIONS: &[&Function] = &[&KEEP, &DROP, &RENAME, &DUPLICATE, &SET];

pub static KEEP: Function = Function {
    name: "keep",
    signature: "(<-tables: stream[A], ?columns: [string], ?fn: (column: string) => bool) => stream[B]",
    summary: "Keeps only the named columns, or those for which `fn` is true.",
    examples: &[],
    call: |call| choose(call, true),
};

pub static DROP: Function = Function {
    name: "drop",
    signature: "(<-tables: stream[A], ?columns: [string], ?fn: (column: string) => bool) => stream[B]",
    summary: "Drops the named columns, or those for which `fn` is true.",
    examples: &[],
    call: |call| choose(call, false),
};

fn choose(call: &mut Call<'_>, keep: bool) -> FluxResult<Value> {
    let tables = call.tables()?;
    let name = call.function.name;
    let columns = call.optional::<Vec<String>>("columns")?;
    let function = call.get("fn");
    if columns.is_some() == function.is_some() {
        return Err(FluxError::invalid(format!("{name} error: must provide exactly one of `columns` or `fn`")).at(call.span));
    }
    let stays = |column: &str| -> FluxResult<bool> {
        let chosen = match (&columns, &function) {
            (Some(columns), _) => columns.iter().any(|c| c == column),
            (None, Some(f)) => ask(call.interpreter, f, column, call.span)?,
            (None, None) => false,
        };
        Ok(chosen == keep)
    };
    // Rows of a wide frame carry all fields at once: that stays so while tables have all columns that it stands for.
    let wide = may_regroup_wide(&tables) && stays("_field")? && stays("_value")? && stays("_time")?;
    let tables = if wide { tables } else { tables.to_long()? };
    let mut frames = vec![];
    for frame in &tables.frames {
        let mut kept = vec![];
        for column in frame.columns() {
            if frame.fields.contains(&column) || stays(&column)? {
                kept.push((column.clone(), col(&column)));
            }
        }
        let key = frame.key.iter().filter(|k| kept.iter().any(|(c, _)| c == *k)).cloned().collect();
        frames.push(frame.project(kept, key)?);
    }
    rekeyed(call, &tables, frames)
}

fn ask(interpreter: &Interpreter<'_>, function: &Value, column: &str, span: Span) -> FluxResult<bool> {
    match interpreter.call(function, vec![("column".into(), Value::string(column))], None, span)? {
        Value::Bool(b) => Ok(b),
        other => Err(FluxError::run(format!("expected bool but found {}", other.type_name())).at(span)),
    }
}

/// The new frames; regrouped when a key lost or changed a column that tells tables apart.
fn rekeyed(call: &Call<'_>, tables: &TableStream, frames: Vec<Frame>) -> FluxResult<Value> {
    let apart = match (frames.as_slice(), tables.frames.as_slice()) {
        ([new], [old]) => {
            let telling = |frame: &Frame| frame.key.iter().filter(|k| frame.constant(k).is_none()).cloned().collect::<Vec<_>>();
            telling(new) == telling(old)
        }
        (new, old) => new.iter().zip(old).all(|(new, old)| new.key == old.key),
    };
    let frames = if apart { frames } else { regroup_frames(frames, call.context())? };
    Ok(stream(frames, tables))
}

pub static RENAME: Function = Function {
    name: "rename",
    signature: "(<-tables: stream[A], ?columns: B, ?fn: (column: string) => string) => stream[C]",
    summary: "Renames columns by a record of old to new names, or by a function of the name.",
    examples: &[],
    call: rename,
};

fn rename(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let columns = call.optional::<Arc<crate::flux::eval::Record>>("columns")?;
    let function = call.get("fn");
    if columns.is_some() == function.is_some() {
        return Err(FluxError::invalid("rename error: must provide exactly one of `columns` or `fn`").at(call.span));
    }
    let mut frames = vec![];
    for frame in &tables.frames {
        let all = frame.columns();
        if let Some(missing) = columns.iter().flat_map(|c| c.keys()).find(|k| !all.iter().any(|c| c == k.as_ref())) {
            frames.push(frame.fail("rename", format!("rename: rename error: column \"{missing}\" doesn't exist"))?);
            continue;
        }
        let mut names = vec![];
        for column in &all {
            let name = match (&columns, &function) {
                (Some(columns), _) => match columns.get(column.as_str()) {
                    Some(Value::String(new)) => new.to_string(),
                    Some(other) => {
                        return Err(FluxError::invalid(format!("rename error: columns must map to strings, found {}", other.type_name()))
                            .at(call.span));
                    }
                    None => column.clone(),
                },
                (None, Some(f)) => {
                    match call.interpreter.call(f, vec![("column".into(), Value::string(column.as_str()))], None, call.span)? {
                        Value::String(new) => new.to_string(),
                        other => {
                            return Err(FluxError::run(format!("rename: expected string but found {}", other.type_name())).at(call.span));
                        }
                    }
                }
                (None, None) => column.clone(),
            };
            names.push(name);
        }
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|n| !seen.insert(n.as_str())) {
            frames.push(frame.fail("rename", format!("rename: column {twice} already exists"))?);
            continue;
        }
        let renamed = |c: &String| all.iter().position(|a| a == c).map_or_else(|| c.clone(), |at| names[at].clone());
        let key = frame.key.iter().map(renamed).collect();
        frames.push(frame.project(names.iter().cloned().zip(all.iter().map(|c| col(c))).collect(), key)?);
    }
    rekeyed(call, &tables, frames)
}

pub static DUPLICATE: Function = Function {
    name: "duplicate",
    signature: "(<-tables: stream[A], column: string, as: string) => stream[B]",
    summary: "Copies a column under another name, replacing what stands there.",
    examples: &[],
    call: duplicate,
};

fn duplicate(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let (column, to) = (call.column_name("column", "")?, call.column_name("as", "")?);
    let mut regroup = false;
    let frames = tables.frames.iter().map(|frame| {
        if !frame.has(&column) {
            return frame.fail("duplicate", format!("duplicate: column \"{column}\" doesn't exist"));
        }
        regroup |= frame.is_key(&to);
        frame.with_columns(vec![(to.clone(), col(&column))])
    });
    let frames = frames.collect::<Result<Vec<_>>>()?;
    finish(call, &tables, frames, regroup)
}

fn finish(call: &Call<'_>, tables: &TableStream, frames: Vec<Frame>, regroup: bool) -> FluxResult<Value> {
    Ok(stream(if regroup { regroup_frames(frames, call.context())? } else { frames }, tables))
}

pub static SET: Function = Function {
    name: "set",
    signature: "(<-tables: stream[A], key: string, value: string) => stream[A]",
    summary: "Gives a column one string value in all rows, adding it where it is missing.",
    examples: &[],
    call: set,
};

fn set(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let (key, value) = (call.column_name("key", "")?, call.required::<Arc<str>>("value")?);
    let value: Expr = lit(value.to_string());
    let regroup = tables.frames.iter().any(|f| f.is_key(&key));
    let frames = tables.frames.iter().map(|f| f.with_columns(vec![(key.clone(), value.clone())])).collect::<Result<Vec<_>>>()?;
    finish(call, &tables, frames, regroup)
}
