//! `/api/v2/query` and what is around it: Flux in, annotated CSV out.

use super::{
    app::{App, Call},
    auth::Auth,
    layers::streamed,
    problem::Answer,
};
use crate::{
    engine::FluxRequest,
    flux,
    format::{
        annotated_csv::{self, Annotation, Dialect},
        relation::{self, RelationFormat},
    },
    model::{ErrorKind, Failure, Result, Timestamp, time::parse_rfc3339},
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::json;
use std::sync::atomic::Ordering;

/// The body of a query request. What 2.7 ignores is ignored.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct QueryRequest {
    query: Option<String>,
    #[serde(rename = "type")]
    language: Option<String>,
    dialect: Option<DialectRequest>,
    /// A Flux file as a JSON syntax tree.
    #[serde(rename = "extern")]
    external: Option<serde_json::Value>,
    /// Bind parameters as plain JSON (InfluxDB Cloud), the record `params` of the script.
    params: Option<serde_json::Map<String, serde_json::Value>>,
    now: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DialectRequest {
    header: Option<bool>,
    delimiter: Option<String>,
    annotations: Option<Vec<String>>,
}

impl DialectRequest {
    fn read(self) -> Result<Dialect> {
        let delimiter = match self.delimiter.as_deref() {
            None | Some("") => b',',
            Some(text) if text.len() == 1 && !matches!(text, "\"" | "\r" | "\n") => text.as_bytes()[0],
            Some(_) => return Err(Failure::invalid("invalid dialect delimeter: must be one ASCII character")),
        };
        let names = self.annotations.unwrap_or_default();
        let known =
            |name: &String| Annotation::parse(name).ok_or_else(|| Failure::invalid(format!("unknown dialect annotation type: {name}")));
        let annotations = names.iter().map(known).collect::<Result<_>>()?;
        Ok(Dialect { header: self.header.unwrap_or(true), delimiter, annotations })
    }
}

fn read(call: &Call) -> Result<(FluxRequest, Dialect)> {
    let plain = call.headers.get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/vnd.flux"));
    let sent: QueryRequest = match plain {
        true => QueryRequest { query: Some(call.body_text()?.to_string()), ..QueryRequest::default() },
        false => call.json()?,
    };
    if let Some(other) = sent.language.as_deref().filter(|name| !matches!(*name, "" | "flux")) {
        return Err(Failure::invalid(format!("failed to decode request body: unknown query type: {other}")));
    }
    let text = sent.query.filter(|text| !text.trim().is_empty());
    let text = text.ok_or_else(|| Failure::invalid("failed to decode request body: request body requires either query or AST"))?;
    let bad_now = || Failure::invalid("failed to decode request body: now must be a time in RFC 3339");
    let now: Option<Timestamp> = sent.now.filter(|t| !t.is_empty()).map(|t| parse_rfc3339(&t).ok_or_else(bad_now)).transpose()?;
    let mut params = match sent.external.filter(|e| !e.is_null()) {
        Some(file) => flux::external::values(&file).map_err(Failure::from)?,
        None => vec![],
    };
    if let Some(values) = sent.params {
        params.push(("params".into(), flux::external::record(&values)));
    }
    let dialect = sent.dialect.map_or_else(|| Ok(Dialect::default()), DialectRequest::read)?;
    Ok((FluxRequest { text, params, now }, dialect))
}

pub async fn v2(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    app.figures.queries.fetch_add(1, Ordering::Relaxed);
    let answer = async {
        let (request, dialect) = read(&call)?;
        let results = app.engine.flux(&caller, call.org(), request).await.map_err(starting)?;
        match columnar(&call) {
            Some(format) => {
                let pieces = relation::encode(relation::of_tables(results)?, format);
                Ok::<_, Failure>((format.content_type(), first_piece(pieces).await?))
            }
            None => Ok(("text/csv; charset=utf-8", first_piece(Box::pin(annotated_csv::encode(results, dialect))).await?)),
        }
    };
    match answer.await {
        Ok((kind, body)) => Ok(prefer_no_content(&call, kind, body).await),
        Err(failure) => {
            app.figures.failed_queries.fetch_add(1, Ordering::Relaxed);
            Err(failure.into())
        }
    }
}

/// An Arrow stream or a Parquet file instead of annotated CSV: an extension, asked for by `Accept`.
fn columnar(call: &Call) -> Option<RelationFormat> {
    let accepted = call.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).and_then(RelationFormat::accepted);
    accepted.filter(|format| matches!(format, RelationFormat::ArrowStream | RelationFormat::Parquet))
}

/// Failures that 2.7 reports while a query starts carry its prefix.
fn starting(failure: Failure) -> Failure {
    match failure.kind {
        ErrorKind::NotFound if failure.message.starts_with("could not find bucket") => {
            failure.context("failed to initialize execute state")
        }
        _ => failure,
    }
}

/// Waits for the first bytes, so that what fails before them is an answer of its own.
pub(super) async fn first_piece(mut pieces: impl Stream<Item = Result<Bytes>> + Send + Unpin + 'static) -> Result<Body> {
    match pieces.next().await {
        None => Ok(Body::empty()),
        Some(first) => Ok(streamed(futures::stream::iter([Ok(first?)]).chain(pieces))),
    }
}

/// `Prefer: return-no-content` runs the query and answers with nothing.
async fn prefer_no_content(call: &Call, kind: &'static str, body: Body) -> Response {
    let prefer = call.headers.get("prefer").map(|v| v.as_bytes()).unwrap_or_default();
    if prefer.starts_with(b"return-no-content") {
        let ran = body.into_data_stream().try_for_each(|_| std::future::ready(Ok(()))).await;
        if ran.is_err() && prefer == b"return-no-content-with-error" {
            let table = annotated_csv::error_table(&Dialect::default(), "the query failed while it ran");
            return ([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], table).into_response();
        }
        return axum::http::StatusCode::NO_CONTENT.into_response();
    }
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// `/api/v2/query/analyze`: the errors of the text, without running it.
pub async fn analyze(State(_): State<App>, Auth(_): Auth, call: Call) -> Answer {
    let sent: QueryRequest = call.json()?;
    let text = sent.query.unwrap_or_default();
    let errors: Vec<_> = flux::parse::parse(&text)
        .err()
        .unwrap_or_default()
        .into_iter()
        .map(|error| {
            let at = error.span.map_or(0, |span| span.start as usize).min(text.len());
            let line = text[..at].matches('\n').count() + 1;
            let column = at - text[..at].rfind('\n').map_or(0, |n| n + 1) + 1;
            json!({ "line": line, "column": column, "character": at, "message": error.message })
        })
        .collect();
    Ok(Json(json!({ "errors": errors })).into_response())
}
