//! Lines from the terminal, with editing, history and completion; or from a pipe, without.

use super::{complete::Completer, vocabulary::Vocabulary};
use crate::{
    cli::question::Language,
    model::{Failure, Result},
};
use rustyline::{CompletionType, Config, error::ReadlineError, history::DefaultHistory};
use std::{
    io::{BufRead, IsTerminal},
    path::PathBuf,
};

const HISTORY_LINES: usize = 10_000;

pub enum Input {
    Text(String),
    /// Ctrl-C, or an empty line.
    Nothing,
    End,
}

pub enum Editor {
    Terminal { lines: Box<rustyline::Editor<Completer, DefaultHistory>>, history: PathBuf },
    Pipe,
}

/// Whether a text can be sent: a command in one line, else ended by `;` or an empty line.
pub fn is_complete(text: &str) -> bool {
    let trimmed = text.trim_end_matches([' ', '\t']);
    trimmed.is_empty() || trimmed.starts_with('\\') || trimmed.ends_with(';') || trimmed.ends_with('\n')
}

impl Editor {
    pub fn open(vocabulary: Vocabulary) -> Result<Editor> {
        if !std::io::stdin().is_terminal() {
            return Ok(Editor::Pipe);
        }
        let failed = |e: ReadlineError| Failure::internal(format!("the terminal cannot be used: {e}"));
        let config = Config::builder().completion_type(CompletionType::List).auto_add_history(true);
        let config = config.max_history_size(HISTORY_LINES).map_err(failed)?.build();
        let mut lines = Box::new(rustyline::Editor::with_config(config).map_err(failed)?);
        lines.set_helper(Some(Completer::new(vocabulary)));
        let history = std::env::home_dir().unwrap_or_default().join(".tidegauge_history");
        // A first run has none.
        let _ = lines.load_history(&history);
        Ok(Editor::Terminal { lines, history })
    }

    pub fn read(&mut self, prompt: &str) -> Result<Input> {
        let text = match self {
            Editor::Pipe => match piped()? {
                Some(text) => text,
                None => return Ok(Input::End),
            },
            Editor::Terminal { lines, .. } => match lines.readline(prompt) {
                Ok(text) => text,
                Err(ReadlineError::Interrupted) => return Ok(Input::Nothing),
                Err(ReadlineError::Eof) => return Ok(Input::End),
                Err(e) => return Err(Failure::internal(format!("the terminal cannot be read: {e}"))),
            },
        };
        let text = text.trim();
        Ok(if text.is_empty() || text == ";" { Input::Nothing } else { Input::Text(text.to_string()) })
    }

    /// New names to complete.
    pub fn learn(&mut self, vocabulary: Vocabulary) {
        if let Editor::Terminal { lines, .. } = self
            && let Some(completer) = lines.helper_mut()
        {
            completer.vocabulary = vocabulary;
        }
    }

    /// Completes in this language from now on.
    pub fn speak(&mut self, language: Language) {
        if let Editor::Terminal { lines, .. } = self
            && let Some(completer) = lines.helper_mut()
        {
            completer.vocabulary.language = language;
        }
    }

    pub fn close(&mut self) {
        if let Editor::Terminal { lines, history } = self
            && let Err(e) = lines.save_history(history)
        {
            eprintln!("the history cannot be kept in {}: {e}", history.display());
        }
    }
}

/// The next question of a pipe; `None` at its end.
fn piped() -> Result<Option<String>> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line)?;
        if read == 0 {
            return Ok((!text.trim().is_empty()).then_some(text));
        }
        let blank = line.trim().is_empty();
        text.push_str(&line);
        if (blank && !text.trim().is_empty()) || (!blank && is_complete(text.trim_end_matches('\n'))) {
            return Ok(Some(text));
        }
        if text.trim().is_empty() {
            text.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_ends_with_a_semicolon_or_an_empty_line() {
        for text in ["", "\\help", "SELECT 1;", "SELECT 1 ; ", "from(bucket: \"a\")\n"] {
            assert!(is_complete(text), "{text:?}");
        }
        for text in ["SELECT 1", "from(bucket: \"a\")\n  |> range(start: -1h)"] {
            assert!(!is_complete(text), "{text:?}");
        }
    }
}
