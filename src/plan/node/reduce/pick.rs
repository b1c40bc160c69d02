//! Reductions that pick one point of a group: `first`, `last`, `min`, `max`, with other columns of its row.
//!
//! Of equal times the greater value is taken by first and last, of equal values the earliest by min and max (InfluxDB 1.6.7).

use super::{Accumulator, Outcome, Reduction, Slots};
use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringArray, UInt32Array, new_null_array},
    compute::{cast, interleave, take},
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampNanosecondType, UInt64Type},
};
use datafusion::common::Result;
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// The accumulator of a picking reduction; `carried` is the number of columns that come along.
pub fn picking(reduction: &Reduction, input: &DataType) -> Option<Box<dyn Accumulator>> {
    let which = match reduction {
        Reduction::First => Which::First,
        Reduction::Last => Which::Last,
        Reduction::Min => Which::Min,
        Reduction::Max => Which::Max,
        _ => return None,
    };
    Some(match input {
        DataType::Float64 => Box::new(Picking::<Float64Type>::new(which)),
        DataType::Int64 => Box::new(Picking::<Int64Type>::new(which)),
        DataType::UInt64 => Box::new(Picking::<UInt64Type>::new(which)),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => Box::new(Picking::<TimestampNanosecondType>::new(which)),
        DataType::Boolean => Box::new(Picking::<Booleans>::new(which)),
        DataType::Utf8 if matches!(which, Which::First | Which::Last) => Box::new(Picking::<Texts>::new(which)),
        _ => return None,
    })
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Which {
    First,
    Last,
    Min,
    Max,
}

/// A type of column whose values can be compared and kept.
trait Values: 'static {
    type Value: Clone + PartialOrd + Send;
    fn get(column: &ArrayRef) -> impl Fn(usize) -> Self::Value + '_;
    fn array(values: impl Iterator<Item = Option<Self::Value>>) -> ArrayRef;
}

impl<T: ArrowPrimitiveType> Values for T
where
    T::Native: PartialOrd,
{
    type Value = T::Native;

    fn get(column: &ArrayRef) -> impl Fn(usize) -> T::Native + '_ {
        let values = column.as_primitive::<T>().values();
        |row| values[row]
    }

    fn array(values: impl Iterator<Item = Option<T::Native>>) -> ArrayRef {
        Arc::new(values.collect::<PrimitiveArray<T>>())
    }
}

struct Booleans;

impl Values for Booleans {
    type Value = bool;

    fn get(column: &ArrayRef) -> impl Fn(usize) -> bool + '_ {
        let values = column.as_boolean();
        |row| values.value(row)
    }

    fn array(values: impl Iterator<Item = Option<bool>>) -> ArrayRef {
        Arc::new(values.collect::<BooleanArray>())
    }
}

struct Texts;

impl Values for Texts {
    type Value = Box<str>;

    fn get(column: &ArrayRef) -> impl Fn(usize) -> Box<str> + '_ {
        let values = column.as_string::<i32>();
        |row| values.value(row).into()
    }

    fn array(values: impl Iterator<Item = Option<Box<str>>>) -> ArrayRef {
        Arc::new(values.collect::<StringArray>())
    }
}

struct Picking<V: Values> {
    which: Which,
    /// Time and value of the best point of each slot.
    best: Vec<Option<(i64, V::Value)>>,
    /// Where the other columns of the best point are kept: chunk and row.
    places: Vec<(usize, usize)>,
    chunks: Vec<Vec<ArrayRef>>,
    /// Slots whose best point is in the current batch, and its row there.
    winners: BTreeMap<usize, u32>,
}

impl<V: Values> Picking<V> {
    fn new(which: Which) -> Picking<V> {
        Picking { which, best: vec![], places: vec![], chunks: vec![], winners: BTreeMap::new() }
    }

    /// Whether a point is to be preferred to another one.
    fn prefers(&self, time: i64, value: &V::Value, old_time: i64, old: &V::Value) -> bool {
        match self.which {
            Which::First => time < old_time || time == old_time && value > old,
            Which::Last => time > old_time || time == old_time && value > old,
            Which::Min => value < old || value == old && time < old_time,
            Which::Max => value > old || value == old && time < old_time,
        }
    }
}

