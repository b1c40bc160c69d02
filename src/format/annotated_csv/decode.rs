//! Annotated CSV to tables.
//!
//! Rules follow Flux v0.200's reader: annotation rows in any order, a new annotation row or header after data opens a new
//! block, a change in the `table` cell opens a new table, an empty cell takes the block's default and is null without one.

use super::ColumnType;
use crate::model::failure::{Failure, Result};
use crate::model::time::parse_rfc3339;
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringBuilder, TimestampNanosecondBuilder,
    UInt64Builder,
};
use arrow::datatypes::{Field, Schema};
use std::borrow::Cow;
use std::sync::Arc;

/// One table.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvTable {
    /// Name of the result (`yield`) it belongs to.
    pub result: String,
    /// Group-key columns, in column order.
    pub key: Vec<String>,
    /// Their values as text, aligned with `key`: from the first row, or from the defaults when the table has no rows.
    pub key_values: Vec<Option<String>>,
    /// Columns in the order of the text, without `result` and `table`; types are those of [`ColumnType::arrow`].
    pub batch: RecordBatch,
}

/// Reads annotated CSV. A block whose columns are `error,reference` is the failure it tells of.
///
/// Text without annotations is refused: types and group keys cannot be guessed.
pub fn decode(text: &str) -> Result<Vec<CsvTable>> {
    let mut reader = Reader::default();
    for record in records(text, b',') {
        let (line, cells) = record?;
        reader.record(line, &cells)?;
    }
    reader.end_block()?;
    Ok(reader.tables)
}

/// Reads any CSV with a header row as one table of strings without a group key (`csv.from(mode: "raw")`). An empty cell is an empty text.
pub fn decode_raw(text: &str) -> Result<CsvTable> {
    let mut rows = records(text, b',');
    let (_, header) = rows.next().ok_or_else(|| Failure::invalid("failed to read header row: the CSV is empty"))??;
    let mut columns: Vec<StringBuilder> = header.iter().map(|_| StringBuilder::new()).collect();
    for row in rows {
        let (line, cells) = row?;
        if cells.len() != columns.len() {
            return Err(wrong_width(line, cells.len(), columns.len()));
        }
        columns.iter_mut().zip(&cells).for_each(|(column, cell)| column.append_value(cell));
    }
    let fields: Vec<Field> = header.iter().map(|name| Field::new(name.as_ref(), ColumnType::String.arrow(), true)).collect();
    let arrays = columns.into_iter().map(|mut c| Arc::new(c.finish()) as ArrayRef).collect();
    Ok(CsvTable { result: "_result".into(), key: vec![], key_values: vec![], batch: batch(fields, arrays)? })
}

/// Lines of CSV with their line numbers (from 1): quoted cells may hold line ends, empty lines are skipped, a byte-order mark too.
///
/// Quotes are read leniently, as Flux does: a quote inside an unquoted cell, or one in a quoted cell that ends nothing, is text.
pub fn records(text: &str, delimiter: u8) -> impl Iterator<Item = Result<(usize, Vec<Cow<'_, str>>)>> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    std::iter::from_fn(move || {
        loop {
            if let Some(after) = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')) {
                rest = after;
                line += 1;
                continue;
            }
            if rest.is_empty() {
                return None;
            }
            let first_line = line;
            let mut cells = vec![];
            loop {
                let (cell, lines, ended) = match take_cell(&mut rest, delimiter) {
                    Some(taken) => taken,
                    None => return Some(Err(Failure::invalid(format!("record on line {first_line}: a quoted cell is not closed")))),
                };
                cells.push(cell);
                line += lines;
                if ended {
                    return Some(Ok((first_line, cells)));
                }
            }
        }
    })
}

