//! The predicate of `/api/v2/delete`: `key = value` and `key != value`, joined by `AND`, in parentheses or not.
//! Its texts are InfluxDB 2.7's, which clients show to people. Beyond it, `_field` can be named, and `_value` compared.

use crate::{
    model::{Failure, FieldType, Result, TagPredicate},
    plan::values::{ValueFilter, ValueTest},
};
use datafusion::{common::ScalarValue, logical_expr::Operator};
use std::sync::Arc;

/// What a predicate names.
#[derive(Debug, Default)]
pub struct Predicate {
    /// `None`: every one.
    pub measurement: Option<Arc<str>>,
    pub tags: Vec<TagPredicate>,
    pub values: ValueFilter,
}

/// Nested parentheses; what is deeper is refused.
const DEPTH_MAX: usize = 100;

/// Reads a predicate; an empty one names everything.
///
/// `Invalid` with the position for everything that cannot be honoured: a delete never removes more than what was asked for.
pub fn parse(text: &str) -> Result<Predicate> {
    let mut reader = Reader { text, at: 0, parts: Predicate::default() };
    if reader.peek().is_none() {
        return Ok(reader.parts);
    }
    reader.all_of(0)?;
    match reader.peek() {
        None => Ok(reader.parts),
        Some(')') => Err(Failure::invalid("extra ) seen")),
        Some(_) => Err(reader.bad("bad logical expression")),
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    parts: Predicate,
}

impl<'t> Reader<'t> {
    fn bad(&self, what: &str) -> Failure {
        Failure::invalid(format!("{what}, at position {}", self.at))
    }

    fn peek(&mut self) -> Option<char> {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest.chars().next()
    }

    fn word(&mut self) -> Option<&'t str> {
        self.peek();
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/'))).unwrap_or(rest.len());
        (end > 0).then(|| {
            self.at += end;
            &rest[..end]
        })
    }

    /// A text in double or single quotes, with `\` before a quote or a `\`.
    fn quoted(&mut self) -> Result<Option<String>> {
        let Some(quote @ ('"' | '\'')) = self.peek() else { return Ok(None) };
        let mut out = String::new();
        let mut chars = self.text[self.at + 1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, c)) => out.push(c),
                    None => break,
                },
                c if c == quote => {
                    self.at += at + 2;
                    return Ok(Some(out));
                }
                c => out.push(c),
            }
        }
        Err(self.bad("unterminated string"))
    }

    fn all_of(&mut self, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(self.bad("too many nested parentheses"));
        }
        loop {
            if self.peek() == Some('(') {
                self.at += 1;
                self.all_of(depth + 1)?;
                if self.peek() != Some(')') {
                    return Err(Failure::invalid("extra ( seen"));
                }
                self.at += 1;
            } else {
                self.comparison()?;
            }
            if matches!(self.peek(), None | Some(')')) {
                return Ok(());
            }
            let position = self.at;
            match self.word().map(str::to_ascii_lowercase).as_deref() {
                Some("and") => {}
                Some("or") => return Err(Failure::invalid(format!("the logical operator OR is not supported yet at position {position}"))),
                _ => {
                    self.at = position;
                    return Err(self.bad("bad logical expression"));
                }
            }
        }
    }

    fn comparison(&mut self) -> Result<()> {
        let key = match self.quoted()? {
            Some(key) => key,
            None => self.word().ok_or_else(|| self.bad("bad tag key"))?.to_string(),
        };
        let (at, operator) = self.operator()?;
        if key == "_value" {
            let (value, only) = self.value()?;
            // Of two truth values none is the greater one.
            if matches!(value, ScalarValue::Boolean(_)) && !matches!(operator, Operator::Eq | Operator::NotEq) {
                return Err(unsupported(&operator.to_string(), at));
            }
            self.parts.values.values.push(ValueTest { operator, value, only });
            return Ok(());
        }
        let equal = match operator {
            Operator::Eq => true,
            Operator::NotEq => false,
            other => return Err(unsupported(&other.to_string(), at)),
        };
        let value: Arc<str> = match self.quoted()? {
            Some(value) => value.into(),
            None => self.word().ok_or_else(|| self.bad("bad tag value"))?.into(),
        };
        match (key.as_str(), equal) {
            ("_measurement", true) => match &self.parts.measurement {
                Some(other) if *other != value => return Err(Failure::invalid("a row has one _measurement: the predicate names two")),
                _ => self.parts.measurement = Some(value),
            },
            ("_measurement", false) => {
                return Err(Failure::invalid("delete by `_measurement !=` is not supported: name the measurement with ="));
            }
            ("_field", _) => {
                let fields = &mut self.parts.values.fields;
                if equal && fields.iter().any(|(is_wanted, other)| *is_wanted && *other != value) {
                    return Err(Failure::invalid("a value has one _field: the predicate names two"));
                }
                fields.push((equal, value));
            }
            ("_time" | "time", _) => {
                return Err(Failure::invalid(format!(
                    "bad tag key {key}: tags, _measurement, _field and _value can be named; times go into start and stop"
                )));
            }
            _ => self.parts.tags.push(TagPredicate { tag: key.into(), equal, value }),
        }
        Ok(())
    }

    /// An operator and where it stands.
    fn operator(&mut self) -> Result<(usize, Operator)> {
        self.peek();
        let at = self.at;
        let rest = &self.text[at..];
        let written = ["!=", "=~", "!~", "==", ">=", "<=", "=", "<", ">"].into_iter().find(|op| rest.starts_with(op));
        let operator = match written {
            Some("=") => Operator::Eq,
            Some("!=") => Operator::NotEq,
            Some("<") => Operator::Lt,
            Some("<=") => Operator::LtEq,
            Some(">") => Operator::Gt,
            Some(">=") => Operator::GtEq,
            Some(other) => return Err(unsupported(other, at)),
            None => return Err(self.bad("bad logical expression")),
        };
        self.at += written.map_or(0, str::len);
        Ok((at, operator))
    }

    /// What `_value` is compared with: a text in quotes, `true` or `false`, or a number, which may say its type (`5i`, `5u`).
    fn value(&mut self) -> Result<(ScalarValue, Option<FieldType>)> {
        if let Some(text) = self.quoted()? {
            return Ok((ScalarValue::from(text), None));
        }
        let at = self.at;
        let word = self.word().unwrap_or_default();
        let integer = |text: &str| text.parse::<i64>().map(ScalarValue::from).ok();
        let unsigned = |text: &str| text.parse::<u64>().map(ScalarValue::from).ok();
        let float = |text: &str| text.parse::<f64>().ok().filter(|v| v.is_finite()).map(ScalarValue::from);
        let read = match (word.strip_suffix('i'), word.strip_suffix('u')) {
            (Some(digits), _) => integer(digits).zip(Some(Some(FieldType::Integer))),
            (_, Some(digits)) => unsigned(digits).zip(Some(Some(FieldType::Unsigned))),
            _ => {
                let truth = word.parse::<bool>().ok().map(ScalarValue::from);
                truth.or_else(|| integer(word)).or_else(|| unsigned(word)).or_else(|| float(word)).zip(Some(None))
            }
        };
        read.ok_or_else(|| {
            Failure::invalid(format!("bad value of _value, at position {at}: expected a number, true, false or a text in quotes"))
        })
    }
}

