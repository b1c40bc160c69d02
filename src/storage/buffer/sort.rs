//! Parts to one sorted chunk: series are ranked once, rows are dealt out by rank, and only series whose rows came
//! out of order are sorted by time. Equal rows are merged field by field. All of it when somebody asks for it: see [`Chunk`].

use super::{
    keys::SeriesKeys,
    table::{Part, row_count},
};
use crate::{
    line_protocol::series::series_tags,
    model::{Duplicates, FieldType, MeasurementSchema, Timestamp},
    storage::{
        block::{SeriesRuns, TagRuns},
        chunk::{Chunk, Columns},
        duplicates,
    },
};
use ahash::AHashMap;
use arrow::{
    array::{Array, ArrayRef, StringArray, TimestampNanosecondArray, UInt32Array, new_null_array},
    compute::{concat, take},
};
use std::{borrow::Cow, sync::Arc};

/// Rows as requests brought them, at least one.
#[derive(Debug)]
pub struct Unsorted {
    keys: SeriesKeys,
    /// In order of sequence.
    parts: Vec<Arc<Part>>,
    policy: Duplicates,
}

/// Where rows are, until they are put in order field by field.
#[derive(Debug)]
pub struct Order {
    pub runs: Arc<SeriesRuns>,
    pub time: TimestampNanosecondArray,
    /// In order. Rows of all parts are counted through.
    kept: UInt32Array,
    /// `None`: no two rows are equal.
    groups: Option<Groups>,
}

/// Equal rows.
#[derive(Debug)]
struct Groups {
    order: Vec<u32>,
    /// Where each group ends in `order`.
    ends: Vec<usize>,
}

/// All rows of `parts` (in order of sequence, at least one row). `schema` has every tag and field of the rows.
pub fn chunk_of(schema: &Arc<MeasurementSchema>, keys: &SeriesKeys, parts: Vec<Arc<Part>>, policy: Duplicates) -> Chunk {
    let sequence = parts.iter().map(|part| part.sequence).max().unwrap_or(0);
    let time_min = parts.iter().map(|part| part.time_min).min().unwrap_or(0);
    let time_max = parts.iter().map(|part| part.time_max).max().unwrap_or(0);
    let row_count = row_count(&parts);
    let columns = Columns::later(schema.fields.len(), Unsorted { keys: keys.clone(), parts, policy });
    Chunk { schema: schema.clone(), sequence, time_min, time_max, row_count, columns: Arc::new(columns) }
}

impl Unsorted {
    pub fn order(&self, schema: &MeasurementSchema) -> Order {
        let series: Vec<u32> = self.parts.iter().flat_map(|p| p.series.iter().copied()).collect();
        let times: Vec<Timestamp> = self.parts.iter().flat_map(|p| p.times.iter().copied()).collect();
        let ranked = Ranked::new(schema, &self.keys, &series);
        let order = order_rows(&ranked.rank_of, ranked.len(), &series, &times);
        let equal = |a: u32, b: u32| series[a as usize] == series[b as usize] && times[a as usize] == times[b as usize];

        let groups = order.windows(2).any(|w| equal(w[0], w[1])).then(|| {
            let ends = (1..=order.len()).filter(|&i| i == order.len() || !equal(order[i - 1], order[i])).collect();
            Groups { order: order.clone(), ends }
        });
        // The last of each group of equal rows stands for the group.
        let kept = match &groups {
            Some(groups) => groups.ends.iter().map(|&end| order[end - 1]).collect(),
            None => order,
        };
        let time = TimestampNanosecondArray::from_iter_values(kept.iter().map(|&row| times[row as usize]));
        let runs = ranked.runs(&schema.tags, kept.iter().map(|&row| ranked.rank_of[series[row as usize] as usize]));
        Order { runs: Arc::new(runs), time, kept: kept.into(), groups }
    }

    /// The values of a field, in order.
    pub fn field(&self, order: &Order, name: &str, field_type: FieldType) -> ArrayRef {
        let column = |part: &Arc<Part>| match part.columns.iter().find(|(n, _, _)| n.as_ref() == name) {
            Some((_, _, array)) => array.clone(),
            None => new_null_array(&field_type.arrow(), part.times.len()),
        };
        let pieces: Vec<ArrayRef> = self.parts.iter().map(column).collect();
        let pieces: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
        let flat = concat(&pieces).expect("a field has one type in all parts");
        match &order.groups {
            Some(Groups { order, ends }) if flat.null_count() > 0 || self.policy != Duplicates::Last => {
                let place = |i: usize| (0, order[i] as usize);
                let merged = duplicates::merge(self.policy, field_type, &[flat.as_ref()], place, ends.iter().copied());
                merged.expect("places are within the array")
            }
            _ => take(&flat, &order.kept, None).expect("row numbers are within the array"),
        }
    }
}

