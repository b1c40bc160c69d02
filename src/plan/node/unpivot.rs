//! Wide rows to `_field`/`_value` rows: each field column of a table becomes a table of its own.
//!
//! All fields given have one type. With one field, rows stream; with several, the wide table that may go on is held, since
//! its rows belong to several tables that come one after the other.

use super::{
    operator::{BatchWork, Batches, Operator, OperatorNode, joined, worked},
    size::held_bytes,
};
use crate::model::{runs::runs, schema::tag_type};
use arrow::{
    array::{Array, ArrayData, ArrayRef, AsArray, MutableArrayData, StringBuilder, UInt64Array, make_array},
    compute::{cast, concat_batches, interleave, take},
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use std::{collections::HashSet, ops::Range, sync::Arc};

/// What the long rows are made of.
#[derive(Debug, Clone)]
struct Unpivot {
    /// Tells the wide tables apart.
    key: Vec<String>,
    fields: Vec<String>,
    null_rows: bool,
    /// Columns that stay what they are, their type too.
    unchanged: HashSet<String>,
}

/// The first columns of rows from a store; tags follow in name order, `_field` and `_measurement` among them (InfluxDB 2.7).
const FIRST_COLUMNS: [&str; 4] = ["_start", "_stop", "_time", "_value"];

/// Long rows of `input`: `_field` and `_value` in place of `fields`, columns in the order of rows from a store. A null is no
/// row; with `null_rows`, it is a null value in tables that have any value. `key` tells the wide tables apart.
pub fn unpivot(input: LogicalPlan, key: &[String], fields: &[String], null_rows: bool) -> Result<LogicalPlan> {
    let from = input.schema().as_arrow().clone();
    let mut columns: Vec<Field> = from.fields().iter().filter(|f| !fields.contains(f.name())).map(|f| plain(f)).collect();
    let value_type = fields.first().map(|f| from.field_with_name(f).map(|f| f.data_type().clone())).transpose()?;
    columns.push(Field::new("_field", DataType::Utf8, true));
    columns.push(Field::new("_value", value_type.unwrap_or(DataType::Null), true));
    let place = |name: &str| FIRST_COLUMNS.iter().position(|first| *first == name).unwrap_or(FIRST_COLUMNS.len());
    columns.sort_by_key(|f| (place(f.name()), f.name().clone()));
    // With `null_rows`, whether a table has values decides over rows that have none.
    // A field may be called as one of the two new columns is.
    let is_new = |f: &Field| f.name() == "_field" || f.name() == "_value";
    let same = |f: &Field| from.field_with_name(f.name()).is_ok_and(|old| old.data_type() == f.data_type());
    let stays = |f: &&Field| !null_rows && !is_new(f) && same(f);
    let unchanged = columns.iter().filter(stays).map(|f| f.name().clone()).collect();
    let operator = Unpivot { key: key.to_vec(), fields: fields.to_vec(), null_rows, unchanged };
    OperatorNode::plan(Arc::new(operator), vec![input], Arc::new(Schema::new(columns)))
}

/// Tags lose their dictionary: long rows hold Flux's six types only.
pub fn plain(field: &Field) -> Field {
    let data_type = if field.data_type() == &tag_type() { DataType::Utf8 } else { field.data_type().clone() };
    Field::new(field.name(), data_type, true)
}

impl Operator for Unpivot {
    fn name(&self) -> &'static str {
        "Unpivot"
    }

    fn describe(&self) -> String {
        format!("by [{}]", self.key.join(", "))
    }

    fn unchanged(&self, _schema: &Schema) -> HashSet<String> {
        self.unchanged.clone()
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, memory: MemoryReservation) -> Result<Batches> {
        let input = inputs.remove(0);
        let from = input.schema();
        let at = |names: &[String]| names.iter().map(|n| from.index_of(n)).collect::<Result<Vec<_>, _>>();
        let sources = schema.fields().iter().map(|f| match f.name().as_str() {
            "_field" => Ok(Source::FieldName),
            "_value" => Ok(Source::Value),
            name => from.index_of(name).map(Source::Column),
        });
        let work = Work {
            key: at(&self.key)?,
            fields: at(&self.fields)?,
            sources: sources.collect::<Result<_, _>>()?,
            schema,
            spec: self.clone(),
            open: None,
            held: vec![],
            held_bytes: 0,
            given_bytes: 0,
            memory,
        };
        Ok(worked(input, work))
    }
}

