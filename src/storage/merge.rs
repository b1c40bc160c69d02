//! The one sorted merge, for reads and for compaction: equal rows become one, field by field, as the bucket's policy has it.
//!
//! It works on runs of series, not rows: a run that overlaps nothing passes through as a slice, runs of one series
//! that follow each other in time are appended, and only rows that really overlap are merged one by one. Memory: one
//! block per source, some that are read ahead, and one batch of output. It has never heard of Parquet. It can be asked for the
//! last rows of each series only, which its sources then give, too; those of the series under way are held beside the batch.

use crate::model::{Duplicates, FieldType, Result, schema::tag_type};
use crate::storage::{
    block::{Block, Span, single_run, tag_array},
    duplicates,
    feed::{Feed, Rows, Source, Spawn},
};
use arrow::{
    array::{Array, ArrayRef, AsArray, DictionaryArray, Int32Array, StringArray, StringBuilder, UInt32Array, new_null_array},
    compute::{concat, take},
    datatypes::{Int32Type, SchemaRef},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, LazyLock},
};

/// What an output column is made of.
#[derive(Debug, Clone)]
pub enum Output {
    Time,
    Tag(Arc<str>),
    /// Index into the fields of the blocks.
    Field(usize),
}

/// What comes out.
#[derive(Debug, Clone)]
pub struct Layout {
    pub schema: SchemaRef,
    pub columns: Vec<Output>,
    /// All tags of the measurement in name order: the sort key.
    pub tags: Vec<Arc<str>>,
    pub fields: Vec<(Arc<str>, FieldType)>,
    pub duplicates: Duplicates,
    pub batch_rows: usize,
    /// Only so many rows of each series, those that come last.
    pub newest: Option<usize>,
}

/// Rows of the batches that queries ask for, and half as many: see [`Merge::next`].
const SHARED_ROWS: usize = 12_288;
/// So many blocks are read ahead at most.
const AHEAD: usize = 4;
/// Bytes of a batch, where rows are long.
const BATCH_BYTES: usize = 16 << 20;

/// Is told how much the merge holds whenever that changes, and may refuse.
type Charge = Box<dyn Fn(usize) -> Result<()> + Send>;

struct Cursor {
    feed: Feed,
    block: Option<Arc<Block>>,
    held_bytes: usize,
    spans: Vec<Span>,
    at: usize,
    key: Vec<u8>,
    /// The run that `key` is of.
    keyed: Option<usize>,
}

impl Cursor {
    fn head(&self) -> Span {
        self.spans[self.at]
    }

    fn times(&self) -> &[i64] {
        let span = self.head();
        let block = self.block.as_ref().expect("a cursor with a head has a block");
        &block.time.values()[span.start..span.end]
    }

    fn take(&mut self, rows: usize) -> (Arc<Block>, Span) {
        let span = self.head();
        let taken = Span { end: span.start + rows, ..span };
        match taken.end == span.end {
            true => self.at += 1,
            false => self.spans[self.at].start = taken.end,
        }
        (self.block.clone().expect("a cursor with a head has a block"), taken)
    }
}

pub struct Merge {
    layout: Layout,
    /// Oldest first.
    cursors: Vec<Cursor>,
    pending: Vec<(Arc<Block>, Span)>,
    pending_rows: usize,
    /// As many as were asked for, or fewer where rows are long.
    batch_rows: usize,
    charge: Option<Charge>,
    /// Reads ahead, while blocks have to be fetched.
    spawn: Option<Spawn>,
    fetching: bool,
    /// Whether the last rows were the rest of a run of theirs.
    run_ended: bool,
    last: LastRows,
}

/// The last rows so far of the series that is under way.
#[derive(Default)]
struct LastRows {
    key: Vec<u8>,
    spans: VecDeque<(Arc<Block>, Span)>,
    row_count: usize,
}

impl LastRows {
    fn add(&mut self, block: Arc<Block>, span: Span, wanted: usize) {
        self.row_count += span.end - span.start;
        self.spans.push_back((block, span));
        while let Some((_, first)) = self.spans.front_mut() {
            let spare = (self.row_count - wanted.min(self.row_count)).min(first.end - first.start);
            self.row_count -= spare;
            first.start += spare;
            if first.start < first.end {
                break;
            }
            self.spans.pop_front();
        }
    }
}

