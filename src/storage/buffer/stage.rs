//! A request's lines as typed columns, before anything shared is touched, so that requests are staged in parallel.

use super::{
    quarantine,
    rejected::{Rejected, RejectedLine, RejectedLines},
    texts::Texts,
};
use crate::{
    line_protocol::{Field, Line, Parser, escape, parse_series, write_row},
    memory::{Lease, Share},
    model::{FieldType, FieldValue, MeasurementSchema, Precision, TIME_COLUMN, Timestamp},
    storage::give_way,
};
use ahash::AHashMap;
use arrow::{
    array::{ArrayRef, BooleanArray, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, UInt64Builder},
    compute::filter,
};
use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

/// What becomes of a line that clashes with what its measurement has, as [`TypeConflicts`](crate::model::TypeConflicts) has it.
#[derive(Debug, Clone)]
pub enum Conflicts {
    Reject,
    Coerce,
    /// `write`: a number that no other write has.
    Quarantine {
        write: u64,
        /// Has the memory that such lines take beside the body.
        memory: Arc<Share>,
    },
}

/// The accepted lines of one request.
#[derive(Debug, Default)]
pub struct Staged {
    pub tables: Vec<StagedTable>,
    pub rejected: RejectedLines,
    /// Rows without those in quarantine.
    pub row_count: usize,
    pub quarantined: usize,
    /// Lines that are not stored as they were sent, by number: a value was coerced, or they are in quarantine.
    pub restated: BTreeMap<usize, String>,
    /// What lines in quarantine take, as long as the request is worked on.
    pub held: Option<Lease>,
    /// There was no memory for lines in quarantine: it was not read to the end, and nothing of it may be stored.
    pub lacks_memory: bool,
}

impl Staged {
    /// What the log is to have of `body`: each line as it is stored. It says all by itself. No line of it needs a coercion or clashes
    /// with another, so that a replay makes the same rows of it, in whatever order writes came to the log, whatever of the schema that
    /// they were staged by has not come there, and whatever the bucket is set to by then.
    pub fn log_text<'a>(&self, body: &'a [u8]) -> Cow<'a, [u8]> {
        if self.rejected.is_empty() && self.restated.is_empty() {
            return Cow::Borrowed(body);
        }
        let mut parser = Parser::new(body, Precision::Nanosecond, 0);
        let (mut fields, mut out) = (vec![], Vec::with_capacity(body.len()));
        while let Some(line) = parser.next(&mut fields) {
            // A time that is out of range only in nanoseconds was good in the request's own unit and vice versa; the
            // number, not this reading, decides.
            let (number, text) = match &line {
                Ok(line) => (line.number, line.text),
                Err(bad) => (bad.number, bad.text.as_ref()),
            };
            match self.restated.get(&number) {
                Some(line) => out.extend_from_slice(line.as_bytes()),
                None if !self.rejected.has(number) => {
                    out.extend_from_slice(text.as_bytes());
                    out.push(b'\n');
                }
                None => {}
            }
        }
        Cow::Owned(out)
    }
}

/// Rows of one measurement. All columns have one value or null per row.
#[derive(Debug)]
pub struct StagedTable {
    pub measurement: Arc<str>,
    /// `key=value,key=value` in key order, escaped as in line protocol: one text per tag set, however it was written.
    pub series: Texts,
    /// Per row, an index into `series`.
    pub rows: Vec<u32>,
    pub times: Vec<Timestamp>,
    pub columns: Vec<(Arc<str>, FieldType, ArrayRef)>,
    /// Tags or fields that the schema did not have when the lines were staged.
    pub new_tags: Vec<Arc<str>>,
    pub new_fields: bool,
}

impl StagedTable {
    /// Whether it has a tag or field that the schema did not have.
    pub fn names_something(&self) -> bool {
        self.new_fields || !self.new_tags.is_empty()
    }

    /// Keeps the rows whose times are wanted.
    pub fn retain(&mut self, wanted: impl Fn(Timestamp) -> bool) {
        let keep: BooleanArray = self.times.iter().map(|time| Some(wanted(*time))).collect();
        if keep.false_count() == 0 {
            return;
        }
        let mut kept = keep.values().iter();
        self.times.retain(|_| kept.next() == Some(true));
        let mut kept = keep.values().iter();
        self.rows.retain(|_| kept.next() == Some(true));
        for (_, _, column) in &mut self.columns {
            *column = filter(column, &keep).expect("a column has a value or null for each row");
        }
    }
}

