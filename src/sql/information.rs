//! `information_schema`: what there is, as tables; and the answer to SHOW COLUMNS and DESCRIBE.
//!
//! The request's database stands under the schema `iox`, where InfluxDB 3's clients look for it; the other buckets that
//! the caller may read stand under their names.

use super::tables::Tables;
use crate::model::{BucketId, Failure, MeasurementSchema, Result};
use arrow::{
    array::{ArrayRef, StringArray, UInt64Array},
    record_batch::RecordBatch,
};
use datafusion::{
    common::TableReference,
    datasource::{MemTable, provider_as_source},
    logical_expr::{LogicalPlan, LogicalPlanBuilder, TableSource},
};
use std::sync::Arc;

/// The schema of the request's own database (InfluxDB 3).
pub const OWN_SCHEMA: &str = "iox";
/// The one catalogue (InfluxDB 3).
pub const CATALOG: &str = "public";

/// A table of `information_schema`.
pub fn table(name: &str, tables: &Tables) -> Result<Arc<dyn TableSource>> {
    let batch = match name {
        "tables" => {
            let found = measurements(tables)?;
            let rows = || found.iter().map(|(schema, m)| (schema.as_str(), m.measurement.as_ref()));
            texts(&[
                ("table_catalog", rows().map(|_| CATALOG).collect()),
                ("table_schema", rows().map(|r| r.0).collect()),
                ("table_name", rows().map(|r| r.1).collect()),
                ("table_type", rows().map(|_| "BASE TABLE").collect()),
            ])?
        }
        "columns" => columns(&measurements(tables)?)?,
        "schemata" => {
            let names = schemas(tables)?;
            let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).chain(["information_schema"]).collect();
            texts(&[("catalog_name", vec![CATALOG; names.len()]), ("schema_name", names)])?
        }
        _ => {
            let message = format!("table 'information_schema.{name}' not found; there are tables, columns and schemata");
            return Err(Failure::not_found(message));
        }
    };
    source(batch)
}

/// The columns of one table, as `SHOW COLUMNS` prints them.
pub fn columns_of(reference: &TableReference, tables: &Tables) -> Result<LogicalPlan> {
    let bucket = tables.bucket_of(reference)?;
    let name = reference.table();
    let found = tables.context.measurements(bucket.id)?.into_iter().find(|m| m.measurement.as_ref() == name);
    let schema = found.ok_or_else(|| Failure::not_found(format!("table '{}.{name}' not found", bucket.name)))?;
    let own = tables.own_bucket().is_ok_and(|own| own.id == bucket.id);
    let shown = columns(&[(if own { OWN_SCHEMA.to_string() } else { bucket.name }, schema)])?;
    let kept = ["table_catalog", "table_schema", "table_name", "column_name", "data_type", "is_nullable"];
    let indices = kept.iter().map(|name| shown.schema().index_of(name)).collect::<Result<Vec<_>, _>>()?;
    Ok(LogicalPlanBuilder::scan("columns", source(shown.project(&indices)?)?, None)?.build()?)
}

/// Names of schemas and their buckets: the request's database first, the others in name order.
fn schemas(tables: &Tables) -> Result<Vec<(String, BucketId)>> {
    let own = tables.own_bucket().ok();
    let others = tables.context.buckets()?.into_iter().filter(|b| own.as_ref().is_none_or(|own| own.id != b.id));
    let others = others.map(|b| (b.name, b.id)).collect::<Vec<_>>();
    Ok(own.map(|own| (OWN_SCHEMA.to_string(), own.id)).into_iter().chain(others).collect())
}

fn measurements(tables: &Tables) -> Result<Vec<(String, Arc<MeasurementSchema>)>> {
    let mut found = vec![];
    for (schema, bucket) in schemas(tables)? {
        found.extend(tables.context.measurements(bucket)?.into_iter().map(|m| (schema.clone(), m)));
    }
    Ok(found)
}

fn columns(measurements: &[(String, Arc<MeasurementSchema>)]) -> Result<RecordBatch> {
    let (mut names, mut types, mut nullable, mut positions) = (vec![], vec![], vec![], vec![]);
    let (mut schemas, mut table_names) = (vec![], vec![]);
    for (schema, measurement) in measurements {
        for (position, field) in measurement.arrow_schema().fields().iter().enumerate() {
            schemas.push(schema.as_str());
            table_names.push(measurement.measurement.as_ref());
            names.push(field.name().clone());
            types.push(field.data_type().to_string());
            nullable.push(if field.is_nullable() { "YES" } else { "NO" });
            positions.push(position as u64);
        }
    }
    let text = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
    Ok(RecordBatch::try_from_iter([
        ("table_catalog", text(vec![CATALOG; names.len()])),
        ("table_schema", text(schemas)),
        ("table_name", text(table_names)),
        ("column_name", text(names.iter().map(String::as_str).collect())),
        ("ordinal_position", Arc::new(UInt64Array::from(positions))),
        ("is_nullable", text(nullable)),
        ("data_type", text(types.iter().map(String::as_str).collect())),
    ])?)
}

fn texts(columns: &[(&str, Vec<&str>)]) -> Result<RecordBatch> {
    let columns = columns.iter().map(|(name, values)| (*name, Arc::new(StringArray::from(values.clone())) as ArrayRef));
    Ok(RecordBatch::try_from_iter(columns)?)
}

fn source(batch: RecordBatch) -> Result<Arc<dyn TableSource>> {
    Ok(provider_as_source(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
}
