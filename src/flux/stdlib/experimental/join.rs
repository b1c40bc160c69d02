//! `experimental.join`: rows of equal time in tables of equal key.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{Record, Value},
        stdlib::{
            Call, Function,
            run::{Made, Table, batch_of, check_key, frames, run},
        },
    },
    plan::TableStream,
};
use std::{collections::HashMap, sync::Arc};

pub static FUNCTION: Function = Function {
    name: "join",
    signature: "(left: stream[A], right: stream[B], fn: (left: A, right: B) => C) => stream[C]",
    summary: "Makes a row with `fn` of every two rows of equal `_time` in tables of equal group key. Rows must be in order of time.",
    examples: &[],
    call: join,
};

fn join(call: &mut Call<'_>) -> FluxResult<Value> {
    let left = call.stream("left")?;
    let right = call.stream("right")?;
    let make = call.required::<Value>("fn")?;
    let (lefts, rights) = (run(&left, call.context())?, run(&right, call.context())?);
    if lefts.iter().chain(&rights).any(|t| t.rows.column_by_name("_time").is_none()) {
        return Err(FluxError::run("join: no _time column found").at(call.span));
    }
    let by_key: HashMap<String, &Table> = rights.iter().map(|t| (t.key_text(), t)).collect();
    let mut out = vec![];
    for table in &lefts {
        let Some(other) = by_key.get(&table.key_text()) else { continue };
        let key = table.key_record();
        let mut made = Made::default();
        let (left, right) = (table.records(call.context())?, other.records(call.context())?);
        for (l, r) in pairs(&left, &right) {
            let arguments = [("left", l), ("right", r)].map(|(name, row)| (name.into(), Value::Record(Arc::new(row.clone()))));
            let Value::Record(row) = call.interpreter.call(&make, arguments.into(), None, call.span)? else {
                return Err(FluxError::run("join: `fn` must return a record").at(call.span));
            };
            check_key(&row, &key, table, |_, _| "join: argument 'fn' may not modify group key".to_string())?;
            made.push(row.as_ref().clone(), call.context())?;
        }
        out.push((table.key.clone(), batch_of(&made.rows, "join")?));
    }
    Ok(Value::Stream(Arc::new(TableStream::new(frames(out, call.context())?, left.bounds.or(right.bounds)))))
}

/// Every two rows of equal time; both sides are in order of time.
fn pairs<'a>(left: &'a [Record], right: &'a [Record]) -> impl Iterator<Item = (&'a Record, &'a Record)> {
    let time = |row: &Record| if let Some(Value::Time(t)) = row.get("_time") { Some(*t) } else { None };
    let mut j = 0;
    left.iter().flat_map(move |l| {
        let at = time(l);
        while j < right.len() && time(&right[j]) < at {
            j += 1;
        }
        right[j..].iter().take_while(move |r| at.is_some() && time(r) == at).map(move |r| (l, r))
    })
}
