//! The buffered rows of one measurement, in the parts that requests brought.

use super::{sort::sorted_chunk, stage::StagedTable};
use crate::{
    model::{Duplicates, FieldType, MeasurementSchema, Timestamp},
    storage::chunk::Chunk,
};
use ahash::AHashMap;
use arrow::array::{Array, ArrayRef};
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};

/// The rows of one write request.
#[derive(Debug)]
pub struct Part {
    pub sequence: u64,
    /// Per row, a place in the table's [`SeriesKeys`].
    pub series: Vec<u32>,
    pub times: Vec<Timestamp>,
    pub columns: Vec<(Arc<str>, FieldType, ArrayRef)>,
}

/// Tag sets by place; only ever appended to, so that readers and the writer share it.
pub type SeriesKeys = RwLock<Vec<Arc<str>>>;

/// Buffered rows. Cloning shares the parts.
#[derive(Debug, Default)]
pub struct Table {
    places: AHashMap<Arc<str>, u32>,
    keys: Arc<SeriesKeys>,
    /// In order of sequence.
    parts: Vec<Arc<Part>>,
    sorted: Vec<Sorted>,
    bytes: usize,
}

/// Sorted parts, kept so that the next reader does not sort them again.
#[derive(Debug, Clone)]
struct Sorted {
    /// It holds `parts[..parts]` less what the ones before it in the list hold.
    parts: usize,
    /// By which its equal rows were merged.
    duplicates: Duplicates,
    chunk: Arc<Chunk>,
}

/// What a reader takes out under the lock, to be sorted outside of it.
pub struct View {
    keys: Arc<SeriesKeys>,
    parts: Vec<Arc<Part>>,
    sorted: Vec<Sorted>,
}

/// A tail of unsorted rows up to this share of the sorted ones becomes a chunk of its own; past it all is sorted anew.
const TAIL_SHARE: usize = 4;
const SORTED_CHUNKS_MAX: usize = 4;

impl Table {
    /// Bytes the new rows take, about.
    pub fn append(&mut self, sequence: u64, staged: StagedTable) -> usize {
        let mut keys = self.keys.write();
        let places: Vec<u32> = staged
            .series
            .into_iter()
            .map(|key| match self.places.get(key.as_ref()) {
                Some(&place) => place,
                None => {
                    let key: Arc<str> = key.into();
                    let place = keys.len() as u32;
                    keys.push(key.clone());
                    self.places.insert(key, place);
                    place
                }
            })
            .collect();
        drop(keys);
        let series: Vec<u32> = staged.rows.into_iter().map(|row| places[row as usize]).collect();
        let bytes = series.len() * 12 + staged.columns.iter().map(|(_, _, a)| a.get_array_memory_size()).sum::<usize>();
        let part = Arc::new(Part { sequence, series, times: staged.times, columns: staged.columns });
        let at = self.parts.partition_point(|p| p.sequence < sequence);
        // A late part stands before parts that were sorted already: those chunks no longer say who wins.
        self.sorted.retain(|s| s.parts <= at);
        self.parts.insert(at, part);
        self.bytes += bytes;
        bytes
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The greatest sequence of a part; 0 without any.
    pub fn last_sequence(&self) -> u64 {
        self.parts.last().map_or(0, |part| part.sequence)
    }

    /// Takes out the parts up to `sequence`; what is left keeps its series only when it has rows.
    pub fn split_through(&mut self, sequence: u64) -> Table {
        let cut = self.parts.partition_point(|p| p.sequence <= sequence);
        if cut == self.parts.len() {
            return std::mem::take(self);
        }
        let parts: Vec<Arc<Part>> = self.parts.drain(..cut).collect();
        let rest_bytes = self.parts.iter().map(|p| part_bytes(p)).sum();
        let bytes = self.bytes.saturating_sub(rest_bytes);
        self.bytes = rest_bytes;
        let sorted = std::mem::take(&mut self.sorted).into_iter().filter(|s| s.parts <= cut).collect();
        Table { places: AHashMap::new(), keys: self.keys.clone(), parts, sorted, bytes }
    }

    pub fn view(&self) -> View {
        View { keys: self.keys.clone(), parts: self.parts.clone(), sorted: self.sorted.clone() }
    }

    /// Remembers what a reader sorted, unless newer rows came in between them.
    pub fn remember(&mut self, view: &View) {
        let Some(last) = view.sorted.last() else { return };
        let covered = last.parts;
        let is_better = |known: &Sorted| covered > known.parts || known.duplicates != last.duplicates;
        let same = self.parts.len() >= covered
            && self.sorted.last().is_none_or(is_better)
            && self.parts[..covered].iter().zip(&view.parts).all(|(a, b)| Arc::ptr_eq(a, b));
        if same {
            self.sorted = view.sorted.clone();
        }
    }
}

fn part_bytes(part: &Part) -> usize {
    part.series.len() * 12 + part.columns.iter().map(|(_, _, a)| a.get_array_memory_size()).sum::<usize>()
}

impl View {
    /// The rows as sorted chunks, oldest first. `schema` has every tag and field of the rows.
    pub fn chunks(&mut self, schema: &Arc<MeasurementSchema>, duplicates: Duplicates) -> Vec<Arc<Chunk>> {
        if self.sorted.iter().any(|s| s.duplicates != duplicates) {
            self.sorted.clear();
        }
        let covered = self.sorted.last().map_or(0, |s| s.parts);
        if covered < self.parts.len() {
            let rows = |parts: &[Arc<Part>]| parts.iter().map(|p| p.times.len()).sum::<usize>();
            let (old, new) = (rows(&self.parts[..covered]), rows(&self.parts[covered..]));
            let from = if self.sorted.len() < SORTED_CHUNKS_MAX && new * TAIL_SHARE < old { covered } else { 0 };
            if from == 0 {
                self.sorted.clear();
            }
            let chunk = sorted_chunk(schema, &self.keys.read(), &self.parts[from..], duplicates);
            self.sorted.push(Sorted { parts: self.parts.len(), duplicates, chunk: Arc::new(chunk) });
        }
        self.sorted.iter().map(|s| s.chunk.clone()).collect()
    }

    /// The smallest sequence that a row of each partition came with.
    pub fn first_sequences(&self, partition_of: impl Fn(Timestamp) -> i64) -> BTreeMap<i64, u64> {
        let mut first = BTreeMap::new();
        for part in &self.parts {
            let mut note = |partition| {
                first.entry(partition).or_insert(part.sequence);
            };
            match (part.times.iter().min(), part.times.iter().max()) {
                // Most writes are of one day.
                (Some(&min), Some(&max)) if partition_of(min) == partition_of(max) => note(partition_of(min)),
                _ => part.times.iter().for_each(|&time| note(partition_of(time))),
            }
        }
        first
    }

    /// All rows as one chunk; `None` when there are none.
    pub fn into_chunk(mut self, schema: &Arc<MeasurementSchema>, duplicates: Duplicates) -> Option<Chunk> {
        if self.parts.is_empty() {
            return None;
        }
        if self.sorted.len() != 1 || self.sorted[0].parts != self.parts.len() {
            self.sorted.clear();
        }
        self.chunks(schema, duplicates).pop().map(|chunk| Chunk::clone(&chunk))
    }
}
