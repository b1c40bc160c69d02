//! `tableFind`, `findColumn`, `findRecord`, `getColumn`, `getRecord`: values taken out of a stream, which runs now.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{Record, Value, value::FoundTable},
        lower::cells::{record_at, value_at},
        stdlib::{Call, Function},
    },
    model::runs::runs,
    plan::TableStream,
};
use arrow::compute::concat_batches;
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&TABLE_FIND, &FIND_COLUMN, &FIND_RECORD, &GET_COLUMN, &GET_RECORD];

/// The first table whose key satisfies `fn`; `None` when there is none.
fn find(call: &mut Call<'_>) -> FluxResult<Option<FoundTable>> {
    let tables: TableStream = call.long_tables()?;
    let function = call.required::<Value>("fn")?;
    for frame in &tables.frames {
        let frame = frame.without_empty_tables()?;
        let batches = call.context().collect(frame.plan.clone())?;
        let Some(first) = batches.first() else { continue };
        let rows = concat_batches(&first.schema(), &batches)?;
        let keys: Vec<_> = frame.key.iter().filter_map(|k| rows.column_by_name(k).cloned()).collect();
        for cut in runs(&keys, rows.num_rows())? {
            let key: Record = frame
                .key
                .iter()
                .filter_map(|k| Some((Arc::from(k.as_str()), value_at(rows.column_by_name(k)?.as_ref(), cut.start))))
                .filter(|(_, v)| !(frame.absent_keys && v.is_null()))
                .collect();
            let argument = vec![("key".into(), Value::Record(Arc::new(key)))];
            if let Value::Bool(true) = call.interpreter.call(&function, argument, None, call.span)? {
                return Ok(Some(FoundTable { key: frame.key.clone(), batch: rows.slice(cut.start, cut.len()) }));
            }
        }
    }
    Ok(None)
}

fn column(table: &FoundTable, name: &str) -> Option<Value> {
    let values = table.batch.column_by_name(name)?;
    Some(Value::Array(Arc::new((0..values.len()).map(|row| value_at(values.as_ref(), row)).collect())))
}

fn record(table: &FoundTable, index: i64) -> Option<Value> {
    let row = usize::try_from(index).ok().filter(|r| *r < table.batch.num_rows())?;
    Some(Value::Record(Arc::new(record_at(&table.batch, row))))
}

fn given(call: &mut Call<'_>) -> FluxResult<Arc<FoundTable>> {
    match call.required::<Value>("table")? {
        Value::Table(table) => Ok(table),
        other => Err(FluxError::invalid(format!("expected a table but found {}", other.type_name())).at(call.span)),
    }
}

pub static TABLE_FIND: Function = Function {
    name: "tableFind",
    signature: "(<-tables: stream[A], fn: (key: B) => bool) => table",
    summary: "The first table whose group key satisfies `fn`.",
    examples: &[],
    call: |call| {
        let span = call.span;
        let table = find(call)?.ok_or_else(|| FluxError::invalid("no table found").at(span))?;
        Ok(Value::Table(Arc::new(table)))
    },
};

pub static FIND_COLUMN: Function = Function {
    name: "findColumn",
    signature: "(<-tables: stream[A], fn: (key: B) => bool, column: string) => [C]",
    summary: "A column of the first table whose group key satisfies `fn`; an empty array when there is none.",
    examples: &[],
    call: |call| {
        let name = call.required::<Arc<str>>("column")?;
        let found = find(call)?.and_then(|table| column(&table, &name));
        Ok(found.unwrap_or_else(|| Value::Array(Arc::new(vec![]))))
    },
};

pub static FIND_RECORD: Function = Function {
    name: "findRecord",
    signature: "(<-tables: stream[A], fn: (key: B) => bool, idx: int) => A",
    summary: "A row of the first table whose group key satisfies `fn`; an empty record when there is none.",
    examples: &[],
    call: |call| {
        let index = call.required::<i64>("idx")?;
        let found = find(call)?.and_then(|table| record(&table, index));
        Ok(found.unwrap_or_else(|| Value::Record(Arc::new(Record::new()))))
    },
};

pub static GET_COLUMN: Function = Function {
    name: "getColumn",
    signature: "(<-table: table, column: string) => [A]",
    summary: "A column of a table as an array.",
    examples: &[],
    call: |call| {
        let name = call.required::<Arc<str>>("column")?;
        let table = given(call)?;
        column(&table, &name).ok_or_else(|| FluxError::invalid(format!("cannot find column {name}")).at(call.span))
    },
};

pub static GET_RECORD: Function = Function {
    name: "getRecord",
    signature: "(<-table: table, idx: int) => A",
    summary: "A row of a table as a record.",
    examples: &[],
    call: |call| {
        let index = call.required::<i64>("idx")?;
        let table = given(call)?;
        record(&table, index).ok_or_else(|| FluxError::invalid(format!("index out of bounds: {index}")).at(call.span))
    },
};