/// A field's name, and where it ends.
const FIELD_NAME_BYTES: usize = 16;

/// What an output column is made of.
enum Source {
    FieldName,
    Value,
    Column(usize),
}

struct Work {
    spec: Unpivot,
    key: Vec<usize>,
    fields: Vec<usize>,
    sources: Vec<Source>,
    schema: SchemaRef,
    /// Key of the wide table that may go on, and its rows.
    open: Option<Vec<ArrayRef>>,
    held: Vec<RecordBatch>,
    held_bytes: usize,
    /// Bytes of the long rows made last, which somebody works on.
    given_bytes: usize,
    memory: MemoryReservation,
}

impl BatchWork for Work {
    fn take(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let count = batch.num_rows();
        self.given_bytes = 0;
        if let ([_], false) = (self.fields.as_slice(), self.spec.null_rows) {
            // The rows of the one field are those of its table, wherever that begins and ends.
            return self.long(batch, std::slice::from_ref(&(0..count)));
        }
        let keys: Vec<ArrayRef> = self.key.iter().map(|k| batch.column(*k).clone()).collect();
        let tables = runs(&keys, count)?;
        let key = |run: &Range<usize>| keys.iter().map(|k| k.slice(run.start, 1)).collect::<Vec<_>>();
        let (Some(first), Some(last)) = (tables.first(), tables.last()) else { return Ok(None) };
        let goes_on = self.open.as_ref().is_some_and(|open| *open == key(first));
        if goes_on {
            self.hold(batch.slice(first.start, first.len()))?;
            if tables.len() == 1 {
                return Ok(None);
            }
        }
        let before = self.close()?;
        let whole = self.long(batch, &tables[usize::from(goes_on)..tables.len() - 1])?;
        self.open = Some(key(last));
        self.hold(batch.slice(last.start, last.len()))?;
        joined(before, whole)
    }

    /// The long rows of the table that is held, which has ended.
    fn close(&mut self) -> Result<Option<RecordBatch>> {
        let held = std::mem::take(&mut self.held);
        let Some(first) = held.first() else { return Ok(None) };
        let table = if held.len() == 1 { first.clone() } else { concat_batches(first.schema_ref(), &held)? };
        let whole = 0..table.num_rows();
        let long = self.long(&table, std::slice::from_ref(&whole))?;
        self.held_bytes = 0;
        self.memory.try_resize(self.given_bytes)?;
        Ok(long)
    }
}

impl Work {
    fn hold(&mut self, rows: RecordBatch) -> Result<()> {
        self.held_bytes += held_bytes(&rows);
        self.memory.try_resize(self.held_bytes + self.given_bytes)?;
        self.held.push(rows);
        Ok(())
    }

    /// About the bytes of a long row, where each column has its texts itself.
    fn long_row_bytes(&self, batch: &RecordBatch) -> usize {
        let per_row = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(0) / column.len().max(1);
        let width = |column: &ArrayRef| column.as_any_dictionary_opt().map_or_else(|| per_row(column), |d| per_row(d.values()));
        let columns = self.sources.iter().map(|source| match source {
            Source::FieldName => FIELD_NAME_BYTES,
            Source::Value => self.fields.iter().map(|f| width(batch.column(*f))).max().unwrap_or(0),
            Source::Column(at) => width(batch.column(*at)),
        });
        columns.sum()
    }

