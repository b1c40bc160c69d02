//! Wide rows to `_field`/`_value` rows: each field column of a table becomes a table of its own.
//!
//! All fields given have one type. With one field, rows stream; with several, one wide table is held at a time, since
//! its rows belong to several tables that come one after the other.

use super::per_table::{TableState, TableTransform, per_table};
use crate::model::schema::tag_type;
use arrow::{
    array::{Array, ArrayRef, BooleanArray, StringArray},
    compute::{cast, concat_batches, filter_record_batch, is_not_null},
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{common::Result, logical_expr::LogicalPlan};
use std::{collections::HashSet, sync::Arc};

/// What the long rows are made of.
#[derive(Debug, Clone)]
struct Unpivot {
    fields: Vec<String>,
    null_rows: bool,
    schema: SchemaRef,
    /// Columns that stay what they are, their type too.
    unchanged: Vec<String>,
}

/// Long rows of `input`: every column but the wide ones, then `_field` and `_value`. A null is no row; with
/// `null_rows`, it is a null value in tables that have any value. `key` tells the wide tables apart.
pub fn unpivot(input: LogicalPlan, key: &[String], wide: &[String], fields: &[String], null_rows: bool) -> Result<LogicalPlan> {
    let from = input.schema().as_arrow().clone();
    let mut columns: Vec<Field> = from.fields().iter().filter(|f| !wide.contains(f.name())).map(|f| plain(f)).collect();
    let value_type = fields.first().map(|f| from.field_with_name(f).map(|f| f.data_type().clone())).transpose()?;
    columns.push(Field::new("_field", DataType::Utf8, true));
    columns.push(Field::new("_value", value_type.unwrap_or(DataType::Null), true));
    let schema = Arc::new(Schema::new(columns));
    let output_key: Vec<String> = key.iter().cloned().chain(["_field".to_string()]).collect();
    // With `null_rows`, whether a table has values decides over rows that have none.
    let stays = |f: &&Arc<Field>| !null_rows && from.field_with_name(f.name()).is_ok_and(|old| old.data_type() == f.data_type());
    let unchanged = schema.fields().iter().filter(stays).map(|f| f.name().clone()).collect();
    let transform = Unpivot { fields: fields.to_vec(), null_rows, schema: schema.clone(), unchanged };
    per_table(input, key, Arc::new(transform), schema, &output_key)
}

/// Tags lose their dictionary: long rows hold Flux's six types only.
fn plain(field: &Field) -> Field {
    let data_type = if field.data_type() == &tag_type() { DataType::Utf8 } else { field.data_type().clone() };
    Field::new(field.name(), data_type, true)
}

impl TableTransform for Unpivot {
    fn name(&self) -> &'static str {
        "Unpivot"
    }

    fn unchanged(&self) -> HashSet<String> {
        self.unchanged.iter().cloned().collect()
    }

    fn start(&self, _first: &RecordBatch) -> Result<Box<dyn TableState>> {
        Ok(Box::new(State { shape: self.clone(), held: vec![], bytes: 0 }))
    }
}

struct State {
    shape: Unpivot,
    held: Vec<RecordBatch>,
    bytes: usize,
}

impl State {
    fn long(&self, rows: &RecordBatch, field: &str, keep_nulls: bool) -> Result<RecordBatch> {
        let value = rows.column_by_name(field).expect("the planner took the field from this schema").clone();
        let count = rows.num_rows();
        let mut columns: Vec<ArrayRef> = vec![];
        for column in self.shape.schema.fields() {
            columns.push(match column.name().as_str() {
                "_field" => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(field, count))),
                "_value" => value.clone(),
                name => {
                    let from = rows.column_by_name(name).expect("the planner took the column from this schema");
                    if from.data_type() == column.data_type() { from.clone() } else { cast(from, column.data_type())? }
                }
            });
        }
        let long = RecordBatch::try_new(self.shape.schema.clone(), columns)?;
        if keep_nulls || value.null_count() == 0 {
            return Ok(long);
        }
        let present: BooleanArray = is_not_null(&value)?;
        Ok(filter_record_batch(&long, &present)?)
    }
}

impl TableState for State {
    fn push(&mut self, rows: &RecordBatch, out: &mut Vec<RecordBatch>) -> Result<()> {
        if self.shape.fields.len() == 1 && !self.shape.null_rows {
            out.push(self.long(rows, &self.shape.fields[0], false)?);
            return Ok(());
        }
        self.bytes += rows.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(0)).sum::<usize>();
        self.held.push(rows.clone());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()> {
        let Some(first) = self.held.first() else { return Ok(()) };
        let table = if self.held.len() == 1 { first.clone() } else { concat_batches(&first.schema(), &self.held)? };
        for field in &self.shape.fields {
            let value = table.column_by_name(field).expect("the planner took the field from this schema");
            if value.null_count() < value.len() {
                out.push(self.long(&table, field, self.shape.null_rows)?);
            }
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.bytes
    }
}
