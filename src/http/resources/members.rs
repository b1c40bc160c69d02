//! `/api/v2/{orgs,buckets}/{id}/{members,owners}`.

use super::super::{
    app::{App, Call},
    auth::Auth,
    problem::Answer,
};
use super::{change, created, found, gone, id, users};
use crate::{
    catalog::{ResourceKind, Role, User},
    model::{Failure, ResourceId, Result, UserId},
};
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

/// What the path names; another resource or part is a path nobody serves.
fn named(kind: &str, role: &str) -> Result<(ResourceKind, Role)> {
    let kind = match kind {
        "orgs" => Some(ResourceKind::Orgs),
        "buckets" => Some(ResourceKind::Buckets),
        _ => None,
    };
    let role = match role {
        "members" => Some(Role::Member),
        "owners" => Some(Role::Owner),
        _ => None,
    };
    kind.zip(role).ok_or_else(|| Failure::not_found("path not found"))
}

fn json(user: &User, role: Role) -> Value {
    let mut body = users::json(user);
    body["role"] = json!(role);
    body
}

pub async fn list(State(app): State<App>, Auth(caller): Auth, Path((kind, of, part)): Path<(String, String, String)>) -> Answer {
    let (resource, role) = named(&kind, &part)?;
    let users = app.engine.catalog().members(&caller, resource, id(&of)?, role)?;
    let users: Vec<Value> = users.iter().map(|user| json(user, role)).collect();
    found(json!({ "links": { "self": format!("/api/v2/{kind}/{of}/{part}") }, "users": users }))
}

pub async fn add(State(app): State<App>, Auth(caller): Auth, Path((kind, of, part)): Path<(String, String, String)>, call: Call) -> Answer {
    #[derive(Deserialize)]
    struct Member {
        id: UserId,
    }
    let (resource, role) = named(&kind, &part)?;
    let (of, sent): (ResourceId, Member) = (id(&of)?, call.json()?);
    let user = change(&app, move |catalog| catalog.add_member(&caller, resource, of, role, sent.id)).await?;
    created(json(&user, role))
}

pub async fn remove(
    State(app): State<App>,
    Auth(caller): Auth,
    Path((kind, of, part, user)): Path<(String, String, String, String)>,
) -> Answer {
    let (resource, role) = named(&kind, &part)?;
    let (of, user): (ResourceId, UserId) = (id(&of)?, id(&user)?);
    change(&app, move |catalog| catalog.remove_member(&caller, resource, of, role, user)).await?;
    gone()
}
