//! What the API says about itself, and the resources of InfluxDB 2.7 that are not served yet.

use super::super::{app::App, auth::Auth, problem::Answer};
use super::found;
use crate::{
    catalog::ResourceKind,
    model::{ErrorKind, Failure},
};
use axum::{Json, extract::State, http::Uri};
use serde_json::{Value, json};

/// Resources below `/api/v2` that answer "not implemented" by name.
pub const NOT_YET: &[&str] = &[
    "tasks",
    "checks",
    "notificationRules",
    "notificationEndpoints",
    "variables",
    "dashboards",
    "telegrafs",
    "scrapers",
    "sources",
    "remotes",
    "replications",
    "backup",
    "restore",
    "templates",
    "stacks",
    "query/ast",
    "query/suggestions",
    "config",
];

/// `/api/v2`: where the resources are.
pub async fn links() -> Json<Value> {
    let paths =
        ["authorizations", "buckets", "dbrps", "delete", "flags", "labels", "me", "orgs", "setup", "signin", "signout", "users", "write"];
    let mut links: serde_json::Map<String, Value> = paths.iter().map(|name| (name.to_string(), format!("/api/v2/{name}").into())).collect();
    links.insert("query".into(), json!({ "self": "/api/v2/query", "analyze": "/api/v2/query/analyze" }));
    links.insert("system".into(), json!({ "metrics": "/metrics", "health": "/health", "debug": "/debug/pprof" }));
    Json(links.into())
}

/// No feature is switched by flags here.
pub async fn flags(Auth(_): Auth) -> Json<Value> {
    Json(json!({}))
}

/// The kinds that permissions name.
pub async fn resources(State(_): State<App>, Auth(_): Auth) -> Answer {
    found(ResourceKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().into())
}

pub async fn not_yet(Auth(_): Auth, uri: Uri) -> Answer {
    let name = uri.path().trim_start_matches("/api/v2/");
    let known = NOT_YET.iter().find(|known| name.starts_with(**known)).unwrap_or(&name);
    let message = format!("{known} are part of InfluxDB's API that Tidegauge does not serve yet; see the README's table of what works");
    Err(Failure::new(ErrorKind::NotImplemented, message).into())
}
