//! Runs: stretches of rows, one after the other, that are equal in some columns.

use arrow::{
    array::{Array, ArrayRef, ArrowNativeTypeOp, AsArray, StringArray, downcast_primitive_array},
    compute::partition,
    datatypes::{DataType, Int32Type},
    error::ArrowError,
};
use std::{ops::Range, sync::Arc};

/// Rows looked at together, where mostly nothing changes.
const STEP: usize = 64;

/// The runs of the first `row_count` rows, all that there are in `columns`; null equals null, and NaN equals itself.
/// Without columns all rows are one run.
pub fn runs(columns: &[ArrayRef], row_count: usize) -> Result<Vec<Range<usize>>, ArrowError> {
    if row_count == 0 {
        return Ok(vec![]);
    }
    if columns.iter().all(is_constant) {
        return Ok(std::iter::once(0..row_count).collect());
    }
    let mut begins = vec![false; row_count];
    begins[0] = true;
    for column in columns {
        mark(column, &mut begins)?;
    }
    let starts: Vec<usize> = (0..row_count).filter(|row| begins[*row]).collect();
    let ends = starts.iter().skip(1).copied().chain([row_count]);
    Ok(starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect())
}

/// Whether all rows are equal, where that shows without looking at them.
fn is_constant(column: &ArrayRef) -> bool {
    let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() else { return false };
    let (values, nulls) = (dictionary.values(), dictionary.null_count());
    nulls == dictionary.len() || (nulls == 0 && values.len() == 1 && values.null_count() == 0)
}

/// Marks the rows that differ from the row before.
fn mark(column: &ArrayRef, begins: &mut [bool]) -> Result<(), ArrowError> {
    if is_constant(column) {
        return Ok(());
    }
    if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>().filter(|d| d.values().null_count() == 0) {
        let (keys, values) = (dictionary.keys(), dictionary.values());
        if keys.null_count() == 0 {
            // Two keys may stand for one value: a dictionary need not hold a value once only.
            match values.as_string_opt::<i32>() {
                Some(texts) => {
                    mark_changes(keys.values(), begins, |a, b| a == b, |a, b| texts.value(a as usize) == texts.value(b as usize))
                }
                None => {
                    let same = |a: i32, b: i32| values.slice(a as usize, 1).to_data() == values.slice(b as usize, 1).to_data();
                    mark_changes(keys.values(), begins, |a, b| a == b, same);
                }
            }
            return Ok(());
        }
    }
    if let Some(texts) = column.as_string_opt::<i32>().filter(|texts| texts.null_count() == 0) {
        mark_text_changes(texts, begins);
        return Ok(());
    }
    if column.null_count() == 0 && !matches!(column.data_type(), DataType::Dictionary(..)) {
        let column: &dyn Array = column.as_ref();
        downcast_primitive_array!(
            column => {
                mark_changes(column.values(), begins, |a, b| a.is_eq(b), |_, _| false);
                return Ok(());
            }
            _ => {}
        );
    }
    partition(&[Arc::clone(column)])?.ranges().into_iter().for_each(|run| begins[run.start] = true);
    Ok(())
}

/// `same` settles what `equal` does not see.
fn mark_changes<T: Copy>(values: &[T], begins: &mut [bool], equal: impl Fn(T, T) -> bool, same: impl Fn(T, T) -> bool) {
    for start in (1..values.len()).step_by(STEP) {
        let end = values.len().min(start + STEP);
        let (before, after) = (&values[start - 1..end - 1], &values[start..end]);
        if before.iter().zip(after).fold(false, |changes, (a, b)| changes | !equal(*a, *b)) {
            for (begin, (a, b)) in begins[start..end].iter_mut().zip(before.iter().zip(after)) {
                *begin |= !equal(*a, *b) && !same(*a, *b);
            }
        }
    }
}

/// Texts lie one behind the other: where all are as long, one comparison tells whether all are equal.
fn mark_text_changes(texts: &StringArray, begins: &mut [bool]) {
    let (offsets, bytes) = (texts.value_offsets(), texts.value_data());
    for start in (1..texts.len()).step_by(STEP) {
        let end = texts.len().min(start + STEP);
        let place = |row: usize| offsets[row] as usize;
        let length = place(start) - place(start - 1);
        let is_one_length = (start..end).all(|row| place(row + 1) - place(row) == length);
        if !is_one_length || bytes[place(start - 1)..place(end - 1)] != bytes[place(start)..place(end)] {
            (start..end).for_each(|row| begins[row] |= texts.value(row - 1) != texts.value(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{DictionaryArray, Float64Array, Int32Array, Int64Array};

    fn starts(columns: &[ArrayRef], row_count: usize) -> Vec<usize> {
        runs(columns, row_count).expect("comparable").into_iter().map(|r| r.start).collect()
    }

    #[test]
    fn rows_are_cut_where_any_column_changes() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("a"), None, None, Some("b")]));
        let number: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 2, 2, 2]));
        assert_eq!(starts(&[text, number], 5), [0, 1, 2, 4]);
        assert_eq!((starts(&[], 5), starts(&[], 0)), (vec![0], vec![]));
        let float: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, f64::NAN, 1.0]));
        assert_eq!(starts(&[float], 3), [0, 2]);
    }

    #[test]
    fn texts_are_compared_by_length_and_letters() {
        let column = |texts: &[&str]| Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        let long = [vec!["aba"; 70], vec!["bab"; 70], vec![""; 70]].concat();
        assert_eq!(starts(&[column(&long)], 210), [0, 70, 140]);
        assert_eq!(starts(&[column(&long).slice(69, 100)], 100), [0, 1, 71]);
        assert_eq!(starts(&[column(&["ab", "ab", "a", "ba", "ba", "", "", "ab"])], 8), [0, 2, 3, 5, 7]);
        assert_eq!(starts(&[column(&["ab", "cd", "ab"])], 3), [0, 1, 2]);
        assert_eq!(starts(&[column(&["x"])], 1), [0]);
    }

    #[test]
    fn keys_of_a_dictionary_are_compared_by_their_values() {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "b"]));
        let keys = Int32Array::from((0..200).map(|i| if i < 100 { i % 2 } else { 2 }).collect::<Vec<_>>());
        let column: ArrayRef = Arc::new(DictionaryArray::new(keys, values.clone()));
        assert_eq!(starts(&[column.slice(50, 150)], 150), [0, 50]);
        let column: ArrayRef = Arc::new(DictionaryArray::new(Int32Array::from(vec![Some(0), None, None, Some(1)]), values));
        assert_eq!(starts(&[column], 4), [0, 1, 3]);
    }
}