/// So many lines are read between two times that others may have the processor.
const LINES_BETWEEN: usize = 256;

/// Reads `body`. `schema` gives the measurement's schema as known now; rows before `floor` have expired.
pub fn stage(
    body: &[u8],
    precision: Precision,
    now: Timestamp,
    floor: Option<Timestamp>,
    conflicts: Conflicts,
    schema: impl Fn(&str) -> Option<Arc<MeasurementSchema>>,
) -> Staged {
    let rules = Rules { floor, unit_ns: precision.nanoseconds(), coerces: matches!(conflicts, Conflicts::Coerce) };
    let (mut kept, mut kept_bytes, mut restated) = (vec![], 0, BTreeMap::new());
    let mut held = match &conflicts {
        Conflicts::Quarantine { memory, .. } => Some(memory.lease()),
        _ => None,
    };
    let rejected = RejectedLines::default();
    let mut staging = Staging { schema, rules, tables: vec![], table_of: AHashMap::new(), series_of: AHashMap::new(), rejected };
    let mut parser = Parser::new(body, precision, now);
    let (mut fields, mut lines) = (vec![], 0_usize);
    while let Some(line) = parser.next(&mut fields) {
        lines += 1;
        if lines.is_multiple_of(LINES_BETWEEN) {
            give_way();
        }
        let line = match line {
            Ok(line) => line,
            Err(bad) => {
                staging.reject(bad.number, &bad.text, None, Refusal::Unreadable(bad.reason));
                continue;
            }
        };
        match staging.line(&line, &mut fields) {
            Ok(None) => {}
            Ok(Some(coerced)) => drop(restated.insert(line.number, coerced)),
            Err(refusal) => match (&conflicts, &refusal) {
                (Conflicts::Quarantine { write, .. }, Refusal::Conflict { name, reason }) if kept_bytes < quarantine::BYTES_MAX => {
                    let text = quarantine::line(&line, *write, name, reason, rules.unit_ns);
                    kept_bytes += text.len();
                    if held.as_mut().is_some_and(|held| !held.try_grow(text.len() * quarantine::COPIES)) {
                        return Staged { lacks_memory: true, ..Staged::default() };
                    }
                    kept.push(Kept { refused: refusal.of(line.number, line.text, Some(line.time)), text });
                }
                _ => staging.reject(line.number, line.text, Some(line.time), refusal),
            },
        }
    }
    // Read as a replay will: what it could not read, or has no place for, is refused now.
    let is_kept: Vec<bool> = kept.iter().map(|kept| staging.keep(&kept.text, precision, &mut fields)).collect();
    let quarantined = is_kept.iter().filter(|is_kept| **is_kept).count();
    let (tables, mut rejected) = staging.finish();
    drop(fields);
    for (Kept { refused, text }, is_kept) in kept.into_iter().zip(is_kept) {
        match is_kept {
            true => drop(restated.insert(refused.number, text)),
            false => rejected.add(refused),
        }
    }
    let row_count = tables.iter().map(|t| t.times.len()).sum::<usize>() - quarantined;
    Staged { tables, rejected, row_count, quarantined, restated, held, lacks_memory: false }
}

/// What a request's lines are held to.
#[derive(Debug, Clone, Copy)]
struct Rules {
    /// Rows before it have expired.
    floor: Option<Timestamp>,
    /// Of the request's times.
    unit_ns: i64,
    /// Integers become floats where the field has these.
    coerces: bool,
}

/// Why a line cannot be stored as it is.
enum Refusal {
    Unreadable(Cow<'static, str>),
    Expired,
    /// `name`: of the field or tag that clashes.
    Conflict {
        name: String,
        reason: String,
    },
}

impl Refusal {
    fn of(self, number: usize, text: &str, time: Option<Timestamp>) -> RejectedLine {
        let (kind, reason) = match self {
            Refusal::Unreadable(reason) => (Rejected::Unreadable, reason.into_owned()),
            Refusal::Expired => (Rejected::Expired, "points beyond retention policy".into()),
            Refusal::Conflict { reason, .. } => (Rejected::TypeConflict, reason),
        };
        RejectedLine::new(number, text, time, kind, reason)
    }
}

/// A line that is to be in quarantine, and the line as which it will be there.
struct Kept {
    refused: RejectedLine,
    text: String,
}

struct Staging<'a, S> {
    schema: S,
    rules: Rules,
    tables: Vec<Building<'a>>,
    table_of: AHashMap<Box<str>, usize>,
    /// The series part as written: its table and its place there.
    series_of: AHashMap<&'a str, (u32, u32)>,
    rejected: RejectedLines,
}