/// Cuts one cell and its delimiter or line end off the front: the cell, line ends passed, whether it was the record's last.
fn take_cell<'a>(rest: &mut &'a str, delimiter: u8) -> Option<(Cow<'a, str>, usize, bool)> {
    let text: &'a str = rest;
    let bytes = text.as_bytes();
    let ends_cell = |at: usize| at == bytes.len() || bytes[at] == delimiter || bytes[at] == b'\n' || bytes[at..].starts_with(b"\r\n");
    let (cell, mut end, mut lines) = if bytes.first() == Some(&b'"') {
        let (mut at, mut from, mut owned, mut lines) = (1, 1, String::new(), 0);
        loop {
            match memchr::memchr2(b'"', b'\n', &bytes[at..]) {
                None => return None,
                Some(step) => at += step,
            }
            if bytes[at] == b'\n' {
                lines += 1;
                at += 1;
            } else if bytes.get(at + 1) == Some(&b'"') {
                owned.push_str(&text[from..=at]);
                at += 2;
                from = at;
            } else if ends_cell(at + 1) {
                break;
            } else {
                at += 1;
            }
        }
        let tail = &text[from..at];
        let cell = if owned.is_empty() { Cow::Borrowed(tail) } else { Cow::Owned(owned + tail) };
        (cell, at + 1, lines)
    } else {
        let end = memchr::memchr2(delimiter, b'\n', bytes).unwrap_or(bytes.len());
        let cut = if end > 0 && bytes.get(end).is_none_or(|b| *b == b'\n') && bytes[end - 1] == b'\r' { end - 1 } else { end };
        (Cow::Borrowed(&text[..cut]), cut, 0)
    };
    let ended = bytes.get(end).is_none_or(|b| *b != delimiter);
    if bytes.get(end) == Some(&b'\r') {
        end += 1;
    }
    if bytes.get(end) == Some(&b'\n') {
        lines += 1;
    }
    *rest = text.get(end + 1..).unwrap_or("");
    Some((cell, lines, ended))
}

fn wrong_width(line: usize, found: usize, expected: usize) -> Failure {
    Failure::invalid(format!("record on line {line}: wrong number of fields: found {found}, the header has {expected}"))
}

fn batch(fields: Vec<Field>, arrays: Vec<ArrayRef>) -> Result<RecordBatch> {
    let rows = arrays.first().map_or(0, |a| a.len());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
}

#[derive(Default)]
struct Reader {
    /// Annotation rows seen since the last data row.
    datatype: Option<Vec<String>>,
    group: Option<Vec<bool>>,
    default: Option<Vec<String>>,
    /// The header that the annotations belong to, with the open table.
    block: Option<Block>,
    /// A header without annotations named `error`: its first row is the failure.
    error_header: bool,
    tables: Vec<CsvTable>,
}

struct Block {
    width: usize,
    /// Positions of `result` and `table` in a record.
    result: Option<usize>,
    table: Option<usize>,
    columns: Vec<Column>,
    default_result: String,
    default_table: String,
    /// Result and table cell of the open table, once a row was read.
    open: Option<(String, String)>,
    any_table: bool,
}

struct Column {
    at: usize,
    name: String,
    kind: Kind,
    in_key: bool,
    default: String,
    cells: Builder,
    first: Option<String>,
}

/// A column's type with what reading needs beyond it.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Plain(ColumnType),
    /// A time in a Go layout such as `2006-01-02`.
    Layout(String),
}

