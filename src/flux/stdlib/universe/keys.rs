//! `columns` and `keys`: names of a table's columns, as rows.

use crate::{
    flux::{
        diagnostic::FluxResult,
        eval::Value,
        stdlib::{Call, Function, tables::each},
    },
    plan::Frame,
};
use arrow::{
    array::{ArrayRef, StringArray, UInt64Array},
    compute::take,
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&COLUMNS, &KEYS];

pub static COLUMNS: Function = Function {
    name: "columns",
    signature: "(<-tables: stream[A], ?column: string) => stream[B]",
    summary: "One row per column of each table, with its name in `column`.",
    examples: &[],
    call: |call| names(call, false),
};

pub static KEYS: Function = Function {
    name: "keys",
    signature: "(<-tables: stream[A], ?column: string) => stream[B]",
    summary: "One row per group-key column of each table, with its name in `column`.",
    examples: &[],
    call: |call| names(call, true),
};

fn names(call: &mut Call<'_>, only_key: bool) -> FluxResult<Value> {
    let target = call.column_name("column", "_value")?;
    each(call, |frame: &Frame| {
        let key: Vec<String> = frame.key.iter().filter(|k| **k != target).cloned().collect();
        let mut fields: Vec<Field> = key.iter().map(|k| Field::new(k, frame.data_type(k).unwrap_or(DataType::Null), true)).collect();
        fields.push(Field::new(&target, DataType::Utf8, true));
        let schema = Schema::new(fields);
        let (out, kept, table_key, absent) = (Arc::new(schema.clone()), key.clone(), frame.key.clone(), frame.absent_keys);
        let all = if only_key { table_key.clone() } else { frame.columns() };
        frame.whole_tables(if only_key { "keys" } else { "columns" }, schema, key, false, move |first, _| {
            // A key column that is null in rows from storage is a column that this table does not have.
            let has = |n: &&String| {
                !(absent && table_key.contains(n))
                    || first.column_by_name(n).is_some_and(|c| !arrow::compute::is_null(c).is_ok_and(|b| b.value(0)))
            };
            let mut names: Vec<&String> = all.iter().filter(has).collect();
            if only_key {
                names.sort();
            }
            let same = UInt64Array::from(vec![0; names.len()]);
            let mut columns: Vec<ArrayRef> = vec![];
            for k in &kept {
                columns.push(take(first.column_by_name(k).expect("a key column"), &same, None)?);
            }
            columns.push(Arc::new(StringArray::from_iter_values(names)));
            Ok(RecordBatch::try_new(out.clone(), columns)?)
        })
    })
}
