//! Tables to annotated CSV, as a stream of byte chunks.
//!
//! Table boundaries are found with one vectorised comparison per batch; the cells that are constant in a table
//! (annotation column, result, table number, group key) are rendered once and copied.

use super::{Annotation, ColumnType, CsvTable, Dialect};
use crate::format::cell::{TimeFormat, push_bool, push_f64, push_i64, push_u64};
use crate::format::table::{FrameStream, ResultTables};
use crate::model::{failure::Failure, runs::runs};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray, StringBuilder,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Int32Type, TimeUnit, TimestampNanosecondType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use std::ops::Range;

/// A chunk is handed on as soon as it is this long.
const CHUNK_BYTES: usize = 64 * 1024;

/// Encodes results one after the other, in their order, with CRLF line ends.
///
/// An `Err` comes only as the very first item, so that a door can still answer with a status; the stream ends after it.
/// A failure after the first chunk becomes a final error table (header `error,reference`), as InfluxDB 2.7 does it.
/// Columns keep the order of the batches. Null is an empty cell. A frame without rows is no table.
pub fn encode(results: Vec<ResultTables>, dialect: Dialect) -> impl Stream<Item = Result<Bytes, Failure>> + Send {
    let pump =
        Pump { writer: Writer::new(dialect), results: results.into_iter(), frames: vec![].into_iter(), frame: None, in_result: false };
    stream::unfold(Some((pump, false)), |state| async move {
        let (mut pump, started) = state?;
        match pump.fill().await {
            Ok(more) => {
                let chunk = Bytes::from(std::mem::take(&mut pump.writer.out));
                // What was announced has been sent; an empty last chunk would only end a chunked body early.
                if chunk.is_empty() && !more {
                    return None;
                }
                Some((Ok(chunk), more.then_some((pump, true))))
            }
            Err(failure) if started => {
                let mut out = std::mem::take(&mut pump.writer.out);
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(&error_table(&pump.writer.dialect, &failure.message));
                Some((Ok(Bytes::from(out)), None))
            }
            Err(failure) => Some((Err(failure), None)),
        }
    })
}

/// Encodes tables that are in memory, empty ones included. Neighbours of equal `result` are one result.
pub fn encode_tables(tables: &[CsvTable], dialect: Dialect) -> Result<Vec<u8>, Failure> {
    let mut writer = Writer::new(dialect);
    for (at, table) in tables.iter().enumerate() {
        if at == 0 || tables[at - 1].result != table.result {
            if at > 0 {
                writer.end_result();
            }
            writer.begin_result(&table.result);
        }
        if table.batch.num_rows() == 0 {
            writer.empty_table(table);
        } else {
            writer.batch(&table.batch, &table.key, false)?;
            writer.end_frame();
        }
    }
    if !tables.is_empty() {
        writer.end_result();
    }
    Ok(writer.out)
}

/// The table that tells a client about a failure: columns `error` and `reference`, the latter empty.
pub fn error_table(dialect: &Dialect, message: &str) -> Vec<u8> {
    let d = char::from(dialect.delimiter);
    let mut out = vec![];
    for annotation in &dialect.annotations {
        let row = match annotation {
            Annotation::Datatype => format!("#datatype{d}string{d}string\r\n"),
            Annotation::Group => format!("#group{d}true{d}true\r\n"),
            Annotation::Default => format!("#default{d}{d}\r\n"),
        };
        out.extend_from_slice(row.as_bytes());
    }
    if dialect.header {
        out.extend_from_slice(format!("{d}error{d}reference\r\n").as_bytes());
    }
    out.push(dialect.delimiter);
    push_text(&mut out, message, dialect.delimiter);
    out.push(dialect.delimiter);
    out.extend_from_slice(b"\r\n");
    out
}

/// Draws batches from the frames of the results and feeds the writer.
struct Pump {
    writer: Writer,
    results: std::vec::IntoIter<ResultTables>,
    frames: std::vec::IntoIter<FrameStream>,
    frame: Option<FrameStream>,
    in_result: bool,
}

impl Pump {
    /// Writes until a chunk is full (true) or everything is written (false).
    async fn fill(&mut self) -> Result<bool, Failure> {
        loop {
            if let Some(frame) = &mut self.frame {
                match frame.batches.next().await {
                    Some(batch) => self.writer.batch(&batch?, &frame.key, frame.absent_keys)?,
                    None => {
                        self.writer.end_frame();
                        self.frame = None;
                    }
                }
            } else if let Some(next) = self.frames.next() {
                self.frame = Some(next);
            } else if self.in_result {
                self.writer.end_result();
                self.in_result = false;
            } else if let Some(result) = self.results.next() {
                self.writer.begin_result(&result.name);
                self.frames = result.frames.into_iter();
                self.in_result = true;
            } else {
                return Ok(false);
            }
            if self.writer.out.len() >= CHUNK_BYTES {
                return Ok(true);
            }
        }
    }
}

