//! `first`, `last`, `min`, `max`, `unique`, `distinct`: rows picked out of each table.

use super::{pick::Pick, select_wide::select_wide};
use crate::{
    flux::{
        diagnostic::FluxResult,
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{each, stream},
        },
    },
    model::Result as Outcome,
    plan::Frame,
};
use arrow::{
    array::{ArrayRef, UInt64Array},
    compute::take_record_batch,
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
    row::{RowConverter, SortField},
};
use datafusion::common::Result;
use std::{collections::HashSet, sync::Arc};

pub const FUNCTIONS: &[&Function] = &[&FIRST, &LAST, &MIN, &MAX, &UNIQUE, &DISTINCT];

pub static FIRST: Function = Function {
    name: "first",
    signature: "(<-tables: stream[A], ?column: string) => stream[A]",
    summary: "Picks the first row of each table whose column is not null.",
    examples: &[],
    call: |call| select(call, Pick::First),
};

pub static LAST: Function = Function {
    name: "last",
    signature: "(<-tables: stream[A], ?column: string) => stream[A]",
    summary: "Picks the last row of each table whose column is not null.",
    examples: &[],
    call: |call| select(call, Pick::Last),
};

pub static MIN: Function = Function {
    name: "min",
    signature: "(<-tables: stream[A], ?column: string) => stream[A]",
    summary: "Picks the row with the smallest value; of equal ones the first.",
    examples: &[],
    call: |call| select(call, Pick::Min),
};

pub static MAX: Function = Function {
    name: "max",
    signature: "(<-tables: stream[A], ?column: string) => stream[A]",
    summary: "Picks the row with the greatest value; of equal ones the first.",
    examples: &[],
    call: |call| select(call, Pick::Max),
};

/// One row of each table, chosen by its column; a table without one stays as an empty table.
fn select(call: &mut Call<'_>, pick: Pick) -> FluxResult<Value> {
    let column = call.column_name("column", "_value")?;
    let name = call.function.name;
    let tables = call.tables()?;
    let fits = |frame: &Frame| frame.fields.iter().all(|f| frame.data_type(f).is_some_and(|t| pick.takes(&t)));
    if column == "_value" && tables.frames.iter().all(|f| f.is_wide() && !f.null_rows && fits(f)) {
        let select = |f: &Frame| Ok(Frame { plan: select_wide(f.plan.clone(), pick, &f.key, &f.fields)?, ..f.clone() });
        return Ok(stream(tables.frames.iter().map(select).collect::<Outcome<Vec<_>>>()?, &tables));
    }
    let long = tables.to_long()?;
    let frames = long.frames.iter().map(|frame| {
        if !frame.has(&column) {
            return frame.fail(name, format!("{name}: no column \"{column}\" exists"));
        }
        let column = column.clone();
        frame.whole_tables(name, frame.schema(), frame.key.clone(), true, move |_, rows| {
            let values = rows.column_by_name(&column).expect("looked up when the plan was made");
            let row = pick.row(values, 0..values.len())?;
            Ok(row.map_or_else(|| rows.slice(0, 0), |row| rows.slice(row, 1)))
        })
    });
    Ok(stream(frames.collect::<Outcome<Vec<_>>>()?, &tables))
}

pub static UNIQUE: Function = Function {
    name: "unique",
    signature: "(<-tables: stream[A], ?column: string) => stream[A]",
    summary: "Keeps the first row of each value of a column; null is a value.",
    examples: &[],
    call: unique,
};

fn unique(call: &mut Call<'_>) -> FluxResult<Value> {
    let column = call.column_name("column", "_value")?;
    each(call, |frame| {
        if !frame.has(&column) {
            return frame.fail("unique", format!("unique: no column \"{column}\" exists"));
        }
        let column = column.clone();
        let keep_empty = frame.has_empty_tables();
        frame.whole_tables("unique", frame.schema(), frame.key.clone(), keep_empty, move |_, rows| {
            let values = rows.column_by_name(&column).expect("looked up when the plan was made");
            Ok(take_record_batch(rows, &first_of_each(values)?)?)
        })
    })
}

/// Rows where a value stands for the first time.
fn first_of_each(values: &ArrayRef) -> Result<UInt64Array> {
    let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
    let rows = converter.convert_columns(std::slice::from_ref(values))?;
    let mut seen: HashSet<&[u8], ahash::RandomState> = HashSet::default();
    Ok((0..values.len()).filter(|r| seen.insert(rows.row(*r).data())).map(|r| r as u64).collect::<Vec<_>>().into())
}

pub static DISTINCT: Function = Function {
    name: "distinct",
    signature: "(<-tables: stream[A], ?column: string) => stream[B]",
    summary: "Lists the distinct values of a column as `_value`, in order of appearance.",
    examples: &[],
    call: distinct,
};

fn distinct(call: &mut Call<'_>) -> FluxResult<Value> {
    let column = call.column_name("column", "_value")?;
    each(call, |frame| {
        let schema = frame.schema();
        let value_type = frame.data_type(&column).unwrap_or(DataType::Utf8);
        let mut fields: Vec<Field> =
            frame.key.iter().filter(|k| *k != "_value").filter_map(|k| schema.field_with_name(k).ok().cloned()).collect();
        let key: Vec<String> = fields.iter().map(|f| f.name().clone()).collect();
        fields.push(Field::new("_value", value_type.clone(), true));
        let out = Arc::new(Schema::new(fields));
        let (column, names, shape) = (column.clone(), key.clone(), out.clone());
        frame.whole_tables("distinct", out.as_ref().clone(), key, frame.has_empty_tables(), move |first, rows| {
            let values: ArrayRef = match rows.column_by_name(&column) {
                Some(values) => arrow::compute::take(values, &first_of_each(values)?, None)?,
                // A column that does not exist has one value, the empty string (Flux v0.200).
                None => Arc::new(arrow::array::StringArray::from(vec![""])),
            };
            let mut columns: Vec<ArrayRef> = vec![];
            for name in &names {
                let value = first.column_by_name(name).expect("a key column");
                columns.push(arrow::compute::take(value, &UInt64Array::from(vec![0; values.len()]), None)?);
            }
            columns.push(values);
            Ok(RecordBatch::try_new(shape.clone(), columns)?)
        })
    })
}
