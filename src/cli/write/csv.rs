//! CSV to line protocol, by the rules of the `influx` CLI: annotated CSV as a query gives it, or CSV of any kind with
//! `#datatype`, `#group`, `#default`, `#constant`, `#concat` and `#timezone` rows, or with `name|type|default` in its header.

mod column;

use crate::{
    format::annotated_csv,
    line_protocol::escape::{self, push_escaped},
    model::{Failure, Result},
};
use column::{Column, Part};
use std::borrow::Cow;

/// How many bytes of a CSV text that may go on are whole records: up to the last line end outside quotes.
pub fn whole_records(text: &[u8]) -> usize {
    let (mut quoted, mut whole) = (false, 0);
    for at in memchr::memchr2_iter(b'"', b'\n', text) {
        match text[at] {
            b'"' => quoted = !quoted,
            _ if !quoted => whole = at + 1,
            _ => {}
        }
    }
    whole
}

/// Reads a source piece by piece.
pub struct Converter {
    skip_bad_rows: bool,
    delimiter: u8,
    annotations: Annotations,
    /// The open table.
    table: Option<Table>,
}

/// Annotation rows before a header.
#[derive(Default)]
struct Annotations {
    datatype: Vec<String>,
    group: Vec<String>,
    default: Vec<String>,
    constants: Vec<Column>,
    offset_s: i64,
    /// There was an annotation since the last header.
    fresh: bool,
}

struct Table {
    header: Vec<String>,
    columns: Vec<Column>,
    /// Constants and concatenations, after the columns of the text.
    extra: Vec<Column>,
    offset_s: i64,
}

impl Converter {
    pub fn new(skip_bad_rows: bool) -> Converter {
        Converter { skip_bad_rows, delimiter: b',', annotations: Annotations::default(), table: None }
    }

    /// Line protocol of the records of `text`, and for each line of it the line of the source it came from.
    /// `first_line`: where the text begins in its source.
    pub fn convert(&mut self, text: &str, first_line: usize) -> Result<(String, Vec<usize>)> {
        let mut text = text;
        let mut first_line = first_line;
        if let Some(rest) = text.strip_prefix('\u{feff}').unwrap_or(text).strip_prefix("sep=")
            && let Some(delimiter) = rest.bytes().next()
        {
            self.delimiter = delimiter;
            text = rest.split_once('\n').map_or("", |(_, after)| after);
            first_line += 1;
        }
        let (mut out, mut places) = (String::new(), vec![]);
        for record in annotated_csv::records(text, self.delimiter) {
            let (line, cells) = record?;
            let place = first_line + line - 1;
            let before = out.len();
            if let Err(failure) = self.record(&cells, &mut out) {
                out.truncate(before);
                let failure = failure.context(format!("line {place}"));
                if !self.skip_bad_rows {
                    return Err(failure);
                }
                eprintln!("{failure}");
            }
            places.extend(std::iter::repeat_n(place, out[before..].matches('\n').count()));
        }
        Ok((out, places))
    }

    fn record(&mut self, cells: &[Cow<'_, str>], out: &mut String) -> Result<()> {
        let first = cells.first().map(Cow::as_ref).unwrap_or("");
        if let Some(annotation) = first.strip_prefix('#') {
            if !self.annotations.fresh {
                // Annotations after rows begin anew; constants stay, as they are said once for a whole text.
                let constants = std::mem::take(&mut self.annotations.constants);
                let offset_s = self.annotations.offset_s;
                self.annotations = Annotations { constants, offset_s, fresh: true, ..Annotations::default() };
            }
            self.table = None;
            return self.annotations.take(annotation, cells);
        }
        match &self.table {
            Some(table) if table.is_header(cells) => Ok(()),
            Some(table) => table.row(cells, out),
            None => {
                self.annotations.fresh = false;
                self.table = Some(Table::new(&self.annotations, cells)?);
                Ok(())
            }
        }
    }
}

impl Annotations {
    /// An annotation row. `#datatype measurement,tag` (a space) and `#datatype,measurement,tag` (an empty first column) differ
    /// in whether the first cell has a value of its own.
    fn take(&mut self, annotation: &str, cells: &[Cow<'_, str>]) -> Result<()> {
        let (name, own) = annotation.split_once(' ').map_or((annotation, None), |(name, own)| (name, Some(own.trim())));
        let rest = || cells.iter().skip(1).map(|c| c.trim().to_string());
        let values: Vec<String> = match own {
            Some(own) => std::iter::once(own.to_string()).chain(rest()).collect(),
            None => std::iter::once(String::new()).chain(rest()).collect(),
        };
        let given = || values.iter().filter(|_| own.is_some()).chain(values.iter().skip(1).filter(|_| own.is_none())).cloned();
        match name {
            "datatype" => self.datatype = values,
            "group" => self.group = values,
            "default" => self.default = values,
            "constant" | "concat" => self.constants.push(Column::constant(&given().collect::<Vec<_>>(), name == "concat")?),
            "timezone" => self.offset_s = offset_s(&given().next().unwrap_or_default())?,
            // Other lines with a `#` are comments.
            _ => {}
        }
        Ok(())
    }
}

/// Seconds east of UTC of `+0100`.
fn offset_s(text: &str) -> Result<i64> {
    let refused = || Failure::invalid(format!("#timezone `{text}`: write it like +0100 or -0530"));
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'+') => (1, &text[1..]),
        Some(b'-') => (-1, &text[1..]),
        _ => return Err(refused()),
    };
    let number: i64 = digits.parse().ok().filter(|_| digits.len() == 4).ok_or_else(refused)?;
    Ok(sign * (number / 100 * 3600 + number % 100 * 60))
}

