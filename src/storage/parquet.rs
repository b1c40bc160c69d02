//! Sorted rows as Parquet files that any Parquet reader opens: `time` as a nanosecond timestamp, tags as strings, fields.

pub mod cache;
pub mod check;
pub mod decimal;
pub mod file;
mod pages;
pub mod writer;
