//! The schema of one measurement of one bucket, and its one Arrow layout.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
};

/// Name of the time column in every stored table. No tag or field may carry it.
pub const TIME_COLUMN: &str = "time";

/// Arrow field metadata key that says what a column is: `time`, `tag` or `field`.
pub const ROLE_KEY: &str = "tidegauge.role";

/// The type of a field; one per field, measurement and bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    Float,
    Integer,
    Unsigned,
    String,
    Boolean,
}

impl FieldType {
    /// InfluxDB's word in messages and in SHOW FIELD KEYS.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::Float => "float",
            FieldType::Integer => "integer",
            FieldType::Unsigned => "unsigned",
            FieldType::String => "string",
            FieldType::Boolean => "boolean",
        }
    }

    pub fn arrow(self) -> DataType {
        match self {
            FieldType::Float => DataType::Float64,
            FieldType::Integer => DataType::Int64,
            FieldType::Unsigned => DataType::UInt64,
            FieldType::String => DataType::Utf8,
            FieldType::Boolean => DataType::Boolean,
        }
    }

    pub fn from_arrow(data_type: &DataType) -> Option<FieldType> {
        Some(match data_type {
            DataType::Float64 => FieldType::Float,
            DataType::Int64 => FieldType::Integer,
            DataType::UInt64 => FieldType::Unsigned,
            DataType::Utf8 => FieldType::String,
            DataType::Boolean => FieldType::Boolean,
            _ => return None,
        })
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Arrow type of the time column: nanoseconds since the epoch, UTC, without a zone in the type.
pub fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, None)
}

/// Arrow type of a tag column.
pub fn tag_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// What a stored column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Time,
    Tag,
    Field,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Time => "time",
            Role::Tag => "tag",
            Role::Field => "field",
        }
    }

    /// The role recorded in an Arrow field's metadata; `None` when it carries none.
    pub fn of(field: &Field) -> Option<Role> {
        match field.metadata().get(ROLE_KEY)?.as_str() {
            "time" => Some(Role::Time),
            "tag" => Some(Role::Tag),
            "field" => Some(Role::Field),
            _ => None,
        }
    }
}

/// Tags and typed fields of one measurement. Both are kept in name order.
///
/// A name is a tag or a field, never both (InfluxDB 1 and 2 allow both, InfluxDB 3 refuses it; a wide table
/// that any Parquet reader opens cannot have two columns of one name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasurementSchema {
    pub measurement: Arc<str>,
    pub tags: Vec<Arc<str>>,
    pub fields: BTreeMap<Arc<str>, FieldType>,
    layout: Layout,
}

/// The layout, once somebody has asked for it: every query does. It is no part of what a schema says, and a copy, which may get more
/// names, makes its own.
#[derive(Debug, Default)]
struct Layout(OnceLock<SchemaRef>);

impl Clone for Layout {
    fn clone(&self) -> Layout {
        Layout::default()
    }
}

impl PartialEq for Layout {
    fn eq(&self, _: &Layout) -> bool {
        true
    }
}

impl Eq for Layout {}

impl MeasurementSchema {
    pub fn new(measurement: impl Into<Arc<str>>) -> MeasurementSchema {
        MeasurementSchema::of(measurement, vec![], BTreeMap::new())
    }

    /// Tags in name order.
    pub fn of(measurement: impl Into<Arc<str>>, tags: Vec<Arc<str>>, fields: BTreeMap<Arc<str>, FieldType>) -> MeasurementSchema {
        MeasurementSchema { measurement: measurement.into(), tags, fields, layout: Layout::default() }
    }

    /// The one layout of this measurement's rows everywhere: `time` (not null), the tags in name order
    /// (dictionary, null = the series has no such tag), the fields in name order (null = the row has no such field).
    pub fn arrow_schema(&self) -> SchemaRef {
        let known = self.layout.0.get_or_init(|| self.make_layout());
        // It is from before names were added: they never go.
        if known.fields().len() == 1 + self.tags.len() + self.fields.len() { known.clone() } else { self.make_layout() }
    }

    fn make_layout(&self) -> SchemaRef {
        let role = |f: Field, r: Role| f.with_metadata([(ROLE_KEY.to_string(), r.name().to_string())].into());
        let mut columns = vec![role(Field::new(TIME_COLUMN, time_type(), false), Role::Time)];
        columns.extend(self.tags.iter().map(|t| role(Field::new(t.as_ref(), tag_type(), true), Role::Tag)));
        columns.extend(self.fields.iter().map(|(n, t)| role(Field::new(n.as_ref(), t.arrow(), true), Role::Field)));
        Arc::new(Schema::new(columns))
    }

    pub fn is_tag(&self, name: &str) -> bool {
        self.tags.binary_search_by(|t| t.as_ref().cmp(name)).is_ok()
    }

    /// Adds a tag; false when it was known.
    pub fn add_tag(&mut self, name: &str) -> bool {
        match self.tags.binary_search_by(|t| t.as_ref().cmp(name)) {
            Ok(_) => false,
            Err(at) => {
                self.tags.insert(at, name.into());
                true
            }
        }
    }
}
