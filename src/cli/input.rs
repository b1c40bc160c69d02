//! What commands read: query texts, and answers of the person in front of the terminal.

use crate::model::{Failure, Result};
use std::{
    io::{IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

/// A query's text: from the file, the argument (`-`: stdin, `@FILE`: a file), or stdin.
pub fn query_text(file: &Option<PathBuf>, arguments: &[String]) -> Result<String> {
    let text = match (file, arguments) {
        (Some(_), [_, ..]) => return Err(Failure::invalid("a query can be an argument or in a file (--file), not both")),
        (_, [_, _, ..]) => {
            return Err(Failure::invalid(format!("at most one query can be given as an argument, got {}; quote it", arguments.len())));
        }
        (Some(path), []) => read_file(path)?,
        (None, []) => read_stdin()?,
        (None, [one]) if one == "-" => read_stdin()?,
        (None, [one]) => match one.strip_prefix('@') {
            Some(path) => read_file(Path::new(path))?,
            None => one.clone(),
        },
    };
    let text = text.trim();
    if text.is_empty() { Err(Failure::invalid("no query provided")) } else { Ok(text.to_string()) }
}

fn read_file(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| Failure::invalid(format!("failed to read query from \"{}\": {e}", path.display())))
}

fn read_stdin() -> Result<String> {
    if std::io::stdin().is_terminal() {
        eprintln!("Reading the query from the keyboard; end it with Ctrl-D.");
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| Failure::invalid(format!("failed to read query from stdin: {e}")))?;
    Ok(text)
}

/// The value, or what the person types; a failure that names `flag` where nobody can be asked.
pub fn or_ask(value: Option<&str>, question: &str, flag: &str) -> Result<String> {
    if let Some(value) = value {
        return Ok(value.to_string());
    }
    ask(question, flag)
}

pub fn ask(question: &str, flag: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::invalid(format!("{flag} is required where nobody can be asked")));
    }
    eprint!("{question}: ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_string())
}

/// A password, twice, without showing it.
pub fn ask_password(question: &str, flag: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::invalid(format!("{flag} is required where nobody can be asked")));
    }
    let first = rpassword::prompt_password(format!("{question}: "))?;
    match first == rpassword::prompt_password("Please type it again: ")? {
        true => Ok(first),
        false => Err(Failure::invalid("the two passwords differ")),
    }
}