impl<'a, S: Fn(&str) -> Option<Arc<MeasurementSchema>>> Staging<'a, S> {
    fn reject(&mut self, number: usize, text: &str, time: Option<Timestamp>, refusal: Refusal) {
        self.rejected.add(refusal.of(number, text, time));
    }

    /// The line as it is stored, where a value was coerced. A line that is refused leaves nothing behind: no name and no type that
    /// later ones are held to.
    fn line(&mut self, line: &Line<'a>, fields: &mut Vec<Field<'a>>) -> Result<Option<String>, Refusal> {
        if self.rules.floor.is_some_and(|floor| line.time < floor) {
            return Err(Refusal::Expired);
        }
        if let Some(&(table, series)) = self.series_of.get(line.series) {
            return self.tables[table as usize].push(series, line, fields, self.rules);
        }
        let (table, series, new_tags) = self.new_series(line.series)?;
        let pushed = self.tables[table as usize].push(series, line, fields, self.rules);
        if pushed.is_err() {
            self.series_of.remove(line.series);
            self.tables[table as usize].forget_series(new_tags);
        }
        pushed
    }

    /// Takes a line of the quarantine as a replay would; false, and nothing taken, where that is not possible.
    fn keep(&mut self, text: &'a str, precision: Precision, fields: &mut Vec<Field<'a>>) -> bool {
        let mut parser = Parser::new(text.as_bytes(), precision, 0);
        let Some(Ok(line)) = parser.next(fields) else { return false };
        line.text.len() + 1 == text.len() && matches!(self.line(&line, fields), Ok(None))
    }

    fn finish(self) -> (Vec<StagedTable>, RejectedLines) {
        let tables = self.tables.into_iter().filter(|t| !t.times.is_empty()).map(Building::finish);
        (tables.collect(), self.rejected)
    }

    /// Its table and its place there, and how many tags it has that the measurement did not have.
    fn new_series(&mut self, raw: &'a str) -> Result<(u32, u32, usize), Refusal> {
        let key = parse_series(raw).map_err(Refusal::Unreadable)?;
        let table = match self.table_of.get(key.measurement.as_ref()) {
            Some(&table) => table,
            None => {
                let schema = (self.schema)(&key.measurement).unwrap_or_else(|| Arc::new(MeasurementSchema::new(key.measurement.as_ref())));
                self.tables.push(Building::new(schema));
                self.table_of.insert(key.measurement.as_ref().into(), self.tables.len() - 1);
                self.tables.len() - 1
            }
        };
        let building = &mut self.tables[table];
        let known_tags = building.new_tags.len();
        // Mostly a series has all tags of its measurement, and no others.
        if !key.tags.iter().map(|(tag, _)| tag.as_ref()).eq(building.schema.tags.iter().map(|tag| tag.as_ref())) {
            for (tag, _) in &key.tags {
                building.check_tag(tag)?;
            }
            for (tag, _) in &key.tags {
                if !building.schema.is_tag(tag) && !building.new_tags.iter().any(|t| t.as_ref() == tag.as_ref()) {
                    building.new_tags.push(tag.as_ref().into());
                }
            }
        }
        let series = building.series.push(|text| key.push_tags(text));
        let (table, series) = (table as u32, series as u32);
        self.series_of.insert(raw, (table, series));
        Ok((table, series, building.new_tags.len() - known_tags))
    }
}

/// A [`StagedTable`] being filled.
struct Building<'a> {
    schema: Arc<MeasurementSchema>,
    series: Texts,
    rows: Vec<u32>,
    times: Vec<Timestamp>,
    columns: Vec<Column<'a>>,
    column_of: AHashMap<&'a str, usize>,
    new_tags: Vec<Arc<str>>,
    new_fields: bool,
    /// Columns of the line in hand; kept to save allocations.
    line_columns: Vec<usize>,
}

struct Column<'a> {
    /// As written, to recognise it at the same place of the next line.
    raw: &'a str,
    name: Arc<str>,
    values: Values,
}

enum Values {
    Float(Float64Builder),
    Integer(Int64Builder),
    Unsigned(UInt64Builder),
    Boolean(BooleanBuilder),
    String(StringBuilder),
}

