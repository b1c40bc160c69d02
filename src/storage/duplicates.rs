//! Values that one field of one row was given more than once, made one: by readers, flushes, compactions and deletes alike.
//!
//! What the sum relies on, and the other policies do not need: no write is ever merged twice. Rows move from the log through the buffer
//! into a file, and from files into a larger one, and whatever happens in between they are found in one of these only:
//! - A reader takes the buffer's rows beyond what the files of its manifest version were flushed through, and begins anew when a
//!   flush came in between (`Storage::snapshot`).
//! - A file has all rows of its measurement and partition from its smallest sequence to its greatest, and no two files of a version
//!   share a sequence. So an opening that finds a file of a flush or compaction whose commit never arrived, or was lost, knows what
//!   it holds: of the log it replays what no file has (`storage/open.rs`), and of files it takes in the larger one (`storage/recover.rs`).
//!   The log keeps what it did not replay until a stored version names the file.
//! - Rows that a failed flush has brought into files after all leave the buffer before the next one begins.
//!
//! Sums are of doubles, and stored as doubles: two decimals (`storage/parquet/decimal.rs`) may have a sum that is none.

use super::policy::PolicyOf;
use crate::model::{Duplicates, FieldType, Result};
use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, UInt32Array},
    compute::{interleave, take},
    datatypes::{Float64Type, Int64Type, UInt64Type},
};
use std::{cmp::Ordering, ops::Range, sync::Arc};

/// What each bucket does with duplicates.
pub type DuplicatesOf = PolicyOf<Duplicates>;

/// Where a value stands: an array and a row of it.
type Place = (usize, usize);

/// A column of one value for each row out of those that were written for it. `place(i)` is where the `i`th of them stands, those of one
/// row together and the oldest first; `ends` closes the list of each row, which has one at least. Null where all of a row's are.
pub fn merge(
    duplicates: Duplicates,
    field_type: FieldType,
    arrays: &[&dyn Array],
    place: impl Fn(usize) -> Place,
    ends: impl Iterator<Item = usize>,
) -> Result<ArrayRef> {
    let rows = ends.scan(0, |from, to| Some(std::mem::replace(from, to)..to));
    match (duplicates, field_type) {
        (Duplicates::Sum, FieldType::Float) => return Ok(sum::<Float64Type>(arrays, place, rows, |a, b| a + b)),
        (Duplicates::Sum, FieldType::Integer) => return Ok(sum::<Int64Type>(arrays, place, rows, i64::wrapping_add)),
        (Duplicates::Sum, FieldType::Unsigned) => return Ok(sum::<UInt64Type>(arrays, place, rows, u64::wrapping_add)),
        _ => {}
    }
    let is_present = |i: &usize| {
        let (array, row) = place(*i);
        arrays[array].is_valid(row)
    };
    let present = |row: &Range<usize>| row.clone().filter(is_present);
    let chosen = match duplicates {
        Duplicates::Last | Duplicates::Sum => choose(rows, &place, |row| present(row).next_back()),
        Duplicates::First => choose(rows, &place, |row| present(row).next()),
        Duplicates::Max | Duplicates::Min => {
            let compare = comparison(field_type, arrays);
            let by_value = |a: &usize, b: &usize| compare(place(*a), place(*b));
            match duplicates {
                Duplicates::Max => choose(rows, &place, |row| present(row).max_by(by_value)),
                _ => choose(rows, &place, |row| present(row).min_by(by_value)),
            }
        }
    };
    Ok(match arrays {
        [only] => take(*only, &UInt32Array::from_iter_values(chosen.into_iter().map(|(_, row)| row as u32)), None)?,
        _ => interleave(arrays, &chosen)?,
    })
}

/// The places of chosen values; where there is none, that of a null.
fn choose(
    rows: impl Iterator<Item = Range<usize>>,
    place: impl Fn(usize) -> Place,
    choice: impl Fn(&Range<usize>) -> Option<usize>,
) -> Vec<Place> {
    rows.map(|row| place(choice(&row).unwrap_or(row.start))).collect()
}

fn sum<T: ArrowPrimitiveType>(
    arrays: &[&dyn Array],
    place: impl Fn(usize) -> Place,
    rows: impl Iterator<Item = Range<usize>>,
    add: impl Fn(T::Native, T::Native) -> T::Native,
) -> ArrayRef {
    let arrays: Vec<&PrimitiveArray<T>> = arrays.iter().map(|array| array.as_primitive()).collect();
    let value = |(array, row): Place| arrays[array].is_valid(row).then(|| arrays[array].value(row));
    Arc::new(rows.map(|row| row.filter_map(|i| value(place(i))).reduce(&add)).collect::<PrimitiveArray<T>>())
}

type Comparison<'a> = Box<dyn Fn(Place, Place) -> Ordering + 'a>;

fn comparison<'a>(field_type: FieldType, arrays: &'a [&dyn Array]) -> Comparison<'a> {
    fn of<'a, T>(value: impl Fn(Place) -> T + 'a, compare: impl Fn(&T, &T) -> Ordering + 'a) -> Comparison<'a> {
        Box::new(move |a, b| compare(&value(a), &value(b)))
    }
    match field_type {
        FieldType::Float => of(move |(a, row)| arrays[a].as_primitive::<Float64Type>().value(row), f64::total_cmp),
        FieldType::Integer => of(move |(a, row)| arrays[a].as_primitive::<Int64Type>().value(row), i64::cmp),
        FieldType::Unsigned => of(move |(a, row)| arrays[a].as_primitive::<UInt64Type>().value(row), u64::cmp),
        FieldType::Boolean => of(move |(a, row)| arrays[a].as_boolean().value(row), bool::cmp),
        FieldType::String => of(move |(a, row)| arrays[a].as_string::<i32>().value(row), |a, b| a.cmp(b)),
    }
}

#[cfg(test)]
mod tests;
