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

/// `pass`; or `warn` with status 200, when something on disk is damaged, with each such file named in `checks`: the rest is served.
/// InfluxDB 2.7 knows only `pass` and `fail`, and its clients look at the HTTP status or for `fail`.
pub async fn health(State(app): State<App>) -> Json<serde_json::Value> {
    let damaged = damages(&app);
    let (status, message) = match damaged.len() {
        0 => ("pass", "ready for queries and writes".to_string()),
        1 => ("warn", "ready for queries and writes; 1 file is damaged, see checks".to_string()),
        n => ("warn", format!("ready for queries and writes; {n} files are damaged, see checks")),
    };
    let check = |what: String| json!({ "name": "storage", "status": "warn", "message": format!("damaged: {what}") });
    Json(json!({
        "name": "influxdb",
        "message": message,
        "status": status,
        "checks": damaged.into_iter().map(check).collect::<Vec<_>>(),
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
