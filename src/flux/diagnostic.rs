//! Flux errors: what, where, and what to do.

use super::ast::Span;
use crate::model::{ErrorKind, Failure};
use std::fmt;

/// When an error was found; it decides the text in front of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before anything ran: `compilation failed: error @L:C-L:C: ...`
    Compile,
    /// While the script was evaluated: `error calling function "f" @L:C-L:C: ...`
    Evaluate,
    /// While tables flowed: `runtime error @L:C-L:C: f: ...`
    Run,
}

/// One Flux error. `code` is what `experimental.catch` and the HTTP status see.
#[derive(Debug, Clone, PartialEq)]
pub struct FluxError {
    pub stage: Stage,
    pub code: ErrorKind,
    pub message: String,
    /// Where in the script, when known.
    pub span: Option<Span>,
}

pub type FluxResult<T> = Result<T, FluxError>;

impl FluxError {
    pub fn invalid(message: impl Into<String>) -> FluxError {
        FluxError { stage: Stage::Evaluate, code: ErrorKind::Invalid, message: message.into(), span: None }
    }

    pub fn at(mut self, span: Span) -> FluxError {
        self.span.get_or_insert(span);
        self
    }

    pub fn run(message: impl Into<String>) -> FluxError {
        FluxError { stage: Stage::Run, ..FluxError::invalid(message) }
    }
}

impl fmt::Display for FluxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for FluxError {}

impl From<Failure> for FluxError {
    fn from(failure: Failure) -> FluxError {
        FluxError { stage: Stage::Run, code: failure.kind, message: failure.message, span: None }
    }
}

impl From<FluxError> for Failure {
    /// What was found before anything ran says so in front (InfluxDB 2.7).
    fn from(error: FluxError) -> Failure {
        let failure = Failure::new(error.code, error.message);
        if error.stage == Stage::Compile { failure.context("compilation failed") } else { failure }
    }
}

impl From<datafusion::error::DataFusionError> for FluxError {
    fn from(error: datafusion::error::DataFusionError) -> FluxError {
        Failure::from(error).into()
    }
}

impl From<arrow::error::ArrowError> for FluxError {
    fn from(error: arrow::error::ArrowError) -> FluxError {
        Failure::from(error).into()
    }
}
