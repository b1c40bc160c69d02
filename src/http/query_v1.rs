//! `/query` of InfluxDB 1.x: InfluxQL in; JSON, CSV or MessagePack out.

use super::{
    app::{App, Call},
    delete::deleted_rows,
    problem,
    query::first_piece,
};
use crate::{
    format::{
        csv_v1, json_v1, msgpack_v1,
        v1::{AnswerOptions, CHUNK_ROWS_DEFAULT},
    },
    influxql::Defaults,
    model::{Failure, Precision, Result},
};
use axum::{
    body::Body,
    extract::{FromRequest, Multipart, Request, State},
    http::{Method, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use std::{pin::Pin, sync::atomic::Ordering};

pub async fn query(State(app): State<App>, call: Call) -> Response {
    app.figures.queries.fetch_add(1, Ordering::Relaxed);
    let answer = async { answer(&app, with_form(call).await?).await };
    answer.await.unwrap_or_else(|failure| {
        app.figures.failed_queries.fetch_add(1, Ordering::Relaxed);
        problem::v1(failure)
    })
}

/// The parameters of the body beside those of the URL; where both have one, the body's counts (as in Go's `FormValue`).
async fn with_form(mut call: Call) -> Result<Call> {
    let kind = call.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("").to_string();
    if call.method != Method::POST || call.body.is_empty() {
        return Ok(call);
    }
    if kind.starts_with("application/vnd.influxql") {
        let text = call.body_text()?.to_string();
        call.params.insert("q".into(), text);
    } else if kind.starts_with("multipart/form-data") {
        let unreadable = |e: &dyn std::fmt::Display| Failure::invalid(format!("the multipart body cannot be read: {e}"));
        let mut request = Request::new(Body::from(call.body.clone()));
        *request.headers_mut() = call.headers.clone();
        let mut parts = Multipart::from_request(request, &()).await.map_err(|e| unreadable(&e))?;
        while let Some(part) = parts.next_field().await.map_err(|e| unreadable(&e))? {
            let name = part.name().unwrap_or("").to_string();
            let text = part.text().await.map_err(|e| unreadable(&e))?;
            call.params.insert(name, text);
        }
    } else if kind.is_empty() || kind.starts_with("application/x-www-form-urlencoded") {
        for (name, value) in url::form_urlencoded::parse(&call.body) {
            call.params.insert(name.into_owned(), value.into_owned());
        }
    }
    Ok(call)
}

fn options(call: &Call) -> Result<AnswerOptions> {
    let flag = |name: &str| matches!(call.text(name), Some("true" | "1" | "t"));
    let epoch = |unit: &str| {
        Precision::parse_v1(unit).ok_or_else(|| Failure::invalid(format!("invalid epoch \"{unit}\" (use ns, u, ms, s, m or h)")))
    };
    let rows = match call.text("chunk_size").map(str::parse::<usize>) {
        None => CHUNK_ROWS_DEFAULT,
        Some(Ok(rows)) if rows > 0 => rows,
        Some(_) => return Err(Failure::invalid("chunk_size must be a whole number above zero")),
    };
    Ok(AnswerOptions {
        epoch: call.text("epoch").map(epoch).transpose()?,
        chunk_rows: flag("chunked").then_some(rows),
        pretty: flag("pretty"),
    })
}

async fn answer(app: &App, call: Call) -> Result<Response> {
    let caller = call.v1_caller(app).await?;
    let text = call.text("q").ok_or_else(|| Failure::invalid("missing required parameter \"q\""))?;
    let options = options(&call)?;
    let owned = |name: &str| call.text(name).map(str::to_string);
    let defaults = Defaults { database: owned("db"), policy: owned("rp"), read_only: call.method == Method::GET };
    let answers = app.engine.influxql(&caller, call.org(), text.to_string(), owned("params"), defaults).await?;
    let mut answers = answers.peekable();
    // Of the first statement: those after it have not run yet.
    let deleted = Pin::new(&mut answers).peek().await.and_then(|answer| answer.deleted);
    let answers = answers.boxed();
    let accept = call.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let (kind, pieces) = match accept.split([',', ';']).next().map(str::trim) {
        Some("text/csv" | "application/csv") => ("text/csv; charset=utf-8", csv_v1::encode(answers, options)),
        Some("application/x-msgpack") => ("application/x-msgpack", msgpack_v1::encode(answers, options)),
        _ => ("application/json", json_v1::encode(answers, options)),
    };
    Ok(([(header::CONTENT_TYPE, kind)], deleted_rows(deleted), first_piece(pieces).await?).into_response())
}
