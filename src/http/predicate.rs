//! The predicate of `/api/v2/delete`: `key = value` and `key != value`, joined by `AND`, in parentheses or not.
//! Its texts are InfluxDB 2.7's, which clients show to people.

use crate::{
    model::{ErrorKind, Failure, Result},
    storage::delete::TagPredicate,
};
use std::sync::Arc;

/// What a predicate names: a measurement (`None`: every one), and tags.
pub type Parts = (Option<Arc<str>>, Vec<TagPredicate>);

/// Nested parentheses; what is deeper is refused.
const DEPTH_MAX: usize = 100;

/// Reads a predicate; an empty one names everything.
///
/// `NotImplemented` for `_field`, `Invalid` with the position for everything else that cannot be honoured: a delete
/// never removes more than what was asked for.
pub fn parse(text: &str) -> Result<Parts> {
    let mut reader = Reader { text, at: 0, parts: (None, vec![]) };
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
    parts: Parts,
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
        self.peek();
        let rest = &self.text[self.at..];
        let operator = ["!=", "=~", "!~", "==", ">=", "<=", "=", "<", ">"].into_iter().find(|op| rest.starts_with(op));
        let equal = match operator {
            Some("=") => true,
            Some("!=") => false,
            Some(other) => return Err(Failure::invalid(format!("operator: {other:?} at position: {} is not supported yet", self.at))),
            None => return Err(self.bad("bad logical expression")),
        };
        self.at += operator.map_or(0, str::len);
        let value: Arc<str> = match self.quoted()? {
            Some(value) => value.into(),
            None => self.word().ok_or_else(|| self.bad("bad tag value"))?.into(),
        };
        match (key.as_str(), equal) {
            ("_measurement", true) => match &self.parts.0 {
                Some(other) if *other != value => return Err(Failure::invalid("a row has one _measurement: the predicate names two")),
                _ => self.parts.0 = Some(value),
            },
            ("_measurement", false) => {
                let message = "delete by `_measurement !=` is not supported: name the measurement with =";
                return Err(Failure::new(ErrorKind::NotImplemented, message));
            }
            ("_field", _) => return Err(Failure::new(ErrorKind::NotImplemented, "delete by field is not supported")),
            ("_time" | "time" | "_value", _) => {
                return Err(Failure::invalid(format!(
                    "bad tag key {key}: tags and _measurement can be named; times go into start and stop"
                )));
            }
            _ => self.parts.1.push(TagPredicate { tag: key.into(), equal, value }),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match parse(text) {
            Err(failure) => format!("{:?}: {}", failure.kind, failure.message),
            Ok((measurement, tags)) => {
                let tags = tags.iter().map(|t| format!(" {}{}{}", t.tag, if t.equal { "=" } else { "!=" }, t.value));
                format!("{}{}", measurement.as_deref().unwrap_or("*"), tags.collect::<String>())
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
            ("_field=x", "NotImplemented: delete by field is not supported"),
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
