//! A stretch of sorted rows with its series: what merging works on.
//!
//! Tag columns are kept as runs, one entry per series and tag instead of one per row. Filters on tags, merging and the
//! search for times work on runs; a tag column is spelled out only for the rows that are given out.

use crate::model::{DeleteSpec, Result};
use crate::storage::manifest::Tombstone;
use arrow::{
    array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray, TimestampNanosecondArray},
    datatypes::{DataType, Int32Type},
};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// The runs of equal tags in a stretch of rows.
#[derive(Debug)]
pub struct SeriesRuns {
    /// First row of each run, and at last the number of rows.
    pub starts: Vec<u32>,
    pub tags: Vec<TagRuns>,
}

/// One tag: its code per run (-1: the series has no such tag) into the dictionary.
#[derive(Debug)]
pub struct TagRuns {
    pub name: Arc<str>,
    pub dictionary: ArrayRef,
    pub codes: Vec<i32>,
}

impl TagRuns {
    pub fn value(&self, run: usize) -> Option<&str> {
        let code = usize::try_from(self.codes[run]).ok()?;
        Some(self.dictionary.as_string::<i32>().value(code))
    }
}

impl SeriesRuns {
    /// Finds the runs in tag columns (dictionary arrays, all of `rows` rows).
    pub fn of(names: &[Arc<str>], columns: &[ArrayRef], rows: usize) -> SeriesRuns {
        let mut begins = vec![false; rows];
        if let Some(first) = begins.first_mut() {
            *first = true;
        }
        let codes: Vec<Vec<i32>> = columns.iter().map(codes).collect();
        for codes in &codes {
            for (begin, pair) in begins[1.min(rows)..].iter_mut().zip(codes.windows(2)) {
                *begin |= pair[0] != pair[1];
            }
        }
        let mut starts: Vec<u32> = begins.iter().enumerate().filter(|(_, b)| **b).map(|(i, _)| i as u32).collect();
        let tags = names.iter().zip(columns).zip(&codes).map(|((name, column), codes)| TagRuns {
            name: name.clone(),
            dictionary: column.as_dictionary::<Int32Type>().values().clone(),
            codes: starts.iter().map(|&s| codes[s as usize]).collect(),
        });
        let tags = tags.collect();
        starts.push(rows as u32);
        SeriesRuns { starts, tags }
    }

    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn tag(&self, name: &str) -> Option<&TagRuns> {
        self.tags.iter().find(|t| t.name.as_ref() == name)
    }

    pub fn bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|t| t.codes.len() * 4 + t.dictionary.get_array_memory_size()).sum();
        self.starts.len() * 4 + tags
    }

    /// A tag as a column, a row for each of ours.
    pub fn column(&self, tag: &TagRuns) -> ArrayRef {
        let mut keys: Vec<i32> = Vec::with_capacity(self.starts.last().map_or(0, |rows| *rows as usize));
        tag.codes.iter().zip(&self.starts[1..]).for_each(|(code, end)| keys.resize(*end as usize, *code));
        tag_array(keys, tag.dictionary.clone())
    }

    /// Order of runs as bytes: tags in the order of `names`, an absent tag before every value.
    pub fn key(&self, run: usize, names: &[Arc<str>], out: &mut Vec<u8>) {
        out.clear();
        for name in names {
            let Some(value) = self.tag(name).and_then(|t| t.value(run)) else {
                out.push(0);
                continue;
            };
            out.push(1);
            for byte in value.bytes() {
                // A zero byte inside a value must not read as its end.
                match byte {
                    0 => out.extend([0, 255]),
                    other => out.push(other),
                }
            }
            out.extend([0, 0]);
        }
    }
}

/// A tag column of these codes, -1 for rows without the tag.
pub fn tag_array(codes: Vec<i32>, dictionary: ArrayRef) -> ArrayRef {
    let keys = match codes.contains(&-1) {
        true => codes.into_iter().map(|code| (code >= 0).then_some(code)).collect(),
        false => Int32Array::from(codes),
    };
    Arc::new(DictionaryArray::<Int32Type>::new(keys, dictionary))
}

fn codes(column: &ArrayRef) -> Vec<i32> {
    let dictionary = column.as_dictionary::<Int32Type>();
    let values = dictionary.values();
    let null = |i: usize, k: i32| dictionary.is_null(i) || values.is_null(k as usize);
    if dictionary.null_count() == 0 && values.null_count() == 0 {
        return dictionary.keys().values().to_vec();
    }
    dictionary.keys().values().iter().enumerate().map(|(i, &k)| if null(i, k) { -1 } else { k }).collect()
}

/// Rows in memory.
#[derive(Debug)]
pub struct Block {
    pub runs: Arc<SeriesRuns>,
    pub time: TimestampNanosecondArray,
    /// As many as the scan reads; `None`: the source has no such field.
    pub fields: Vec<Option<ArrayRef>>,
}

impl Block {
    /// Bytes of time and fields; the runs are few.
    pub fn bytes(&self) -> usize {
        self.time.get_array_memory_size() + self.fields.iter().flatten().map(|f| f.get_array_memory_size()).sum::<usize>()
    }
}

/// About the bytes of a row; tags are shared by many, and count as nothing.
pub fn row_bytes(columns: &[ArrayRef], row_count: usize) -> usize {
    let own = columns.iter().filter(|column| !matches!(column.data_type(), DataType::Dictionary(..)));
    let bytes: usize = own.map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum();
    bytes / row_count.max(1)
}

/// Rows `start..end` of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub run: usize,
    pub start: usize,
    pub end: usize,
}

