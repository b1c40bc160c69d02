//! A request's lines as typed columns, before anything shared is touched, so that requests are staged in parallel.

use crate::{
    line_protocol::{Field, Parser, escape, parse_series, write::push_series_tags},
    model::{FieldType, FieldValue, MeasurementSchema, Precision, TIME_COLUMN, Timestamp},
};
use ahash::AHashMap;
use arrow::{
    array::{ArrayRef, BooleanArray, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, UInt64Builder},
    compute::filter,
};
use std::{borrow::Cow, collections::HashSet, sync::Arc};

/// Why a line was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// It is no line protocol, or breaks a rule on names.
    Unreadable,
    /// A field has another type already, or a name is both tag and field.
    TypeConflict,
    /// Older than the bucket keeps rows.
    Expired,
}

/// One line that was refused while the others of its request were stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedLine {
    /// Counted from 1.
    pub number: usize,
    pub text: String,
    pub reason: String,
    pub kind: Rejected,
    /// The line's time, where it could be read.
    pub time: Option<Timestamp>,
}

/// The accepted lines of one request.
#[derive(Debug, Default)]
pub struct Staged {
    pub tables: Vec<StagedTable>,
    pub rejected: Vec<RejectedLine>,
    pub row_count: usize,
}

/// Rows of one measurement. All columns have one value or null per row.
#[derive(Debug)]
pub struct StagedTable {
    pub measurement: Arc<str>,
    /// `key=value,key=value` in key order, escaped as in line protocol: one text per tag set, however it was written.
    pub series: Vec<Box<str>>,
    /// Per row, an index into `series`.
    pub rows: Vec<u32>,
    pub times: Vec<Timestamp>,
    pub columns: Vec<(Arc<str>, FieldType, ArrayRef)>,
    /// Tags or fields that the schema did not have when the lines were staged.
    pub new_tags: Vec<Arc<str>>,
    pub new_fields: bool,
}

impl StagedTable {
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

/// Reads `body`. `schema` gives the measurement's schema as known now; rows before `floor` have expired.
pub fn stage(
    body: &[u8],
    precision: Precision,
    now: Timestamp,
    floor: Option<Timestamp>,
    schema: impl Fn(&str) -> Option<Arc<MeasurementSchema>>,
) -> Staged {
    let mut staging = Staging { schema, floor, tables: vec![], table_of: AHashMap::new(), series_of: AHashMap::new(), rejected: vec![] };
    let mut parser = Parser::new(body, precision, now);
    let mut fields = vec![];
    while let Some(line) = parser.next(&mut fields) {
        match line {
            Ok(line) => {
                if let Err((kind, reason)) = staging.line(line.series, line.time, &mut fields) {
                    staging.reject(line.number, line.text, reason, kind, Some(line.time));
                }
            }
            Err(bad) => staging.reject(bad.number, &bad.text, bad.reason, Rejected::Unreadable, None),
        }
    }
    let tables: Vec<StagedTable> = staging.tables.into_iter().filter(|t| !t.times.is_empty()).map(Building::finish).collect();
    Staged { row_count: tables.iter().map(|t| t.times.len()).sum(), tables, rejected: staging.rejected }
}

/// The lines of `body` without the rejected ones: what a replay must find.
pub fn accepted_text(body: &[u8], rejected: &[RejectedLine]) -> Vec<u8> {
    let refused: HashSet<usize> = rejected.iter().map(|r| r.number).collect();
    let mut parser = Parser::new(body, Precision::Nanosecond, 0);
    let (mut fields, mut out) = (vec![], Vec::with_capacity(body.len()));
    while let Some(line) = parser.next(&mut fields) {
        // A time that is out of range only in nanoseconds was good in the request's own unit and vice versa; the
        // number, not this reading, decides.
        let (number, text) = match &line {
            Ok(line) => (line.number, line.text),
            Err(bad) => (bad.number, bad.text.as_ref()),
        };
        if !refused.contains(&number) {
            out.extend_from_slice(text.as_bytes());
            out.push(b'\n');
        }
    }
    out
}

type Refusal = (Rejected, Cow<'static, str>);

struct Staging<'a, S> {
    schema: S,
    floor: Option<Timestamp>,
    tables: Vec<Building<'a>>,
    table_of: AHashMap<Box<str>, usize>,
    /// The series part as written: its table and its place there.
    series_of: AHashMap<&'a str, (u32, u32)>,
    rejected: Vec<RejectedLine>,
}

impl<'a, S: Fn(&str) -> Option<Arc<MeasurementSchema>>> Staging<'a, S> {
    fn reject(&mut self, number: usize, text: &str, reason: Cow<'static, str>, kind: Rejected, time: Option<Timestamp>) {
        self.rejected.push(RejectedLine { number, text: text.to_string(), reason: reason.into_owned(), kind, time });
    }

