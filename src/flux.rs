//! Flux: text to a program of table streams.
//!
//! `parse` (pest) → `ast` → `semantic` (names and arguments, before anything runs) → `eval` (closures, options,
//! records; tables stay streams) → `plan` builders, with row functions lowered to DataFusion expressions.

pub mod ast;
pub mod diagnostic;
pub mod eval;
pub mod external;
pub mod lower;
pub mod parse;
pub mod pattern;
pub mod program;
pub mod semantic;
pub mod stdlib;
pub mod testcase;

use crate::plan::Context;
use ast::File;
use diagnostic::{FluxError, FluxResult, Stage};
use eval::{Interpreter, Value};
use program::Program;
use std::sync::Arc;

/// A script as named results. `values` are set in the script's scope first (the `params` record of InfluxDB's query
/// API). A script without results is an error. Sub-queries of `tableFind` and its kin run here; everything else runs when the results do.
pub fn compile(text: &str, context: &dyn Context, values: Vec<(String, Value)>) -> FluxResult<Program> {
    let program = compile_file(&parse_file(text)?, text, context, values)?;
    if program.results.is_empty() {
        return Err(FluxError::run(NO_RESULT));
    }
    Ok(program)
}

/// What InfluxDB 2.7 says of a script that gives no tables.
const NO_RESULT: &str = "error in query specification while starting program: this Flux script returns no streaming data. \
    Consider adding a \"yield\" or invoking streaming functions directly, without performing an assignment";

/// The syntax of a script; what is wrong with it says where.
pub fn parse_file(text: &str) -> FluxResult<File> {
    parse::parse(text).map_err(|errors| joined(text, errors))
}

/// [`compile`] of syntax that was read before; its spans point into `text`.
pub fn compile_file(file: &File, text: &str, context: &dyn Context, values: Vec<(String, Value)>) -> FluxResult<Program> {
    let errors = semantic::check(file, values.iter().map(|(name, _)| name.as_str()));
    if !errors.is_empty() {
        return Err(joined(text, errors));
    }
    let interpreter = Interpreter::new(context)?;
    let script = interpreter.script();
    interpreter.run(file, text, values).map_err(|error| located(text, error))?;
    Ok(Program { script: Some(Arc::new(script)), ..interpreter.results() })
}

/// Errors found before anything ran, as one: `error @L:C-L:C: message`, a blank line between them.
fn joined(text: &str, errors: Vec<FluxError>) -> FluxError {
    let messages: Vec<String> = errors.into_iter().map(|e| located(text, e).message).collect();
    FluxError { stage: Stage::Compile, ..FluxError::invalid(messages.join("\n\n")) }
}

/// What was found before anything ran says where in the script.
fn located(text: &str, mut error: FluxError) -> FluxError {
    if let (Stage::Compile, Some(span)) = (error.stage, error.span) {
        error.message = format!("error @{}: {}", eval::interpret::place(text, span), error.message);
    }
    error
}

#[cfg(test)]
mod tests;