impl<'a> Building<'a> {
    fn new(schema: Arc<MeasurementSchema>) -> Building<'a> {
        Building {
            schema,
            series: Texts::default(),
            rows: vec![],
            times: vec![],
            columns: vec![],
            column_of: AHashMap::new(),
            new_tags: vec![],
            new_fields: false,
            line_columns: vec![],
        }
    }

    /// The whole line or nothing of it; the line as it is stored, where a value was coerced.
    fn push(&mut self, series: u32, line: &Line<'a>, fields: &mut Vec<Field<'a>>, rules: Rules) -> Result<Option<String>, Refusal> {
        // A field named `time` is dropped without a word (InfluxDB 1.x and 2.x).
        if fields.iter().any(|f| f.key == TIME_COLUMN) {
            fields.retain(|f| f.key != TIME_COLUMN);
            if fields.is_empty() {
                let reason = "invalid field name: input field \"time\" is invalid, and the line has no other field";
                return Err(Refusal::Unreadable(reason.into()));
            }
        }
        let known = self.columns.len();
        let coerced = match self.find_columns(fields, rules.coerces) {
            Ok(false) => None,
            Ok(true) => Some(self.coerce(line, fields, rules.unit_ns)),
            Err(refusal) => {
                if self.columns.len() > known {
                    self.columns.truncate(known);
                    self.column_of.retain(|_, column| *column < known);
                }
                return Err(refusal);
            }
        };
        let row = self.times.len();
        for (field, &column) in fields.drain(..).zip(&self.line_columns) {
            self.columns[column].values.set(row, field.value);
        }
        self.rows.push(series);
        self.times.push(line.time);
        Ok(coerced)
    }

    /// Sets `line_columns`; whether a value must be coerced to fit its column.
    fn find_columns(&mut self, fields: &[Field<'a>], coerces: bool) -> Result<bool, Refusal> {
        let mut coerced = false;
        self.line_columns.clear();
        for (i, field) in fields.iter().enumerate() {
            let column = match self.columns.get(i) {
                Some(same_place) if same_place.raw == field.key => i,
                _ => match self.column_of.get(field.key) {
                    Some(&column) => column,
                    None => self.new_column(field, coerces)?,
                },
            };
            let (column_type, field_type) = (self.columns[column].values.field_type(), field.value.field_type());
            if column_type != field_type {
                if !(coerces && is_coercible(field_type, column_type)) {
                    return Err(self.conflict(&self.columns[column].name, field_type, column_type));
                }
                coerced = true;
            }
            self.line_columns.push(column);
        }
        Ok(coerced)
    }

    /// Makes floats of the integers that are to go into columns of floats; the line with these.
    fn coerce(&self, line: &Line<'a>, fields: &mut [Field<'a>], unit_ns: i64) -> String {
        for (field, &column) in fields.iter_mut().zip(&self.line_columns) {
            match (&field.value, &self.columns[column].values) {
                (FieldValue::Integer(v), Values::Float(_)) => field.value = FieldValue::Float(*v as f64),
                (FieldValue::Unsigned(v), Values::Float(_)) => field.value = FieldValue::Float(*v as f64),
                _ => {}
            }
        }
        let named = fields.iter().zip(&self.line_columns).map(|(field, column)| (&*self.columns[*column].name, field.value.clone()));
        let mut text = String::with_capacity(line.text.len() + 1);
        write_row(&mut text, line.series, named, Some(line.time / unit_ns));
        text
    }

    /// The last series has no row after all.
    fn forget_series(&mut self, new_tags: usize) {
        self.series.pop();
        self.new_tags.truncate(self.new_tags.len() - new_tags);
    }

    fn conflict(&self, field: &str, written: FieldType, stored: FieldType) -> Refusal {
        let measurement = &self.schema.measurement;
        let reason = format!(
            "field type conflict: input field \"{field}\" on measurement \"{measurement}\" is type {written}, already exists as type {stored}"
        );
        Refusal::Conflict { name: field.into(), reason }
    }

    /// A name is both tag and field; `was` says what it is already.
    fn name_conflict(&self, name: &str, was: &str, is: &str) -> Refusal {
        let measurement = &self.schema.measurement;
        let reason = format!("name conflict: \"{name}\" is a {was} of measurement \"{measurement}\" and cannot be a {is} too: rename one");
        Refusal::Conflict { name: name.into(), reason }
    }

    fn new_column(&mut self, field: &Field<'a>, coerces: bool) -> Result<usize, Refusal> {
        let name = escape::key(field.key);
        if let Some(column) = self.columns.iter().position(|c| c.name.as_ref() == name.as_ref()) {
            self.column_of.insert(field.key, column);
            return Ok(column);
        }
        if self.schema.is_tag(&name) || self.new_tags.iter().any(|t| t.as_ref() == name.as_ref()) {
            return Err(self.name_conflict(&name, "tag", "field"));
        }
        let (known, written) = (self.schema.fields.get(name.as_ref()).copied(), field.value.field_type());
        let column_type = known.unwrap_or(written);
        if column_type != written && !(coerces && is_coercible(written, column_type)) {
            return Err(self.conflict(&name, written, column_type));
        }
        self.new_fields |= known.is_none();
        self.columns.push(Column { raw: field.key, name: name.as_ref().into(), values: Values::new(column_type) });
        self.column_of.insert(field.key, self.columns.len() - 1);
        Ok(self.columns.len() - 1)
    }

    fn check_tag(&self, tag: &str) -> Result<(), Refusal> {
        match self.schema.fields.contains_key(tag) || self.columns.iter().any(|c| c.name.as_ref() == tag) {
            true => Err(self.name_conflict(tag, "field", "tag")),
            false => Ok(()),
        }
    }

    fn finish(self) -> StagedTable {
        let row_count = self.times.len();
        let columns = self.columns.into_iter().map(|c| {
            let field_type = c.values.field_type();
            (c.name, field_type, c.values.finish(row_count))
        });
        StagedTable {
            measurement: self.schema.measurement.clone(),
            series: self.series,
            rows: self.rows,
            times: self.times,
            columns: columns.collect(),
            new_tags: self.new_tags,
            new_fields: self.new_fields,
        }
    }
}

