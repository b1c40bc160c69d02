//! `/api/v2/setup` (the first user, organisation, bucket and token), `/signin` and `/signout`.

use super::super::{
    app::{App, Call},
    auth::{self, SESSION_COOKIE},
    problem::Answer,
};
use super::{authorizations, buckets, change, created, found, no_content, orgs, users};
use crate::{
    catalog::{Credential, SetupRequest},
    model::{ErrorKind, Failure, Result, Timestamp},
};
use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use chrono::DateTime;
use serde::Deserialize;
use serde_json::json;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Onboarding {
    username: String,
    password: Option<String>,
    org: String,
    bucket: String,
    retention_period_seconds: i64,
    /// Nanoseconds, whatever the name says (InfluxDB 2.7).
    retention_period_hrs: i64,
    token: Option<String>,
}

pub async fn allowed(State(app): State<App>) -> Answer {
    found(json!({ "allowed": app.settings.always_allow_setup || !app.engine.catalog().is_set_up() }))
}

pub async fn run(State(app): State<App>, call: Call) -> Answer {
    let sent: Onboarding = call.json()?;
    let retention = sent.retention_period_seconds.checked_mul(1_000_000_000).map(|ns| if ns == 0 { sent.retention_period_hrs } else { ns });
    let retention = retention.ok_or_else(|| Failure::invalid("retentionPeriodSeconds is too large"))?;
    let request = SetupRequest {
        username: sent.username,
        password: sent.password,
        org: sent.org,
        bucket: sent.bucket,
        retention_ns: (retention != 0).then_some(retention),
        token: sent.token,
    };
    let again = app.settings.always_allow_setup;
    let answer = change(&app, move |catalog| if again { catalog.onboard(request) } else { catalog.set_up(request) }).await?;
    let state = app.engine.catalog().state();
    created(json!({
        "user": users::json(&answer.user),
        "bucket": buckets::json(&answer.bucket, &[]),
        "org": orgs::json(&answer.org),
        "auth": authorizations::json(&state, &answer.authorization, Some(&answer.token)),
    }))
}

/// HTTP Basic, for a session's cookie.
pub async fn sign_in(State(app): State<App>, call: Call) -> Answer {
    let Some(Credential::Password { username, password }) = auth::from_header(&call.headers)? else {
        return Err(Failure::new(ErrorKind::Unauthorized, "unauthorized access").into());
    };
    let (key, expires_at) = change(&app, move |catalog| catalog.sign_in(&username, &password)).await?;
    with_cookie(&key, expires_at)
}

pub async fn sign_out(State(app): State<App>, headers: HeaderMap) -> Answer {
    let key = auth::session_key(&headers).ok_or_else(|| Failure::new(ErrorKind::Unauthorized, "unauthorized access"))?;
    change(&app, move |catalog| catalog.sign_out(&key)).await?;
    with_cookie("", 0)
}

fn with_cookie(key: &str, expires_at: Timestamp) -> Answer {
    let expires = DateTime::from_timestamp_nanos(expires_at).format("%a, %d %b %Y %H:%M:%S GMT");
    let cookie = format!("{SESSION_COOKIE}={key}; Path=/api/; Expires={expires}; HttpOnly; SameSite=Strict");
    let mut answer: Response = no_content();
    answer.headers_mut().insert(header::SET_COOKIE, cookie_value(&cookie)?);
    Ok(answer)
}

fn cookie_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|e| Failure::internal(format!("a cookie cannot be written: {e}")))
}
