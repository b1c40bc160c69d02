//! `wideTo`: rows with one column per field, written into a bucket while the query runs; they pass on unchanged.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{each, run_error},
        },
    },
    model::{FieldType, MeasurementSchema, TIME_COLUMN},
    plan::{BucketInfo, BucketRef, Context, Frame, WriteRows},
};
use arrow::{
    array::{ArrayRef, AsArray, BooleanArray},
    compute::{and, cast, filter_record_batch, is_not_null, or},
    datatypes::DataType,
    record_batch::RecordBatch,
};
use datafusion::common::Result;
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "wideTo",
    signature: "(<-tables: stream[A], ?bucket: string, ?bucketID: string, ?org: string, ?orgID: string, ?host: string, ?token: string) => stream[A]",
    summary: "Writes pivoted rows: string columns of the group key are tags, columns outside of it are fields. Gives the rows on.",
    examples: &[],
    call: wide_to,
};

fn wide_to(call: &mut Call<'_>) -> FluxResult<Value> {
    let (name, id) = (call.optional::<Arc<str>>("bucket")?, call.optional::<Arc<str>>("bucketID")?);
    let name = match (name, id) {
        (Some(name), None) | (None, Some(name)) => name,
        _ => return Err(FluxError::invalid("wideTo: must specify exactly one of bucket or bucketID").at(call.span)),
    };
    if call.get("host").is_some() {
        return Err(FluxError::invalid("wideTo: writing to another host is not supported").at(call.span));
    }
    let bucket = call.context().bucket(BucketRef::NameOrId(&name))?;
    let context = call.context().shared();
    each(call, |frame: &Frame| {
        if !frame.is_key("_measurement") {
            return frame.fail("wideTo", "wideTo: column \"_measurement\" must be in the group key".to_string());
        }
        if !frame.has("_time") {
            return frame.fail("wideTo", "wideTo: no column with label _time exists".to_string());
        }
        let (bucket, context, key) = (bucket.clone(), context.clone(), frame.key.clone());
        frame.without_empty_tables()?.whole_tables("wideTo", frame.schema(), frame.key.clone(), false, move |_, rows| {
            write(rows, &key, &bucket, context.as_ref())?;
            Ok(rows.clone())
        })
    })
}

/// Writes one table. Rows without a time, and rows without any field, store nothing.
fn write(rows: &RecordBatch, key: &[String], bucket: &BucketInfo, context: &dyn Context) -> Result<()> {
    let column = |name: &str| rows.column_by_name(name).ok_or_else(|| run_error(format!("wideTo: no column with label {name} exists")));
    let measurement = cast(column("_measurement")?, &DataType::Utf8)?;
    let measurement = measurement.as_string::<i32>().value(0).to_string();
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::Dictionary(..));
    let mut stored = MeasurementSchema::new(measurement.as_str());
    let schema = rows.schema();
    let mut tags: Vec<&str> = vec![];
    for field in schema.fields().iter().filter(|f| !matches!(f.name().as_str(), "_measurement" | "_time")) {
        match (key.contains(field.name()), field.data_type()) {
            (true, t) if is_text(t) => tags.push(field.name()),
            // Times of the key are the query's bounds.
            (true, _) | (false, DataType::Null) => {}
            (false, t) => {
                let kind = match t {
                    DataType::Float64 => FieldType::Float,
                    DataType::Int64 => FieldType::Integer,
                    DataType::UInt64 => FieldType::Unsigned,
                    DataType::Boolean => FieldType::Boolean,
                    t if is_text(t) => FieldType::String,
                    _ => return Err(run_error(format!("wideTo: column \"{}\" must be a float, int, uint, string or bool", field.name()))),
                };
                stored.fields.insert(field.name().as_str().into(), kind);
            }
        }
    }
    tags.sort_unstable();
    tags.iter().for_each(|t| {
        stored.add_tag(t);
    });
    let layout = stored.arrow_schema();
    let columns = layout.fields().iter().map(|f| -> Result<ArrayRef> {
        let name = if f.name() == TIME_COLUMN { "_time" } else { f.name().as_str() };
        Ok(cast(column(name)?, f.data_type())?)
    });
    let batch = RecordBatch::try_new(layout.clone(), columns.collect::<Result<Vec<_>>>()?)?;
    let mut any = BooleanArray::from(vec![false; rows.num_rows()]);
    for name in stored.fields.keys() {
        any = or(&any, &is_not_null(column(name.as_ref())?)?)?;
    }
    let batch = filter_record_batch(&batch, &and(&any, &is_not_null(column("_time")?)?)?)?;
    if batch.num_rows() > 0 {
        context.write(bucket, vec![WriteRows { measurement, batch }])?;
    }
    Ok(())
}