/// The columns of a block, by which the next table is judged to fit into it.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    /// Name, type, and whether the column is part of the group key.
    columns: Vec<(String, ColumnType, bool)>,
}

/// Rendered key cells, one after the other.
#[derive(Default, PartialEq, Eq)]
struct KeyCells {
    text: Vec<u8>,
    /// Where each ends, and whether it is null, which is not an empty text.
    ends: Vec<(usize, bool)>,
}

impl KeyCells {
    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// `None` is null.
    fn cell(&self, at: usize) -> Option<&[u8]> {
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before].0);
        let (end, is_null) = self.ends[at];
        (!is_null).then(|| &self.text[start..end])
    }
}

/// The table that is being written.
#[derive(Default)]
struct OpenTable {
    /// Equal keys in the next batch continue the table.
    key: KeyCells,
    /// What is the same in every row.
    fixed: Vec<u8>,
    segments: Vec<Segment>,
}

/// A row is a sequence of these.
enum Segment {
    /// Cells that are the same in every row of the table, with their delimiters: a piece of [`OpenTable::fixed`].
    Fixed(Range<usize>),
    /// A delimiter and the cell of this column.
    Column(usize),
}

/// About what a cell takes. Many may be empty.
const CELL_BYTES: usize = 16;
const RESERVED_BYTES_MAX: usize = 1 << 20;

pub(super) struct Writer {
    pub(super) dialect: Dialect,
    pub(super) out: Vec<u8>,
    result: String,
    /// Number of the next table of the result.
    next_table: u64,
    block: Option<Block>,
    /// The last table was empty: the next one opens a new block even when it has the same columns.
    after_empty: bool,
    /// Which columns of the current frame the block was opened with: the cheap test before comparing blocks.
    visible: Option<Vec<bool>>,
    table: Option<OpenTable>,
    /// Kept for its room: many answers have a table per row.
    next_key: KeyCells,
    times: Vec<TimeFormat>,
}

impl Writer {
    pub(super) fn new(dialect: Dialect) -> Writer {
        let (block, visible, table, next_key) = (None, None, None, KeyCells::default());
        let (out, result, times) = (vec![], String::new(), vec![]);
        Writer { dialect, out, result, next_table: 0, block, after_empty: false, visible, table, next_key, times }
    }

    pub(super) fn begin_result(&mut self, name: &str) {
        self.result = name.to_string();
        self.next_table = 0;
        self.block = None;
        self.after_empty = false;
        self.end_frame();
    }

    /// Every result is followed by an empty line, also one without tables.
    pub(super) fn end_result(&mut self) {
        self.out.extend_from_slice(b"\r\n");
    }

    /// A table never continues in the next frame.
    pub(super) fn end_frame(&mut self) {
        self.table = None;
        self.visible = None;
    }

