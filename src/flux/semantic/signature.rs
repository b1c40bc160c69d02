//! Signatures of functions: parameters, and which known values their types take.

use super::Known;
use crate::flux::ast::{ExprKind, FunctionLiteral};

/// A parameter as a signature or a function literal declares it.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Empty for a pipe parameter that is only a place: `(<-: stream[A])`.
    pub name: String,
    pub optional: bool,
    pub pipe: bool,
    /// Flux's type syntax; empty when nothing is said.
    pub type_text: &'static str,
}

const BASIC: [&str; 9] = ["bool", "int", "uint", "float", "string", "bytes", "time", "duration", "regexp"];

/// The basic type that a text names.
pub fn basic(text: &str) -> Option<&'static str> {
    BASIC.into_iter().find(|b| *b == text)
}

/// The parts of a list at its outer commas.
fn split(list: &'static str) -> impl Iterator<Item = &'static str> {
    let mut depth = 0;
    list.split(move |c| {
        depth += match c {
            '(' | '[' | '{' => 1,
            ')' | ']' | '}' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}

/// The parameters of a function type `(a: int, ?b: string) => T`, and `T`. Nothing for another type.
pub fn function(text: &'static str) -> Option<(Vec<Parameter>, &'static str)> {
    let inner = text.strip_prefix('(')?;
    let mut depth = 1;
    let close = inner.find(|c| {
        depth += match c {
            '(' | '[' | '{' => 1,
            ')' | ']' | '}' => -1,
            _ => 0,
        };
        depth == 0
    })?;
    let returns = inner[close + 1..].trim_start().strip_prefix("=>")?.trim();
    let parameters = split(&inner[..close]).map(|part| {
        let (name, type_text) = part.split_once(':').unwrap_or((part, ""));
        let name = name.trim();
        let bare = name.trim_start_matches("<-").trim_start_matches('?').trim();
        Parameter { name: bare.to_string(), optional: name.contains('?'), pipe: name.starts_with("<-"), type_text: type_text.trim() }
    });
    Some((parameters.collect(), returns))
}

/// The parameters of a function literal; their types are not known.
pub fn literal(literal: &FunctionLiteral) -> Vec<Parameter> {
    let parameters = literal.parameters.iter().map(|p| {
        let pipe = p.default.as_ref().is_some_and(|d| d.kind == ExprKind::PipeValue);
        Parameter { name: p.name.name.to_string(), optional: p.default.is_some() && !pipe, pipe, type_text: "" }
    });
    parameters.collect()
}

/// What is wrong with a value for a type; nothing when it fits or too little is known.
pub fn clash(type_text: &'static str, value: &Known) -> Option<String> {
    let wrong = || Some(format!("expected {type_text} but found {}", value.shown()));
    if let Some(wanted) = basic(type_text) {
        return match value {
            Known::Nothing => None,
            Known::Basic(found) if *found == wanted => None,
            _ => wrong(),
        };
    }
    if let Some((parameters, _)) = function(type_text) {
        return match value {
            Known::Nothing => None,
            Known::Closure(found) => clash_of_parameters(&parameters, &literal(found)),
            Known::Builtin(found) => clash_of_parameters(&parameters, &function(found.signature)?.0),
            _ => wrong(),
        };
    }
    if let Some(inner) = type_text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let dict = split(inner).count() == 1 && inner.contains(':') && !inner.starts_with(['{', '(', '[']);
        return match value {
            Known::Nothing => None,
            Known::Dict if dict => None,
            Known::Array(item) if !dict => clash(inner, item),
            _ => wrong(),
        };
    }
    let composed = type_text.starts_with("stream[") || type_text.starts_with('{') || type_text == "table";
    match value {
        Known::Record if type_text.starts_with('{') => None,
        Known::Basic(_) | Known::Array(_) | Known::Dict | Known::Builtin(_) | Known::Closure(_) if composed => wrong(),
        _ => None,
    }
}

/// Whether a function `given` can be called with the arguments `called`.
fn clash_of_parameters(called: &[Parameter], given: &[Parameter]) -> Option<String> {
    let takes = |p: &Parameter| given.iter().any(|g| g.name == p.name || g.pipe && p.pipe);
    let gets = |g: &Parameter| called.iter().any(|p| g.name == p.name || g.pipe && p.pipe);
    if let Some(extra) = called.iter().find(|p| !p.optional && !takes(p)) {
        return Some(match extra.pipe {
            true => "the function is given a pipe argument, which it does not take; write (tables=<-)".to_string(),
            false => format!("the function is given an argument {}, which it does not take", extra.name),
        });
    }
    let missing = given.iter().find(|g| !g.optional && !gets(g))?;
    let names: Vec<&str> = called.iter().filter(|p| !p.pipe).map(|p| p.name.as_str()).collect();
    Some(format!("the function wants an argument {}; it is given {}", missing.name, names.join(", ")))
}
