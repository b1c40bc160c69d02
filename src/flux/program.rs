//! What compiling a script yields: named results, ready to run.

use super::{
    diagnostic::{FluxError, FluxResult},
    eval::interpret::Script,
};
use crate::plan::{Frame, TableStream};
use std::sync::Arc;

/// The results of a script, in order of their `yield`s.
#[derive(Debug, Clone, Default)]
pub struct Program {
    pub results: Vec<NamedResult>,
    /// What plans call of the script, for rows that only its own code can make. They need it until they have run.
    pub script: Option<Arc<Script>>,
}

/// One `yield`.
#[derive(Debug, Clone)]
pub struct NamedResult {
    pub name: String,
    /// Long frames without markers of empty tables: each plan's rows are the answer's rows, in order.
    pub frames: Vec<Frame>,
}

impl Program {
    /// Adds a result. A name can be given once (Flux v0.200).
    pub fn yields(&mut self, name: &str, stream: &TableStream) -> FluxResult<()> {
        if self.results.iter().any(|r| r.name == name) {
            return Err(FluxError::invalid(format!("found more than one call to yield() with the name \"{name}\"")));
        }
        let frames = stream.to_long()?.frames.iter().map(Frame::without_empty_tables).collect::<Result<_, _>>()?;
        self.results.push(NamedResult { name: name.to_string(), frames });
        Ok(())
    }
}
