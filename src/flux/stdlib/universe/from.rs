//! `from` and `buckets`: where streams begin.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{Call, Function},
    },
    model::{BucketId, MeasurementSchema, TIME_COLUMN},
    plan::{BucketRef, Frame, MeasurementTable, TableStream, node::ordered::ordered, stream::col},
};
use arrow::{
    array::{ArrayRef, Int64Array, StringArray},
    datatypes::DataType,
    record_batch::RecordBatch,
};
use datafusion::{
    common::ScalarValue,
    datasource::provider_as_source,
    logical_expr::{LogicalPlanBuilder, lit},
};
use std::sync::Arc;

/// Package `internal/testing`.
pub const STORED: &[&Function] = &[&EVERYTHING];

pub static FROM: Function = Function {
    name: "from",
    signature: "(?bucket: string, ?bucketID: string, ?host: string, ?org: string, ?orgID: string, ?token: string) => stream[A]",
    summary: "Reads the rows of a bucket; `range` bounds them in time.",
    examples: &[],
    call: |call| {
        let (tables, bucket) = read(call)?;
        Ok(Value::Stream(Arc::new(TableStream { unbounded: Some(bucket), ..tables })))
    },
};

static EVERYTHING: Function = Function {
    name: "everything",
    signature: "(?bucket: string, ?bucketID: string) => stream[A]",
    summary: "Reads all rows of a bucket, of whatever time, for tests of what was stored.",
    examples: &[],
    call: |call| Ok(Value::Stream(Arc::new(read(call)?.0))),
};

/// All rows of a bucket, and what the script calls it.
fn read(call: &mut Call<'_>) -> FluxResult<(TableStream, Arc<str>)> {
    let (name, id) = (call.optional::<Arc<str>>("bucket")?, call.optional::<Arc<str>>("bucketID")?);
    let bucket = match (&name, &id) {
        (Some(name), None) => call.context().bucket(BucketRef::NameOrId(name))?,
        (None, Some(id)) => {
            let id: BucketId = id.parse().map_err(|_| FluxError::invalid(format!("invalid bucket ID \"{id}\"")).at(call.span))?;
            call.context().bucket(BucketRef::Id(id))?
        }
        _ => return Err(FluxError::invalid("from: must specify exactly one of bucket or bucketID").at(call.span)),
    };
    let context = call.context();
    let mut frames = vec![];
    for schema in context.measurements(bucket.id)? {
        let Some(MeasurementTable { schema, rows }) = context.table(bucket.id, &schema.measurement)? else { continue };
        let scan = LogicalPlanBuilder::scan("rows", provider_as_source(rows), None)?.build()?;
        frames.push(wide_frame(scan, &schema)?);
    }
    Ok((TableStream::new(frames, None), name.or(id).unwrap_or_default()))
}

/// A scan's rows as a wide frame: `_time`, `_measurement`, tags and fields. The key is the series.
fn wide_frame(scan: datafusion::logical_expr::LogicalPlan, schema: &MeasurementSchema) -> FluxResult<Frame> {
    let tags: Vec<String> = schema.tags.iter().map(|t| t.to_string()).collect();
    let fields: Vec<String> = schema.fields.keys().map(|f| f.to_string()).collect();
    let order = tags.iter().cloned().chain([TIME_COLUMN.to_string()]).collect();
    let plan = ordered(scan, order)?;
    // A dictionary of one value, as tags are: comparing its rows costs nothing.
    let name = ScalarValue::from(schema.measurement.as_ref());
    let measurement = lit(ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(name)));
    let mut columns = vec![("_time".to_string(), col(TIME_COLUMN)), ("_measurement".to_string(), measurement)];
    columns.extend(tags.iter().chain(&fields).map(|c| (c.clone(), col(c))));
    let key: Vec<String> = ["_measurement".to_string()].into_iter().chain(tags).collect();
    let frame = Frame { fields: fields.clone(), absent_keys: true, ..Frame::long(plan, vec![]) };
    Ok(frame.project(columns, key)?)
}

pub static BUCKETS: Function = Function {
    name: "buckets",
    signature: "(?host: string, ?org: string, ?orgID: string, ?token: string) => stream[{name: string, id: string, organizationID: string, retentionPolicy: string, retentionPeriod: int}]",
    summary: "Lists the buckets the caller may read, as one table.",
    examples: &[],
    call: buckets,
};

fn buckets(call: &mut Call<'_>) -> FluxResult<Value> {
    let buckets = call.context().buckets()?;
    let texts =
        |f: &dyn Fn(&crate::plan::BucketInfo) -> String| -> ArrayRef { Arc::new(StringArray::from_iter_values(buckets.iter().map(f))) };
    let retention: ArrayRef = Arc::new(Int64Array::from_iter_values(buckets.iter().map(|b| b.retention_ns.unwrap_or(0))));
    let batch = RecordBatch::try_from_iter([
        ("organizationID", texts(&|b| b.org_id.to_string())),
        ("name", texts(&|b| b.name.clone())),
        ("id", texts(&|b| b.id.to_string())),
        ("retentionPolicy", texts(&|_| String::new())),
        ("retentionPeriod", retention),
    ])?;
    let frame = Frame::of(batch, vec!["organizationID".to_string()])?;
    Ok(Value::Stream(Arc::new(TableStream::new(vec![frame], None))))
}
