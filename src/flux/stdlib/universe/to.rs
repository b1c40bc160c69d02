//! `to`: rows written into a bucket while the query runs; they pass on unchanged.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{each, run_error},
        },
    },
    model::{FieldType, MeasurementSchema, runs::runs},
    plan::{BucketInfo, BucketRef, Context, Frame, WriteRows},
};
use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::{cast, is_null},
    datatypes::DataType,
    record_batch::RecordBatch,
};
use datafusion::common::Result;
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "to",
    signature: "(<-tables: stream[A], ?bucket: string, ?bucketID: string, ?org: string, ?orgID: string, ?host: string, ?token: string, ?timeColumn: string, ?measurementColumn: string, ?tagColumns: [string]) => stream[A]",
    summary: "Writes `_field` and `_value` of each row, with every other string column as a tag, and gives the rows on.",
    examples: &[],
    call: to,
};

#[derive(Debug, Clone)]
struct Target {
    bucket: BucketInfo,
    time: String,
    measurement: String,
    tags: Option<Vec<String>>,
}

fn to(call: &mut Call<'_>) -> FluxResult<Value> {
    let (name, id) = (call.optional::<Arc<str>>("bucket")?, call.optional::<Arc<str>>("bucketID")?);
    let name = match (name, id) {
        (Some(name), None) | (None, Some(name)) => name,
        _ => return Err(FluxError::invalid("to: must specify exactly one of bucket or bucketID").at(call.span)),
    };
    if call.get("host").is_some() {
        return Err(FluxError::invalid("to: writing to another host is not supported").at(call.span));
    }
    let target = Target {
        bucket: call.context().bucket(BucketRef::NameOrId(&name))?,
        time: call.column_name("timeColumn", "_time")?,
        measurement: call.column_name("measurementColumn", "_measurement")?,
        tags: call.optional("tagColumns")?,
    };
    let context = call.context().shared();
    each(call, |frame: &Frame| {
        let (target, context) = (target.clone(), context.clone());
        frame.without_empty_tables()?.whole_tables("to", frame.schema(), frame.key.clone(), false, move |_, rows| {
            write(rows, &target, context.as_ref())?;
            Ok(rows.clone())
        })
    })
}

/// Splits the rows of a table into stretches of one measurement and field, and writes each.
fn write(rows: &RecordBatch, target: &Target, context: &dyn Context) -> Result<()> {
    let text = |name: &str| -> Result<ArrayRef> {
        let column = rows.column_by_name(name).ok_or_else(|| run_error(format!("to: no column with label {name} exists")))?;
        Ok(cast(column, &DataType::Utf8)?)
    };
    let time = rows.column_by_name(&target.time).ok_or_else(|| run_error(format!("to: no column with label {} exists", target.time)))?;
    let value = rows.column_by_name("_value").ok_or_else(|| run_error("to: no column with label _value exists"))?;
    let (measurement, field) = (text(&target.measurement)?, text("_field")?);
    let schema = rows.schema();
    let own = [target.measurement.as_str(), "_field", "_value", target.time.as_str()];
    let is_text = |t: &DataType| matches!(t, DataType::Utf8 | DataType::Dictionary(..));
    let mut tags: Vec<String> = match &target.tags {
        Some(tags) => tags.clone(),
        None => {
            let texts = schema.fields().iter().filter(|f| is_text(f.data_type()) && !own.contains(&f.name().as_str()));
            texts.map(|f| f.name().clone()).collect()
        }
    };
    tags.sort();
    let field_type = match value.data_type() {
        DataType::Float64 => FieldType::Float,
        DataType::Int64 => FieldType::Integer,
        DataType::UInt64 => FieldType::Unsigned,
        DataType::Boolean => FieldType::Boolean,
        t if is_text(t) => FieldType::String,
        _ => return Err(run_error("to: `_value` must be a float, int, uint, string or bool")),
    };
    for cut in runs(&[measurement.clone(), field.clone()], rows.num_rows())? {
        let (measurement, field) = (measurement.as_string::<i32>(), field.as_string::<i32>());
        let mut stored = MeasurementSchema::new(measurement.value(cut.start));
        tags.iter().for_each(|t| {
            stored.add_tag(t.as_str());
        });
        stored.fields.insert(field.value(cut.start).into(), field_type);
        let layout = stored.arrow_schema();
        let columns = layout.fields().iter().map(|f| -> Result<ArrayRef> {
            let column = match f.name() {
                name if name.as_str() == crate::model::TIME_COLUMN => time,
                name if tags.contains(name) => {
                    rows.column_by_name(name).ok_or_else(|| run_error(format!("to: no column with label {name} exists")))?
                }
                _ => value,
            };
            Ok(cast(&column.slice(cut.start, cut.len()), f.data_type())?)
        });
        let batch = RecordBatch::try_new(layout.clone(), columns.collect::<Result<Vec<_>>>()?)?;
        // A row without time or value stores nothing.
        let missing = arrow::compute::or(&is_null(&time.slice(cut.start, cut.len()))?, &is_null(&value.slice(cut.start, cut.len()))?)?;
        let batch = arrow::compute::filter_record_batch(&batch, &arrow::compute::not(&missing)?)?;
        if batch.num_rows() > 0 {
            let measurement = measurement.value(cut.start).to_string();
            context.write(&target.bucket, vec![WriteRows { measurement, batch }])?;
        }
    }
    Ok(())
}
