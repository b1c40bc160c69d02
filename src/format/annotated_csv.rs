//! InfluxDB's annotated CSV: the answer of `/api/v2/query`, the text of `csv.from`, the file of `influx write --format csv`.
//!
//! A block is up to three annotation rows, a header row, and rows. Column 0 belongs to the annotations, then come
//! `result` and `table`, then the data:
//!
//! ```text
//! #datatype,string,long,dateTime:RFC3339,double,string
//! #group,false,false,false,false,true
//! #default,_result,,,,
//! ,result,table,_time,_value,host
//! ,,0,2020-01-01T00:00:00Z,1.5,a
//! ```
//!
//! [`encode`] streams tables out, [`decode`] reads them back. Neither knows where tables come from or go to.

mod decode;
mod encode;
mod layout;

pub use decode::{CsvTable, decode, decode_raw, records};
pub use encode::{encode, encode_tables, error_table};
pub use layout::parse as parse_layout;

use arrow::datatypes::{DataType, TimeUnit};

/// An annotation row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Annotation {
    Datatype,
    Group,
    Default,
}

impl Annotation {
    /// The name in a dialect, without the comment prefix. `None` for a name InfluxDB does not know.
    pub fn parse(name: &str) -> Option<Annotation> {
        Some(match name {
            "datatype" => Annotation::Datatype,
            "group" => Annotation::Group,
            "default" => Annotation::Default,
            _ => return None,
        })
    }
}

/// What a client may choose about the text. InfluxDB 2.7 accepts `commentPrefix` and `dateTimeFormat` too and ignores both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    pub header: bool,
    /// One ASCII character.
    pub delimiter: u8,
    /// Annotation rows in the order asked for.
    pub annotations: Vec<Annotation>,
}

impl Default for Dialect {
    /// What a request without a dialect gets: a header, no annotations (InfluxDB 2.7).
    fn default() -> Dialect {
        Dialect { header: true, delimiter: b',', annotations: vec![] }
    }
}

impl Dialect {
    /// All three annotations in the order `datatype, group, default`.
    pub fn annotated() -> Dialect {
        Dialect { annotations: vec![Annotation::Datatype, Annotation::Group, Annotation::Default], ..Dialect::default() }
    }
}

/// A column type as annotated CSV names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    Boolean,
    Long,
    UnsignedLong,
    Double,
    String,
    Time,
}

impl ColumnType {
    pub fn datatype(self) -> &'static str {
        match self {
            ColumnType::Boolean => "boolean",
            ColumnType::Long => "long",
            ColumnType::UnsignedLong => "unsignedLong",
            ColumnType::Double => "double",
            ColumnType::String => "string",
            ColumnType::Time => "dateTime:RFC3339",
        }
    }

    /// Flux's name of the type.
    pub fn flux_name(self) -> &'static str {
        match self {
            ColumnType::Boolean => "bool",
            ColumnType::Long => "int",
            ColumnType::UnsignedLong => "uint",
            ColumnType::Double => "float",
            ColumnType::String => "string",
            ColumnType::Time => "time",
        }
    }

    pub fn arrow(self) -> DataType {
        match self {
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Long => DataType::Int64,
            ColumnType::UnsignedLong => DataType::UInt64,
            ColumnType::Double => DataType::Float64,
            ColumnType::String => DataType::Utf8,
            ColumnType::Time => DataType::Timestamp(TimeUnit::Nanosecond, None),
        }
    }

    /// The type an Arrow column is written as: narrower numbers widen, dates become times, what Flux has no type for is text.
    pub fn of(data_type: &DataType) -> ColumnType {
        match data_type {
            DataType::Boolean => ColumnType::Boolean,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => ColumnType::Long,
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => ColumnType::UnsignedLong,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => ColumnType::Double,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => ColumnType::Time,
            _ => ColumnType::String,
        }
    }
}
