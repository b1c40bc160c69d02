//! Failures as HTTP answers: the one table from kinds to status codes, and the bodies clients read.

use crate::model::{ErrorKind, Failure};
use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

/// A failure on its way to a client of `/api/v2`: `{"code","message"}` and `X-Platform-Error-Code` (InfluxDB 2.7).
#[derive(Debug)]
pub struct Problem(pub Failure);

pub type Answer<T = Response> = Result<T, Problem>;

impl<F: Into<Failure>> From<F> for Problem {
    fn from(failure: F) -> Problem {
        Problem(failure.into())
    }
}

/// Status and `code` of a kind of failure.
pub fn status(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
        ErrorKind::EmptyValue => (StatusCode::BAD_REQUEST, "empty value"),
        ErrorKind::Unprocessable => (StatusCode::UNPROCESSABLE_ENTITY, "unprocessable entity"),
        ErrorKind::Conflict => (StatusCode::UNPROCESSABLE_ENTITY, "conflict"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not found"),
        ErrorKind::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
        ErrorKind::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "request too large"),
        ErrorKind::TooMany => (StatusCode::TOO_MANY_REQUESTS, "too many requests"),
        ErrorKind::Unavailable | ErrorKind::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        ErrorKind::NotImplemented => (StatusCode::NOT_IMPLEMENTED, "not implemented"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
    }
}

/// Longest text of an error in a header (InfluxDB 1.8): clients and proxies refuse long ones.
const HEADER_BYTES_MAX: usize = 1024;

/// The beginning of any text as a header's value, in UTF-8; what a header cannot carry becomes a space.
fn header_value(text: &str) -> HeaderValue {
    let short = &text[..text.floor_char_boundary(HEADER_BYTES_MAX)];
    let plain: String = short.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    HeaderValue::from_bytes(plain.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn with_retry_after(mut response: Response, failure: &Failure) -> Response {
    if let Some(seconds) = failure.retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        v2_with(self.0, Map::new())
    }
}

/// As a [`Problem`] answers, with `more` beside `code` and `message`.
pub fn v2_with(failure: Failure, more: Map<String, Value>) -> Response {
    let (status, code) = status(failure.kind);
    let headers = [(HeaderName::from_static("x-platform-error-code"), HeaderValue::from_static(code))];
    let body = Json(with(json!({ "code": code, "message": failure.message }), more));
    with_retry_after((status, headers, body).into_response(), &failure)
}

fn with(mut body: Value, more: Map<String, Value>) -> Value {
    if let Some(body) = body.as_object_mut() {
        body.extend(more);
    }
    body
}

/// A failure on its way to a 1.x client, which reads `error` or `X-Influxdb-Error`; 2.x clients of the same paths read
/// `code` and `message`.
pub fn v1(failure: Failure) -> Response {
    v1_with(failure, Map::new())
}

/// As [`v1`], with `more` beside.
pub fn v1_with(failure: Failure, more: Map<String, Value>) -> Response {
    let (status, code) = status(failure.kind);
    let headers = [
        (HeaderName::from_static("x-influxdb-error"), header_value(&failure.message)),
        (HeaderName::from_static("x-platform-error-code"), HeaderValue::from_static(code)),
    ];
    let body = Json(with(json!({ "error": failure.message, "code": code, "message": failure.message }), more));
    with_retry_after((status, headers, body).into_response(), &failure)
}

/// A failure on its way to a client of InfluxDB 3: `{"error"}`; no body where the caller lacks a right.
pub fn v3(failure: Failure) -> Response {
    let (status, _) = status(failure.kind);
    let answer = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => status.into_response(),
        _ => (status, Json(json!({ "error": failure.message }))).into_response(),
    };
    with_retry_after(answer, &failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_the_beginning_of_a_text() {
        let shown = |text: &str| String::from_utf8(header_value(text).as_bytes().to_vec()).expect("UTF-8");
        assert_eq!(shown("a\nb\tc\u{7f}\u{85}d \u{e9}"), "a b c  d \u{e9}");
        assert_eq!(shown(&"x".repeat(1024)), "x".repeat(1024));
        assert_eq!(shown(&"x".repeat(5000)), "x".repeat(1024));
        assert_eq!(shown(&format!("x{}", "\u{e9}".repeat(600))), format!("x{}", "\u{e9}".repeat(511)));
    }
}
