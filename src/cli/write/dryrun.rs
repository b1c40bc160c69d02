//! `write dryrun`: the lines that would be written, on stdout.

use super::{InputArguments, source};
use crate::{cli::output::emit, model::Result};

pub fn run(input: InputArguments) -> Result<()> {
    for source in source::all(&input)? {
        for batch in source::batches(source, &input)? {
            let body = batch?.body;
            emit(&body)?;
            if !body.is_empty() && !body.ends_with(b"\n") {
                emit(b"\n")?;
            }
        }
    }
    Ok(())
}
