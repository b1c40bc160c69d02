//! One column: which part of a line it becomes, and how its cells are read.

use crate::{
    cli::quantity::duration_ns,
    format::annotated_csv::parse_layout,
    line_protocol::escape::{self, push_escaped},
    model::{Failure, Result, Timestamp, duration::SECOND, time::parse_rfc3339},
};

/// What of a line a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Measurement,
    Tag,
    Field,
    /// `_field` and `_value` of a query's answer.
    FieldName,
    FieldValue,
    Time,
    Ignored,
}

/// How a cell is read, with the format behind the type's colon.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    String,
    Double(Grouping),
    Long(Grouping),
    UnsignedLong(Grouping),
    Boolean(Option<(Vec<String>, Vec<String>)>),
    /// Written as integer nanoseconds.
    Duration,
    /// Empty: a number or RFC 3339. `number`, or a layout as Go writes them.
    Time(String),
    /// Copied as it is.
    AsIs,
}

/// Characters in numbers: the decimal one, those that group digits, and whether an integer may have decimals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Grouping {
    decimal: Option<char>,
    ignored: String,
    strict: bool,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub label: String,
    pub part: Part,
    kind: Type,
    /// Value of empty cells; of a constant, its value or template.
    default: Option<String>,
    /// A template with `${column}` in it.
    template: bool,
}

impl Column {
    /// `in_key`: whether the column is in the group key, where the text says so (`#group`).
    pub fn new(label: &str, datatype: &str, default: Option<String>, in_key: Option<bool>) -> Result<Column> {
        let (part, kind) = parse_type(datatype)?;
        let part = match (label, part) {
            ("", _) | (_, Some(Part::Ignored)) => Part::Ignored,
            (_, Some(part @ (Part::Measurement | Part::Tag))) => part,
            ("_measurement", _) => Part::Measurement,
            ("_field", _) => Part::FieldName,
            ("_value", _) => Part::FieldValue,
            ("_time", _) => Part::Time,
            ("_start" | "_stop", _) => Part::Ignored,
            ("result" | "table", _) if in_key.is_some() => Part::Ignored,
            _ if in_key == Some(true) => Part::Tag,
            (_, Some(part)) => part,
            (_, None) => Part::Field,
        };
        Ok(Column { label: label.into(), part, kind, default, template: false })
    }

    /// `#constant,datatype,name,value`; the name may be left out for `measurement` and `dateTime`.
    pub fn constant(values: &[String], template: bool) -> Result<Column> {
        let filled = values.iter().rposition(|v| !v.is_empty()).map_or(0, |last| last + 1);
        let (datatype, label, value) = match &values[..filled] {
            [datatype, value] => (datatype, "", value),
            [datatype, label, value] => (datatype, label.as_str(), value),
            _ => return Err(Failure::invalid("#constant and #concat are written `#constant,datatype,name,value`")),
        };
        let named = if label.is_empty() { "constant" } else { label };
        let mut column = Column::new(named, datatype, Some(value.clone()), None)?;
        column.label = label.into();
        column.template = template;
        Ok(column)
    }

    /// The cell, or the default where it is empty.
    pub fn text<'a>(&'a self, cell: &'a str) -> &'a str {
        if cell.is_empty() { self.default.as_deref().unwrap_or("") } else { cell }
    }

