//! Tidegauge's own resources, beside InfluxDB's: checking, listing and merging what is stored. They need an operator's token, and
//! answer when all is done, which may take minutes.
//!
//! ```text
//! POST /api/v2/tidegauge/verify     -> 200 {"checked", "findings"}, damaged or not; see storage/verify.rs
//! GET  /api/v2/tidegauge/inspect    -> 200 {"buckets"}; ?series=false leaves the counting of series out; see storage/inspect.rs
//! POST /api/v2/tidegauge/compact    -> 200 {"compactions", "files", ...}; see engine/maintenance.rs
//! ```

use super::{
    app::{App, Params, text},
    auth::Auth,
    problem::Answer,
};
use crate::{engine::MaintenanceFigures, model::Failure, storage::verify::Report};
use axum::{Json, extract::State};
use serde_json::{Value, json};

pub async fn verify(State(app): State<App>, Auth(caller): Auth) -> Answer<Json<Report>> {
    Ok(Json(app.engine.verify(&caller).await?))
}

pub async fn inspect(State(app): State<App>, Auth(caller): Auth, Params(params): Params) -> Answer<Json<Value>> {
    let series = match text(&params, "series") {
        None | Some("true") => true,
        Some("false") => false,
        Some(other) => return Err(Failure::invalid(format!("series is true or false, not `{other}`")).into()),
    };
    let buckets = app.engine.inspect(&caller, series).await?;
    Ok(Json(json!({ "buckets": buckets })))
}

pub async fn compact(State(app): State<App>, Auth(caller): Auth) -> Answer<Json<MaintenanceFigures>> {
    Ok(Json(app.engine.compact(&caller).await?))
}