    fn line(&mut self, series: &'a str, time: Timestamp, fields: &mut Vec<Field<'a>>) -> Result<(), Refusal> {
        if self.floor.is_some_and(|floor| time < floor) {
            return Err((Rejected::Expired, "points beyond retention policy".into()));
        }
        let (table, series) = match self.series_of.get(series) {
            Some(&known) => known,
            None => self.new_series(series)?,
        };
        self.tables[table as usize].push(series, time, fields)
    }

    fn new_series(&mut self, raw: &'a str) -> Result<(u32, u32), Refusal> {
        let key = parse_series(raw).map_err(|reason| (Rejected::Unreadable, reason))?;
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
        for (tag, _) in &key.tags {
            building.check_tag(tag)?;
        }
        for (tag, _) in &key.tags {
            if !building.schema.is_tag(tag) && !building.new_tags.iter().any(|t| t.as_ref() == tag.as_ref()) {
                building.new_tags.push(tag.as_ref().into());
            }
        }
        let mut text = String::with_capacity(raw.len());
        push_series_tags(&mut text, key.tags.iter().map(|(k, v)| (k.as_ref(), v.as_ref())));
        building.series.push(text.into_boxed_str());
        let place = (table as u32, building.series.len() as u32 - 1);
        self.series_of.insert(raw, place);
        Ok(place)
    }
}

/// A [`StagedTable`] being filled.
struct Building<'a> {
    schema: Arc<MeasurementSchema>,
    series: Vec<Box<str>>,
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
            series: vec![],
            rows: vec![],
            times: vec![],
            columns: vec![],
            column_of: AHashMap::new(),
            new_tags: vec![],
            new_fields: false,
            line_columns: vec![],
        }
    }

    /// The whole line or nothing of it.
    fn push(&mut self, series: u32, time: Timestamp, fields: &mut Vec<Field<'a>>) -> Result<(), Refusal> {
        // A field named `time` is dropped without a word (InfluxDB 1.x and 2.x).
        if fields.iter().any(|f| f.key == TIME_COLUMN) {
            fields.retain(|f| f.key != TIME_COLUMN);
            if fields.is_empty() {
                return Err((
                    Rejected::Unreadable,
                    "invalid field name: input field \"time\" is invalid, and the line has no other field".into(),
                ));
            }
        }
        self.line_columns.clear();
        for (i, field) in fields.iter().enumerate() {
            let column = match self.columns.get(i) {
                Some(same_place) if same_place.raw == field.key => i,
                _ => match self.column_of.get(field.key) {
                    Some(&column) => column,
                    None => self.new_column(field)?,
                },
            };
            let (column_type, field_type) = (self.columns[column].values.field_type(), field.value.field_type());
            if column_type != field_type {
                return Err((Rejected::TypeConflict, self.conflict(&self.columns[column].name, field_type, column_type)));
            }
            self.line_columns.push(column);
        }
        let row = self.times.len();
        for (field, &column) in fields.drain(..).zip(&self.line_columns) {
            self.columns[column].values.set(row, field.value);
        }
        self.rows.push(series);
        self.times.push(time);
        Ok(())
    }

    fn conflict(&self, field: &str, written: FieldType, stored: FieldType) -> Cow<'static, str> {
        let measurement = &self.schema.measurement;
        format!("field type conflict: input field \"{field}\" on measurement \"{measurement}\" is type {written}, already exists as type {stored}").into()
    }

    fn new_column(&mut self, field: &Field<'a>) -> Result<usize, Refusal> {
        let name = escape::key(field.key);
        if let Some(column) = self.columns.iter().position(|c| c.name.as_ref() == name.as_ref()) {
            self.column_of.insert(field.key, column);
            return Ok(column);
        }
        if self.schema.is_tag(&name) || self.new_tags.iter().any(|t| t.as_ref() == name.as_ref()) {
            let measurement = &self.schema.measurement;
            let reason =
                format!("name conflict: \"{name}\" is a tag of measurement \"{measurement}\" and cannot be a field too: rename one");
            return Err((Rejected::TypeConflict, reason.into()));
        }
        let (known, written) = (self.schema.fields.get(name.as_ref()).copied(), field.value.field_type());
        if let Some(stored) = known.filter(|stored| *stored != written) {
            return Err((Rejected::TypeConflict, self.conflict(&name, written, stored)));
        }
        self.new_fields |= known.is_none();
        self.columns.push(Column { raw: field.key, name: name.as_ref().into(), values: Values::new(written) });
        self.column_of.insert(field.key, self.columns.len() - 1);
        Ok(self.columns.len() - 1)
    }

    fn check_tag(&self, tag: &str) -> Result<(), Refusal> {
        if self.schema.fields.contains_key(tag) || self.columns.iter().any(|c| c.name.as_ref() == tag) {
            let measurement = &self.schema.measurement;
            let reason =
                format!("name conflict: \"{tag}\" is a field of measurement \"{measurement}\" and cannot be a tag too: rename one");
            return Err((Rejected::TypeConflict, reason.into()));
        }
        Ok(())
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