impl<V: Values> Accumulator for Picking<V> {
    fn update(&mut self, slot: usize, times: &[i64], column: &ArrayRef, rows: Range<usize>) -> Result<()> {
        if self.best.len() <= slot {
            self.best.resize(slot + 1, None);
        }
        let get = V::get(column);
        let valid = |r: &usize| column.is_valid(*r);
        // Times do not decrease within the rows: first and last look at one end only.
        let mut found: Option<(usize, V::Value)> = None;
        match self.which {
            Which::First | Which::Last => {
                let mut ends: Box<dyn Iterator<Item = usize>> =
                    if self.which == Which::First { Box::new(rows.filter(valid)) } else { Box::new(rows.rev().filter(valid)) };
                if let Some(first) = ends.next() {
                    let mut picked = (first, get(first));
                    for row in ends.take_while(|r| times[*r] == times[first]) {
                        let value = get(row);
                        if value > picked.1 {
                            picked = (row, value);
                        }
                    }
                    found = Some(picked);
                }
            }
            Which::Min | Which::Max => {
                let wins = |a: &V::Value, b: &V::Value| if self.which == Which::Min { a < b } else { a > b };
                for row in rows.filter(valid) {
                    let value = get(row);
                    if found.as_ref().is_none_or(|(_, best)| wins(&value, best)) {
                        found = Some((row, value));
                    }
                }
            }
        }
        let Some((row, value)) = found else { return Ok(()) };
        let time = times[row];
        if self.best[slot].as_ref().is_none_or(|(old_time, old)| self.prefers(time, &value, *old_time, old)) {
            self.best[slot] = Some((time, value));
            self.winners.insert(slot, row as u32);
        }
        Ok(())
    }

    fn end_batch(&mut self, _column: &ArrayRef, carried: &[ArrayRef]) -> Result<()> {
        let winners = std::mem::take(&mut self.winners);
        if carried.is_empty() || winners.is_empty() {
            return Ok(());
        }
        let rows = UInt32Array::from_iter_values(winners.values().copied());
        // A slice would keep the whole batch alive.
        let kept = carried.iter().map(|c| Ok(plain(&take(c, &rows, None)?)?)).collect::<Result<Vec<_>>>()?;
        self.places.resize(self.best.len(), (usize::MAX, 0));
        for (place, slot) in winners.keys().enumerate() {
            self.places[*slot] = (self.chunks.len(), place);
        }
        self.chunks.push(kept);
        Ok(())
    }

    fn finish(&mut self, slots: &Slots) -> Result<Outcome> {
        self.best.resize(slots.len(), None);
        let times = self.best.iter().map(|b| b.as_ref().map_or(0, |b| b.0)).collect();
        let values = V::array(self.best.iter().map(|b| b.as_ref().map(|b| b.1.clone())));
        let mut carried = vec![];
        if let Some(first) = self.chunks.first() {
            self.places.resize(slots.len(), (usize::MAX, 0));
            for at in 0..first.len() {
                let none = new_null_array(first[at].data_type(), 1);
                let sources: Vec<&dyn Array> = [none.as_ref()].into_iter().chain(self.chunks.iter().map(|c| c[at].as_ref())).collect();
                let places = self.places.iter().map(|(chunk, row)| (chunk.wrapping_add(1), *row)).collect::<Vec<_>>();
                carried.push(interleave(&sources, &places)?);
            }
        }
        Ok(Outcome { values, rows: None, times: Some(times), carried })
    }

    fn size(&self) -> usize {
        let chunks: usize = self.chunks.iter().flatten().map(|c| c.get_array_memory_size()).sum();
        self.best.capacity() * size_of::<Option<(i64, V::Value)>>() + self.places.capacity() * size_of::<(usize, usize)>() + chunks
    }
}

/// Dictionaries are spelled out: few rows are left, out of many batches.
pub fn plain(column: &ArrayRef) -> Result<ArrayRef, arrow::error::ArrowError> {
    match column.data_type() {
        DataType::Dictionary(_, value) => cast(column, value),
        _ => Ok(column.clone()),
    }
}
