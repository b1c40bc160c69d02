//! What surrounds every request: headers clients look for, CORS, compression, panics, 404 and 405, figures.

use super::{
    VERSION,
    app::App,
    auth::Auth,
    problem::{self, Problem},
};
use crate::model::{ErrorKind, Failure};
use axum::{
    body::{Body, HttpBody},
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures::{FutureExt, Stream, StreamExt};
use std::{io::Write, panic::AssertUnwindSafe, sync::atomic::Ordering, time::Instant};

/// Smaller answers are sent as they are.
const COMPRESS_BYTES_MIN: u64 = 1400;

/// The outermost layer. A panic in a handler is this request's 500 and nobody else's.
pub async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_string();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let gzip = accepts_gzip(request.headers())
        && matches!(path.as_str(), "/api/v2/query" | "/query" | "/api/v3/query_sql" | "/api/v3/query_influxql");
    let preflight = method == Method::OPTIONS && origin.is_some();
    let answer = if preflight { Ok(preflight_answer(request.headers())) } else { AssertUnwindSafe(next.run(request)).catch_unwind().await };
    let mut answer = answer.unwrap_or_else(|panic| panicked(&app, &path, panic.as_ref()));
    let headers = answer.headers_mut();
    headers.insert("x-influxdb-version", HeaderValue::from_static(VERSION));
    headers.insert("x-influxdb-build", HeaderValue::from_static("OSS"));
    headers.insert("x-tidegauge-version", HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    if headers.get(header::CONTENT_TYPE).is_some_and(|t| t == "application/json") {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    app.figures.answered(&method, &path, answer.status(), began.elapsed());
    if gzip { compressed(answer) } else { answer }
}

/// Which methods and headers a page of another origin may use: those that 2.7 allows.
fn preflight_answer(asked: &HeaderMap) -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let headers = answer.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE, PATCH"));
    let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let usual = HeaderValue::from_static("Accept, Content-Type, Content-Length, Accept-Encoding, Authorization, User-Agent");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.unwrap_or(usual));
    answer
}

fn panicked(app: &App, path: &str, panic: &(dyn std::any::Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().map(|s| s.to_string()).or_else(|| panic.downcast_ref::<String>().cloned());
    let number = app.figures.panics.fetch_add(1, Ordering::Relaxed);
    let id = format!("{:x}-{number}", app.engine.started());
    tracing::error!(id, text = text.as_deref().unwrap_or("(no text)"), "a request panicked");
    let failure = Failure::internal(format!("An internal error has occurred - check server logs for {id}"));
    match path {
        "/query" | "/write" => problem::v1(failure),
        path if path.starts_with("/api/v3/") => problem::v3(failure),
        _ => Problem(failure).into_response(),
    }
}

/// The body that 2.7 gives a method the path does not have. It stands outside the router, which adds `Allow` last.
pub async fn method_not_allowed(mut answer: Response) -> Response {
    if answer.status() != StatusCode::METHOD_NOT_ALLOWED {
        return answer;
    }
    let code = "method not allowed";
    let allowed = answer.headers().get(header::ALLOW).and_then(|v| v.to_str().ok()).unwrap_or("");
    let names = allowed.split(',').filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ");
    let body = serde_json::json!({ "code": code, "message": format!("allow: {names}") }).to_string();
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    headers.insert("x-platform-error-code", HeaderValue::from_static(code));
    *answer.body_mut() = body.into();
    answer
}

/// Paths nobody serves. Below `/api/v2` a caller must be recognised to learn that.
pub async fn unknown(State(app): State<App>, request: Request) -> Response {
    let not_found = || Problem(Failure::not_found("path not found")).into_response();
    if !request.uri().path().starts_with("/api/v2/") {
        return not_found();
    }
    let recognised = Auth::from_request_parts(&mut request.into_parts().0, &app).await;
    recognised.map_or_else(Problem::into_response, |_| not_found())
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let names = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    names.map(str::trim).any(|name| name == "gzip" || name == "*" || name.starts_with("gzip;") && !name.ends_with("q=0"))
}

fn compressed(answer: Response) -> Response {
    let small = answer.body().size_hint().exact().is_some_and(|bytes| bytes < COMPRESS_BYTES_MIN);
    if small || answer.headers().contains_key(header::CONTENT_ENCODING) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from_stream(gzip(body.into_data_stream())))
}

/// The pieces, compressed one by one as they come.
fn gzip(
    pieces: impl Stream<Item = Result<Bytes, axum::Error>> + Send + Unpin + 'static,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send {
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    futures::stream::unfold(Some((pieces, encoder)), |state| async move {
        let (mut pieces, mut encoder) = state?;
        loop {
            match pieces.next().await {
                Some(Ok(piece)) => {
                    if let Err(e) = encoder.write_all(&piece) {
                        return Some((Err(axum::Error::new(e)), None));
                    }
                    if !encoder.get_ref().is_empty() {
                        let out = std::mem::take(encoder.get_mut());
                        return Some((Ok(out.into()), Some((pieces, encoder))));
                    }
                }
                Some(Err(e)) => return Some((Err(e), None)),
                None => return Some((encoder.finish().map(Bytes::from).map_err(axum::Error::new), None)),
            }
        }
    })
}

/// Rows that may fail or panic while they are sent: the answer then ends short, which clients see, and the connection's
/// other requests go on.
pub fn streamed(pieces: impl Stream<Item = crate::model::Result<Bytes>> + Send + 'static) -> Body {
    Body::from_stream(AssertUnwindSafe(pieces).catch_unwind().map(|piece| match piece {
        Ok(piece) => piece,
        Err(_) => Err(Failure::new(ErrorKind::Internal, "the query panicked while its rows were sent")),
    }))
}
