//! Streams that must run while the script is evaluated: their tables as records, and records as tables again.
//!
//! For functions whose result depends on values in a way no plan can say (joins by a function, keys that change from
//! table to table). It holds the stream in memory, charged to the query.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{Record, Value},
        lower::{
            cells::{column_of, column_type, record_at},
            operators::common_type,
        },
    },
    model::runs::runs,
    plan::{
        Context, Frame, TableStream,
        node::values::values,
        stream::{regroup_frames, type_name},
    },
};
use arrow::{
    array::ArrayRef,
    compute::{concat_batches, is_null},
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use indexmap::IndexMap;
use std::sync::Arc;

/// One table that has run. A key column that the table lacks is in neither `key` nor `rows`.
pub struct Table {
    pub key: Vec<String>,
    pub rows: RecordBatch,
}

/// The tables of a stream that have rows, in order.
pub fn run(stream: &TableStream, context: &dyn Context) -> FluxResult<Vec<Table>> {
    let mut tables = vec![];
    for frame in stream.to_long()?.frames {
        let frame = frame.without_empty_tables()?;
        let batches = context.collect(frame.plan.clone())?;
        let Some(first) = batches.first() else { continue };
        let rows = concat_batches(&first.schema(), &batches)?;
        let keys: Vec<ArrayRef> = frame.key.iter().filter_map(|k| rows.column_by_name(k).cloned()).collect();
        for cut in runs(&keys, rows.num_rows())? {
            tables.push(table(&frame, rows.slice(cut.start, cut.len()))?);
        }
    }
    Ok(tables)
}

fn table(frame: &Frame, rows: RecordBatch) -> FluxResult<Table> {
    let absent = |name: &String| -> FluxResult<bool> {
        let column = rows.column_by_name(name).filter(|_| frame.absent_keys && frame.is_key(name));
        Ok(column.is_some_and(|c| is_null(c).is_ok_and(|nulls| nulls.value(0))))
    };
    let schema = rows.schema();
    let mut kept = vec![];
    for (at, field) in schema.fields().iter().enumerate() {
        if !absent(field.name())? {
            kept.push(at);
        }
    }
    let mut key = vec![];
    for name in &frame.key {
        if !absent(name)? {
            key.push(name.clone());
        }
    }
    key.sort();
    let rows = if kept.len() == rows.num_columns() { rows } else { rows.project(&kept)? };
    Ok(Table { key, rows })
}

impl Table {
    /// Charged until the query ends, as [`charge`] does.
    pub fn records(&self, context: &dyn Context) -> FluxResult<Vec<Record>> {
        charge(self.rows.num_rows(), self.rows.num_columns(), context)?;
        Ok((0..self.rows.num_rows()).map(|row| record_at(&self.rows, row)).collect())
    }

    /// Values of the group key.
    pub fn key_record(&self) -> Record {
        let first = record_at(&self.rows, 0);
        self.key.iter().filter_map(|k| Some((k.as_str().into(), first.get(k.as_str())?.clone()))).collect()
    }

    /// Labels, types and values of the group key as text: equal for equal keys.
    pub fn key_text(&self) -> String {
        let first = record_at(&self.rows, 0);
        self.key.iter().map(|k| format!("{k}:{}\u{1}", first.get(k.as_str()).map(value_text).unwrap_or_default())).collect()
    }

    pub fn data_type(&self, column: &str) -> Option<DataType> {
        self.rows.column_by_name(column).map(|c| match c.data_type() {
            DataType::Dictionary(..) => DataType::Utf8,
            other => other.clone(),
        })
    }
}

/// A property of a record: its name, its value, its place.
const PROPERTY_BYTES: usize = 128;

/// Charges records that are made, or about to be.
pub fn charge(record_count: usize, property_count: usize, context: &dyn Context) -> FluxResult<()> {
    Ok(context.charge(record_count.saturating_mul(property_count * PROPERTY_BYTES))?)
}

/// Records that a function has made, charged some at a time.
#[derive(Default)]
pub struct Made {
    pub rows: Vec<Record>,
}

impl Made {
    pub fn push(&mut self, row: Record, context: &dyn Context) -> FluxResult<()> {
        const STEP: usize = 1024;
        if self.rows.len() % STEP == STEP - 1 {
            charge(STEP, row.len(), context)?;
        }
        self.rows.push(row);
        Ok(())
    }
}

/// A value and its type as text; equal values have equal texts.
pub fn value_text(value: &Value) -> String {
    format!("{}={value:?}", value.type_name())
}

/// A null of a column's type.
pub fn null_of(data_type: Option<DataType>) -> Value {
    data_type.map_or(Value::Null, Value::NullOf)
}

/// Records as columns, each of the one type its values have; columns that are null without a type are left out.
/// `function` stands in front of messages.
pub fn batch_of(records: &[Record], function: &str) -> FluxResult<RecordBatch> {
    let mut columns: IndexMap<Arc<str>, Vec<Value>> = IndexMap::new();
    for (count, record) in records.iter().enumerate() {
        for (name, value) in record {
            if column_type(value).is_none() {
                let kind = value.type_name();
                return Err(FluxError::run(format!(
                    "{function}: property \"{name}\" is {kind} type which is not supported in a flux table"
                )));
            }
            let column = columns.entry(name.clone()).or_default();
            column.resize(count, Value::Null);
            column.push(value.clone());
        }
    }
    let (mut fields, mut arrays) = (vec![], vec![]);
    for (name, mut values) in columns {
        values.resize(records.len(), Value::Null);
        let data_type = values.iter().filter_map(column_type).try_fold(DataType::Null, |a, b| common_type(&a, &b))?;
        if data_type != DataType::Null {
            arrays.push(column_of(&values, &data_type)?);
            fields.push(Field::new(name.as_ref(), data_type, true));
        }
    }
    let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
}

/// Tables, each the names of its key columns and its rows, as frames; tables of one key follow each other.
pub fn frames(tables: Vec<(Vec<String>, RecordBatch)>, context: &dyn Context) -> FluxResult<Vec<Frame>> {
    let mut alike: Vec<(SchemaRef, Vec<String>, Vec<RecordBatch>)> = vec![];
    for (key, rows) in tables.into_iter().filter(|(_, rows)| rows.num_rows() > 0) {
        match alike.iter_mut().find(|(schema, k, _)| *schema == rows.schema() && *k == key) {
            Some((_, _, batches)) => batches.push(rows),
            None => alike.push((rows.schema(), key, vec![rows])),
        }
    }
    let frames = alike.into_iter().map(|(schema, key, batches)| Ok(Frame::long(values(schema, batches)?, key)));
    Ok(regroup_frames(frames.collect::<crate::model::Result<_>>()?, context)?)
}

/// Fails unless `record` still holds every value of a group key.
pub fn check_key(record: &Record, key: &Record, table: &Table, message: impl Fn(&str, &str) -> String) -> FluxResult<()> {
    for (name, value) in key {
        let same = record.get(name).is_some_and(|v| value_text(v) == value_text(value) || v.is_null() && value.is_null());
        if !same {
            let kind = table.data_type(name).map_or("null", |t| type_name(&t));
            return Err(FluxError::run(message(name, kind)));
        }
    }
    Ok(())
}
