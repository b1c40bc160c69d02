//! A question in one of the languages, and how it is put to a server.

use super::{
    answer::{self, Answer},
    connection::Connection,
    output::emit,
    server::Server,
};
use crate::{
    format::{
        annotated_csv::{self, CsvTable},
        relation::{self, RelationFormat},
    },
    model::{Failure, Result},
};
use arrow::ipc::reader::StreamReader;
use clap::ValueEnum;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt;
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};
use std::io::{Cursor, IsTerminal};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Flux,
    #[value(name = "influxql")]
    InfluxQl,
    Sql,
}

/// How an answer is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    /// The server's CSV as it is: of Flux with annotations.
    Raw,
    Csv,
    Json,
    /// An object per line.
    Jsonl,
    /// The Arrow IPC stream format.
    Arrow,
    Parquet,
}

#[derive(Debug, Clone)]
pub struct Question {
    pub language: Language,
    pub text: String,
    /// Organisation, as parameters of a URL.
    pub org: Vec<(&'static str, String)>,
    /// The bucket that InfluxQL and SQL ask.
    pub database: Option<String>,
    /// Flux profilers to run.
    pub profilers: Vec<String>,
}

impl Language {
    pub fn name(self) -> &'static str {
        match self {
            Language::Flux => "Flux",
            Language::InfluxQl => "InfluxQL",
            Language::Sql => "SQL",
        }
    }
}

impl Question {
    /// The whole answer.
    pub fn answer(&self, server: &Server) -> Result<Answer> {
        match self.language {
            Language::Flux => self.flux_tables(server).map(Answer::Flux),
            Language::InfluxQl => Ok(Answer::InfluxQl(server.json(self.v1(server, "application/json")?)?)),
            Language::Sql => {
                let body = server.bytes(self.v3(server, RelationFormat::ArrowStream)?)?;
                answer::batches(&body).map(Answer::Sql)
            }
        }
    }

    /// Prints the answer on stdout, as it comes where the format allows it.
    pub fn print(&self, server: &Server, format: Format) -> Result<()> {
        let relation = match format {
            Format::Table => {
                let answer = self.answer(server)?;
                emit(answer.text()?.as_bytes())?;
                return answer.failure().map_or(Ok(()), Err);
            }
            Format::Arrow | Format::Parquet if std::io::stdout().is_terminal() => {
                return Err(Failure::invalid("this format is not for a terminal: send it to a file (> rows.parquet)"));
            }
            Format::Raw | Format::Csv => RelationFormat::Csv,
            Format::Json => RelationFormat::Json,
            Format::Jsonl => RelationFormat::JsonLines,
            Format::Arrow => RelationFormat::ArrowStream,
            Format::Parquet => RelationFormat::Parquet,
        };
        match (self.language, format) {
            (Language::Flux, Format::Raw | Format::Csv) => copy(server, self.flux(server, format == Format::Raw)),
            (Language::Flux, Format::Arrow | Format::Parquet) => copy(server, self.flux_relation(server, relation)),
            (Language::Flux, _) => {
                let body = server.bytes(self.flux_relation(server, RelationFormat::ArrowStream))?;
                let rows = StreamReader::try_new(Cursor::new(body), None)?;
                let schema = rows.schema();
                let rows = futures::stream::iter(rows.map(|batch| Ok(batch?)));
                let pieces = relation::encode(Box::pin(RecordBatchStreamAdapter::new(schema, rows)), relation);
                futures::executor::block_on(pieces.try_for_each(|piece| std::future::ready(emit(&piece))))
            }
            (Language::InfluxQl, Format::Raw | Format::Csv) => copy(server, self.v1(server, "text/csv")?),
            (Language::InfluxQl, Format::Json) => copy(server, self.v1(server, "application/json")?),
            _ => copy(server, self.v3(server, relation)?),
        }
    }

    fn flux_tables(&self, server: &Server) -> Result<Vec<CsvTable>> {
        let body = server.bytes(self.flux(server, true))?;
        let text = std::str::from_utf8(&body).map_err(|e| Failure::internal(format!("the answer is not UTF-8: {e}")))?;
        annotated_csv::decode(text)
    }

    fn flux(&self, server: &Server, annotated: bool) -> RequestBuilder {
        let annotations = if annotated { json!(["group", "datatype", "default"]) } else { json!([]) };
        let dialect = json!({ "annotations": annotations, "delimiter": ",", "header": true });
        let mut body = json!({ "query": self.text, "type": "flux", "dialect": dialect });
        if !self.profilers.is_empty() {
            body["extern"] = profiling(&self.profilers);
        }
        server.request(Method::POST, "/api/v2/query", &self.org_params()).json(&body)
    }

    /// All tables as one relation: an extension of ours.
    fn flux_relation(&self, server: &Server, format: RelationFormat) -> RequestBuilder {
        self.flux(server, true).header(header::ACCEPT, format.content_type())
    }

    /// The 1.x API: any number of statements.
    fn v1(&self, server: &Server, accept: &str) -> Result<RequestBuilder> {
        let form = [("q", self.text.as_str()), ("db", self.database.as_deref().unwrap_or(""))];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = server.request(Method::POST, "/query", &self.org_params()).header(header::ACCEPT, accept);
        Ok(request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form))
    }

    /// The API of InfluxDB 3: one statement.
    fn v3(&self, server: &Server, format: RelationFormat) -> Result<RequestBuilder> {
        let database = self.database.as_deref();
        let database = database.ok_or_else(|| Failure::invalid(format!("{} needs a bucket to ask (--bucket)", self.language.name())))?;
        let path = if self.language == Language::Sql { "/api/v3/query_sql" } else { "/api/v3/query_influxql" };
        let body = json!({ "db": database, "q": self.text, "format": format.name() });
        Ok(server.request(Method::POST, path, &self.org_params()).json(&body))
    }

    fn org_params(&self) -> Vec<(&'static str, &str)> {
        Connection::params(&self.org)
    }
}

fn copy(server: &Server, request: RequestBuilder) -> Result<()> {
    let mut answer = server.send(request)?;
    while let Some(piece) = answer.piece()? {
        emit(&piece)?;
    }
    Ok(())
}

/// `import "profiler"` and `option profiler.enabledProfilers = [...]` as the syntax tree that goes in front of a script.
fn profiling(profilers: &[String]) -> Value {
    let names: Vec<Value> = profilers.iter().map(|name| json!({ "type": "StringLiteral", "value": name })).collect();
    let identifier = |name: &str| json!({ "type": "Identifier", "name": name });
    let member = json!({ "type": "MemberExpression", "object": identifier("profiler"), "property": identifier("enabledProfilers") });
    let assignment = json!({ "type": "MemberAssignment", "member": member, "init": { "type": "ArrayExpression", "elements": names } });
    json!({
        "imports": [{ "type": "ImportDeclaration", "path": { "type": "StringLiteral", "value": "profiler" } }],
        "body": [{ "type": "OptionStatement", "assignment": assignment }],
    })
}
