//! `/api/v2/delete`: rows of a time range that meet a predicate go. Durable before the 204.

use super::{
    app::{App, Call},
    auth::AnyAuth,
    predicate::{self, Predicate},
    problem::Answer,
};
use crate::{
    engine::Target,
    model::{DeleteSpec, Failure, Result, TimeRange, Timestamp, time::parse_rfc3339},
    plan::BucketRef,
};
use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, StatusCode},
    response::IntoResponse,
};
use serde::Deserialize;

/// How many rows went or lost a value. It is absent where that takes long to count, or a file that cannot be
/// read may have had some.
pub const DELETED_ROWS: HeaderName = HeaderName::from_static("x-tidegauge-deleted-rows");

/// The header of a count that is known.
pub fn deleted_rows(count: Option<u64>) -> Option<[(HeaderName, HeaderValue); 1]> {
    count.map(|count| [(DELETED_ROWS, HeaderValue::from(count))])
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DeleteRequest {
    start: String,
    stop: String,
    predicate: String,
}

fn time(text: &str, field: &str) -> Result<Timestamp> {
    parse_rfc3339(text).ok_or_else(|| {
        let format = "please format your time with RFC3339Nano format, example: 2009-01-02T23:00:00Z";
        Failure::invalid(format!("invalid RFC3339Nano for field {field}, {format}"))
    })
}

/// Both ends of the range are included, as in InfluxDB 2.7.
pub async fn v2(State(app): State<App>, AnyAuth(caller): AnyAuth, call: Call) -> Answer {
    let sent: DeleteRequest = call.json()?;
    let (start, stop) = (time(&sent.start, "start")?, time(&sent.stop, "stop")?);
    if stop < start {
        return Err(Failure::invalid("stop is before start: nothing can be deleted").into());
    }
    let Predicate { measurement, tags, values } = predicate::parse(&sent.predicate)?;
    let bucket = call.text("bucketID").or_else(|| call.text("bucket"));
    let bucket = bucket.ok_or_else(|| Failure::invalid("Please provide either bucketID or bucket"))?;
    let target = Target { org: call.org(), bucket: BucketRef::NameOrId(bucket) };
    let range = TimeRange { start, stop: stop.saturating_add(1) };
    let count = app.engine.delete(&caller, target, DeleteSpec { range, measurement, tags }, &values).await?;
    Ok((StatusCode::NO_CONTENT, deleted_rows(count), ()).into_response())
}
