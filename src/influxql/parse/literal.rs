//! Quoted text, numbers, durations and bound parameters.

use super::{Pair, Rule};
use crate::influxql::ast::Expr;
use crate::model::{Failure, Result};
use serde_json::{Map, Value};

/// The text between quotes with its escapes resolved.
pub fn unquote(quoted: &str) -> String {
    let inner = &quoted[1..quoted.len() - 1];
    if !inner.contains('\\') {
        return inner.into();
    }
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some(other) => out.push(other),
                None => {}
            },
            c => out.push(c),
        }
    }
    out
}

/// The pattern between slashes; only `\/` is an escape of the lexer's own. A pattern that does not compile is an error
/// in the words of Go's `regexp`, where they are known.
pub fn pattern(pair: &Pair<'_>) -> std::result::Result<String, String> {
    let slashed = pair.as_str();
    let pattern = slashed[1..slashed.len() - 1].replace("\\/", "/");
    match compile(&pattern) {
        Ok(_) => Ok(pattern),
        // The original names the place before the slash.
        Err(message) => {
            let (line, column) = pair.line_col();
            Err(format!("{message} at line {line}, char {}", column - 1))
        }
    }
}

/// Compiles a pattern as InfluxDB would (Go's RE2 syntax).
pub fn compile(pattern: &str) -> std::result::Result<regex::Regex, String> {
    regex::Regex::new(pattern).map_err(|e| {
        let text = e.to_string();
        let reason = if text.contains("unclosed group") {
            "missing closing )"
        } else if text.contains("unopened group") {
            "unexpected )"
        } else if text.contains("unclosed character class") {
            "missing closing ]"
        } else if text.contains("repetition operator missing expression") {
            "missing argument to repetition operator"
        } else {
            "invalid pattern"
        };
        format!("error parsing regexp: {reason}: `{pattern}`")
    })
}

/// `1h30m` in nanoseconds.
pub fn duration(text: &str) -> std::result::Result<i64, String> {
    let mut total: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, after) = tail.split_at(unit_end);
        let unit_ns: i64 = match unit {
            "ns" => 1,
            "u" | "µ" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 7 * 86_400_000_000_000,
            _ => return Err("invalid duration".into()),
        };
        let number: i64 = number.parse().map_err(|_| "invalid duration".to_string())?;
        total = number.checked_mul(unit_ns).and_then(|n| total.checked_add(n)).ok_or("invalid duration")?;
        rest = after;
    }
    Ok(total)
}

/// An integer literal: i64, else u64. `at` is its place in the text.
pub fn integer(text: &str, at: impl FnOnce() -> String) -> std::result::Result<Expr, String> {
    if let Ok(v) = text.parse::<i64>() {
        return Ok(Expr::Integer(v));
    }
    match text.parse::<u64>() {
        Ok(v) => Ok(Expr::Unsigned(v)),
        Err(_) => Err(format!("unable to parse integer at {}", at())),
    }
}

/// `line 1, char 9`: both from 1.
pub fn place(pair: &Pair<'_>) -> String {
    let (line, column) = pair.line_col();
    format!("line {line}, char {column}")
}

/// Bound parameters: the JSON object of `params`.
pub struct Parameters(Map<String, Value>);

/// What a parameter stands for.
pub enum Bound {
    Identifier(String),
    Regex(String),
    Literal(Expr),
}

impl Parameters {
    pub fn read(text: Option<&str>) -> Result<Parameters> {
        let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(Parameters(Map::new())) };
        let fail = |e: String| Failure::invalid(format!("error parsing query parameters: {e}"));
        match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Ok(Parameters(map)),
            Ok(_) => Err(fail("expected a JSON object".into())),
            Err(e) => Err(fail(e.to_string())),
        }
    }

    /// The value bound to `$name`.
    pub fn get(&self, name: &str) -> std::result::Result<Bound, String> {
        if name.is_empty() {
            return Err("empty bound parameter".into());
        }
        let missing = || format!("missing parameter: {name}");
        let bad = |text: &str| format!("missing parameter: {text}");
        Ok(match self.0.get(name).ok_or_else(missing)? {
            Value::String(s) => Bound::Literal(Expr::String(s.clone())),
            Value::Bool(b) => Bound::Literal(Expr::Boolean(*b)),
            Value::Number(n) => Bound::Literal(number(n)),
            Value::Array(_) => return Err(bad("unable to bind parameter with type []interface {}")),
            Value::Null => return Err(bad("unable to bind parameter with type <nil>")),
            Value::Object(typed) => {
                let Some((kind, value)) = typed.iter().next().filter(|_| typed.len() == 1) else {
                    return Err(bad("expected one type and one value"));
                };
                match (kind.as_str(), value) {
                    ("identifier" | "ident", Value::String(s)) => Bound::Identifier(s.clone()),
                    ("regex", Value::String(s)) => {
                        compile(s)?;
                        Bound::Regex(s.clone())
                    }
                    ("duration", Value::String(s)) => Bound::Literal(Expr::Duration(duration(s).map_err(|e| bad(&e))?)),
                    ("duration", Value::Number(n)) => Bound::Literal(Expr::Duration(n.as_i64().unwrap_or_default())),
                    ("string", Value::String(s)) => Bound::Literal(Expr::String(s.clone())),
                    ("float", Value::Number(n)) => Bound::Literal(Expr::Number(n.as_f64().unwrap_or_default())),
                    ("integer", Value::Number(n)) => Bound::Literal(number(n)),
                    ("boolean", Value::Bool(b)) => Bound::Literal(Expr::Boolean(*b)),
                    _ => return Err(bad(&format!("unable to bind parameter of type {kind}"))),
                }
            }
        })
    }
}

/// Numbers with a decimal point are floats.
fn number(n: &serde_json::Number) -> Expr {
    match (n.as_i64(), n.as_u64()) {
        (Some(v), _) => Expr::Integer(v),
        (None, Some(v)) => Expr::Unsigned(v),
        _ => Expr::Number(n.as_f64().unwrap_or_default()),
    }
}

/// The parameter's name of a `param` pair.
pub fn param_name(pair: Pair<'_>) -> String {
    let text = pair.into_inner().find(|p| p.as_rule() == Rule::param_name).map(|p| p.as_str()).unwrap_or_default();
    if text.starts_with('"') { unquote(text) } else { text.into() }
}
