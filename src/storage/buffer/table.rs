//! The buffered rows of one measurement, in the parts that requests brought.

use super::{keys::SeriesKeys, sort::chunk_of, stage::StagedTable};
use crate::{
    line_protocol::series::series_tags,
    model::{Duplicates, FieldType, MeasurementSchema, Timestamp},
    storage::chunk::Chunk,
};
use ahash::AHashMap;
use arrow::array::{Array, ArrayRef};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The rows of one write request.
#[derive(Debug)]
pub struct Part {
    pub sequence: u64,
    /// Per row, a place in the table's [`SeriesKeys`].
    pub series: Vec<u32>,
    pub times: Vec<Timestamp>,
    pub columns: Vec<(Arc<str>, FieldType, ArrayRef)>,
    /// Smallest and greatest of `times`.
    pub time_min: Timestamp,
    pub time_max: Timestamp,
}

impl Part {
    fn new(sequence: u64, series: Vec<u32>, times: Vec<Timestamp>, columns: Vec<(Arc<str>, FieldType, ArrayRef)>) -> Part {
        let (time_min, time_max) = (times.iter().copied().min(), times.iter().copied().max());
        let (time_min, time_max) = (time_min.unwrap_or(Timestamp::MAX), time_max.unwrap_or(Timestamp::MIN));
        Part { sequence, series, times, columns, time_min, time_max }
    }

    fn bytes(&self) -> usize {
        self.series.len() * 12 + self.columns.iter().map(|(_, _, a)| a.get_array_memory_size()).sum::<usize>()
    }
}

pub fn row_count(parts: &[Arc<Part>]) -> usize {
    parts.iter().map(|part| part.times.len()).sum()
}

/// Buffered rows.
#[derive(Debug)]
pub struct Table {
    /// Changes with every change but rows that come after all others: by it a reader's work is known to be about these rows.
    lineage: u64,
    places: AHashMap<Arc<str>, u32>,
    keys: SeriesKeys,
    /// Bytes of the keys and of finding them.
    key_bytes: usize,
    /// In order of sequence.
    parts: Vec<Arc<Part>>,
    sorted: Vec<Sorted>,
    bytes: usize,
}

impl Default for Table {
    fn default() -> Table {
        let (places, keys, parts, sorted) = (AHashMap::new(), SeriesKeys::default(), vec![], vec![]);
        Table { lineage: new_lineage(), places, keys, key_bytes: 0, parts, sorted, bytes: 0 }
    }
}

fn new_lineage() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A chunk of parts, kept so that the next reader does not sort them again.
#[derive(Debug, Clone)]
struct Sorted {
    /// It holds `parts[..parts]` less what the ones before it in the list hold.
    parts: usize,
    /// By which its equal rows were merged.
    duplicates: Duplicates,
    chunk: Arc<Chunk>,
}

/// What a reader takes out under the lock; a chunk is made of it outside of it.
pub struct View {
    lineage: u64,
    keys: SeriesKeys,
    duplicates: Duplicates,
    /// What stays as it is; it stands before `parts`.
    sorted: Vec<Sorted>,
    /// Parts that are in no chunk yet, and those of the chunks that they are joined with.
    parts: Vec<Arc<Part>>,
}

/// Rows that are in no chunk yet become one together with those of the chunk before them, as long as that has not more than so
/// many times their number ...
const MERGE_RATIO: usize = 2;
/// ... and the new one no more than these, or this share of all rows. So there are some dozens of chunks at most, each row is sorted
/// a few times, and no reader waits long for rows that others have brought.
const MERGED_ROWS: usize = 65_536;
const MERGED_SHARE: usize = 16;
/// What a series takes beside its text: two counted pointers, the counts, its entry in the map of places with the room that the map keeps
/// free, and what the allocator rounds up.
const SERIES_BYTES: usize = 96;

impl Table {
    /// Bytes that the new rows and series take, about.
    pub fn append(&mut self, sequence: u64, staged: StagedTable) -> usize {
        let before = self.bytes;
        let places = self.places_of(staged.series.iter());
        let series: Vec<u32> = staged.rows.into_iter().map(|row| places[row as usize]).collect();
        self.insert(Part::new(sequence, series, staged.times, staged.columns));
        self.bytes - before
    }

