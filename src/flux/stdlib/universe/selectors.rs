//! `first`, `last`, `min`, `max`, `unique`, `distinct`: rows picked out of each table.

use crate::{
    flux::{
        diagnostic::FluxResult,
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{each, is_number, run_error, stream},
        },
    },
    model::Result as Outcome,
    plan::{
        Frame,
        node::{TableState, TableTransform, operator::Newest},
        stream::type_name,
    },
};
use arrow::{
    array::{Array, ArrayRef, UInt64Array, make_comparator, new_null_array},
    compute::{SortOptions, concat, take_record_batch},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
    row::{RowConverter, SortField},
};
use datafusion::common::Result;
use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

pub const FUNCTIONS: &[&Function] = &[&FIRST, &LAST, &MIN, &MAX, &UNIQUE, &DISTINCT];

pub static FIRST: Function = Function {
    name: "first",
    signature: "(<-tables: stream[A], ?column: string) => stream[A]",
    summary: "Picks the first row of each table whose column is not null.",
    examples: &[],
    call: |call| select(call, first),
};

pub static LAST: Function = Function {
    name: "last",
    signature: "(<-tables: stream[A], ?column: string) => stream[A]",
    summary: "Picks the last row of each table whose column is not null.",
    examples: &[],
    call: |call| select(call, last),
};

pub static MIN: Function = Function {
    name: "min",
    signature: "(<-tables: stream[A], ?column: string) => stream[A]",
    summary: "Picks the row with the smallest value; of equal ones the first.",
    examples: &[],
    call: |call| select(call, min),
};

pub static MAX: Function = Function {
    name: "max",
    signature: "(<-tables: stream[A], ?column: string) => stream[A]",
    summary: "Picks the row with the greatest value; of equal ones the first.",
    examples: &[],
    call: |call| select(call, max),
};

/// The row that a column's values choose.
pub type Pick = fn(&ArrayRef) -> Result<Option<usize>>;

/// What the built-in of this name picks, when it picks one row and can do so by a column of this type.
pub fn pick_by_name(name: &str, data_type: &DataType) -> Option<Pick> {
    match name {
        "first" => Some(first),
        "last" => Some(last),
        "min" if is_number(data_type) => Some(min),
        "max" if is_number(data_type) => Some(max),
        _ => None,
    }
}

fn first(column: &ArrayRef) -> Result<Option<usize>> {
    Ok((0..column.len()).find(|r| column.is_valid(*r)))
}

fn last(column: &ArrayRef) -> Result<Option<usize>> {
    Ok((0..column.len()).rev().find(|r| column.is_valid(*r)))
}

fn min(column: &ArrayRef) -> Result<Option<usize>> {
    extreme(column, "min", "MinSelector", Ordering::Less)
}

fn max(column: &ArrayRef) -> Result<Option<usize>> {
    extreme(column, "max", "MaxSelector", Ordering::Greater)
}

/// Whether a row later in its table is to be preferred to an earlier one.
pub fn beats(pick: Pick, later: &ArrayRef, earlier: &ArrayRef) -> Result<bool> {
    Ok(pick(&concat(&[earlier, later])?)? == Some(1))
}

/// One row of each table, chosen by its column; a table without one stays as an empty table.
fn select(call: &mut Call<'_>, pick: Pick) -> FluxResult<Value> {
    let column = call.column_name("column", "_value")?;
    let name = call.function.name;
    let tables = call.tables()?;
    let on_numbers = name == "min" || name == "max";
    let fits = |frame: &Frame| frame.fields.iter().all(|f| !on_numbers || frame.data_type(f).is_some_and(|t| is_number(&t)));
    if column == "_value" && tables.frames.iter().all(|f| f.is_wide() && !f.null_rows && fits(f)) {
        let frames = tables.frames.iter().map(|f| select_wide(f, name, pick)).collect::<Outcome<Vec<_>>>()?;
        return Ok(stream(frames, &tables));
    }
    let long = tables.to_long()?;
    let frames = long.frames.iter().map(|frame| {
        if !frame.has(&column) {
            return frame.fail(name, format!("{name}: no column \"{column}\" exists"));
        }
        let column = column.clone();
        frame.whole_tables(name, frame.schema(), frame.key.clone(), true, move |_, rows| {
            let values = rows.column_by_name(&column).expect("looked up when the plan was made");
            let row = pick(values)?;
            Ok(row.map_or_else(|| rows.slice(0, 0), |row| rows.slice(row, 1)))
        })
    });
    Ok(stream(frames.collect::<Outcome<Vec<_>>>()?, &tables))
}