impl Table {
    fn new(annotations: &Annotations, cells: &[Cow<'_, str>]) -> Result<Table> {
        let grouped = !annotations.group.is_empty();
        let at = |values: &[String], i: usize| values.get(i).cloned().unwrap_or_default();
        let column = |(i, cell): (usize, &Cow<'_, str>)| {
            let mut parts = cell.splitn(3, '|');
            let label = parts.next().unwrap_or_default().trim();
            // A type's format may end with a space: it is kept as it is.
            let own_type = parts.next().filter(|t| !t.trim().is_empty());
            let default = parts.next().map(str::to_string).or_else(|| Some(at(&annotations.default, i)).filter(|d| !d.is_empty()));
            let datatype = at(&annotations.datatype, i);
            let in_key = grouped.then(|| at(&annotations.group, i) == "true");
            Column::new(label, own_type.unwrap_or(&datatype), default, in_key)
        };
        let columns = cells.iter().enumerate().map(column).collect::<Result<Vec<Column>>>()?;
        let table = Table {
            header: cells.iter().map(|c| c.to_string()).collect(),
            columns,
            extra: annotations.constants.clone(),
            offset_s: annotations.offset_s,
        };
        let has = |part: Part| table.columns.iter().chain(&table.extra).any(|c| c.part == part);
        if !has(Part::Measurement) {
            return Err(Failure::invalid(
                "no measurement column; mark one with the datatype `measurement`, or add `#constant measurement,NAME`",
            ));
        }
        if !has(Part::Field) && !has(Part::FieldValue) {
            return Err(Failure::invalid("no field column; mark one with a datatype such as `double`, `long`, `boolean` or `string`"));
        }
        Ok(table)
    }

    fn is_header(&self, cells: &[Cow<'_, str>]) -> bool {
        cells.len() == self.header.len() && cells.iter().zip(&self.header).all(|(a, b)| a.as_ref() == b)
    }

    /// Appends the line of a row.
    fn row(&self, cells: &[Cow<'_, str>], out: &mut String) -> Result<()> {
        if cells.len() > self.columns.len() {
            let (found, expected) = (cells.len(), self.columns.len());
            return Err(Failure::invalid(format!("the row has {found} cells, the header has {expected}")));
        }
        let by_name = |name: &str| {
            let at = self.columns.iter().position(|c| c.label == name)?;
            cells.get(at).map(|cell| self.columns[at].text(cell).to_string())
        };
        let own = self.columns.iter().enumerate().map(|(i, column)| (column, column.text(cells.get(i).map_or("", Cow::as_ref)).into()));
        let extra = self.extra.iter().map(|column| (column, Cow::Owned(column.filled_in(&by_name))));
        let values: Vec<(&Column, Cow<'_, str>)> = own.chain(extra).filter(|(_, text): &(_, Cow<'_, str>)| !text.is_empty()).collect();
        let of = |part: Part| values.iter().find(move |(column, _)| column.part == part);

        let (_, measurement) = of(Part::Measurement).ok_or_else(|| Failure::invalid("no measurement"))?;
        push_escaped(out, measurement, escape::IN_MEASUREMENT);
        let mut tags: Vec<(&str, &str)> = values
            .iter()
            .filter(|(column, _)| column.part == Part::Tag)
            .map(|(column, text)| (column.label.as_str(), text.as_ref()))
            .collect();
        tags.sort_unstable();
        for (key, value) in tags {
            out.push(',');
            push_escaped(out, key, escape::IN_KEY);
            out.push('=');
            push_escaped(out, value, escape::IN_KEY);
        }
        let mut separator = ' ';
        let mut field = |key: &str, column: &Column, text: &str, out: &mut String| -> Result<()> {
            out.push(std::mem::replace(&mut separator, ','));
            push_escaped(out, key, escape::IN_KEY);
            out.push('=');
            column.push_value(text, out)
        };
        if let (Some((_, name)), Some((column, text))) = (of(Part::FieldName), of(Part::FieldValue)) {
            field(name, column, text, out)?;
        }
        for (column, text) in values.iter().filter(|(column, _)| column.part == Part::Field) {
            field(&column.label, column, text, out)?;
        }
        if separator == ' ' {
            return Err(Failure::invalid("no field has a value"));
        }
        if let Some((column, text)) = of(Part::Time) {
            out.push(' ');
            out.push_str(&column.time(text, self.offset_s)?.to_string());
        }
        out.push('\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
