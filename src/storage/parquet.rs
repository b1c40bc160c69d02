//! Sorted rows as Parquet files that any Parquet reader opens: `time` as a nanosecond timestamp, tags as strings, fields.

pub mod writer;
