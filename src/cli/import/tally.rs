//! What can be counted on both sides of an import: rows, values, the first and the last time, and a sum of checksums that
//! does not depend on order.

use crate::{model::FieldType, tsm::Value};
use ahash::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};

/// Of one measurement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// A row is one series at one time.
    pub rows: u64,
    pub values: u64,
    /// First and last time.
    pub times: Option<(i64, i64)>,
    /// The sum of the checksums of all values, each over its tags, field, time, type and bits. Sums are comparable within
    /// one program.
    pub checksum: u64,
}

/// A value in the form that both sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell<'a> {
    pub kind: FieldType,
    /// Of a number.
    pub bits: u64,
    /// Of a string.
    pub text: &'a [u8],
}

impl Tally {
    pub fn row(&mut self, time: i64) {
        self.rows += 1;
        self.times = Some(self.times.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
    }

    /// Adds what was counted of other rows.
    pub fn add(&mut self, other: &Tally) {
        self.rows += other.rows;
        self.values += other.values;
        self.checksum = self.checksum.wrapping_add(other.checksum);
        self.times = match (self.times, other.times) {
            (Some((first, last)), Some((other_first, other_last))) => Some((first.min(other_first), last.max(other_last))),
            (own, other) => own.or(other),
        };
    }

    /// `series`, `field`: their [`checksum`]s.
    pub fn value(&mut self, series: u64, field: u64, time: i64, cell: Cell<'_>) {
        self.values += 1;
        self.checksum = self.checksum.wrapping_add(state().hash_one((series, field, time, cell)));
    }
}

/// Of texts in their order: the name of a field, or keys and values of tags by key.
pub fn checksum<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = state().build_hasher();
    texts.into_iter().for_each(|text| text.hash(&mut hasher));
    hasher.finish()
}

fn state() -> RandomState {
    RandomState::with_seeds(1, 2, 3, 4)
}

impl<'a> From<&'a Value> for Cell<'a> {
    fn from(value: &'a Value) -> Cell<'a> {
        let number = |kind, bits| Cell { kind, bits, text: &[] };
        match value {
            Value::Float(v) => number(FieldType::Float, v.to_bits()),
            Value::Integer(v) => number(FieldType::Integer, *v as u64),
            Value::Unsigned(v) => number(FieldType::Unsigned, *v),
            Value::Boolean(v) => number(FieldType::Boolean, u64::from(*v)),
            Value::String(text) => Cell { kind: FieldType::String, bits: 0, text },
        }
    }
}
