//! The tally of a measurement as the server answers it.

use super::tally::{self, Cell, Tally};
use crate::{
    cli::{connection::Connection, server::Server},
    format::relation::RelationFormat,
    model::{Failure, FieldType, Result, TIME_COLUMN},
};
use arrow::{
    array::{Array, ArrayAccessor, ArrayRef, AsArray, RecordBatch, StringArray},
    datatypes::{DataType, Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt64Type},
    ipc::reader::StreamReader,
};
use reqwest::{Method, StatusCode};
use serde_json::json;
use std::io::BufReader;

/// Counts what a bucket has of a measurement between the times that the files have. Rows are read as they come.
pub fn tally(server: &Server, org: &[(&'static str, String)], bucket_id: &str, measurement: &str, files: &Tally) -> Result<Tally> {
    let Some((first, last)) = files.times else { return Ok(Tally::default()) };
    let bound = |time: i64| format!("arrow_cast({time}, 'Timestamp(Nanosecond, None)')");
    let table = measurement.replace('"', "\"\"");
    let text = format!("SELECT * FROM \"{table}\" WHERE time >= {} AND time <= {}", bound(first), bound(last));
    let body = json!({ "db": bucket_id, "q": text, "format": RelationFormat::ArrowStream.name() });
    let failed = |f: Failure| f.context(format!("measurement \"{measurement}\" was imported but cannot be compared"));
    let answer =
        match server.exchange(server.request(Method::POST, "/api/v3/query_sql", &Connection::params(org)).json(&body)).map_err(failed)? {
            Ok(answer) => answer,
            // The server took no row of it.
            Err(refusal) if refusal.status == StatusCode::NOT_FOUND => return Ok(Tally::default()),
            Err(refusal) => return Err(failed(refusal.into())),
        };
    let mut tally = Tally::default();
    let rows = StreamReader::try_new(BufReader::new(answer), None).map_err(|e| failed(e.into()))?;
    for batch in rows {
        add(&mut tally, &batch.map_err(|e| failed(e.into()))?)?;
    }
    Ok(tally)
}

/// Adds the rows of a batch: a column of times, tags as dictionaries, and fields.
fn add(tally: &mut Tally, batch: &RecordBatch) -> Result<()> {
    let unknown = |what: &str| Failure::internal(format!("the server answered with {what}"));
    let (mut times, mut tags, mut fields) = (None, vec![], vec![]);
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        match field.data_type() {
            DataType::Timestamp(..) if field.name() == TIME_COLUMN => times = column.as_primitive_opt::<TimestampNanosecondType>(),
            DataType::Dictionary(..) => {
                let values = column.as_dictionary_opt::<Int32Type>().and_then(|tag| tag.downcast_dict::<StringArray>());
                tags.push((field.name().clone(), values.ok_or_else(|| unknown("a tag that is no text"))?));
            }
            other => {
                let kind = FieldType::from_arrow(other).ok_or_else(|| unknown(&format!("a field of type {other}")))?;
                fields.push((tally::checksum([field.name().as_bytes()]), kind, column));
            }
        }
    }
    let times = times.ok_or_else(|| unknown("no times"))?;
    for row in 0..batch.num_rows() {
        let time = times.value(row);
        tally.row(time);
        let present = tags.iter().filter(|(_, values)| values.is_valid(row));
        let series = tally::checksum(present.flat_map(|(name, values)| [name.as_bytes(), values.value(row).as_bytes()]));
        for (field, kind, column) in fields.iter().filter(|(_, _, column)| column.is_valid(row)) {
            tally.value(series, *field, time, cell(*kind, column, row));
        }
    }
    Ok(())
}

fn cell(kind: FieldType, column: &ArrayRef, row: usize) -> Cell<'_> {
    let (bits, text): (u64, &[u8]) = match kind {
        FieldType::Float => (column.as_primitive::<Float64Type>().value(row).to_bits(), &[]),
        FieldType::Integer => (column.as_primitive::<Int64Type>().value(row) as u64, &[]),
        FieldType::Unsigned => (column.as_primitive::<UInt64Type>().value(row), &[]),
        FieldType::Boolean => (u64::from(column.as_boolean().value(row)), &[]),
        FieldType::String => (0, column.as_string::<i32>().value(row).as_bytes()),
    };
    Cell { kind, bits, text }
}
