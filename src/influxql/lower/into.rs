//! SELECT INTO: the rows of an answer as rows of another measurement.

use super::bucket;
use crate::influxql::ast::Target;
use crate::influxql::{Defaults, SeriesPlan};
use crate::model::{FieldType, MeasurementSchema, Result, TIME_COLUMN};
use crate::plan::{BucketInfo, Context, WriteRows};
use arrow::{
    array::{Array, ArrayRef, BooleanArray},
    compute::{cast, filter_record_batch},
    datatypes::DataType,
    record_batch::RecordBatch,
};

/// The bucket that INTO names; it must be there.
pub fn target(target: &Target, context: &dyn Context, defaults: &Defaults) -> Result<BucketInfo> {
    bucket(context, defaults, target.database.as_deref(), target.policy.as_deref())
}

/// Writes the rows of `plans`; `name` is the measurement (`None`: that of the source). Tags of GROUP BY stay tags, all
/// else becomes fields; nulls are not written (InfluxDB 1.6.7). The number of rows that had any value.
///
/// The rows of one measurement are held in memory until they are written.
pub fn write(plans: &[SeriesPlan], bucket: &BucketInfo, name: Option<&str>, context: &dyn Context) -> Result<u64> {
    let mut written = 0;
    for plan in plans {
        let measurement = name.or(plan.layout.name.as_deref()).unwrap_or_default();
        for batch in context.collect(plan.plan.clone())? {
            let rows = rows(&batch, plan, measurement)?;
            if rows.num_rows() > 0 {
                written += rows.num_rows() as u64;
                context.write(bucket, vec![WriteRows { measurement: measurement.to_string(), batch: rows }])?;
            }
        }
    }
    Ok(written)
}

/// A batch of the answer in the layout of a measurement, without rows that have no value.
fn rows(batch: &RecordBatch, plan: &SeriesPlan, measurement: &str) -> Result<RecordBatch> {
    let mut schema = MeasurementSchema::new(measurement);
    let mut columns: Vec<(&str, &ArrayRef)> = vec![];
    for (name, at) in &plan.layout.tags {
        schema.add_tag(name);
        columns.push((name.as_str(), batch.column(*at)));
    }
    for (name, at) in &plan.layout.values {
        let column = batch.column(*at);
        let field = match column.data_type() {
            DataType::Timestamp(..) => None,
            DataType::Dictionary(..) => Some(FieldType::String),
            other => FieldType::from_arrow(other),
        };
        let Some(field) = field else { continue };
        if name != TIME_COLUMN && column.null_count() < column.len() && !schema.is_tag(name) && !schema.fields.contains_key(name.as_str()) {
            schema.fields.insert(name.as_str().into(), field);
            columns.push((name.as_str(), column));
        }
    }
    let time = plan.layout.values.first().map_or(0, |(_, at)| *at);
    let layout = schema.arrow_schema();
    let own = layout.fields().iter().map(|field| -> Result<ArrayRef> {
        let column = match columns.iter().find(|(name, _)| *name == field.name().as_str()) {
            Some((_, column)) => column,
            None => batch.column(time),
        };
        Ok(cast(column, field.data_type())?)
    });
    let rows = RecordBatch::try_new(layout.clone(), own.collect::<Result<Vec<_>>>()?)?;
    let fields = 1 + schema.tags.len()..rows.num_columns();
    let has_value = |row: usize| fields.clone().any(|at| rows.column(at).is_valid(row));
    let kept: BooleanArray = (0..rows.num_rows()).map(|row| Some(has_value(row))).collect();
    Ok(filter_record_batch(&rows, &kept)?)
}