/// Which rows a reader wants: an inclusive stretch of time, series, and how many of each series.
#[derive(Clone)]
pub struct RowFilter {
    pub time_min: i64,
    pub time_max: i64,
    pub series: Vec<Arc<dyn SeriesFilter>>,
    /// Only so many rows of each series, those that come last.
    pub newest: Option<usize>,
    /// Series that are not wanted.
    pub without: Option<Arc<SeriesSet>>,
}

impl RowFilter {
    pub fn all() -> RowFilter {
        RowFilter { time_min: i64::MIN, time_max: i64::MAX, series: vec![], newest: None, without: None }
    }

    /// Whether each run is wanted, as far as its tags say.
    pub fn wanted(&self, runs: &SeriesRuns) -> Result<Vec<bool>> {
        let mut wanted = match &self.without {
            Some(set) if !set.keys.is_empty() => set.lacks(runs),
            _ => vec![true; runs.len()],
        };
        for condition in &self.series {
            for (wanted, keep) in wanted.iter_mut().zip(condition.keep(runs)?) {
                *wanted &= keep;
            }
        }
        Ok(wanted)
    }
}

/// Series by their tags.
#[derive(Debug, Clone)]
pub struct SeriesSet {
    /// All that a series of the measurement may have.
    tags: Vec<Arc<str>>,
    keys: HashSet<Vec<u8>, ahash::RandomState>,
}

impl SeriesSet {
    pub fn new(tags: &[Arc<str>]) -> SeriesSet {
        SeriesSet { tags: tags.to_vec(), keys: HashSet::default() }
    }

    /// `key`: of [`SeriesRuns::key`] for all tags.
    pub fn insert(&mut self, key: Vec<u8>) {
        self.keys.insert(key);
    }

    fn lacks(&self, runs: &SeriesRuns) -> Vec<bool> {
        let mut key = vec![];
        let lacks = |run| {
            runs.key(run, &self.tags, &mut key);
            !self.keys.contains(&key)
        };
        (0..runs.len()).map(lacks).collect()
    }
}

/// A condition on a tag. All of them must hold.
pub trait SeriesFilter: Send + Sync + std::fmt::Debug {
    /// Whether each run is wanted; absent tags are null.
    fn keep(&self, runs: &SeriesRuns) -> Result<Vec<bool>>;

    fn tag(&self) -> &str;

    /// For stretches of rows of which only this is known of the tag: whether any row may be wanted.
    fn may_keep(&self, stretches: &[TagBounds]) -> Vec<bool>;
}

/// What is known of one tag in a stretch of rows without reading them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TagBounds {
    /// No value is smaller or greater; `None`: not known.
    pub min: Option<String>,
    pub max: Option<String>,
    pub rows: u64,
    /// Rows without the tag; `None`: not known.
    pub absent: Option<u64>,
}

impl TagBounds {
    /// No row has the tag.
    pub fn absent(rows: u64) -> TagBounds {
        TagBounds { min: None, max: None, rows, absent: Some(rows) }
    }
}

/// The wanted rows of the `wanted` runs, in order, without those that `tombstones` hide. Of one row stored twice, both count as one of the newest
/// wherever either does, since that depends on later rows only.
pub fn select(runs: &SeriesRuns, wanted: &[bool], times: &[i64], filter: &RowFilter, tombstones: &[Arc<Tombstone>]) -> Vec<Span> {
    let mut spans = vec![];
    for run in (0..runs.len()).filter(|r| wanted[*r]) {
        let (first, last) = (runs.starts[run] as usize, runs.starts[run + 1] as usize);
        let at_or_after = |t: i64| first + times[first..last].partition_point(|&x| x < t);
        let after = |t: i64| first + times[first..last].partition_point(|&x| x <= t);
        let mut pieces = vec![(at_or_after(filter.time_min), after(filter.time_max))];
        for tombstone in tombstones.iter().filter(|t| hides(&t.delete, runs, run)) {
            let (from, to) = (at_or_after(tombstone.delete.range.start), after(tombstone.delete.last()));
            pieces = pieces.into_iter().flat_map(|(s, e)| [(s, e.min(from)), (s.max(to), e)]).filter(|(s, e)| s < e).collect();
        }
        pieces.retain(|(s, e)| s < e);
        if let Some(mut wanted) = filter.newest {
            for piece in pieces.iter_mut().rev() {
                piece.0 = piece.0.max(piece.1.saturating_sub(wanted));
                wanted -= piece.1 - piece.0;
            }
            pieces.retain(|(s, e)| s < e);
        }
        spans.extend(pieces.into_iter().map(|(start, end)| Span { run, start, end }));
    }
    spans
}

fn hides(delete: &DeleteSpec, runs: &SeriesRuns, run: usize) -> bool {
    !delete.is_empty() && delete.tags.iter().all(|p| p.matches(runs.tag(&p.tag).and_then(|t| t.value(run))))
}

/// A block of one run, for rows that were merged out of several blocks.
pub fn single_run(like: &SeriesRuns, run: usize, time: Vec<i64>, fields: Vec<Option<ArrayRef>>) -> Block {
    let values: BTreeMap<&Arc<str>, &str> = like.tags.iter().filter_map(|t| Some((&t.name, t.value(run)?))).collect();
    let tags = values.into_iter().map(|(name, value)| TagRuns {
        name: name.clone(),
        dictionary: Arc::new(StringArray::from(vec![value])),
        codes: vec![0],
    });
    let runs = SeriesRuns { starts: vec![0, time.len() as u32], tags: tags.collect() };
    Block { runs: Arc::new(runs), time: TimestampNanosecondArray::from(time), fields }
}
