//! Key columns to dense group numbers, run by run: rows of one series stand together, so a key is looked up once per
//! run of equal rows and not once per row.

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray},
    compute::cast,
    datatypes::{DataType, Int32Type},
};
use datafusion::common::Result;
use std::{collections::HashMap, ops::Range, sync::Arc};

/// The values of a group's key. An absent tag and the empty string are one (InfluxQL).
type Key = Box<[Option<Box<str>>]>;

/// The groups seen so far, numbered in order of appearance.
#[derive(Debug, Default)]
pub struct Groups {
    by_key: HashMap<Key, u32, ahash::RandomState>,
    keys: Vec<Key>,
}

impl Groups {
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The runs of equal keys in a batch, each with its group. `columns` are texts, plain or as dictionaries.
    pub fn runs(&mut self, columns: &[ArrayRef], row_count: usize) -> Result<Vec<(Range<usize>, u32)>> {
        if row_count == 0 {
            return Ok(vec![]);
        }
        let mut begins = vec![false; row_count];
        begins[0] = true;
        let texts = columns.iter().map(|c| Texts::of(c, &mut begins)).collect::<Result<Vec<_>>>()?;
        let starts: Vec<usize> = (0..row_count).filter(|i| begins[*i]).collect();
        let ends = starts.iter().skip(1).copied().chain([row_count]);
        Ok(starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| {
                let key: Key = texts.iter().map(|t| t.get(start).filter(|v| !v.is_empty()).map(Box::from)).collect();
                (start..end, self.number(key))
            })
            .collect())
    }

    fn number(&mut self, key: Key) -> u32 {
        if let Some(number) = self.by_key.get(&key) {
            return *number;
        }
        let number = self.keys.len() as u32;
        self.keys.push(key.clone());
        self.by_key.insert(key, number);
        number
    }

    /// The place of each group in key order, absent values first.
    pub fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.keys.len() as u32).collect();
        order.sort_by(|a, b| self.keys[*a as usize].cmp(&self.keys[*b as usize]));
        let mut ranks = vec![0; order.len()];
        for (rank, group) in order.into_iter().enumerate() {
            ranks[group as usize] = rank as u32;
        }
        ranks
    }

    /// Key column `at` of the given groups.
    pub fn column(&self, at: usize, groups: impl Iterator<Item = u32>) -> ArrayRef {
        Arc::new(groups.map(|g| self.keys[g as usize][at].as_deref()).collect::<StringArray>())
    }

    pub fn size(&self) -> usize {
        let bytes = |k: &Key| k.iter().flatten().map(|v| v.len() + size_of::<Option<Box<str>>>()).sum::<usize>();
        self.keys.iter().map(|k| 2 * bytes(k) + 64).sum()
    }
}

/// A text column that can be asked row by row.
enum Texts {
    Plain(StringArray),
    /// Code per row (-1: null) and the texts.
    Coded(Vec<i32>, StringArray),
}

impl Texts {
    /// Marks the rows that differ from the row before.
    fn of(column: &ArrayRef, begins: &mut [bool]) -> Result<Texts> {
        if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>() {
            let texts = cast(dictionary.values(), &DataType::Utf8)?.as_string::<i32>().clone();
            let keys = dictionary.keys();
            let code = |i: usize| if keys.is_null(i) || texts.is_null(keys.value(i) as usize) { -1 } else { keys.value(i) };
            let codes: Vec<i32> = match keys.null_count() + texts.null_count() {
                0 => keys.values().to_vec(),
                _ => (0..keys.len()).map(code).collect(),
            };
            for (begin, pair) in begins[1..].iter_mut().zip(codes.windows(2)) {
                *begin |= pair[0] != pair[1];
            }
            return Ok(Texts::Coded(codes, texts));
        }
        let texts = cast(column, &DataType::Utf8)?.as_string::<i32>().clone();
        let value = |i: usize| texts.is_valid(i).then(|| texts.value(i));
        for (i, begin) in begins.iter_mut().enumerate().skip(1) {
            *begin |= value(i) != value(i - 1);
        }
        Ok(Texts::Plain(texts))
    }

    fn get(&self, row: usize) -> Option<&str> {
        match self {
            Texts::Plain(texts) => texts.is_valid(row).then(|| texts.value(row)),
            Texts::Coded(codes, texts) => usize::try_from(codes[row]).ok().map(|c| texts.value(c)),
        }
    }
}
