//! Package `influxdata/influxdb/v1`, beside what it shares with `schema`.

use super::function::functions;
use crate::{
    flux::eval::{Record, Value},
    flux::stdlib::run::batch_of,
    plan::{Frame, TableStream},
};
use std::sync::Arc;

functions! {
    "databases" "() => stream[A]" "The InfluxDB 1.x databases that the caller may read, with the buckets behind them; periods in nanoseconds." |c| {
        let rows: Vec<Record> = c
            .context()
            .databases()?
            .into_iter()
            .map(|d| {
                let properties = [
                    ("organizationID", Value::string(d.bucket.org_id.to_string())),
                    ("databaseName", Value::string(d.database)),
                    ("retentionPolicy", Value::string(d.policy)),
                    ("retentionPeriod", Value::Int(d.bucket.retention_ns.unwrap_or(0))),
                    ("default", Value::Bool(d.default)),
                    ("bucketID", Value::string(d.bucket.id.to_string())),
                ];
                properties.into_iter().map(|(name, value)| (name.into(), value)).collect()
            })
            .collect();
        let frames = if rows.is_empty() { vec![] } else { vec![Frame::of(batch_of(&rows, "databases")?, vec!["organizationID".into()])?] };
        Ok(Value::Stream(Arc::new(TableStream::new(frames, None))))
    };
}