/// Floats have the room for all integers, if not for each of them exactly.
fn is_coercible(written: FieldType, stored: FieldType) -> bool {
    stored == FieldType::Float && matches!(written, FieldType::Integer | FieldType::Unsigned)
}

/// Runs one expression for whichever builder it is.
macro_rules! each {
    ($values:expr, $builder:ident => $body:expr) => {
        match $values {
            Values::Float($builder) => $body,
            Values::Integer($builder) => $body,
            Values::Unsigned($builder) => $body,
            Values::Boolean($builder) => $body,
            Values::String($builder) => $body,
        }
    };
}

impl Values {
    fn new(field_type: FieldType) -> Values {
        match field_type {
            FieldType::Float => Values::Float(Float64Builder::new()),
            FieldType::Integer => Values::Integer(Int64Builder::new()),
            FieldType::Unsigned => Values::Unsigned(UInt64Builder::new()),
            FieldType::Boolean => Values::Boolean(BooleanBuilder::new()),
            FieldType::String => Values::String(StringBuilder::new()),
        }
    }

    fn field_type(&self) -> FieldType {
        match self {
            Values::Float(_) => FieldType::Float,
            Values::Integer(_) => FieldType::Integer,
            Values::Unsigned(_) => FieldType::Unsigned,
            Values::Boolean(_) => FieldType::Boolean,
            Values::String(_) => FieldType::String,
        }
    }

    fn len(&self) -> usize {
        use arrow::array::ArrayBuilder;
        each!(self, b => b.len())
    }

    /// The value of row `row`, rows in between null. A field written twice in one line keeps its first value.
    fn set(&mut self, row: usize, value: FieldValue<'_>) {
        if self.len() > row {
            return;
        }
        self.pad(row);
        match (self, value) {
            (Values::Float(b), FieldValue::Float(v)) => b.append_value(v),
            (Values::Integer(b), FieldValue::Integer(v)) => b.append_value(v),
            (Values::Unsigned(b), FieldValue::Unsigned(v)) => b.append_value(v),
            (Values::Boolean(b), FieldValue::Boolean(v)) => b.append_value(v),
            (Values::String(b), FieldValue::String(v)) => b.append_value(v),
            _ => unreachable!("the type was compared before"),
        }
    }

    fn pad(&mut self, row_count: usize) {
        let missing = row_count - self.len();
        if missing > 0 {
            each!(self, b => b.append_nulls(missing));
        }
    }

    fn finish(mut self, row_count: usize) -> ArrayRef {
        self.pad(row_count);
        each!(&mut self, b => Arc::new(b.finish()) as ArrayRef)
    }
}

#[cfg(test)]
mod tests;
