//! `query`: a question in Flux, InfluxQL or SQL, from an argument, a file or stdin.

use super::{
    connection::{ConnectionArguments, OrgArguments, given},
    input,
    question::{Format, Language, Question},
};
use crate::model::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct QueryArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    org: OrgArguments,
    /// The query, `-` for stdin or `@FILE`
    query: Vec<String>,
    /// File with the query
    #[arg(long, short)]
    file: Option<PathBuf>,
    /// Language of the query [default: by the file's name (.sql, .influxql), else flux]
    #[arg(long = "type", value_name = "LANGUAGE")]
    language: Option<Language>,
    /// The bucket that InfluxQL and SQL ask
    #[arg(long, short, visible_alias = "db", env = "INFLUX_BUCKET_NAME")]
    bucket: Option<String>,
    /// How to print the answer
    #[arg(long, default_value = "table")]
    format: Format,
    /// Print the server's CSV as it is
    #[arg(long, short, conflicts_with = "format")]
    raw: bool,
    /// Flux profilers to run, separated by commas
    #[arg(long, short, value_delimiter = ',')]
    profilers: Vec<String>,
}

impl QueryArguments {
    pub fn run(self) -> Result<()> {
        let text = input::query_text(&self.file, &self.query)?;
        let by_name = |path: &PathBuf| match path.extension()?.to_str()? {
            "sql" => Some(Language::Sql),
            "influxql" | "iql" => Some(Language::InfluxQl),
            _ => None,
        };
        let language = self.language.or_else(|| self.file.as_ref().and_then(by_name)).unwrap_or(Language::Flux);
        let connection = self.connection.open()?;
        let org = connection.org_params(&self.org)?;
        let database = given(&self.bucket).map(str::to_string);
        let question = Question { language, text, org, database, profilers: self.profilers };
        let format = if self.raw { Format::Raw } else { self.format };
        question.print(&connection.server, format).map_err(|f| f.context("failed to execute query"))
    }
}
