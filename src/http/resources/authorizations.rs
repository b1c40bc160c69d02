//! `/api/v2/authorizations`: API tokens. The token itself is in the answer that makes it, and nowhere afterwards: only
//! its hash is kept.

use super::super::{
    app::{App, Call},
    auth::Auth,
    problem::Answer,
};
use super::{change, created, found, gone, id, optional_id, org_of};
use crate::{
    catalog::{Authorization, Permission, Status, authorizations::NewAuthorization, state::State as Catalogued},
    model::{AuthorizationId, Failure, UserId, time::rfc3339},
};
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

pub fn json(state: &Catalogued, authorization: &Authorization, token: Option<&str>) -> Value {
    let Authorization { id, org_id, user_id, status, description, permissions, created_at, updated_at, .. } = authorization;
    let name_of = |permission: &Permission| {
        let mut body = json!(permission);
        let resource = permission.resource;
        let bucket = resource.id.and_then(|id| state.buckets.values().find(|b| b.id.0 == id.0));
        if let Some(bucket) = bucket {
            body["resource"]["name"] = bucket.name.as_str().into();
        }
        if let Some(org) = resource.org_id.and_then(|id| state.organizations.get(&id)) {
            body["resource"]["org"] = org.name.as_str().into();
        }
        body
    };
    json!({
        "id": id,
        "token": token.unwrap_or(""),
        "status": status,
        "description": description,
        "orgID": org_id,
        "org": state.organizations.get(org_id).map(|o| o.name.as_str()).unwrap_or_default(),
        "userID": user_id,
        "user": state.users.get(user_id).map(|u| u.name.as_str()).unwrap_or_default(),
        "permissions": permissions.iter().map(name_of).collect::<Vec<_>>(),
        "links": { "self": format!("/api/v2/authorizations/{id}"), "user": format!("/api/v2/users/{user_id}") },
        "createdAt": rfc3339(*created_at),
        "updatedAt": rfc3339(*updated_at),
    })
}

fn one_json(app: &App, authorization: &Authorization) -> Value {
    json(&app.engine.catalog().state(), authorization, None)
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuthorizationBody {
    #[serde(rename = "orgID")]
    org_id: Option<String>,
    #[serde(rename = "userID")]
    user_id: Option<String>,
    status: Option<Status>,
    description: Option<String>,
    permissions: Vec<Permission>,
    token: Option<String>,
}

/// Filters: `user`, `userID`, `org`, `orgID`, `token`.
pub async fn list(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let catalog = app.engine.catalog();
    let state = catalog.state();
    let org = call.org().map(|org| catalog.organization_of(&caller, Some(org))).transpose()?;
    let mut user: Option<UserId> = optional_id(call.text("userID"))?;
    if let Some(name) = call.text("user") {
        let found = state.users.values().find(|u| u.name == name);
        user = Some(found.ok_or_else(|| Failure::not_found("user not found"))?.id);
    }
    let mut all = match call.text("token") {
        Some(token) => vec![catalog.authorization_by_token(&caller, token)?],
        None => catalog.authorizations(&caller),
    };
    all.retain(|a| org.is_none_or(|org| a.org_id == org) && user.is_none_or(|user| a.user_id == user));
    let all: Vec<Value> = all.iter().map(|a| json(&state, a, None)).collect();
    found(json!({ "links": { "self": "/api/v2/authorizations" }, "authorizations": all }))
}

pub async fn one(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    found(one_json(&app, &app.engine.catalog().authorization(&caller, id(&of)?)?))
}

pub async fn create(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let sent: AuthorizationBody = call.json()?;
    let org = match sent.org_id.as_deref().filter(|text| !text.is_empty()) {
        None if call.org().is_none() => return Err(Failure::invalid("org id required").into()),
        named => org_of(&app, &caller, &call, named)?,
    };
    let new = NewAuthorization {
        user_id: optional_id(sent.user_id.as_deref().filter(|text| !text.is_empty()))?,
        description: sent.description.unwrap_or_default(),
        status: sent.status.unwrap_or_default(),
        permissions: sent.permissions,
        token: sent.token,
    };
    let (made, token) = change(&app, move |catalog| catalog.create_authorization(&caller, org, new)).await?;
    created(json(&app.engine.catalog().state(), &made, Some(&token)))
}

pub async fn update(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    let (of, sent): (AuthorizationId, AuthorizationBody) = (id(&of)?, call.json()?);
    let changed = change(&app, move |catalog| catalog.update_authorization(&caller, of, sent.status, sent.description.as_deref())).await?;
    found(one_json(&app, &changed))
}

pub async fn remove(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    let of: AuthorizationId = id(&of)?;
    change(&app, move |catalog| catalog.delete_authorization(&caller, of)).await?;
    gone()
}