impl Reader {
    fn record(&mut self, line: usize, cells: &[Cow<'_, str>]) -> Result<()> {
        let annotation = match cells[0].strip_prefix('#') {
            Some(annotation) => annotation,
            // The sign may be missing (Flux v0.200): only annotations have anything in their first cell.
            None if matches!(cells[0].as_ref(), "datatype" | "group" | "default") => cells[0].as_ref(),
            None => return self.header_or_row(line, cells),
        };
        if self.block.is_some() {
            self.end_block()?;
        }
        self.error_header = false;
        let rest = cells[1..].iter();
        match annotation {
            "datatype" => self.datatype = Some(rest.map(|c| c.to_string()).collect()),
            "group" => self.group = Some(rest.map(|c| c == "true").collect()),
            "default" => self.default = Some(rest.map(|c| c.to_string()).collect()),
            // Any other line with the prefix is a comment.
            _ => {}
        }
        Ok(())
    }

    fn header_or_row(&mut self, line: usize, cells: &[Cow<'_, str>]) -> Result<()> {
        if self.error_header {
            let message = cells.get(1).map_or("unknown error", |c| c.as_ref());
            return Err(Failure::invalid(message));
        }
        match &mut self.block {
            Some(block) => block.row(line, cells, &mut self.tables),
            None if cells.get(1).is_some_and(|c| c == "error") && cells.get(2).is_none_or(|c| c == "reference") => {
                self.error_header = true;
                Ok(())
            }
            None => {
                self.block = Some(self.open_block(line, cells)?);
                Ok(())
            }
        }
    }

    fn open_block(&mut self, line: usize, header: &[Cow<'_, str>]) -> Result<Block> {
        let hint = "consider using the mode: \"raw\" for csv that is not expected to have annotations.";
        let missing = |name: &str| Failure::invalid(format!("failed to read metadata: missing expected annotation {name}. {hint}"));
        let datatype = self.datatype.take().ok_or_else(|| missing("datatype"))?;
        let group = self.group.take().ok_or_else(|| missing("group"))?;
        let default = self.default.take().ok_or_else(|| missing("default"))?;
        let width = header.len();
        if datatype.len() + 1 < width {
            return Err(wrong_width(line, datatype.len() + 1, width));
        }
        let default_of = |at: usize| default.get(at - 1).cloned().unwrap_or_default();
        let (mut result, mut table, mut columns) = (None, None, vec![]);
        for (at, name) in header.iter().enumerate().skip(1) {
            match name.as_ref() {
                "result" if result.is_none() && at <= 2 => result = Some(at),
                "table" if table.is_none() && at <= 2 => table = Some(at),
                name => columns.push(Column {
                    at,
                    name: name.to_string(),
                    kind: Kind::parse(&datatype[at - 1])?,
                    in_key: group.get(at - 1).copied().unwrap_or(false),
                    default: default_of(at),
                    cells: Builder::new(Kind::parse(&datatype[at - 1])?.column_type()),
                    first: None,
                }),
            }
        }
        let default_result = result.map(default_of).filter(|r| !r.is_empty()).unwrap_or_else(|| "_result".into());
        let default_table = table.map(default_of).unwrap_or_default();
        Ok(Block { width, result, table, columns, default_result, default_table, open: None, any_table: false })
    }

    /// Closes the open table. A block without rows is one empty table.
    fn end_block(&mut self) -> Result<()> {
        if let Some(mut block) = self.block.take()
            && (block.open.is_some() || !block.any_table)
        {
            self.tables.push(block.finish()?);
        }
        Ok(())
    }
}

impl Block {
    fn row(&mut self, line: usize, cells: &[Cow<'_, str>], tables: &mut Vec<CsvTable>) -> Result<()> {
        if cells.len() != self.width {
            return Err(wrong_width(line, cells.len(), self.width));
        }
        let cell_or = |at: Option<usize>, default: &str| match at {
            Some(at) if !cells[at].is_empty() => cells[at].to_string(),
            _ => default.to_string(),
        };
        let identity = (cell_or(self.result, &self.default_result), cell_or(self.table, &self.default_table));
        if self.open.as_ref().is_some_and(|open| *open != identity) {
            tables.push(self.finish()?);
        }
        self.open = Some(identity);
        for column in &mut self.columns {
            let cell = if cells[column.at].is_empty() { column.default.as_str() } else { cells[column.at].as_ref() };
            if column.in_key && column.cells.len() == 0 {
                column.first = (!cell.is_empty()).then(|| cell.to_string());
            }
            if cell.is_empty() {
                column.cells.append_null();
            } else if !column.cells.append(cell, &column.kind) {
                let kind = column.kind.column_type().flux_name();
                return Err(Failure::invalid(format!("record on line {line}: column \"{}\": \"{cell}\" is not a {kind}", column.name)));
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<CsvTable> {
        let empty = self.open.is_none();
        let result = self.open.take().map_or_else(|| self.default_result.clone(), |(result, _)| result);
        self.any_table = true;
        let (mut key, mut key_values, mut fields, mut arrays) = (vec![], vec![], vec![], vec![]);
        for column in &mut self.columns {
            if column.in_key {
                key.push(column.name.clone());
                let default = (!column.default.is_empty()).then(|| column.default.clone());
                key_values.push(if empty { default } else { column.first.take() });
            }
            fields.push(Field::new(&column.name, column.kind.column_type().arrow(), true));
            arrays.push(column.cells.finish());
        }
        Ok(CsvTable { result, key, key_values, batch: batch(fields, arrays)? })
    }
}

impl Kind {
    fn parse(datatype: &str) -> Result<Kind> {
        Ok(Kind::Plain(match datatype {
            "boolean" => ColumnType::Boolean,
            "long" => ColumnType::Long,
            "unsignedLong" => ColumnType::UnsignedLong,
            "double" => ColumnType::Double,
            "string" => ColumnType::String,
            "dateTime" | "dateTime:RFC3339" | "dateTime:RFC3339Nano" => ColumnType::Time,
            other => match other.strip_prefix("dateTime:") {
                Some(layout) => return Ok(Kind::Layout(layout.to_string())),
                None => return Err(Failure::invalid(format!("failed to read metadata: unsupported datatype \"{other}\""))),
            },
        }))
    }

    fn column_type(&self) -> ColumnType {
        match self {
            Kind::Plain(column_type) => *column_type,
            Kind::Layout(_) => ColumnType::Time,
        }
    }
}

enum Builder {
    Boolean(BooleanBuilder),
    Long(Int64Builder),
    UnsignedLong(UInt64Builder),
    Double(Float64Builder),
    String(StringBuilder),
    Time(TimestampNanosecondBuilder),
}

impl Builder {
    fn new(column_type: ColumnType) -> Builder {
        match column_type {
            ColumnType::Boolean => Builder::Boolean(BooleanBuilder::new()),
            ColumnType::Long => Builder::Long(Int64Builder::new()),
            ColumnType::UnsignedLong => Builder::UnsignedLong(UInt64Builder::new()),
            ColumnType::Double => Builder::Double(Float64Builder::new()),
            ColumnType::String => Builder::String(StringBuilder::new()),
            ColumnType::Time => Builder::Time(TimestampNanosecondBuilder::new()),
        }
    }

    /// False when the text is no value of the type.
    fn append(&mut self, cell: &str, kind: &Kind) -> bool {
        match self {
            Builder::Boolean(b) => parse_bool(cell).map(|v| b.append_value(v)).is_some(),
            Builder::Long(b) => cell.parse().map(|v| b.append_value(v)).is_ok(),
            Builder::UnsignedLong(b) => cell.parse().map(|v| b.append_value(v)).is_ok(),
            Builder::Double(b) => cell.parse().map(|v| b.append_value(v)).is_ok(),
            Builder::String(b) => {
                b.append_value(cell);
                true
            }
            Builder::Time(b) => {
                let time = match kind {
                    Kind::Layout(layout) => super::layout::parse(layout, cell),
                    Kind::Plain(_) => parse_rfc3339(cell),
                };
                time.map(|v| b.append_value(v)).is_some()
            }
        }
    }

    fn append_null(&mut self) {
        match self {
            Builder::Boolean(b) => b.append_null(),
            Builder::Long(b) => b.append_null(),
            Builder::UnsignedLong(b) => b.append_null(),
            Builder::Double(b) => b.append_null(),
            Builder::String(b) => b.append_null(),
            Builder::Time(b) => b.append_null(),
        }
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        match self {
            Builder::Boolean(b) => b.len(),
            Builder::Long(b) => b.len(),
            Builder::UnsignedLong(b) => b.len(),
            Builder::Double(b) => b.len(),
            Builder::String(b) => b.len(),
            Builder::Time(b) => b.len(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Builder::Boolean(b) => Arc::new(b.finish()),
            Builder::Long(b) => Arc::new(b.finish()),
            Builder::UnsignedLong(b) => Arc::new(b.finish()),
            Builder::Double(b) => Arc::new(b.finish()),
            Builder::String(b) => Arc::new(b.finish()),
            Builder::Time(b) => Arc::new(b.finish()),
        }
    }
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "TRUE" | "True" | "t" | "T" | "1" => Some(true),
        "false" | "FALSE" | "False" | "f" | "F" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
