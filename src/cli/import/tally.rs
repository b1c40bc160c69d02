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
    /// The same with floats for integers: of a bucket that coerces these, where a field has floats.
    pub checksum_as_floats: u64,
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
        self.checksum_as_floats = self.checksum_as_floats.wrapping_add(other.checksum_as_floats);
        self.times = match (self.times, other.times) {
            (Some((first, last)), Some((other_first, other_last))) => Some((first.min(other_first), last.max(other_last))),
            (own, other) => own.or(other),
        };
    }

    /// `series`, `field`: their [`checksum`]s.
    pub fn value(&mut self, series: u64, field: u64, time: i64, cell: Cell<'_>) {
        self.values += 1;
        let of = |cell: Cell<'_>| state().hash_one((series, field, time, cell));
        let checksum = of(cell);
        self.checksum = self.checksum.wrapping_add(checksum);
        self.checksum_as_floats = self.checksum_as_floats.wrapping_add(cell.as_float().map_or(checksum, of));
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

impl Cell<'_> {
    /// What becomes of an integer where integers are coerced.
    fn as_float(&self) -> Option<Cell<'static>> {
        let float = match self.kind {
            FieldType::Integer => self.bits as i64 as f64,
            FieldType::Unsigned => self.bits as f64,
            _ => return None,
        };
        Some(Cell { kind: FieldType::Float, bits: float.to_bits(), text: &[] })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_the_floats_that_became_of_them_are_the_same_as_floats() {
        let tally = |values: &[Value]| {
            let mut tally = Tally::default();
            for (time, value) in (0..).zip(values) {
                tally.row(time);
                tally.value(1, 2, time, value.into());
            }
            tally
        };
        let sent = tally(&[Value::Integer(-3), Value::Unsigned(u64::MAX), Value::Integer((1 << 53) + 1), Value::Boolean(true)]);
        let coerced = tally(&[Value::Float(-3.0), Value::Float(u64::MAX as f64), Value::Float((1_u64 << 53) as f64), Value::Boolean(true)]);
        assert!(sent != coerced && sent.checksum != coerced.checksum && sent.checksum_as_floats == coerced.checksum_as_floats);
        let other = tally(&[Value::Float(-3.5), Value::Unsigned(u64::MAX), Value::Integer((1 << 53) + 1), Value::Boolean(true)]);
        let one = tally(&[Value::Integer(-3), Value::Unsigned(u64::MAX), Value::Integer((1 << 53) + 1), Value::Integer(1)]);
        assert!([other, one].iter().all(|other| other.checksum_as_floats != sent.checksum_as_floats));
    }
}
