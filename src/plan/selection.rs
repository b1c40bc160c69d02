//! Rows of a bucket that are only being chosen yet: bounds in time, fields, conditions on tags. A plan is made of what is left.
//!
//! A script names its bucket first, and only then which of the bucket's measurements and fields it wants. Whatever is left out
//! costs no planning, and the rest is planned in one go.

use super::{
    Frame, MeasurementTable, TableStream,
    node::ordered::ordered,
    stream::{col, time_literal},
};
use crate::model::{Result, TIME_COLUMN, TimeRange, schema::tag_type, schema::time_type};
use arrow::datatypes::DataType;
use datafusion::{
    common::{DFSchema, DFSchemaRef, ScalarValue},
    logical_expr::{Expr, lit},
};
use std::{fmt, sync::Arc};

/// The chosen rows of all measurements.
#[derive(Debug, Clone)]
pub struct Selection {
    /// What the script calls the bucket.
    bucket: Arc<str>,
    bounds: Option<TimeRange>,
    measurements: Vec<MeasurementRows>,
}

/// The chosen rows of one measurement.
#[derive(Clone)]
pub struct MeasurementRows {
    table: MeasurementTable,
    /// Those of the measurement's fields that are wanted, in name order.
    pub fields: Vec<String>,
    conditions: Vec<Expr>,
}

impl fmt::Debug for MeasurementRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {:?}", self.table.schema.measurement, self.fields, self.conditions)
    }
}

/// A measurement's name. A dictionary of one value, as tags are: comparing its rows costs nothing.
fn name(measurement: &str) -> ScalarValue {
    ScalarValue::Dictionary(Box::new(DataType::Int32), Box::new(ScalarValue::from(measurement)))
}

impl Selection {
    /// All rows of these measurements.
    pub fn new(bucket: Arc<str>, tables: Vec<MeasurementTable>) -> Selection {
        let all = |table: MeasurementTable| MeasurementRows {
            fields: table.schema.fields.keys().map(|f| f.to_string()).collect(),
            conditions: vec![],
            table,
        };
        Selection { bucket, bounds: None, measurements: tables.into_iter().map(all).collect() }
    }

    /// The rows of a selection without bounds that lie within these.
    pub fn within(&self, bounds: TimeRange) -> Option<Selection> {
        self.bounds.is_none().then(|| Selection { bounds: Some(bounds), ..self.clone() })
    }

    pub fn measurements(&self) -> &[MeasurementRows] {
        &self.measurements
    }

    /// The same with other rows of its measurements.
    pub fn with(&self, measurements: Vec<MeasurementRows>) -> Selection {
        Selection { bucket: self.bucket.clone(), bounds: self.bounds, measurements }
    }

    /// What a column of the measurement's tables is, and its type; `None` for one that they do not have, and for fields, which are
    /// no columns.
    pub fn column(&self, rows: &MeasurementRows, column: &str) -> Option<(Expr, DataType)> {
        match (column, self.bounds) {
            ("_time", _) => Some((col(TIME_COLUMN), time_type())),
            ("_measurement", _) => Some((lit(name(&rows.table.schema.measurement)), tag_type())),
            ("_start", Some(bounds)) => Some((time_literal(bounds.start), time_type())),
            ("_stop", Some(bounds)) => Some((time_literal(bounds.stop), time_type())),
            _ => rows.table.schema.tags.iter().any(|tag| tag.as_ref() == column).then(|| (col(column), tag_type())),
        }
    }

    /// The tables of the rows, in wide frames: `_time`, `_measurement`, tags, fields and bounds. The key is the series, and the bounds.
    pub fn tables(&self) -> Result<TableStream> {
        let frames = self.measurements.iter().map(|rows| self.frame(rows)).collect::<Result<_>>()?;
        let unbounded = self.bounds.is_none().then(|| self.bucket.clone());
        Ok(TableStream { frames, bounds: self.bounds, unbounded })
    }

    fn frame(&self, rows: &MeasurementRows) -> Result<Frame> {
        let schema = &rows.table.schema;
        let within =
            |bounds: TimeRange| col(TIME_COLUMN).gt_eq(time_literal(bounds.start)).and(col(TIME_COLUMN).lt(time_literal(bounds.stop)));
        let condition = self.bounds.map(within).into_iter().chain(rows.conditions.iter().cloned()).reduce(Expr::and);
        let wanted = schema.tags.iter().map(|tag| tag.as_ref()).chain(rows.fields.iter().map(String::as_str)).chain([TIME_COLUMN]);
        let plan = rows.table.scan(wanted, condition)?;
        let tags: Vec<String> = schema.tags.iter().map(|t| t.to_string()).collect();
        let plan = ordered(plan, tags.iter().cloned().chain([TIME_COLUMN.to_string()]).collect())?;
        let mut columns = vec![("_time".to_string(), col(TIME_COLUMN)), ("_measurement".to_string(), lit(name(&schema.measurement)))];
        columns.extend(tags.iter().chain(&rows.fields).map(|c| (c.clone(), col(c))));
        let mut key: Vec<String> = ["_measurement".to_string()].into_iter().chain(tags).collect();
        if let Some(bounds) = self.bounds {
            for (name, time) in [("_start", bounds.start), ("_stop", bounds.stop)] {
                columns.push((name.to_string(), time_literal(time)));
                key.push(name.to_string());
            }
        }
        let frame = Frame { fields: rows.fields.clone(), absent_keys: true, ..Frame::long(plan, vec![]) };
        frame.project(columns, key)
    }
}

impl MeasurementRows {
    /// Type of a field; `None` for another name.
    pub fn field_type(&self, field: &str) -> Option<DataType> {
        Some(self.table.schema.fields.get(field)?.arrow())
    }

    /// What conditions are about.
    pub fn schema(&self) -> datafusion::common::Result<DFSchemaRef> {
        Ok(Arc::new(DFSchema::try_from(self.table.rows.schema())?))
    }

    /// Some of the fields, in rows where the condition holds. It is about what [`Selection::column`] gives, and fields.
    pub fn narrowed(&self, fields: Vec<String>, condition: Expr) -> MeasurementRows {
        let mut narrow = MeasurementRows { fields, ..self.clone() };
        if condition != lit(true) {
            narrow.conditions.push(condition);
        }
        narrow
    }
}