fn unsupported(operator: &str, at: usize) -> Failure {
    Failure::invalid(format!("operator: {operator:?} at position: {at} is not supported yet"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Err(failure) => format!("{:?}: {}", failure.kind, failure.message),
            Ok(Predicate { measurement, tags, values }) => {
                let tags = tags.iter().map(|t| format!(" {}{}{}", t.tag, if t.equal { "=" } else { "!=" }, t.value));
                let fields = values.fields.iter().map(|(equal, name)| format!(" _field{}{name}", if *equal { "=" } else { "!=" }));
                let compared = values.values.iter().map(|ValueTest { operator, value, only }| {
                    let only = only.map_or(String::new(), |only| format!(" of {}", only.name()));
                    format!(" _value {operator} {value:?}{only}")
                });
                let all: String = tags.chain(fields).chain(compared).collect();
                format!("{}{all}", measurement.as_deref().unwrap_or("*"))
            }
        }
    }

    #[test]
    fn what_is_read_and_what_is_refused() {
        let cases = [
            ("", "*"),
            ("  ", "*"),
            (r#"_measurement="m""#, "m"),
            (r#"_measurement = 'm' AND host != "a b""#, "m host!=a b"),
            (r#"(("gpu id" = "0") and host=w-1.x)"#, "* gpu id=0 host=w-1.x"),
            (r#"host="a\"b\\""#, "* host=a\"b\\"),
            ("a=1 and b=true and c=10m", "* a=1 b=true c=10m"),
            ("a=1 or b=2", "Invalid: the logical operator OR is not supported yet at position 4"),
            ("a=~/x/", "Invalid: operator: \"=~\" at position: 1 is not supported yet"),
            ("a>1", "Invalid: operator: \">\" at position: 1 is not supported yet"),
            ("_field=x and a=1", "* a=1 _field=x"),
            ("_field != x and _field != y", "* _field!=x _field!=y"),
            ("_measurement=m and _value >= 90.5 and _value<1e3", "m _value >= Float64(90.5) _value < Float64(1000)"),
            (
                "_value = -5 and _value != 7i and _value < 9u",
                "* _value = Int64(-5) _value != Int64(7) of integer _value < UInt64(9) of unsigned",
            ),
            ("_value = -5u", "Invalid: bad value of _value, at position 9: expected a number, true, false or a text in quotes"),
            ("_value > 18446744073709551615", "* _value > UInt64(18446744073709551615)"),
            ("_value = 'on' and _value != true", "* _value = Utf8(\"on\") _value != Boolean(true)"),
            ("_value = on", "Invalid: bad value of _value, at position 9: expected a number, true, false or a text in quotes"),
            ("_value > nan", "Invalid: bad value of _value, at position 9: expected a number, true, false or a text in quotes"),
            ("_value > 1.5i", "Invalid: bad value of _value, at position 9: expected a number, true, false or a text in quotes"),
            ("_value > 10m", "Invalid: bad value of _value, at position 9: expected a number, true, false or a text in quotes"),
            ("_value >", "Invalid: bad value of _value, at position 8: expected a number, true, false or a text in quotes"),
            ("_value > true", "Invalid: operator: \">\" at position: 7 is not supported yet"),
            ("_value =~ /x/", "Invalid: operator: \"=~\" at position: 7 is not supported yet"),
            ("_field > x", "Invalid: operator: \">\" at position: 7 is not supported yet"),
            ("_field=a and _field=b", "Invalid: a value has one _field: the predicate names two"),
            ("_measurement!=m", "Invalid: delete by `_measurement !=` is not supported: name the measurement with ="),
            ("time > 5 and a=1", "Invalid: operator: \">\" at position: 5 is not supported yet"),
            ("_time=5", "Invalid: bad tag key _time: tags, _measurement, _field and _value can be named; times go into start and stop"),
            ("(a=1", "Invalid: extra ( seen"),
            ("a=1)", "Invalid: extra ) seen"),
            ("a", "Invalid: bad logical expression, at position 1"),
            ("a=", "Invalid: bad tag value, at position 2"),
            ("=1", "Invalid: bad tag key, at position 0"),
            ("a=1 b=2", "Invalid: bad logical expression, at position 4"),
            ("a=\"x", "Invalid: unterminated string, at position 2"),
            ("_measurement=a and _measurement=b", "Invalid: a row has one _measurement: the predicate names two"),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text}");
        }
        assert!(shown(&"(".repeat(10_000)).contains("too many nested parentheses"));
    }
}
