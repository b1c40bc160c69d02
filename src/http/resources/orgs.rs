//! `/api/v2/orgs` and their secrets.

use super::super::{
    app::{App, Call},
    auth::Auth,
    problem::Answer,
};
use super::{change, created, found, gone, id, optional_id, page::Page};
use crate::{
    catalog::Organization,
    model::{Failure, OrgId, UserId, time::rfc3339},
};
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn json(org: &Organization) -> Value {
    let own = format!("/api/v2/orgs/{}", org.id);
    let of = |resource: &str| {
        format!("/api/v2/{resource}?org={}", url::form_urlencoded::byte_serialize(org.name.as_bytes()).collect::<String>())
    };
    json!({
        "links": {
            "self": own,
            "logs": format!("{own}/logs"),
            "members": format!("{own}/members"),
            "owners": format!("{own}/owners"),
            "secrets": format!("{own}/secrets"),
            "labels": format!("{own}/labels"),
            "tasks": of("tasks"),
            "dashboards": of("dashboards"),
            "buckets": of("buckets"),
        },
        "id": org.id,
        "name": org.name,
        "description": org.description,
        "createdAt": rfc3339(org.created_at),
        "updatedAt": rfc3339(org.updated_at),
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OrgBody {
    name: Option<String>,
    description: Option<String>,
}

/// Filters: `org` (name), `orgID`, `userID`. A name or an id that is not there is 404.
pub async fn list(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let page = Page::of(&call.params)?;
    let (wanted, user): (Option<OrgId>, Option<UserId>) = (optional_id(call.text("orgID"))?, optional_id(call.text("userID"))?);
    let name = call.text("org");
    let state = app.engine.catalog().state();
    let mut orgs = app.engine.catalog().organizations(&caller);
    orgs.retain(|o| wanted.is_none_or(|id| o.id == id) && name.is_none_or(|n| o.name == n));
    if orgs.is_empty() && (wanted.is_some() || name.is_some()) {
        let message = name.map_or_else(|| "organization not found".to_string(), |n| format!("organization name \"{n}\" not found"));
        return Err(Failure::not_found(message).into());
    }
    let member = |org: OrgId, user: UserId| state.memberships.values().any(|m| m.user_id == user && m.resource_id.0 == org.0);
    orgs.retain(|o| user.is_none_or(|user| member(o.id, user)));
    let orgs: Vec<Value> = page.cut(orgs, |o| o.id.to_string()).iter().map(json).collect();
    found(json!({ "links": { "self": "/api/v2/orgs" }, "orgs": orgs }))
}

pub async fn one(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    found(json(&app.engine.catalog().organization(&caller, id(&of)?)?))
}

pub async fn create(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let OrgBody { name, description } = call.json()?;
    let (name, description) = (name.unwrap_or_default(), description.unwrap_or_default());
    created(json(&change(&app, move |catalog| catalog.create_organization(&caller, &name, &description)).await?))
}

pub async fn update(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    let (of, OrgBody { name, description }) = (id(&of)?, call.json()?);
    let changed = change(&app, move |catalog| catalog.update_organization(&caller, of, name.as_deref(), description.as_deref())).await?;
    found(json(&changed))
}

pub async fn remove(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    app.engine.delete_organization(&caller, id(&of)?).await?;
    gone()
}

fn secret_links(org: OrgId) -> Value {
    json!({ "org": format!("/api/v2/orgs/{org}"), "self": format!("/api/v2/orgs/{org}/secrets") })
}

/// Keys only; values are never given out.
pub async fn secrets(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    let org = id(&of)?;
    found(json!({ "links": secret_links(org), "secrets": app.engine.catalog().secret_keys(&caller, org)? }))
}

pub async fn put_secrets(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    let (org, secrets): (OrgId, BTreeMap<String, String>) = (id(&of)?, call.json()?);
    change(&app, move |catalog| catalog.put_secrets(&caller, org, secrets)).await?;
    gone()
}

pub async fn delete_secrets(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    #[derive(Deserialize)]
    struct Keys {
        secrets: Vec<String>,
    }
    let (org, keys): (OrgId, Keys) = (id(&of)?, call.json()?);
    change(&app, move |catalog| catalog.delete_secrets(&caller, org, &keys.secrets)).await?;
    gone()
}

pub async fn delete_secret(State(app): State<App>, Auth(caller): Auth, Path((of, key)): Path<(String, String)>) -> Answer {
    let org: OrgId = id(&of)?;
    change(&app, move |catalog| catalog.delete_secrets(&caller, org, &[key])).await?;
    gone()
}