    /// The value of a constant or a template.
    pub fn filled_in(&self, by_name: &dyn Fn(&str) -> Option<String>) -> String {
        let mut rest = self.default.as_deref().unwrap_or("");
        if !self.template {
            return rest.to_string();
        }
        let mut out = String::new();
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let Some((name, behind)) = after.split_once('}') else { break };
            out.push_str(&by_name(name).unwrap_or_default());
            rest = behind;
        }
        out + rest
    }

    fn refused(&self, text: &str, what: &str) -> Failure {
        Failure::invalid(format!("column `{}`: `{text}` is not {what}", self.label))
    }

    /// Appends a cell as a field's value.
    pub fn push_value(&self, text: &str, out: &mut String) -> Result<()> {
        match &self.kind {
            Type::String => {
                out.push('"');
                push_escaped(out, text, escape::IN_STRING);
                out.push('"');
            }
            Type::AsIs => out.push_str(text),
            Type::Double(grouping) => {
                let plain = grouping.plain(text);
                let number: f64 = plain.parse().map_err(|_| self.refused(text, "a double"))?;
                if !number.is_finite() {
                    return Err(self.refused(text, "a finite double"));
                }
                out.push_str(&plain);
            }
            Type::Long(grouping) => {
                let number: i64 = grouping.whole(text).and_then(|t| t.parse().ok()).ok_or_else(|| self.refused(text, "a long"))?;
                out.push_str(&format!("{number}i"));
            }
            Type::UnsignedLong(grouping) => {
                let number: Option<u64> = grouping.whole(text).and_then(|t| t.parse().ok());
                out.push_str(&format!("{}u", number.ok_or_else(|| self.refused(text, "an unsignedLong"))?));
            }
            Type::Boolean(None) => out.push_str(match text.as_bytes().first() {
                Some(b't' | b'T' | b'y' | b'Y' | b'1') => "true",
                Some(b'f' | b'F' | b'n' | b'N' | b'0') => "false",
                _ => return Err(self.refused(text, "a boolean")),
            }),
            Type::Boolean(Some((truthy, falsy))) => {
                let in_list = |list: &[String]| list.iter().any(|v| v == text);
                let value = if in_list(truthy) || (truthy.is_empty() && !in_list(falsy)) {
                    "true"
                } else if in_list(falsy) || falsy.is_empty() {
                    "false"
                } else {
                    return Err(self.refused(text, "a boolean of its format"));
                };
                out.push_str(value);
            }
            Type::Duration => {
                let (sign, plain) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
                out.push_str(&format!("{sign}{}i", duration_ns(plain).map_err(|_| self.refused(text, "a duration"))?));
            }
            Type::Time(_) => out.push_str(&format!("{}i", self.time(text, 0)?)),
        }
        Ok(())
    }

    /// A cell as a time, nanoseconds since the Unix epoch. `offset_s` is where the clock is of a text without a zone.
    pub fn time(&self, text: &str, offset_s: i64) -> Result<Timestamp> {
        let refused = || self.refused(text, "a time");
        match &self.kind {
            Type::Time(format) if format == "number" => text.parse().map_err(|_| refused()),
            Type::Time(format) if !matches!(format.as_str(), "" | "RFC3339" | "RFC3339Nano") => {
                let zoned = ["Z07", "-07", "MST"].iter().any(|zone| format.contains(zone));
                let time = parse_layout(format, text).ok_or_else(refused)?;
                Ok(if zoned { time } else { time - offset_s * SECOND })
            }
            _ => text.parse().ok().or_else(|| parse_rfc3339(text)).ok_or_else(refused),
        }
    }
}

impl Grouping {
    fn parse(format: &str, strict: bool) -> Grouping {
        let mut chars = format.chars();
        Grouping { decimal: chars.next(), ignored: chars.collect(), strict }
    }

    /// The number as Rust writes it.
    fn plain(&self, text: &str) -> String {
        let decimal = self.decimal.unwrap_or('.');
        let kept = text.trim().chars().filter(|c| !self.ignored.contains(*c));
        kept.map(|c| if c == decimal { '.' } else { c }).collect()
    }

    /// The whole part; `None` when there are decimals and they are not allowed.
    fn whole(&self, text: &str) -> Option<String> {
        let plain = self.plain(text);
        match plain.split_once('.') {
            None => Some(plain),
            Some(_) if self.strict || (self.decimal.is_none() && self.ignored.is_empty()) => None,
            Some((whole, _)) => Some(whole.to_string()),
        }
    }
}

/// `datatype:format`; the part is `None` where the type alone does not say it.
fn parse_type(datatype: &str) -> Result<(Option<Part>, Type)> {
    let (name, format) = datatype.split_once(':').unwrap_or((datatype, ""));
    let grouping = || match format.strip_prefix("strict") {
        Some(rest) => Grouping::parse(rest, true),
        None => Grouping::parse(format, false),
    };
    let list = |text: &str| text.split(',').filter(|v| !v.is_empty()).map(str::to_string).collect::<Vec<_>>();
    Ok(match name {
        "" => (None, Type::AsIs),
        "field" => (Some(Part::Field), Type::AsIs),
        "measurement" => (Some(Part::Measurement), Type::String),
        "tag" => (Some(Part::Tag), Type::String),
        "ignore" | "ignored" => (Some(Part::Ignored), Type::String),
        "time" | "dateTime" => (Some(Part::Time), Type::Time(format.into())),
        "string" | "base64Binary" => (Some(Part::Field), Type::String),
        "double" => (Some(Part::Field), Type::Double(grouping())),
        "long" => (Some(Part::Field), Type::Long(grouping())),
        "unsignedLong" => (Some(Part::Field), Type::UnsignedLong(grouping())),
        "duration" => (Some(Part::Field), Type::Duration),
        "boolean" if datatype.contains(':') => {
            let (truthy, falsy) = format.split_once(':').unwrap_or((format, ""));
            (Some(Part::Field), Type::Boolean(Some((list(truthy), list(falsy)))))
        }
        "boolean" => (Some(Part::Field), Type::Boolean(None)),
        other => {
            let known = "measurement, tag, time, dateTime, double, long, unsignedLong, boolean, string, duration, field and ignored";
            return Err(Failure::invalid(format!("unknown datatype `{other}`; known are {known}")));
        }
    })
}
