//! `console`: questions typed in, answers printed; Flux, InfluxQL and SQL.
//!
//! A line that begins with a backslash is a command of the console ([`command`]); everything else is a question in the
//! chosen language, over as many lines as it needs, ended by `;` or an empty line.

mod caret;
mod command;
mod complete;
mod editor;
mod help;
mod vocabulary;

use super::{
    answer::Answer,
    connection::{Connection, ConnectionArguments, OrgArguments, given},
    output::{emit, say},
    question::{Format, Language, Question},
};
use crate::model::{Failure, Result};
use command::Command;
use editor::{Editor, Input};
use std::{io::IsTerminal, time::Instant};
use vocabulary::Vocabulary;

/// Between two looks at Ctrl-C while an answer is printed.
const PRINTED_BYTES: usize = 16 << 10;

#[derive(clap::Args)]
pub struct ConsoleArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    org: OrgArguments,
    /// The bucket that InfluxQL and SQL ask, and whose names are completed
    #[arg(long, short, visible_alias = "db", env = "INFLUX_BUCKET_NAME")]
    bucket: Option<String>,
    /// The language to begin with
    #[arg(long = "type", value_name = "LANGUAGE", default_value = "flux")]
    language: Language,
}

/// What is chosen, and what was answered last.
struct Console {
    connection: Connection,
    org: Vec<(&'static str, String)>,
    bucket: Option<String>,
    language: Language,
    format: Format,
    timing: bool,
    last: Option<Answer>,
}

impl ConsoleArguments {
    /// The same, with this language to begin with.
    pub fn in_language(self, language: Language) -> ConsoleArguments {
        ConsoleArguments { language, ..self }
    }

    pub fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let org = connection.org_params(&self.org)?;
        let bucket = given(&self.bucket).map(str::to_string);
        let mut console = Console { connection, org, bucket, language: self.language, format: Format::Table, timing: false, last: None };
        console.run()
    }
}

impl Console {
    fn run(&mut self) -> Result<()> {
        // An answer now, so that a wrong address or token is said before the first question is typed.
        self.connection.server.get("/health", &[])?;
        if self.bucket.is_none() {
            self.bucket = vocabulary::buckets(self).into_iter().find(|name| !name.starts_with('_'));
        }
        let mut editor = Editor::open(Vocabulary::of(self))?;
        let terminal = std::io::stdin().is_terminal();
        if terminal {
            self.connection.server.keep_on_interrupt();
            let url = self.connection.server.url();
            say(&format!("Connected to {url}. \\help helps, Ctrl-C ends a question, \\quit or Ctrl-D the console.\n"))?;
        }
        loop {
            match editor.read(&self.prompt())? {
                Input::End => break,
                Input::Nothing => continue,
                Input::Text(text) => {
                    self.connection.server.interrupt().forget();
                    let goes_on = match text.strip_prefix('\\') {
                        Some(line) => self.command(line, &mut editor),
                        None => self.question(&text).map(|()| true),
                    };
                    match goes_on {
                        Ok(true) => {}
                        Ok(false) => break,
                        // What is piped in ends at its first failure, as a script does.
                        Err(failure) if !terminal => return Err(failure),
                        Err(failure) => eprint!("{}", caret::pointing(&text, &failure.message)),
                    }
                }
            }
        }
        editor.close();
        Ok(())
    }

    fn prompt(&self) -> String {
        format!("{} {}> ", self.language.name().to_lowercase(), self.bucket.as_deref().unwrap_or("(no bucket)"))
    }

    fn to_question(&self, text: &str) -> Question {
        let text = text.trim().trim_end_matches(';').to_string();
        Question { language: self.language, text, org: self.org.clone(), database: self.bucket.clone(), profilers: vec![] }
    }

    fn question(&mut self, text: &str) -> Result<()> {
        let question = self.to_question(text);
        let started = Instant::now();
        let rows = if self.format == Format::Table {
            let answer = question.answer(&self.connection.server)?;
            for lines in answer.text()?.as_bytes().chunks(PRINTED_BYTES) {
                self.connection.server.interrupt().check()?;
                emit(lines)?;
            }
            if let Some(failure) = answer.failure() {
                return Err(failure);
            }
            let rows = answer.row_count();
            self.last = Some(answer);
            format!("{rows} row{}, ", if rows == 1 { "" } else { "s" })
        } else {
            question.print(&self.connection.server, self.format)?;
            String::new()
        };
        if self.timing {
            say(&format!("{rows}{:.1} ms\n", started.elapsed().as_secs_f64() * 1e3))?;
        }
        Ok(())
    }

    /// Whether the console goes on.
    fn command(&mut self, line: &str, editor: &mut Editor) -> Result<bool> {
        match Command::parse(line)? {
            Command::Quit => return Ok(false),
            Command::Help(topic) => say(&help::text(topic.as_deref(), self.language)?)?,
            Command::Language(language) => self.language = language,
            Command::Use(bucket) => {
                let known = vocabulary::buckets(self);
                // `database/policy` of the 1.x API is a bucket by another name, which only the server can find.
                if !known.is_empty() && !known.contains(&bucket) && known.len() < vocabulary::BUCKETS_MAX && !bucket.contains('/') {
                    return Err(Failure::not_found(format!("there is no bucket {bucket}; \\buckets lists them")));
                }
                self.bucket = Some(bucket);
                editor.learn(Vocabulary::of(self));
            }
            Command::Buckets => say(&(vocabulary::buckets(self).join("\n") + "\n"))?,
            Command::Timing => {
                self.timing = !self.timing;
                say(if self.timing { "timing is on\n" } else { "timing is off\n" })?;
            }
            Command::Format(format) => self.format = format,
            Command::Plot => say(&command::plot(self.last.as_ref())?)?,
        }
        editor.speak(self.language);
        Ok(true)
    }
}
