//! `/api/v2/users` and `/api/v2/me`.

use super::super::{
    app::{App, Call, text},
    auth::Auth,
    problem::Answer,
};
use super::{change, created, found, gone, id, optional_id, page::Page};
use crate::{
    catalog::{Caller, Credential, Status, User},
    model::{ErrorKind, Failure, Result, UserId},
};
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

pub fn json(user: &User) -> Value {
    json!({
        "id": user.id,
        "name": user.name,
        "status": user.status,
        "links": { "self": format!("/api/v2/users/{}", user.id) },
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct UserBody {
    name: Option<String>,
    status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PasswordBody {
    password: String,
}

fn own_id(caller: &Caller) -> Result<UserId> {
    caller.user_id.ok_or_else(|| Failure::not_found("user not found"))
}

pub async fn me(State(app): State<App>, Auth(caller): Auth) -> Answer {
    let mut user = json(&app.engine.catalog().user(&caller, own_id(&caller)?)?);
    user["links"] = json!({ "self": "/api/v2/me" });
    found(user)
}

/// Asks for the old password in HTTP Basic, as 2.7 does.
pub async fn own_password(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let sent: PasswordBody = call.json()?;
    let old = match super::super::auth::from_header(&call.headers)? {
        Some(Credential::Password { password, .. }) => Some(password),
        _ => None,
    };
    change(&app, move |catalog| {
        let own = own_id(&caller)?;
        if let Some(old) = old {
            catalog.verify_password(own, &old)?;
        }
        catalog.set_password(&caller, own, &sent.password)
    })
    .await?;
    gone()
}

pub async fn list(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let page = Page::of(&call.params)?;
    let wanted: Option<UserId> = optional_id(text(&call.params, "id"))?;
    let name = text(&call.params, "name");
    let mut users = app.engine.catalog().users(&caller);
    users.retain(|u| wanted.is_none_or(|id| u.id == id) && name.is_none_or(|n| u.name == n));
    if users.is_empty() && (wanted.is_some() || name.is_some()) {
        return Err(Failure::not_found("user not found").into());
    }
    let users: Vec<Value> = page.cut(users, |u| u.id.to_string()).iter().map(json).collect();
    found(json!({ "links": { "self": "/api/v2/users" }, "users": users }))
}

pub async fn one(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    found(json(&app.engine.catalog().user(&caller, id(&of)?)?))
}

pub async fn create(State(app): State<App>, Auth(caller): Auth, call: Call) -> Answer {
    let UserBody { name, status } = call.json()?;
    let name = name.unwrap_or_default();
    created(json(&change(&app, move |catalog| catalog.create_user(&caller, &name, status.unwrap_or_default())).await?))
}

pub async fn update(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    let (of, UserBody { name, status }) = (id(&of)?, call.json()?);
    found(json(&change(&app, move |catalog| catalog.update_user(&caller, of, name.as_deref(), status)).await?))
}

pub async fn remove(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>) -> Answer {
    let of: UserId = id(&of)?;
    if caller.user_id == Some(of) {
        return Err(Failure::new(ErrorKind::Invalid, "nobody can delete the own user; use another user's token").into());
    }
    change(&app, move |catalog| catalog.delete_user(&caller, of)).await?;
    gone()
}

pub async fn password(State(app): State<App>, Auth(caller): Auth, Path(of): Path<String>, call: Call) -> Answer {
    let (of, sent): (UserId, PasswordBody) = (id(&of)?, call.json()?);
    change(&app, move |catalog| catalog.set_password(&caller, of, &sent.password)).await?;
    gone()
}