    fn places_of<K: AsRef<str> + Into<Arc<str>>>(&mut self, series: impl Iterator<Item = K>) -> Vec<u32> {
        let mut new_bytes = 0;
        let place = |key: K| match self.places.get(key.as_ref()) {
            Some(&place) => place,
            None => {
                let (place, key): (u32, Arc<str>) = (self.keys.count() as u32, key.into());
                new_bytes += SERIES_BYTES + key.len();
                self.keys.push(key.clone());
                self.places.insert(key, place);
                place
            }
        };
        let places = series.map(place).collect();
        self.key_bytes += new_bytes;
        self.bytes += new_bytes;
        places
    }

    fn insert(&mut self, part: Part) {
        self.bytes += part.bytes();
        let at = self.parts.partition_point(|p| p.sequence < part.sequence);
        if at < self.parts.len() {
            // It stands before parts that may be sorted already: those chunks no longer say who wins.
            self.sorted.retain(|s| s.parts <= at);
            self.lineage = new_lineage();
        }
        self.parts.insert(at, Arc::new(part));
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
        let mut taken = std::mem::take(self);
        let rest = taken.parts.split_off(cut);
        taken.sorted.retain(|s| s.parts <= cut);
        if taken.keys.count() <= row_count(&rest) {
            (self.keys, self.places, self.key_bytes) = (taken.keys.clone(), std::mem::take(&mut taken.places), taken.key_bytes);
            self.bytes = self.key_bytes + rest.iter().map(|part| part.bytes()).sum::<usize>();
            self.parts = rest;
        } else {
            // Mostly series without a row left: while writes never pause, they would add up to all there ever were.
            for part in rest {
                let series = self.places_of(part.series.iter().map(|&place| taken.keys[place as usize].clone()));
                self.insert(Part::new(part.sequence, series, part.times.clone(), part.columns.clone()));
            }
        }
        // Together they count what was counted before.
        taken.bytes = taken.bytes.saturating_sub(self.bytes);
        taken
    }

    /// Adds the tags and fields of the rows to a schema.
    pub fn add_names(&self, schema: &mut MeasurementSchema) {
        for key in self.keys.iter() {
            for (tag, _) in series_tags(key) {
                schema.add_tag(&tag);
            }
        }
        for (name, field_type, _) in self.parts.iter().flat_map(|part| &part.columns) {
            schema.fields.entry(name.clone()).or_insert(*field_type);
        }
    }

    /// What readers have sorted may have columns that the schema has no more.
    pub fn forget_sorted(&mut self) {
        self.sorted.clear();
        self.lineage = new_lineage();
    }

    pub fn view(&self, duplicates: Duplicates) -> View {
        let stale = self.sorted.iter().any(|s| s.duplicates != duplicates);
        let mut kept = if stale { &[] } else { self.sorted.as_slice() };
        let end = |sorted: &[Sorted]| sorted.last().map_or(0, |s| s.parts);
        let mut new = row_count(&self.parts[end(kept)..]);
        let all = new + kept.iter().map(|s| s.chunk.row_count).sum::<usize>();
        let merged_max = MERGED_ROWS.max(all / MERGED_SHARE);
        while let [before @ .., last] = kept
            && new > 0
            && last.chunk.row_count <= new * MERGE_RATIO
            && last.chunk.row_count + new <= merged_max
        {
            new += last.chunk.row_count;
            kept = before;
        }
        let parts = self.parts[end(kept)..].to_vec();
        View { lineage: self.lineage, keys: self.keys.clone(), duplicates, sorted: kept.to_vec(), parts }
    }

    /// Remembers what a reader sorted, if it is of these rows, and more than is known.
    pub fn remember(&mut self, view: &View) {
        let Some(last) = view.sorted.last() else { return };
        let is_better = |known: &Sorted| last.parts > known.parts || known.duplicates != last.duplicates;
        if self.lineage == view.lineage && last.parts <= self.parts.len() && self.sorted.last().is_none_or(is_better) {
            self.sorted = view.sorted.clone();
        }
    }