    pub(super) fn batch(&mut self, batch: &RecordBatch, key: &[String], absent_keys: bool) -> Result<(), Failure> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let arrays = batch.columns().iter().map(plain).collect::<Result<Vec<ArrayRef>, Failure>>()?;
        let columns: Vec<Cells> = arrays.iter().map(Cells::of).collect();
        let key = key
            .iter()
            .map(|name| {
                batch.schema_ref().index_of(name).map_err(|_| Failure::internal(format!("key column \"{name}\" is not in its table")))
            })
            .collect::<Result<Vec<usize>, Failure>>()?;
        let places: Vec<Option<usize>> = (0..columns.len()).map(|c| key.iter().position(|k| *k == c)).collect();
        self.times.resize(columns.len(), TimeFormat::default());
        let cells: Vec<ArrayRef> = key.iter().map(|c| arrays[*c].clone()).collect();
        for rows in runs(&cells, batch.num_rows())? {
            let mut next = std::mem::take(&mut self.next_key);
            next.clear();
            for &c in &key {
                let is_null = columns[c].is_null(rows.start);
                columns[c].push(&mut next.text, rows.start, &mut self.times[c], self.dialect.delimiter);
                next.ends.push((next.text.len(), is_null));
            }
            if self.table.as_ref().is_none_or(|open| open.key != next) {
                self.begin_table(batch, &columns, &places, next, absent_keys);
            } else {
                self.next_key = next;
            }
            self.rows(&columns, rows);
        }
        Ok(())
    }

    /// `places`: of the columns that are in the key, where.
    fn begin_table(&mut self, batch: &RecordBatch, columns: &[Cells], places: &[Option<usize>], key: KeyCells, absent_keys: bool) {
        let is_visible = |c: usize| !absent_keys || places[c].is_none_or(|at| key.cell(at).is_some());
        if self.visible.as_ref().is_none_or(|known| !known.iter().copied().eq((0..columns.len()).map(is_visible))) {
            let schema = batch.schema_ref();
            let block = Block {
                columns: (0..columns.len())
                    .filter(|c| is_visible(*c))
                    .map(|c| (schema.field(c).name().clone(), columns[c].column_type(), places[c].is_some()))
                    .collect(),
            };
            if self.after_empty || self.block.as_ref() != Some(&block) {
                self.open_block(&block, None);
                self.block = Some(block);
                self.after_empty = false;
            }
            self.visible = Some((0..columns.len()).map(is_visible).collect());
        }
        let delimiter = self.dialect.delimiter;
        let OpenTable { key: old, mut fixed, mut segments } = self.table.take().unwrap_or_default();
        fixed.clear();
        segments.clear();
        fixed.push(delimiter);
        if !self.dialect.annotations.contains(&Annotation::Default) {
            push_text(&mut fixed, &self.result, delimiter);
        }
        fixed.push(delimiter);
        push_u64(&mut fixed, self.next_table);
        let mut start = 0;
        for c in (0..columns.len()).filter(|c| is_visible(*c)) {
            match places[c] {
                Some(at) => {
                    fixed.push(delimiter);
                    fixed.extend_from_slice(key.cell(at).unwrap_or_default());
                }
                None => {
                    if start < fixed.len() {
                        segments.push(Segment::Fixed(start..fixed.len()));
                        start = fixed.len();
                    }
                    segments.push(Segment::Column(c));
                }
            }
        }
        fixed.extend_from_slice(b"\r\n");
        segments.push(Segment::Fixed(start..fixed.len()));
        self.next_key = old;
        self.table = Some(OpenTable { key, fixed, segments });
        self.next_table += 1;
    }

    /// A block of its own without rows; its number and key values stand in the `#default` row and nowhere else.
    fn empty_table(&mut self, table: &CsvTable) {
        let schema = table.batch.schema_ref();
        let columns = schema.fields().iter();
        let block =
            Block { columns: columns.map(|f| (f.name().clone(), ColumnType::of(f.data_type()), table.key.contains(f.name()))).collect() };
        let cells: Vec<Option<String>> = schema
            .fields()
            .iter()
            .map(|f| {
                let at = table.key.iter().position(|k| k == f.name())?;
                table.key_values.get(at)?.clone()
            })
            .collect();
        self.open_block(&block, Some((self.next_table, &cells)));
        self.next_table += 1;
        self.block = Some(block);
        self.after_empty = true;
        self.end_frame();
    }

    fn rows(&mut self, columns: &[Cells], rows: Range<usize>) {
        let table = self.table.as_ref().expect("begin_table comes first");
        let (out, delimiter) = (&mut self.out, self.dialect.delimiter);
        out.reserve((rows.len() * (table.fixed.len() + table.segments.len() * CELL_BYTES)).min(RESERVED_BYTES_MAX));
        for row in rows {
            for segment in &table.segments {
                match segment {
                    Segment::Fixed(piece) => out.extend_from_slice(&table.fixed[piece.clone()]),
                    Segment::Column(c) => {
                        out.push(delimiter);
                        columns[*c].push(out, row, &mut self.times[*c], delimiter);
                    }
                }
            }
        }
    }

    /// Annotation rows and header. For an empty table `defaults` holds its number and key cells, which stand nowhere else.
    fn open_block(&mut self, block: &Block, defaults: Option<(u64, &[Option<String>])>) {
        if self.block.is_some() {
            self.out.extend_from_slice(b"\r\n");
        }
        let (out, delimiter) = (&mut self.out, self.dialect.delimiter);
        for annotation in &self.dialect.annotations {
            match annotation {
                Annotation::Datatype => {
                    out.extend_from_slice(b"#datatype");
                    for name in ["string", "long"].into_iter().chain(block.columns.iter().map(|(_, t, _)| t.datatype())) {
                        out.push(delimiter);
                        out.extend_from_slice(name.as_bytes());
                    }
                }
                Annotation::Group => {
                    out.extend_from_slice(b"#group");
                    for in_key in [false, false].into_iter().chain(block.columns.iter().map(|(_, _, k)| *k)) {
                        out.push(delimiter);
                        push_bool(out, in_key);
                    }
                }
                Annotation::Default => {
                    out.extend_from_slice(b"#default");
                    out.push(delimiter);
                    push_text(out, &self.result, delimiter);
                    out.push(delimiter);
                    if let Some((table, _)) = defaults {
                        push_u64(out, table);
                    }
                    for c in 0..block.columns.len() {
                        out.push(delimiter);
                        if let Some(cell) = defaults.and_then(|(_, cells)| cells[c].as_ref()) {
                            push_text(out, cell, delimiter);
                        }
                    }
                }
            }
            out.extend_from_slice(b"\r\n");
        }
        if self.dialect.header {
            for name in ["", "result", "table"].into_iter().chain(block.columns.iter().map(|(n, _, _)| n.as_str())).enumerate() {
                if name.0 > 0 {
                    out.push(delimiter);
                }
                push_text(out, name.1, delimiter);
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The column in one of the layouts that [`Cells`] prints.
fn plain(array: &ArrayRef) -> Result<ArrayRef, Failure> {
    let target = match array.data_type() {
        DataType::Boolean | DataType::Int64 | DataType::UInt64 | DataType::Float64 | DataType::Utf8 => return Ok(array.clone()),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => return Ok(array.clone()),
        DataType::Dictionary(key, value) if **key == DataType::Int32 && **value == DataType::Utf8 => return Ok(array.clone()),
        other => ColumnType::of(other).arrow(),
    };
    if target != DataType::Utf8 || arrow::compute::can_cast_types(array.data_type(), &target) {
        return Ok(arrow::compute::cast(array, &target)?);
    }
    let format = FormatOptions::default();
    let cells = ArrayFormatter::try_new(array, &format)?;
    let mut text = StringBuilder::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            text.append_null();
        } else {
            text.append_value(cells.value(row).try_to_string()?);
        }
    }
    Ok(std::sync::Arc::new(text.finish()))
}

/// A column, ready to print its cells.
enum Cells<'a> {
    Boolean(&'a BooleanArray),
    Long(&'a Int64Array),
    UnsignedLong(&'a UInt64Array),
    Double(&'a Float64Array),
    String(&'a StringArray),
    Dictionary(&'a DictionaryArray<Int32Type>, &'a StringArray),
    Time(&'a TimestampNanosecondArray),
}

impl<'a> Cells<'a> {
    fn of(array: &'a ArrayRef) -> Cells<'a> {
        match array.data_type() {
            DataType::Boolean => Cells::Boolean(array.as_boolean()),
            DataType::Int64 => Cells::Long(array.as_primitive()),
            DataType::UInt64 => Cells::UnsignedLong(array.as_primitive()),
            DataType::Float64 => Cells::Double(array.as_primitive()),
            DataType::Timestamp(..) => Cells::Time(array.as_primitive::<TimestampNanosecondType>()),
            DataType::Dictionary(..) => {
                let dictionary = array.as_dictionary::<Int32Type>();
                Cells::Dictionary(dictionary, dictionary.values().as_string())
            }
            _ => Cells::String(array.as_string()),
        }
    }

    fn column_type(&self) -> ColumnType {
        match self {
            Cells::Boolean(_) => ColumnType::Boolean,
            Cells::Long(_) => ColumnType::Long,
            Cells::UnsignedLong(_) => ColumnType::UnsignedLong,
            Cells::Double(_) => ColumnType::Double,
            Cells::String(_) | Cells::Dictionary(..) => ColumnType::String,
            Cells::Time(_) => ColumnType::Time,
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Cells::Boolean(a) => a.is_null(row),
            Cells::Long(a) => a.is_null(row),
            Cells::UnsignedLong(a) => a.is_null(row),
            Cells::Double(a) => a.is_null(row),
            Cells::String(a) => a.is_null(row),
            Cells::Dictionary(a, values) => a.key(row).is_none_or(|key| values.is_null(key)),
            Cells::Time(a) => a.is_null(row),
        }
    }

    #[inline]
    fn push(&self, out: &mut Vec<u8>, row: usize, times: &mut TimeFormat, delimiter: u8) {
        if self.is_null(row) {
            return;
        }
        match self {
            Cells::Boolean(a) => push_bool(out, a.value(row)),
            Cells::Long(a) => push_i64(out, a.value(row)),
            Cells::UnsignedLong(a) => push_u64(out, a.value(row)),
            Cells::Double(a) => push_f64(out, a.value(row)),
            Cells::String(a) => push_text(out, a.value(row), delimiter),
            Cells::Dictionary(a, values) => {
                if let Some(key) = a.key(row) {
                    push_text(out, values.value(key), delimiter);
                }
            }
            Cells::Time(a) => times.push(out, a.value(row)),
        }
    }
}

/// Text with RFC 4180 quotes where Go's `encoding/csv` sets them: delimiter, quote, CR, LF, a leading space, or `\.`.
///
/// Line ends inside a cell stay as they are. (InfluxDB 2.7 turns `\n` into `\r\n` there and drops `\r`, which changes stored text.)
pub(super) fn push_text(out: &mut Vec<u8>, text: &str, delimiter: u8) {
    let bytes = text.as_bytes();
    let special = |b: &u8| *b == delimiter || matches!(b, b'"' | b'\r' | b'\n');
    let quoted = text == "\\." || text.starts_with(char::is_whitespace) || bytes.iter().any(special);
    if !quoted {
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    for byte in bytes {
        if *byte == b'"' {
            out.push(b'"');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests;