    /// Long rows of whole tables.
    fn long(&mut self, batch: &RecordBatch, tables: &[Range<usize>]) -> Result<Option<RecordBatch>> {
        let values: Vec<&ArrayRef> = self.fields.iter().map(|f| batch.column(*f)).collect();
        let rows = LongRows::of(&values, tables, self.spec.null_rows);
        if rows.count == 0 {
            return Ok(None);
        }
        self.given_bytes += rows.count * self.long_row_bytes(batch) + rows.bytes();
        self.memory.try_resize(self.held_bytes + self.given_bytes)?;
        let is_all = values.len() == 1 && rows.count == batch.num_rows();
        let columns = self.sources.iter().zip(self.schema.fields()).map(|(source, field)| -> Result<ArrayRef> {
            Ok(match source {
                Source::FieldName => {
                    let mut names = StringBuilder::new();
                    for (field, rows) in &rows.stretches {
                        rows.clone().for_each(|_| names.append_value(&self.spec.fields[*field]));
                    }
                    Arc::new(names.finish())
                }
                Source::Value if is_all => values[0].clone(),
                Source::Value => rows.values(&values)?,
                Source::Column(at) => {
                    let column = batch.column(*at);
                    let taken = if is_all { column.clone() } else { rows.column(column)? };
                    if taken.data_type() == field.data_type() { taken } else { cast(&taken, field.data_type())? }
                }
            })
        });
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns.collect::<Result<Vec<_>>>()?)?))
    }
}

/// Rows of a stretch, on average, from which stretches are copied whole.
const LONG_STRETCH: usize = 8;

/// What long rows are made of.
struct LongRows {
    /// Field and wide rows, one after the other.
    stretches: Vec<(usize, Range<usize>)>,
    count: usize,
    /// Field and wide row of each, and the wide rows alone, where stretches are short.
    places: Option<(Vec<(usize, usize)>, UInt64Array)>,
}

impl LongRows {
    fn of(values: &[&ArrayRef], tables: &[Range<usize>], null_rows: bool) -> LongRows {
        let mut stretches: Vec<(usize, Range<usize>)> = vec![];
        for table in tables {
            for (field, column) in values.iter().enumerate() {
                let Some(nulls) = column.nulls().filter(|nulls| nulls.null_count() > 0) else {
                    stretches.push((field, table.clone()));
                    continue;
                };
                let nulls = nulls.slice(table.start, table.len());
                if !null_rows {
                    stretches.extend(nulls.valid_slices().map(|(start, end)| (field, table.start + start..table.start + end)));
                } else if nulls.null_count() < table.len() {
                    stretches.push((field, table.clone()));
                }
            }
        }
        let count = stretches.iter().map(|(_, rows)| rows.len()).sum::<usize>();
        let places = (stretches.len() * LONG_STRETCH > count).then(|| {
            let places: Vec<_> = stretches.iter().flat_map(|(field, rows)| rows.clone().map(move |row| (*field, row))).collect();
            let rows = UInt64Array::from_iter_values(places.iter().map(|(_, row)| *row as u64));
            (places, rows)
        });
        LongRows { stretches, count, places }
    }

    fn bytes(&self) -> usize {
        let places =
            self.places.as_ref().map_or(0, |(places, rows)| places.len() * size_of::<(usize, usize)>() + rows.len() * size_of::<u64>());
        self.stretches.capacity() * size_of::<(usize, Range<usize>)>() + places
    }

    fn values(&self, values: &[&ArrayRef]) -> Result<ArrayRef> {
        match &self.places {
            Some((places, _)) => Ok(interleave(&values.iter().map(|v| v.as_ref()).collect::<Vec<_>>(), places)?),
            None => self.copied(values, |field| field),
        }
    }

    /// The same rows of a column that all fields share.
    fn column(&self, column: &ArrayRef) -> Result<ArrayRef> {
        match &self.places {
            Some((_, rows)) => Ok(take(column, rows, None)?),
            None => self.copied(&[column], |_| 0),
        }
    }

    fn copied(&self, sources: &[&ArrayRef], source_of: impl Fn(usize) -> usize) -> Result<ArrayRef> {
        let sources: Vec<ArrayData> = sources.iter().map(|source| source.to_data()).collect();
        let mut rows = MutableArrayData::new(sources.iter().collect(), false, self.count);
        self.stretches.iter().try_for_each(|(field, stretch)| rows.try_extend(source_of(*field), stretch.start, stretch.end))?;
        Ok(make_array(rows.freeze()))
    }
}
