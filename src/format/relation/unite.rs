//! Several answers of one query as one relation: the columns of all of them, in order of appearance.
//!
//! A column that an answer lacks is null there. One name with two types is text where all are text, a float where all
//! are numbers (integers past 2^53 lose digits), and an error otherwise.

use crate::{
    format::{series::StatementAnswer, table::ResultTables},
    model::{Failure, Result, runs::runs, schema::tag_type},
};
use arrow::{
    array::{ArrayRef, Int64Array, StringArray, new_null_array},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use datafusion::{execution::SendableRecordBatchStream, physical_plan::stream::RecordBatchStreamAdapter};
use futures::StreamExt;
use std::sync::Arc;

/// Where a column of a part comes from.
#[derive(Clone)]
enum Origin {
    Column(usize),
    /// The same text in every row.
    Text(String),
    /// The number of the table that a row belongs to; tables end where one of these columns changes.
    TableNumber(Vec<usize>),
}

/// One answer and its columns.
struct Part {
    columns: Vec<(String, Origin, DataType)>,
    batches: SendableRecordBatchStream,
    /// Begins to count tables at zero.
    first_of_result: bool,
}

/// Flux results as one relation: `result` (its name), `table` (numbered from 0 in each result, as annotated CSV does)
/// and the columns of the tables.
pub fn of_tables(results: Vec<ResultTables>) -> Result<SendableRecordBatchStream> {
    let mut parts = vec![];
    for result in results {
        let mut first_of_result = true;
        for frame in result.frames {
            let schema = frame.batches.schema();
            let key = frame.key.iter().map(|k| schema.index_of(k)).collect::<Result<Vec<_>, _>>()?;
            let mut columns = vec![
                ("result".to_string(), Origin::Text(result.name.clone()), DataType::Utf8),
                ("table".to_string(), Origin::TableNumber(key), DataType::Int64),
            ];
            columns.extend(own_columns(&schema));
            parts.push(Part { columns, batches: frame.batches, first_of_result: std::mem::take(&mut first_of_result) });
        }
    }
    unite(parts)
}

/// The series of an InfluxQL statement as one relation: `iox::measurement`, `time`, the tags, and the other columns, as
/// InfluxDB 3 answers. A statement that failed is a failure.
pub fn of_series(answer: StatementAnswer) -> Result<SendableRecordBatchStream> {
    if let Some(error) = answer.error {
        return Err(Failure::invalid(error));
    }
    let mut parts = vec![];
    for series in answer.series {
        let schema = series.batches.schema();
        let layout = series.layout;
        let zone: Option<Arc<str>> = layout.zone.map(|z| z.name().into());
        let column = |(name, at): &(String, usize)| {
            let data_type = match schema.field(*at).data_type() {
                DataType::Timestamp(unit, None) if zone.is_some() => DataType::Timestamp(*unit, zone.clone()),
                other => other.clone(),
            };
            (name.clone(), Origin::Column(*at), data_type)
        };
        let mut columns = vec![];
        columns.extend(layout.name.map(|name| ("iox::measurement".to_string(), Origin::Text(name), DataType::Utf8)));
        // Time comes first in every list of values that has it.
        let times = layout.values.first().is_some_and(|(_, at)| matches!(schema.field(*at).data_type(), DataType::Timestamp(..)));
        let (time, values) = layout.values.split_at(usize::from(times));
        columns.extend(time.iter().chain(&layout.tags).chain(values).map(column));
        parts.push(Part { columns, batches: series.batches, first_of_result: true });
    }
    unite(parts)
}

fn own_columns(schema: &Schema) -> impl Iterator<Item = (String, Origin, DataType)> {
    schema.fields().iter().enumerate().map(|(i, f)| (f.name().clone(), Origin::Column(i), f.data_type().clone()))
}

fn unite(parts: Vec<Part>) -> Result<SendableRecordBatchStream> {
    let mut columns: Vec<(String, DataType)> = vec![];
    for part in &parts {
        // A name that occurs twice in one answer stays two columns: the n-th is the n-th everywhere.
        let mut taken = vec![false; columns.len()];
        for (name, _, data_type) in &part.columns {
            match (0..taken.len()).find(|i| !taken[*i] && columns[*i].0 == *name) {
                Some(at) => {
                    taken[at] = true;
                    let known = &mut columns[at].1;
                    *known = common_type(known, data_type).ok_or_else(|| clash(name, known, data_type))?;
                }
                None => columns.push((name.clone(), data_type.clone())),
            }
        }
    }
    let schema = Arc::new(Schema::new(columns.into_iter().map(|(n, t)| Field::new(n, t, true)).collect::<Vec<_>>()));
    let given = schema.clone();
    // Table numbers run on from one frame to the next, so they are counted where rows flow.
    let state = (schema, parts.into_iter(), None::<Running>, 0_i64);
    let rows = futures::stream::try_unfold(state, |(schema, mut parts, mut running, mut tables)| async move {
        loop {
            let Some(now) = &mut running else {
                let Some(part) = parts.next() else { return Ok(None) };
                if part.first_of_result {
                    tables = 0;
                }
                running = Some(Running { places: places(&schema, &part.columns), part, schema: schema.clone(), last_key: None });
                continue;
            };
            match now.part.batches.next().await {
                Some(batch) => {
                    let batch = now.place(&batch?, &mut tables)?;
                    return Ok(Some((batch, (schema, parts, running, tables))));
                }
                None => running = None,
            }
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(given, rows)))
}

/// For each column of `schema` the column of the part, if it has it.
fn places(schema: &Schema, columns: &[(String, Origin, DataType)]) -> Vec<Option<Origin>> {
    let mut taken = vec![false; columns.len()];
    let place = |field: &Arc<Field>| {
        let at = (0..columns.len()).find(|i| !taken[*i] && columns[*i].0 == *field.name())?;
        taken[at] = true;
        Some(columns[at].1.clone())
    };
    schema.fields().iter().map(place).collect()
}

struct Running {
    part: Part,
    places: Vec<Option<Origin>>,
    schema: SchemaRef,
    /// Key cells of the last row seen, each an array of length one.
    last_key: Option<Vec<ArrayRef>>,
}

impl Running {
    /// The rows with the united columns. `tables` counts the tables begun so far.
    fn place(&mut self, batch: &RecordBatch, tables: &mut i64) -> Result<RecordBatch> {
        let count = batch.num_rows();
        let mut columns: Vec<ArrayRef> = vec![];
        for (place, field) in self.places.iter().zip(self.schema.fields()) {
            let wanted = field.data_type();
            columns.push(match place {
                None => new_null_array(wanted, count),
                Some(Origin::Column(at)) if batch.column(*at).data_type() == wanted => batch.column(*at).clone(),
                Some(Origin::Column(at)) => cast(batch.column(*at), wanted)?,
                Some(Origin::Text(text)) => Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, count))),
                Some(Origin::TableNumber(key)) => {
                    let key: Vec<ArrayRef> = key.iter().map(|c| batch.column(*c).clone()).collect();
                    Arc::new(table_numbers(&key, count, &mut self.last_key, tables)?)
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?)
    }
}

fn table_numbers(key: &[ArrayRef], rows: usize, last: &mut Option<Vec<ArrayRef>>, tables: &mut i64) -> Result<Int64Array> {
    if rows == 0 {
        return Ok(Int64Array::from(Vec::<i64>::new()));
    }
    let cells = |row: usize| key.iter().map(|c| c.slice(row, 1)).collect::<Vec<_>>();
    let goes_on = last.as_ref().is_some_and(|last| *last == cells(0));
    let mut numbers = Vec::with_capacity(rows);
    for (i, range) in runs(key, rows)?.into_iter().enumerate() {
        *tables += i64::from(i > 0 || !goes_on);
        numbers.resize(range.end, *tables - 1);
    }
    *last = Some(cells(rows - 1));
    Ok(Int64Array::from(numbers))
}

fn common_type(a: &DataType, b: &DataType) -> Option<DataType> {
    let text = |t: &DataType| *t == DataType::Utf8 || *t == tag_type();
    Some(match (a, b) {
        (a, b) if a == b => a.clone(),
        (DataType::Null, other) | (other, DataType::Null) => other.clone(),
        (a, b) if text(a) && text(b) => DataType::Utf8,
        (a, b) if a.is_numeric() && b.is_numeric() => DataType::Float64,
        (DataType::Timestamp(_, zone), DataType::Timestamp(_, other)) if zone == other => {
            DataType::Timestamp(TimeUnit::Nanosecond, zone.clone())
        }
        _ => return None,
    })
}

fn clash(name: &str, a: &DataType, b: &DataType) -> Failure {
    let advice = "ask for one of them only, convert it, or pivot the fields into columns of their own";
    Failure::invalid(format!(
        "column \"{name}\" is {a} in one part of the answer and {b} in another, and this format has one type per column: {advice}"
    ))
}