/// The picked row of every field's table, in wide rows that hold nothing else: most fields of most rows are null, which
/// is no row. What is held of a table is one row per field.
fn select_wide(frame: &Frame, name: &'static str, pick: Pick) -> Outcome<Frame> {
    let select = SelectWide { name, pick, fields: frame.fields.clone() };
    frame.per_table(Arc::new(select), frame.schema(), frame.key.clone(), false)
}

#[derive(Debug, Clone)]
struct SelectWide {
    name: &'static str,
    pick: Pick,
    fields: Vec<String>,
}

struct SelectingWide {
    shape: SelectWide,
    rows_seen: usize,
    /// By field: number of the row in the table, and the row.
    best: Vec<Option<(usize, RecordBatch)>>,
}

impl TableTransform for SelectWide {
    fn name(&self) -> &'static str {
        self.name
    }

    fn newest(&self, key: &[String]) -> Option<Newest> {
        let is_last = self.name == "last";
        is_last.then(|| Newest { count: 1, complete: self.fields.clone(), by: key.to_vec(), time: "_time".to_string() })
    }

    fn start(&self, _first: &RecordBatch) -> Result<Box<dyn TableState>> {
        Ok(Box::new(SelectingWide { shape: self.clone(), rows_seen: 0, best: vec![None; self.fields.len()] }))
    }
}

impl TableState for SelectingWide {
    fn push(&mut self, rows: &RecordBatch, _out: &mut Vec<RecordBatch>) -> Result<()> {
        for (field, best) in self.shape.fields.iter().zip(&mut self.best) {
            let values = rows.column_by_name(field).expect("looked up when the plan was made");
            let Some(row) = (self.shape.pick)(values)? else { continue };
            let contest = match best {
                Some((_, old)) => {
                    let old = old.column_by_name(field).expect("a row of the same table");
                    beats(self.shape.pick, &values.slice(row, 1), old)?
                }
                None => true,
            };
            if contest {
                // The slice keeps its batch alive until the table ends, which is cheaper than copying rows that are beaten.
                *best = Some((self.rows_seen + row, rows.slice(row, 1)));
            }
        }
        self.rows_seen += rows.num_rows();
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()> {
        let mut picked: BTreeMap<usize, (RecordBatch, Vec<&String>)> = BTreeMap::new();
        for (field, best) in self.shape.fields.iter().zip(std::mem::take(&mut self.best)) {
            let Some((number, row)) = best else { continue };
            picked.entry(number).or_insert_with(|| (row, vec![])).1.push(field);
        }
        for (row, fields) in picked.into_values() {
            let schema = row.schema();
            let columns = schema.fields().iter().zip(row.columns()).map(|(f, column)| {
                let other = self.shape.fields.contains(f.name()) && !fields.contains(&f.name());
                if other { new_null_array(f.data_type(), 1) } else { column.clone() }
            });
            out.push(RecordBatch::try_new(schema.clone(), columns.collect())?);
        }
        Ok(())
    }
}

/// The first row that no other row beats. The words of the error are matched by clients (Flux v0.200).
fn extreme(column: &ArrayRef, name: &str, selector: &str, wins: Ordering) -> Result<Option<usize>> {
    if !matches!(column.data_type(), DataType::Int64 | DataType::UInt64 | DataType::Float64 | DataType::Timestamp(..)) {
        let data_type = type_name(column.data_type());
        return Err(run_error(format!("{name}: invalid use of function: *universe.{selector} has no implementation for type {data_type}")));
    }
    let compare = make_comparator(column, column, SortOptions::default())?;
    Ok((0..column.len()).filter(|r| column.is_valid(*r)).reduce(|best, row| if compare(row, best) == wins { row } else { best }))
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
