//! Key columns to dense group numbers, run by run: rows of one series stand together, so a key is looked up once per
//! run of equal rows and not once per row.

use crate::model::runs::runs;
use arrow::{
    array::{Array, ArrayRef, AsArray, Int32Array, StringArray},
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
        let texts = columns.iter().map(Texts::of).collect::<Result<Vec<_>>>()?;
        let found = runs(columns, row_count)?.into_iter().map(|run| {
            let key: Key = texts.iter().map(|t| t.get(run.start).filter(|v| !v.is_empty()).map(Box::from)).collect();
            (run, self.number(key))
        });
        Ok(found.collect())
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
    /// Code per row and the texts.
    Coded(Int32Array, StringArray),
}

impl Texts {
    fn of(column: &ArrayRef) -> Result<Texts> {
        let text = |column: &ArrayRef| -> Result<StringArray> { Ok(cast(column, &DataType::Utf8)?.as_string::<i32>().clone()) };
        Ok(match column.as_dictionary_opt::<Int32Type>() {
            Some(dictionary) => Texts::Coded(dictionary.keys().clone(), text(dictionary.values())?),
            None => Texts::Plain(text(column)?),
        })
    }

    fn get(&self, row: usize) -> Option<&str> {
        let (texts, at) = match self {
            Texts::Plain(texts) => (texts, row),
            Texts::Coded(codes, texts) => (texts, codes.is_valid(row).then(|| codes.value(row) as usize)?),
        };
        texts.is_valid(at).then(|| texts.value(at))
    }
}
