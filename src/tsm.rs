//! InfluxDB's own files, read only: data directories of InfluxDB 1.x and 2.x, whose TSM files and logs are the same.
//!
//! ```text
//! layout                 DIR/data/DB/RP/SHARD/*.tsm and DIR/wal/DB/RP/SHARD/*.wal -> the files of each shard
//! └─ shard               one shard -> its series in key order -> rows in time order
//!    ├─ file             a TSM file: an index in key order, and blocks by their place
//!    │  └─ block         times and values of one field of one series
//!    ├─ tombstone        what was deleted of a TSM file
//!    └─ wal              the log: what is in no TSM file yet
//! bolt                   names of the buckets of InfluxDB 2.x
//! ```
//! Of values of one series, field and time the last written counts: TSM files are older than the log and written in the
//! order of their names. Memory holds the log of one shard, and a block of each field of one series in each file.
//!
//! Nothing here trusts a length that it reads: damaged bytes give [`Unreadable`] with file and place. This module knows
//! nothing of buckets, servers or schemas.

pub mod block;
pub mod bolt;
mod bytes;
pub mod file;
pub mod key;
pub mod layout;
mod series;
pub mod shard;
mod tombstone;
pub mod wal;

#[cfg(test)]
mod tests;

use crate::model::{Failure, FieldValue};
use std::{
    io,
    path::{Path, PathBuf},
};

pub use series::Series;
pub use shard::Shard;

/// A value as InfluxDB keeps it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Float(f64),
    Integer(i64),
    Unsigned(u64),
    Boolean(bool),
    /// Bytes: InfluxDB 1.x takes strings that are not UTF-8.
    String(Box<[u8]>),
}

/// A value and its time, in nanoseconds since the epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    pub time: i64,
    pub value: Value,
}

/// What keeps a file from being read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("{} cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Damaged { path: PathBuf, offset: u64, what: String },
}

/// What is wrong with bytes, and where in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub at: usize,
    pub what: String,
}

impl Damage {
    fn new(at: usize, what: impl Into<String>) -> Damage {
        Damage { at, what: what.into() }
    }

    /// `offset`: where the bytes stand in the file.
    fn in_file(self, path: &Path, offset: u64) -> Unreadable {
        Unreadable::Damaged { path: path.into(), offset: offset.saturating_add(self.at as u64), what: self.what }
    }
}

impl Unreadable {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Unreadable {
        let path = path.into();
        |source| Unreadable::Io { path, source }
    }
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Failure {
        Failure::invalid(unreadable.to_string())
    }
}

impl Value {
    /// `None` for a string that is not UTF-8.
    pub fn field_value(&self) -> Option<FieldValue<'_>> {
        Some(match self {
            Value::Float(v) => FieldValue::Float(*v),
            Value::Integer(v) => FieldValue::Integer(*v),
            Value::Unsigned(v) => FieldValue::Unsigned(*v),
            Value::Boolean(v) => FieldValue::Boolean(*v),
            Value::String(bytes) => FieldValue::String(std::str::from_utf8(bytes).ok()?.into()),
        })
    }
}

/// Puts values in order of time; of those with one time the last stays.
fn settle(values: &mut Vec<Timed>) {
    if values.is_sorted_by(|a, b| a.time < b.time) {
        return;
    }
    values.sort_by_key(|v| v.time);
    values.reverse();
    values.dedup_by_key(|v| v.time);
    values.reverse();
}