impl Merge {
    /// `sources` in rising order of sequence.
    pub fn new(layout: Layout, sources: Vec<Box<dyn Source>>) -> Merge {
        let cursor =
            |source| Cursor { feed: Feed::Idle(source), block: None, held_bytes: 0, spans: vec![], at: 0, key: vec![], keyed: None };
        let cursors = sources.into_iter().map(cursor).collect();
        let (batch_rows, last) = (layout.batch_rows, LastRows::default());
        Merge {
            layout,
            cursors,
            pending: vec![],
            pending_rows: 0,
            batch_rows,
            charge: None,
            spawn: None,
            fetching: false,
            run_ended: false,
            last,
        }
    }

    /// The same rows, whose blocks are charged while they are held.
    pub fn charged(self, charge: impl Fn(usize) -> Result<()> + Send + 'static) -> Merge {
        Merge { charge: Some(Box::new(charge)), ..self }
    }

    /// The same rows, of which blocks that are not in memory are read ahead by other threads.
    pub fn ahead(self, spawn: Spawn) -> Merge {
        Merge { spawn: Some(spawn), ..self }
    }

    /// The next rows, about `batch_rows`: up to half as many more, where that spares joining the rest of a run to others
    /// (or one of each source, where these are more). `None` at the end.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while self.pending_rows < self.batch_rows {
            // A batch of one series has one value of each tag, which spares whoever works on it looking at every row; one of
            // one block is made without copying.
            if self.pending_rows * 2 >= self.batch_rows && self.run_ended {
                break;
            }
            self.refill().await?;
            if self.cursors.is_empty() {
                self.end_series()?;
                break;
            }
            if !self.step()? {
                break;
            }
        }
        if self.pending.is_empty() {
            return Ok(None);
        }
        self.emit().map(Some)
    }

    /// Gives every cursor a head with its key, and lets go of those at their end.
    async fn refill(&mut self) -> Result<()> {
        let mut at = 0;
        while at < self.cursors.len() {
            if self.cursors[at].at < self.cursors[at].spans.len() {
                at += 1;
                continue;
            }
            self.read_ahead();
            let cursor = &mut self.cursors[at];
            let Some(Rows { block, spans, held_bytes, fetched }) = cursor.feed.next().await? else {
                self.cursors.remove(at);
                continue;
            };
            (cursor.block, cursor.spans, cursor.at) = (Some(block), spans, 0);
            (cursor.held_bytes, cursor.keyed) = (held_bytes, None);
            self.fetching = fetched;
            self.account()?;
            at += 1;
        }
        self.read_ahead();
        if self.cursors.len() > 1 {
            for cursor in &mut self.cursors {
                let run = cursor.head().run;
                if cursor.keyed == Some(run) {
                    continue;
                }
                cursor.keyed = Some(run);
                let block = cursor.block.as_ref().expect("refilled above");
                block.runs.key(run, &self.layout.tags, &mut cursor.key);
            }
        }
        Ok(())
    }

    /// Begins to read blocks that will be wanted soon: while there are many sources, those whose last run is under way.
    fn read_ahead(&mut self) {
        let (Some(spawn), true) = (self.spawn, self.fetching) else { return };
        let reading = self.cursors.iter().filter(|cursor| cursor.feed.is_reading()).count();
        let (mut room, all) = (AHEAD.saturating_sub(reading), self.cursors.len() <= AHEAD);
        if room == 0 {
            return;
        }
        for cursor in &mut self.cursors {
            let due = all || cursor.at + 1 >= cursor.spans.len();
            if due && cursor.feed.begin(spawn) {
                room -= 1;
                if room == 0 {
                    break;
                }
            }
        }
    }

    /// Looks at what the blocks under way take up.
    fn account(&mut self) -> Result<()> {
        let width = |cursor: &Cursor| cursor.block.as_ref().map_or(0, |block| block.bytes() / block.time.len().max(1));
        let widest = self.cursors.iter().map(width).max().unwrap_or(0);
        self.batch_rows = (BATCH_BYTES / widest.max(1)).clamp(1, self.layout.batch_rows.max(1));
        let Some(charge) = &self.charge else { return Ok(()) };
        // A block that is on its way is taken for as large as the largest of those that are here.
        let largest = self.cursors.iter().map(|cursor| cursor.held_bytes).max().unwrap_or(0);
        let coming = self.cursors.iter().filter(|cursor| cursor.feed.is_reading()).count() * largest;
        let held = self.cursors.iter().map(|cursor| cursor.held_bytes).sum::<usize>();
        if charge(held + coming).is_ok() {
            return Ok(());
        }
        self.spawn = None;
        charge(held)
    }

    fn key(&self, block: &Block, run: usize) -> Vec<u8> {
        let mut key = vec![];
        block.runs.key(run, &self.layout.tags, &mut key);
        key
    }

    fn push(&mut self, cursor: usize, rows: usize) -> Result<()> {
        let room = self.batch_rows.saturating_sub(self.pending_rows).max(1);
        let rows = if rows <= room + self.batch_rows / 2 { rows } else { room };
        self.run_ended = rows == self.cursors[cursor].times().len();
        let (block, span) = self.cursors[cursor].take(rows);
        self.give(block, span)
    }

    fn give(&mut self, block: Arc<Block>, span: Span) -> Result<()> {
        let Some(wanted) = self.layout.newest else {
            self.pending_rows += span.end - span.start;
            self.pending.push((block, span));
            return Ok(());
        };
        let key = self.key(&block, span.run);
        if key != self.last.key {
            self.end_series()?;
            self.last.key = key;
        }
        self.last.add(block, span, wanted);
        Ok(())
    }

    fn end_series(&mut self) -> Result<()> {
        self.pending_rows += std::mem::take(&mut self.last.row_count);
        for (block, span) in std::mem::take(&mut self.last.spans) {
            if self.pending.last().is_some_and(|(last, _)| !Arc::ptr_eq(last, &block)) {
                self.let_go_of_block()?;
            }
            self.pending.push((block, span));
        }
        Ok(())
    }

    /// Copies the rows that are pending from the block under way, where they are few: a row must not keep a whole block in
    /// memory until its batch is full.
    fn let_go_of_block(&mut self) -> Result<()> {
        let Some((block, _)) = self.pending.last().cloned() else { return Ok(()) };
        let first = self.pending.iter().rposition(|(b, _)| !Arc::ptr_eq(b, &block)).map_or(0, |at| at + 1);
        let rows: Vec<u32> = self.pending[first..].iter().flat_map(|(_, s)| s.start as u32..s.end as u32).collect();
        if rows.len() * 2 > block.time.len() {
            return Ok(());
        }
        let rows = UInt32Array::from(rows);
        let fields = block.fields.iter().map(|f| f.as_ref().map(|f| take(f, &rows, None)).transpose());
        let fields = fields.collect::<Result<_, _>>()?;
        let time = take(&block.time, &rows, None)?.as_primitive().clone();
        let copy = Arc::new(Block { runs: block.runs.clone(), time, fields });
        let mut start = 0;
        for (block, span) in &mut self.pending[first..] {
            let end = start + span.end - span.start;
            (*block, *span) = (copy.clone(), Span { run: span.run, start, end });
            start = end;
        }
        Ok(())
    }

    /// Moves some rows of the smallest series to the output; false when they would not fit.
    fn step(&mut self) -> Result<bool> {
        if self.cursors.len() == 1 {
            let rows = self.cursors[0].times().len();
            self.push(0, rows)?;
            return Ok(true);
        }
        let key = self.cursors.iter().map(|c| &c.key).min().expect("there are cursors");
        let group: Vec<usize> = (0..self.cursors.len()).filter(|&i| self.cursors[i].key == *key).collect();
        let first = *group.iter().min_by_key(|&&i| self.cursors[i].times()[0]).expect("the smallest key is somebody's");
        let others = group.iter().filter(|&&i| i != first).map(|&i| self.cursors[i].times()[0]).min();
        let times = self.cursors[first].times();
        let before = others.map_or(times.len(), |t| times.partition_point(|&x| x < t));
        if before == times.len() || before >= 64 {
            self.push(first, before)?;
            return Ok(true);
        }
        let room = self.batch_rows.saturating_sub(self.pending_rows);
        if room < group.len() && self.pending_rows > 0 {
            return Ok(false);
        }
        // Up to the first end of a head: behind it, that source's next rows are not known yet. And no further than fits.
        let share = (room / group.len()).max(1);
        let reach = |times: &[i64]| times[share.min(times.len()) - 1];
        let bound = group.iter().map(|&i| reach(self.cursors[i].times())).min().expect("heads have rows");
        let mut parts = vec![];
        for &i in &group {
            let rows = self.cursors[i].times().partition_point(|&x| x <= bound);
            if rows > 0 {
                parts.push(self.cursors[i].take(rows));
            }
        }
        let merged = merge_rows(&parts, &self.layout.fields, self.layout.duplicates)?;
        let span = Span { run: 0, start: 0, end: merged.time.len() };
        self.run_ended = false;
        self.give(Arc::new(merged), span)?;
        Ok(true)
    }

    /// Takes what goes into one batch: all that is pending, unless a series has brought more of its last rows than fit.
    fn due(&mut self) -> Vec<(Arc<Block>, Span)> {
        if self.layout.newest.is_none() {
            return std::mem::take(&mut self.pending);
        }
        let (mut due, mut room) = (vec![], self.batch_rows);
        let mut left = std::mem::take(&mut self.pending).into_iter();
        for (block, span) in left.by_ref() {
            let end = span.end.min(span.start + room);
            room -= end - span.start;
            due.push((block.clone(), Span { end, ..span }));
            if room == 0 {
                let rest = Span { start: end, ..span };
                self.pending.extend((rest.start < rest.end).then_some((block, rest)));
                break;
            }
        }
        self.pending.extend(left);
        due
    }

    fn emit(&mut self) -> Result<RecordBatch> {
        let pending = self.due();
        let rows = pending.iter().map(|(_, span)| span.end - span.start).sum();
        self.pending_rows -= rows;
        // Neighbouring spans of one block are one slice.
        let mut slices: Vec<(&Arc<Block>, usize, usize)> = vec![];
        for (block, span) in &pending {
            match slices.last_mut() {
                Some((last, _, end)) if Arc::ptr_eq(last, block) && *end == span.start => *end = span.end,
                _ => slices.push((block, span.start, span.end)),
            }
        }
        let join = |column: &dyn Fn(&Block) -> ArrayRef| -> Result<ArrayRef> {
            let parts: Vec<ArrayRef> = slices.iter().map(|(b, s, e)| column(b).slice(*s, e - s)).collect();
            Ok(match parts.as_slice() {
                [one] => one.clone(),
                many => concat(&many.iter().map(|a| a.as_ref()).collect::<Vec<_>>())?,
            })
        };
        let mut columns = vec![];
        for output in &self.layout.columns {
            columns.push(match output {
                Output::Time => join(&|b| Arc::new(b.time.clone()) as ArrayRef)?,
                Output::Field(i) => {
                    let data_type = self.layout.fields[*i].1.arrow();
                    join(&|b| b.fields[*i].clone().unwrap_or_else(|| new_null_array(&data_type, b.time.len())))?
                }
                Output::Tag(name) => tag_column(&pending, name, rows),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(self.layout.schema.clone(), columns, &options)?)
    }
}

/// One tag of the spans as a dictionary array. Rows of one block share the block's dictionary.
fn tag_column(spans: &[(Arc<Block>, Span)], name: &str, rows: usize) -> ArrayRef {
    if let Some(value) = only_value(spans, name) {
        // Most batches lie within few series, which share most of their tags.
        return match value {
            Some(value) => Arc::new(of_first_value(rows).with_values(Arc::new(StringArray::from(vec![value])))),
            None => new_null_array(&tag_type(), rows),
        };
    }
    let one_block = spans.iter().all(|(b, _)| Arc::ptr_eq(b, &spans[0].0));
    let mut keys: Vec<i32> = Vec::with_capacity(rows);
    let shared = spans[0].0.runs.tag(name).filter(|_| one_block);
    let dictionary: ArrayRef = match shared {
        Some(tag) => {
            spans.iter().for_each(|(_, s)| keys.resize(keys.len() + s.end - s.start, tag.codes[s.run]));
            tag.dictionary.clone()
        }
        None => {
            let mut values = StringBuilder::new();
            let mut codes: HashMap<&str, i32> = HashMap::new();
            // Series are in the order of their tags: mostly the value is that of the one before.
            let mut last = (None, -1);
            for (block, span) in spans {
                let value = block.runs.tag(name).and_then(|t| t.value(span.run));
                let code = match value {
                    None => -1,
                    same if same == last.0 => last.1,
                    Some(value) => *codes.entry(value).or_insert_with_key(|v| {
                        values.append_value(v);
                        values.len_i32() - 1
                    }),
                };
                last = (value, code);
                keys.resize(keys.len() + span.end - span.start, code);
            }
            Arc::new(values.finish())
        }
    };
    tag_array(keys, dictionary)
}

/// The value of a tag that all spans share (`None`: none of them has the tag); nothing where they differ.
fn only_value<'a>(spans: &'a [(Arc<Block>, Span)], name: &str) -> Option<Option<&'a str>> {
    let value = |(block, span): &'a (Arc<Block>, Span)| block.runs.tag(name).and_then(|tag| tag.value(span.run));
    let first = value(&spans[0]);
    spans[1..].iter().all(|span| value(span) == first).then_some(first)
}

