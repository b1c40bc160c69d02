//! People and names over HTTP: one file per resource of `/api/v2`, and what their handlers share.

pub mod authorizations;
pub mod buckets;
pub mod dbrps;
pub mod labels;
pub mod members;
pub mod orgs;
pub mod page;
pub mod service;
pub mod setup;
pub mod users;

use super::{
    app::{App, Call},
    problem::Answer,
};
use crate::{
    catalog::{Caller, Catalog},
    model::{Failure, OrgId, Result},
};
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::Value;
use std::str::FromStr;

/// An identifier in a path or a parameter.
fn id<I: FromStr>(text: &str) -> Result<I> {
    text.parse().map_err(|_| Failure::invalid("id must have a length of 16 bytes"))
}

/// An identifier that may be absent.
fn optional_id<I: FromStr>(text: Option<&str>) -> Result<Option<I>> {
    text.map(id).transpose()
}

/// The organisation of a `POST`: the body's `orgID`, else the URL's parameters, else the caller's own.
fn org_of(app: &App, caller: &Caller, call: &Call, sent: Option<&str>) -> Result<OrgId> {
    app.engine.catalog().organization_of(caller, sent.filter(|t| !t.is_empty()).or_else(|| call.org()))
}

/// Runs a change of the catalog, which waits for the disk, away from the async threads.
async fn change<T: Send + 'static>(app: &App, work: impl FnOnce(&Catalog) -> Result<T> + Send + 'static) -> Result<T> {
    let engine = app.engine.clone();
    let done = tokio::task::spawn_blocking(move || work(engine.catalog())).await;
    done.map_err(|e| Failure::internal(format!("a change of the catalog panicked: {e}")))?
}

fn found(body: Value) -> Answer {
    Ok(Json(body).into_response())
}

fn created(body: Value) -> Answer {
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

fn gone() -> Answer {
    Ok(no_content())
}

fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
