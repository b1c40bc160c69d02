//! What is wrong with a script that can be told before anything runs: names, arguments, and literals of a wrong type.
//!
//! A `to()` early in a script must not have written when a later line does not make sense. The check is no type
//! inference: it knows the types of literals, of names bound to them, and of built-ins by their signatures, and is
//! silent about everything else. Rows (`r._value`) are typed when a lambda meets a table (`lower`).

mod check;
mod names;
mod signature;

use super::{
    ast::{File, FunctionLiteral},
    diagnostic::FluxError,
    stdlib::{Function, Package},
};
use std::sync::Arc;

/// Every error of a script, in order of its text. `given` are names that are set before it runs.
pub fn check<'g>(file: &File, given: impl Iterator<Item = &'g str>) -> Vec<FluxError> {
    let mut checker = check::Checker::new(given);
    checker.file(file);
    checker.errors
}

/// What is known of a value without running anything.
#[derive(Clone)]
enum Known {
    Nothing,
    /// Of one of Flux's basic types, by its name: `int`, `string`, ...
    Basic(&'static str),
    Array(Box<Known>),
    Record,
    Dict,
    Builtin(&'static Function),
    Closure(Arc<FunctionLiteral>),
    Package(&'static Package),
}

impl Known {
    /// The type's name, where there is one.
    fn basic(&self) -> Option<&'static str> {
        if let Known::Basic(name) = self { Some(name) } else { None }
    }

    /// What messages call the value.
    fn shown(&self) -> &'static str {
        match self {
            Known::Basic(name) => name,
            Known::Array(_) => "array",
            Known::Record => "record",
            Known::Dict => "dictionary",
            Known::Builtin(_) | Known::Closure(_) => "function",
            Known::Package(_) => "package",
            Known::Nothing => "value",
        }
    }
}

#[cfg(test)]
mod tests;
