//! Flux text to [`ast`](super::ast). The grammar is `grammar/flux.pest`; this folder turns its pairs into syntax and
//! words the errors. Knows no names and no types.

mod error;
mod expression;
mod literal;
mod statement;

use super::{
    ast::{File, Span},
    diagnostic::{FluxError, Stage},
};
use pest::Parser;
use std::cell::{Cell, RefCell};

#[derive(pest_derive::Parser)]
#[grammar = "../grammar/flux.pest"]
struct Grammar;

type Pair<'a> = pest::iterators::Pair<'a, Rule>;

/// How deep a syntax tree may become: everything after the parser recurses over it. An operator counts 1, an
/// expression inside another [`NESTING_COST`].
const DEPTH_MAX: usize = 1000;
const NESTING_COST: usize = 5;

/// After this many errors the rest of the text is left unread.
const ERRORS_MAX: usize = 10;

/// The syntax of a script, or what is wrong with it: the first syntax error of each statement, or else everything that
/// is wrong with literals.
pub fn parse(text: &str) -> Result<File, Vec<FluxError>> {
    // A byte order mark is no part of the script, but counts in positions.
    let bom = if text.starts_with('\u{feff}') { 3 } else { 0 };
    // pest and the reader recurse once per bracket; pest itself stops before a stack runs out.
    let brackets = text.bytes().filter(|b| matches!(b, b'(' | b'[' | b'{')).count();
    let stack = (512 << 10) + brackets.min(DEPTH_MAX / NESTING_COST) * (64 << 10);
    stacker::maybe_grow(stack, stack, || parse_from(text, bom))
}

fn parse_from(text: &str, bom: usize) -> Result<File, Vec<FluxError>> {
    let mut errors = vec![];
    let mut base = bom;
    loop {
        match Grammar::parse(Rule::file, &text[base..]) {
            Ok(pairs) if errors.is_empty() => {
                let reader = Reader::new(base);
                let file = reader.file(pairs);
                errors = reader.errors.into_inner();
                return if errors.is_empty() { Ok(file) } else { Err(errors) };
            }
            Ok(_) => return Err(errors),
            Err(failed) => {
                let (error, at) = error::describe(text, base, &failed);
                errors.push(error);
                match error::next_statement(text, at) {
                    Some(next) if errors.len() < ERRORS_MAX => base = next,
                    _ => return Err(errors),
                }
            }
        }
    }
}

/// Pairs to syntax. Errors are gathered beside it, and a placeholder takes the place of what is wrong.
struct Reader {
    /// Where the text that was given to pest begins in the script.
    base: usize,
    depth: Cell<usize>,
    errors: RefCell<Vec<FluxError>>,
}

impl Reader {
    fn new(base: usize) -> Reader {
        Reader { base, depth: Cell::new(0), errors: RefCell::default() }
    }

    fn span(&self, pair: &Pair<'_>) -> Span {
        let span = pair.as_span();
        Span { start: (self.base + span.start()) as u32, stop: (self.base + span.end()) as u32 }
    }

    fn fail(&self, span: Span, message: impl Into<String>) {
        self.errors.borrow_mut().push(compile_error(span, message));
    }
}

fn compile_error(span: Span, message: impl Into<String>) -> FluxError {
    FluxError { stage: Stage::Compile, ..FluxError::invalid(message) }.at(span)
}

#[cfg(test)]
mod tests;
