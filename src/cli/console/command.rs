//! Commands of the console, behind a backslash.

use crate::{
    cli::{
        answer::Answer,
        plot::{chart, sparkline, thinned},
        question::{Format, Language},
    },
    model::{Failure, Result},
};
use clap::ValueEnum;

#[derive(Debug, PartialEq)]
pub enum Command {
    Help(Option<String>),
    Language(Language),
    Use(String),
    Buckets,
    Timing,
    Format(Format),
    Plot,
    Quit,
}

/// Names, and what they do, as `\help` lists them.
pub const COMMANDS: &[(&str, &str)] = &[
    ("\\flux", "ask in Flux"),
    ("\\influxql", "ask in InfluxQL"),
    ("\\sql", "ask in SQL"),
    ("\\use BUCKET", "ask this bucket"),
    ("\\buckets", "list buckets"),
    ("\\plot", "draw the last answer"),
    ("\\timing", "show how long answers take, or no longer"),
    ("\\format FORMAT", "table, raw, csv, json or jsonl"),
    ("\\help [FUNCTION]", "this list, or what a Flux function does"),
    ("\\quit", "end"),
];

/// Series that are drawn as charts; more become a line each.
const CHARTS_MAX: usize = 3;

impl Command {
    /// A line without its backslash.
    pub fn parse(line: &str) -> Result<Command> {
        let (name, argument) = line.trim().trim_end_matches(';').split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
        let argument = argument.trim().trim_matches('"');
        let required = |what: &str| match argument {
            "" => Err(Failure::invalid(format!("\\{name} needs {what}"))),
            text => Ok(text.to_string()),
        };
        Ok(match name {
            "flux" => Command::Language(Language::Flux),
            "influxql" => Command::Language(Language::InfluxQl),
            "sql" => Command::Language(Language::Sql),
            "use" | "u" => Command::Use(required("the name of a bucket")?),
            "buckets" => Command::Buckets,
            "timing" => Command::Timing,
            "plot" => Command::Plot,
            "format" => {
                let wanted = required("one of table, raw, csv, json, jsonl")?;
                let known = Format::from_str(&wanted, true).ok().filter(|f| !matches!(f, Format::Arrow | Format::Parquet));
                Command::Format(known.ok_or_else(|| Failure::invalid(format!("`{wanted}` is none of table, raw, csv, json, jsonl")))?)
            }
            "help" | "h" | "?" => Command::Help(Some(argument.to_string()).filter(|a| !a.is_empty())),
            "quit" | "q" | "exit" => Command::Quit,
            other => return Err(Failure::invalid(format!("there is no command \\{other}; \\help lists them"))),
        })
    }
}

/// The last answer as charts, or as one line per series where there are many.
pub fn plot(answer: Option<&Answer>) -> Result<String> {
    let nothing = |what: &str| Failure::invalid(format!("there is nothing to draw: {what}"));
    let series = answer.ok_or_else(|| nothing("ask a question first"))?.series();
    if series.is_empty() {
        return Err(nothing("the last answer has no numbers"));
    }
    let draw = |s: &crate::cli::plot::Series| match series.len() {
        ..=CHARTS_MAX => format!("{}\n{}", s.name, chart(&s.values, 70, 10)),
        _ => format!("{:<40} {}\n", s.name, sparkline(&thinned(&s.values, 60))),
    };
    Ok(series.iter().map(draw).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        assert_eq!(Command::parse("sql").expect("known"), Command::Language(Language::Sql));
        assert_eq!(Command::parse("use \"my bucket\"").expect("known"), Command::Use("my bucket".into()));
        assert_eq!(Command::parse("format JSON;").expect("known"), Command::Format(Format::Json));
        assert_eq!(Command::parse("help mean").expect("known"), Command::Help(Some("mean".into())));
        assert!(Command::parse("use").expect_err("no bucket").message.contains("needs the name"));
        assert!(Command::parse("format parquet").expect_err("not here").message.contains("none of"));
        assert!(Command::parse("nothing").expect_err("unknown").message.contains("\\help"));
    }
}
