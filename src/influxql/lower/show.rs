//! SHOW statements that the schema alone answers.

use super::{bucket, not_supported};
use crate::format::series::SeriesLayout;
use crate::influxql::ast::{NameMatch, On, ShowFilter, Source, Statement};
use crate::influxql::{Defaults, SeriesRows};
use crate::model::{Failure, Result};
use crate::plan::{BucketRef, Context};
use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, StringArray},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use std::sync::Arc;

/// Answers a SHOW; `None`: the statement is not one of those answered here.
pub fn show(statement: &Statement, context: &dyn Context, defaults: &Defaults) -> Result<Option<Vec<SeriesRows>>> {
    Ok(Some(match statement {
        Statement::ShowDatabases => {
            let mut names: Vec<String> = Vec::new();
            for database in context.databases()? {
                if !names.contains(&database.database) {
                    names.push(database.database);
                }
            }
            vec![texts(Some("databases"), &["name"], vec![names])?]
        }
        Statement::ShowRetentionPolicies { database } => vec![policies(context, defaults, database.as_deref())?],
        Statement::ShowMeasurements { on, with, filter } => {
            refuse_condition(filter)?;
            let database = match on {
                On::Default => defaults.database.clone(),
                On::Database(database) => Some(database.clone()),
                _ => return Err(not_supported("SHOW MEASUREMENTS ON a policy")),
            };
            let database = database.filter(|d| !d.is_empty()).ok_or_else(|| Failure::invalid("database name required"))?;
            // An unknown database has no measurements; that is no error here (InfluxDB 1.6.7).
            let Ok(bucket) = context.bucket(BucketRef::Database { database: &database, policy: None }) else { return Ok(Some(vec![])) };
            let mut names = Vec::new();
            for schema in context.measurements(bucket.id)? {
                if with.as_ref().map_or(Ok(true), |with| matches(with, &schema.measurement))? {
                    names.push(schema.measurement.to_string());
                }
            }
            series(texts(Some("measurements"), &["name"], vec![page(names, filter)])?)
        }
        Statement::ShowTagKeys { database, with: None, filter } => {
            per_measurement(context, defaults, database.as_deref(), filter, |schema| {
                texts(Some(&schema.measurement), &["tagKey"], vec![page(schema.tags.iter().map(|t| t.to_string()).collect(), filter)])
            })?
        }
        Statement::ShowFieldKeys { database, filter } => per_measurement(context, defaults, database.as_deref(), filter, |schema| {
            let names = page(schema.fields.keys().map(|n| n.to_string()).collect(), filter);
            let types = page(schema.fields.values().map(|t| t.name().to_string()).collect(), filter);
            texts(Some(&schema.measurement), &["fieldKey", "fieldType"], vec![names, types])
        })?,
        _ => return Ok(None),
    }))
}

fn refuse_condition(filter: &ShowFilter) -> Result<()> {
    if filter.condition.is_some() { Err(not_supported("WHERE in SHOW")) } else { Ok(()) }
}

fn matches(with: &NameMatch, name: &str) -> Result<bool> {
    match with {
        NameMatch::Name(wanted) => Ok(wanted == name),
        NameMatch::Regex(pattern) => Ok(regex::Regex::new(pattern).map_err(|e| Failure::invalid(e.to_string()))?.is_match(name)),
    }
}

/// A series without rows is no series.
fn series(rows: SeriesRows) -> Vec<SeriesRows> {
    if rows.batch.num_rows() == 0 { vec![] } else { vec![rows] }
}

fn page(items: Vec<String>, filter: &ShowFilter) -> Vec<String> {
    let count = if filter.limits.limit == 0 { usize::MAX } else { filter.limits.limit };
    items.into_iter().skip(filter.limits.offset).take(count).collect()
}

fn per_measurement(
    context: &dyn Context,
    defaults: &Defaults,
    database: Option<&str>,
    filter: &ShowFilter,
    rows: impl Fn(&crate::model::MeasurementSchema) -> Result<SeriesRows>,
) -> Result<Vec<SeriesRows>> {
    refuse_condition(filter)?;
    let bucket = bucket(context, defaults, database, None)?;
    let mut out = Vec::new();
    for schema in context.measurements(bucket.id)? {
        let mut wanted = filter.sources.is_empty();
        for source in &filter.sources {
            let Source::Measurement(m) = source else { return Err(not_supported("a sub-query in SHOW")) };
            wanted |= matches(&m.name, &schema.measurement)?;
        }
        if wanted {
            out.extend(series(rows(&schema)?));
        }
    }
    Ok(out)
}

fn texts(name: Option<&str>, headers: &[&str], columns: Vec<Vec<String>>) -> Result<SeriesRows> {
    let columns = columns.into_iter().map(|c| Arc::new(StringArray::from(c)) as ArrayRef).collect();
    rows(name, headers, columns)
}

fn rows(name: Option<&str>, headers: &[&str], columns: Vec<ArrayRef>) -> Result<SeriesRows> {
    let fields: Vec<_> = headers.iter().zip(&columns).map(|(h, c)| Field::new(*h, c.data_type().clone(), true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let values = headers.iter().enumerate().map(|(i, h)| (h.to_string(), i)).collect();
    let layout = SeriesLayout { name: name.map(str::to_string), values, even_empty: true, ..Default::default() };
    Ok(SeriesRows { batch, layout })
}

fn policies(context: &dyn Context, defaults: &Defaults, database: Option<&str>) -> Result<SeriesRows> {
    let database = database.or(defaults.database.as_deref()).filter(|d| !d.is_empty());
    let database = database.ok_or_else(|| Failure::invalid("database name required"))?;
    let found: Vec<_> = context.databases()?.into_iter().filter(|d| d.database == database).collect();
    if found.is_empty() {
        return Err(Failure::not_found(format!("database not found: {database}")));
    }
    let text = |f: &dyn Fn(&crate::plan::DatabaseInfo) -> String| Arc::new(StringArray::from_iter_values(found.iter().map(f))) as ArrayRef;
    let go = |ns: i64| {
        let s = ns / 1_000_000_000;
        if s == 0 { "0s".to_string() } else { format!("{}h{}m{}s", s / 3600, s / 60 % 60, s % 60) }
    };
    // Shards are not ours; the original's default for each retention is shown, since clients read the column.
    let shard = |ns: Option<i64>| match ns.map(|ns| ns / 3_600_000_000_000) {
        Some(h) if h < 48 => "1h0m0s",
        Some(h) if h < 180 * 24 => "24h0m0s",
        _ => "168h0m0s",
    };
    let columns: Vec<ArrayRef> = vec![
        text(&|d| d.policy.clone()),
        text(&|d| go(d.bucket.retention_ns.unwrap_or(0))),
        text(&|d| shard(d.bucket.retention_ns).to_string()),
        Arc::new(Int64Array::from(vec![1; found.len()])),
        Arc::new(BooleanArray::from(found.iter().map(|d| d.default).collect::<Vec<_>>())),
    ];
    debug_assert_eq!(columns[3].data_type(), &DataType::Int64);
    rows(None, &["name", "duration", "shardGroupDuration", "replicaN", "default"], columns)
}
