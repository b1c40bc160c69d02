//! What a built-in function is, and how it takes its arguments.

use crate::{
    flux::{
        ast::Span,
        diagnostic::{FluxError, FluxResult},
        eval::{Interpreter, Record, Value},
    },
    model::Duration,
};
use std::{fmt, sync::Arc};

/// One built-in: signature, documentation, examples that run as tests, and code, in one value.
pub struct Function {
    pub name: &'static str,
    /// In Flux's own type syntax: `(<-tables: stream[A], n: int, ?offset: int) => stream[A]`. `?` marks optional
    /// arguments, `<-` the piped one. The static check reads names and types from it.
    pub signature: &'static str,
    /// One sentence for help and the reference page.
    pub summary: &'static str,
    /// Scripts that must run; shown in help.
    pub examples: &'static [&'static str],
    pub call: fn(&mut Call<'_>) -> FluxResult<Value>,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "builtin {}", self.name)
    }
}

/// A family of small built-ins as `FUNCTIONS`, one line each: name, signature, summary, code.
macro_rules! functions {
    ($($name:literal $signature:literal $summary:literal $code:expr;)*) => {
        pub const FUNCTIONS: &[&$crate::flux::stdlib::Function] = &[
            $(&$crate::flux::stdlib::Function { name: $name, signature: $signature, summary: $summary, examples: &[], call: $code }),*
        ];
    };
}
pub(crate) use functions;

/// A parameter as the signature declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    pub name: &'static str,
    pub optional: bool,
    pub pipe: bool,
}

impl Function {
    /// The parameters, read from the signature: the list between its first parentheses, cut at outer commas.
    pub fn parameters(&self) -> Vec<Parameter> {
        let text: &'static str = self.signature;
        let (mut depth, mut from, mut out) = (0, 1, vec![]);
        let mut push = |part: &'static str| {
            let name = part.trim().split(':').next().unwrap_or_default().trim();
            if !name.is_empty() {
                let bare = name.trim_start_matches("<-").trim_start_matches('?');
                out.push(Parameter { name: bare, optional: name.starts_with('?'), pipe: name.starts_with("<-") });
            }
        };
        for (at, c) in text.char_indices() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => {
                    depth -= 1;
                    if depth == 0 {
                        push(&text[from..at]);
                        break;
                    }
                }
                ',' if depth == 1 => {
                    push(&text[from..at]);
                    from = at + 1;
                }
                _ => {}
            }
        }
        out
    }
}

/// One call of a built-in. Arguments are taken out one by one; names and presence were checked against the signature.
pub struct Call<'a> {
    pub function: &'static Function,
    pub interpreter: &'a Interpreter<'a>,
    /// Named arguments; the piped value stands under its parameter's name.
    pub arguments: Vec<(Arc<str>, Value)>,
    pub span: Span,
}

impl Call<'_> {
    /// `None` when the argument is absent or null.
    pub fn get(&mut self, name: &str) -> Option<Value> {
        let at = self.arguments.iter().position(|(n, _)| n.as_ref() == name)?;
        Some(self.arguments.swap_remove(at).1).filter(|v| !v.is_null())
    }

    pub fn required<T: FromValue>(&mut self, name: &str) -> FluxResult<T> {
        self.optional(name)?.ok_or_else(|| FluxError::invalid(format!("missing required keyword argument \"{name}\"")).at(self.span))
    }

    pub fn optional<T: FromValue>(&mut self, name: &str) -> FluxResult<Option<T>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = value.type_name();
        let wrong = || FluxError::invalid(format!("keyword argument \"{name}\" should be of kind {}, but got {found}", T::KIND));
        T::from_value(value).map(Some).ok_or_else(|| wrong().at(self.span))
    }

    pub fn or<T: FromValue>(&mut self, name: &str, default: T) -> FluxResult<T> {
        Ok(self.optional(name)?.unwrap_or(default))
    }
}

/// A Rust type that a Flux argument can be taken as.
pub trait FromValue: Sized {
    const KIND: &'static str;
    fn from_value(value: Value) -> Option<Self>;
}

macro_rules! from_value {
    ($type:ty, $kind:literal, $pattern:pat => $out:expr) => {
        impl FromValue for $type {
            const KIND: &'static str = $kind;
            fn from_value(value: Value) -> Option<Self> {
                match value {
                    $pattern => Some($out),
                    _ => None,
                }
            }
        }
    };
}

from_value!(bool, "bool", Value::Bool(v) => v);
from_value!(i64, "int", Value::Int(v) => v);
from_value!(u64, "uint", Value::UInt(v) => v);
from_value!(f64, "float", Value::Float(v) => v);
from_value!(Arc<str>, "string", Value::String(v) => v);
from_value!(Duration, "duration", Value::Duration(v) => v);
from_value!(Arc<regex::Regex>, "regexp", Value::Regex(v) => v);
from_value!(Arc<Record>, "object", Value::Record(v) => v);
from_value!(Arc<[u8]>, "bytes", Value::Bytes(v) => v);
from_value!(Arc<Vec<Value>>, "array", Value::Array(v) => v);

impl FromValue for Value {
    const KIND: &'static str = "value";
    fn from_value(value: Value) -> Option<Self> {
        Some(value)
    }
}

impl FromValue for Vec<String> {
    const KIND: &'static str = "array of strings";
    fn from_value(value: Value) -> Option<Self> {
        let Value::Array(items) = value else { return None };
        items.iter().map(|v| if let Value::String(s) = v { Some(s.to_string()) } else { None }).collect()
    }
}
