//! `from` and `buckets`: where streams begin.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{Call, Function},
    },
    model::BucketId,
    plan::{BucketRef, Frame, Selection, TableStream},
};
use arrow::{
    array::{ArrayRef, Int64Array, StringArray},
    record_batch::RecordBatch,
};
use std::sync::Arc;

/// Package `internal/testing`.
pub const STORED: &[&Function] = &[&EVERYTHING];

pub static FROM: Function = Function {
    name: "from",
    signature: "(?bucket: string, ?bucketID: string, ?host: string, ?org: string, ?orgID: string, ?token: string) => stream[A]",
    summary: "Reads the rows of a bucket; `range` bounds them in time.",
    examples: &[],
    call: |call| Ok(Value::Selection(Arc::new(read(call)?))),
};

static EVERYTHING: Function = Function {
    name: "everything",
    signature: "(?bucket: string, ?bucketID: string) => stream[A]",
    summary: "Reads all rows of a bucket, of whatever time, for tests of what was stored.",
    examples: &[],
    call: |call| Ok(Value::Stream(Arc::new(TableStream { unbounded: None, ..read(call)?.tables()? }))),
};

/// All rows of a bucket.
fn read(call: &mut Call<'_>) -> FluxResult<Selection> {
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
    let mut tables = vec![];
    for schema in context.measurements(bucket.id)? {
        tables.extend(context.table(bucket.id, &schema.measurement)?);
    }
    Ok(Selection::new(name.or(id).unwrap_or_default(), tables))
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