#[cfg(test)]
impl Order {
    /// Of rows that are in order already and have their columns.
    pub fn given(runs: Arc<SeriesRuns>, time: TimestampNanosecondArray) -> Order {
        Order { runs, time, kept: UInt32Array::from(Vec::<u32>::new()), groups: None }
    }
}

/// Rows by (rank of series, time, arrival).
fn order_rows(rank_of: &[u32], rank_count: usize, series: &[u32], times: &[Timestamp]) -> Vec<u32> {
    let mut starts = vec![0usize; rank_count + 1];
    for &s in series {
        starts[rank_of[s as usize] as usize + 1] += 1;
    }
    for rank in 0..rank_count {
        starts[rank + 1] += starts[rank];
    }
    let mut next = starts.clone();
    let mut order = vec![0u32; series.len()];
    for (row, &s) in series.iter().enumerate() {
        let at = &mut next[rank_of[s as usize] as usize];
        order[*at] = row as u32;
        *at += 1;
    }
    for bounds in starts.windows(2) {
        let rows = &mut order[bounds[0]..bounds[1]];
        if !rows.is_sorted_by_key(|&row| times[row as usize]) {
            rows.sort_by_key(|&row| times[row as usize]);
        }
    }
    order
}

/// The series that have rows, in order of their tags (nulls first).
struct Ranked<'a> {
    /// By place in the table's keys; meaningless for series without rows.
    rank_of: Vec<u32>,
    /// By rank: which of the series in `tags` it is.
    order: Vec<u32>,
    /// Series after series, a value or nothing for each tag of the schema.
    tags: Vec<Option<Cow<'a, str>>>,
    tag_count: usize,
}

impl<'a> Ranked<'a> {
    fn new(schema: &MeasurementSchema, keys: &'a SeriesKeys, series: &[u32]) -> Ranked<'a> {
        let mut used = vec![false; keys.count()];
        series.iter().for_each(|&s| used[s as usize] = true);
        let places: Vec<u32> = (0..keys.count() as u32).filter(|&place| used[place as usize]).collect();
        let tag_count = schema.tags.len();
        let mut tags = vec![None; places.len() * tag_count];
        for (at, &place) in places.iter().enumerate() {
            for (key, value) in series_tags(&keys[place as usize]) {
                if let Ok(tag) = schema.tags.binary_search_by(|t| t.as_ref().cmp(key.as_ref())) {
                    tags[at * tag_count + tag] = Some(value);
                }
            }
        }
        let tags_of = |at: u32| &tags[at as usize * tag_count..][..tag_count];
        let mut order: Vec<u32> = (0..places.len() as u32).collect();
        order.sort_unstable_by(|a, b| tags_of(*a).cmp(tags_of(*b)));
        let mut rank_of = vec![0; keys.count()];
        order.iter().enumerate().for_each(|(rank, at)| rank_of[places[*at as usize] as usize] = rank as u32);
        Ranked { rank_of, order, tags, tag_count }
    }

    fn len(&self) -> usize {
        self.order.len()
    }

    /// The runs of rows given by the ranks of their series, which rise.
    fn runs(&self, names: &[Arc<str>], ranks: impl Iterator<Item = u32>) -> SeriesRuns {
        let (mut starts, mut row_count, mut last) = (Vec::with_capacity(self.len() + 1), 0, None);
        for rank in ranks {
            if last != Some(rank) {
                starts.push(row_count);
                last = Some(rank);
            }
            row_count += 1;
        }
        debug_assert_eq!(starts.len(), self.len(), "every series has rows");
        starts.push(row_count);
        SeriesRuns { starts, tags: names.iter().enumerate().map(|(at, name)| self.tag(at, name.clone())).collect() }
    }

    fn tag(&self, tag: usize, name: Arc<str>) -> TagRuns {
        let mut known: AHashMap<&str, i32> = AHashMap::new();
        let mut values: Vec<&str> = vec![];
        let mut last: Option<(&str, i32)> = None;
        let code = |&at: &u32| {
            let Some(value) = self.tags[at as usize * self.tag_count + tag].as_deref() else { return -1 };
            if let Some((text, code)) = last
                && text == value
            {
                return code;
            }
            let next = values.len() as i32;
            // Series are sorted by their first tag before all: its values do not come again.
            let code = if tag == 0 { next } else { *known.entry(value).or_insert(next) };
            if code == next {
                values.push(value);
            }
            last = Some((value, code));
            code
        };
        let codes = self.order.iter().map(code).collect();
        TagRuns { name, dictionary: Arc::new(StringArray::from(values)), codes }
    }
}