/// A dictionary array whose rows all have the first value. Batches share its keys, which were checked once.
fn of_first_value(row_count: usize) -> DictionaryArray<Int32Type> {
    fn make(count: usize) -> DictionaryArray<Int32Type> {
        DictionaryArray::new(Int32Array::from(vec![0; count]), Arc::new(StringArray::from(vec![""])))
    }
    static SHARED: LazyLock<DictionaryArray<Int32Type>> = LazyLock::new(|| make(SHARED_ROWS));
    if row_count <= SHARED_ROWS { SHARED.slice(0, row_count) } else { make(row_count) }
}

trait LenI32 {
    fn len_i32(&self) -> i32;
}

impl LenI32 for StringBuilder {
    fn len_i32(&self) -> i32 {
        i32::try_from(arrow::array::ArrayBuilder::len(self)).expect("a batch has fewer values than an i32 counts")
    }
}

/// Rows of one series out of several blocks, oldest block first.
fn merge_rows(parts: &[(Arc<Block>, Span)], fields: &[(Arc<str>, FieldType)], duplicates: Duplicates) -> Result<Block> {
    let times: Vec<&[i64]> = parts.iter().map(|(b, s)| &b.time.values()[s.start..s.end]).collect();
    let mut at = vec![0; parts.len()];
    let mut out: Vec<i64> = vec![];
    // Who has the row, oldest first; `ends[i]` closes the list of output row i.
    let (mut owners, mut ends): (Vec<(usize, usize)>, Vec<usize>) = (vec![], vec![]);
    while let Some(time) = (0..parts.len()).filter_map(|p| times[p].get(at[p]).copied()).min() {
        for p in 0..parts.len() {
            if times[p].get(at[p]) == Some(&time) {
                owners.push((p, parts[p].1.start + at[p]));
                at[p] += 1;
            }
        }
        out.push(time);
        ends.push(owners.len());
    }
    let mut columns = vec![];
    for (f, (_, field_type)) in fields.iter().enumerate() {
        let null = new_null_array(&field_type.arrow(), 1);
        let arrays: Vec<&dyn Array> = parts.iter().map(|(b, _)| b.fields[f].as_deref().unwrap_or(null.as_ref())).collect();
        let place = |i: usize| {
            let (p, row) = owners[i];
            if parts[p].0.fields[f].is_some() { (p, row) } else { (p, 0) }
        };
        columns.push(Some(duplicates::merge(duplicates, *field_type, &arrays, place, ends.iter().copied())?));
    }
    let (block, span) = &parts[0];
    Ok(single_run(&block.runs, span.run, out, columns))
}
