//! Signs of life: `/ping`, `/health`, `/ready`, `/metrics`. Nobody has to say who they are.

use super::{
    VERSION,
    app::App,
    figures::{self, damages},
};
use crate::model::{duration::go_duration, time::rfc3339};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// Always 204 and empty: 1.x clients break on a body.
pub async fn ping() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// `pass`, with what could not be read back from disk named in `checks`: the rest is served.
pub async fn health(State(app): State<App>) -> Json<serde_json::Value> {
    let damaged: Vec<_> = damages(&app)
        .into_iter()
        .map(|what| json!({ "name": "storage", "status": "pass", "message": format!("damaged: {what}") }))
        .collect();
    Json(json!({
        "name": "influxdb",
        "message": "ready for queries and writes",
        "status": "pass",
        "checks": damaged,
        "version": VERSION,
        "commit": "",
        "product": "Tidegauge",
        "productVersion": env!("CARGO_PKG_VERSION"),
    }))
}

pub async fn ready(State(app): State<App>) -> Response {
    let up = app.engine.now() - app.engine.started();
    let body = json!({ "status": "ready", "started": rfc3339(app.engine.started()), "up": go_duration(up) });
    let text = serde_json::to_string_pretty(&body).unwrap_or_default().replace("  ", "    ");
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], text + "\n").into_response()
}

pub async fn metrics(State(app): State<App>) -> Response {
    if app.settings.metrics_disabled {
        return (StatusCode::FORBIDDEN, "metrics disabled\n").into_response();
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], figures::text(&app)).into_response()
}