    pub fn whole(&self) -> Whole {
        let all = |s: &&Sorted| s.parts == self.parts.len() && self.sorted.len() == 1;
        Whole { keys: self.keys.clone(), parts: self.parts.clone(), sorted: self.sorted.last().filter(all).cloned() }
    }
}

impl View {
    /// The rows as chunks, oldest first, and whether one was made by this call. `schema` has every tag and field of the
    /// rows.
    pub fn chunks(&mut self, schema: &Arc<MeasurementSchema>) -> (Vec<Arc<Chunk>>, bool) {
        let (parts, mut is_new) = (std::mem::take(&mut self.parts), false);
        if !parts.is_empty() {
            let end = self.sorted.last().map_or(0, |s| s.parts) + parts.len();
            let chunk = Arc::new(chunk_of(schema, &self.keys, parts, self.duplicates));
            self.sorted.push(Sorted { parts: end, duplicates: self.duplicates, chunk });
            is_new = true;
        }
        (self.sorted.iter().map(|s| s.chunk.clone()).collect(), is_new)
    }
}

/// All rows of a table, for a flush.
pub struct Whole {
    keys: SeriesKeys,
    parts: Vec<Arc<Part>>,
    /// Where a reader has sorted all of them.
    sorted: Option<Sorted>,
}

impl Whole {
    /// The smallest sequence that a row of each partition came with.
    pub fn first_sequences(&self, partition_of: impl Fn(Timestamp) -> i64) -> BTreeMap<i64, u64> {
        let mut first = BTreeMap::new();
        for part in &self.parts {
            let mut note = |partition| {
                first.entry(partition).or_insert(part.sequence);
            };
            // Most writes are of one day.
            match partition_of(part.time_min) {
                only if only == partition_of(part.time_max) => note(only),
                _ => part.times.iter().for_each(|&time| note(partition_of(time))),
            }
        }
        first
    }

    /// The rows as one chunk; `None` when there are none.
    pub fn into_chunk(self, schema: &Arc<MeasurementSchema>, duplicates: Duplicates) -> Option<Chunk> {
        match self.sorted.filter(|s| s.duplicates == duplicates) {
            Some(sorted) => Some(Chunk::clone(&sorted.chunk)),
            None if self.parts.is_empty() => None,
            None => Some(chunk_of(schema, &self.keys, self.parts, duplicates)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Precision,
        storage::buffer::stage::{Conflicts, stage},
    };

    fn append(table: &mut Table, sequence: u64, lines: &str) -> usize {
        let staged = stage(lines.as_bytes(), Precision::Nanosecond, 0, None, Conflicts::Reject, |_| None);
        staged.tables.into_iter().map(|staged| table.append(sequence, staged)).sum()
    }

    fn rows(table: &Table) -> usize {
        row_count(&table.parts)
    }

    /// A measurement `m` with the field `f`.
    fn schema(tags: &[&str]) -> Arc<MeasurementSchema> {
        let mut schema = MeasurementSchema::new("m");
        tags.iter().for_each(|tag| _ = schema.add_tag(tag));
        schema.fields.insert("f".into(), FieldType::Float);
        Arc::new(schema)
    }

    /// While writes go on, a flush always leaves something behind.
    #[test]
    fn series_leave_with_their_rows() {
        let (mut table, schema) = (Table::default(), schema(&["id"]));
        for flush in 0..3u64 {
            let lines: String = (0..500).map(|i| format!("m,id={flush}-{i} f={i} {i}\n")).collect();
            let before = table.bytes();
            let added =
                append(&mut table, 10 * flush + 2, &lines) + append(&mut table, 10 * flush + 5, "m,id=a f=1 1\nm,id=b f=2 2\nm,id=a f=3 3");
            assert!(added > 502 * SERIES_BYTES, "series count: {added}");
            assert_eq!(table.bytes(), before + added);
            let taken = table.split_through(10 * flush + 2);
            assert_eq!(taken.bytes() + table.bytes(), before + added, "nothing is counted twice or not at all");
            assert_eq!((rows(&taken), rows(&table)), (500 + if flush == 0 { 0 } else { 3 }, 3));
            assert_eq!((table.keys.count(), table.places.len()), (2, 2), "only the series of the rows that stay");
        }
        let chunk = table.whole().into_chunk(&schema, Duplicates::Last).expect("there are rows");
        let text = arrow::util::pretty::pretty_format_batches(&[chunk.batch().expect("a batch")]).expect("prints").to_string();
        let cells = |line: &str| line.split('|').map(str::trim).filter(|c| !c.is_empty()).map(str::to_string).collect::<Vec<_>>();
        let found: Vec<Vec<String>> = text.lines().skip(3).map(cells).filter(|c| c.len() == 3).collect();
        let told: Vec<(&str, &str)> = found.iter().map(|c| (c[1].as_str(), c[2].as_str())).collect();
        assert_eq!(told, [("a", "1.0"), ("a", "3.0"), ("b", "2.0")]);
    }

    /// A reader of rows that come in all the time sorts new ones, seldom old ones, and none that another has sorted.
    #[test]
    fn readers_sort_what_is_new() {
        let (mut table, schema) = (Table::default(), schema(&[]));
        let (mut most, mut all, mut chunks_max) = (0, 0, 0);
        for request in 0..2_000u64 {
            let lines: String = (0..100).map(|i| format!("m f={i} {}\n", request * 100 + i)).collect();
            append(&mut table, request, &lines);
            let mut view = table.view(Duplicates::Last);
            let sorted = row_count(&view.parts);
            let (chunks, is_new) = view.chunks(&schema);
            assert!(is_new && sorted >= 100);
            assert_eq!(chunks.iter().map(|chunk| chunk.row_count).sum::<usize>(), rows(&table), "every row, once");
            table.remember(&view);
            (most, all, chunks_max) = (most.max(sorted), all + sorted, chunks_max.max(chunks.len()));
            let (again, is_new) = table.view(Duplicates::Last).chunks(&schema);
            assert!(!is_new && again.len() == chunks.len(), "nothing is sorted twice");
        }
        let total = rows(&table);
        assert!(most <= MERGED_ROWS && all < 20 * total && chunks_max < 48, "{most} at once, {all} of {total}, {chunks_max} chunks");
        let other = table.view(Duplicates::Sum);
        assert_eq!((other.sorted.len(), other.parts.len()), (0, 2_000), "by another policy they are sorted anew");
    }

    #[test]
    fn what_was_sorted_of_other_rows_is_not_remembered() {
        let (mut table, schema) = (Table::default(), schema(&[]));
        append(&mut table, 2, "m f=2 1");
        let mut before = table.view(Duplicates::Last);
        before.chunks(&schema);
        // An older write arrives late: the newer one's value stays.
        append(&mut table, 1, "m f=1 1");
        table.remember(&before);
        assert!(table.sorted.is_empty());
        let (chunks, _) = table.view(Duplicates::Last).chunks(&schema);
        let values = chunks[0].block(&["f".into()]).fields[0].clone().expect("the field");
        assert_eq!(arrow::array::AsArray::as_primitive::<arrow::datatypes::Float64Type>(&values).values(), &[2.0]);
        let mut before = table.view(Duplicates::Last);
        before.chunks(&schema);
        append(&mut table, 3, "m f=3 3");
        let mut taken = table.split_through(2);
        table.remember(&before);
        assert!(table.sorted.is_empty(), "its rows went with the others");
        taken.remember(&before);
        assert_eq!(taken.sorted.len(), 1, "they are there");
    }

    #[test]
    fn few_series_are_shared_with_what_is_taken() {
        let mut table = Table::default();
        append(&mut table, 1, "m,id=a f=1 1\nm,id=b f=1 1");
        append(&mut table, 2, "m,id=b f=2 2\nm,id=b f=3 3");
        let (keys, all) = (table.keys.clone(), table.bytes());
        let taken = table.split_through(1);
        assert!(table.keys.is_shared(&keys) && taken.keys.is_shared(&keys));
        assert_eq!(taken.bytes() + table.bytes(), all);
        assert_eq!(append(&mut table, 3, "m,id=b f=4 4"), append(&mut table, 4, "m,id=b f=5 5"), "the series is known");
    }
}
