//! What a request shows to say who it comes from, and who that is.

use super::{app::App, problem::Problem};
use crate::{
    catalog::{Caller, Credential},
    model::{ErrorKind, Failure, Result},
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The cookie of a session (InfluxDB 2.7).
pub const SESSION_COOKIE: &str = "influxdb-oss-session";

/// The caller of a request to `/api/v2` and `/api/v3`: a token (`Token` or `Bearer`), a password or a token in `Basic`,
/// or a session's cookie. A token wins over a cookie.
///
/// A token that is switched off is refused, also where nothing would be asked of its permissions, as in a list.
pub struct Auth(pub Caller);

/// As [`Auth`], but with tokens that are switched off. To write and to delete they lack the right (403, InfluxDB 2.7).
pub struct AnyAuth(pub Caller);

impl FromRequestParts<App> for Auth {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> std::result::Result<Auth, Problem> {
        let AnyAuth(caller) = AnyAuth::from_request_parts(parts, app).await?;
        match caller.inactive {
            true => Err(Failure::new(ErrorKind::Unauthorized, "token is inactive").into()),
            false => Ok(Auth(caller)),
        }
    }
}

impl FromRequestParts<App> for AnyAuth {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> std::result::Result<AnyAuth, Problem> {
        let credential = from_header(&parts.headers)?.or_else(|| session_key(&parts.headers).map(Credential::Session));
        Ok(AnyAuth(recognise(app, credential).await?))
    }
}

fn unauthorized() -> Failure {
    Failure::new(ErrorKind::Unauthorized, "unauthorized access")
}

/// Who shows this. A password may take a core some milliseconds, away from the async threads.
async fn recognise(app: &App, credential: Option<Credential>) -> Result<Caller> {
    let credential = credential.ok_or_else(unauthorized)?;
    match &credential {
        Credential::Token(token) if !token.contains(':') => app.engine.authenticate(&credential),
        _ => {
            let engine = app.engine.clone();
            let known = tokio::task::spawn_blocking(move || engine.authenticate(&credential)).await;
            known.map_err(|e| Failure::internal(format!("recognising the caller panicked: {e}")))?
        }
    }
}

/// `Authorization`, schemes in any case. `None`: there is none. A malformed one is refused.
pub fn from_header(headers: &HeaderMap) -> Result<Option<Credential>> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let (scheme, rest) = value.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or_else(unauthorized)?;
    let rest = rest.trim();
    Ok(Some(match scheme.to_ascii_lowercase().as_str() {
        "token" | "bearer" => Credential::Token(rest.to_string()),
        "basic" => {
            let text = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(unauthorized)?;
            let (username, password) = text.split_once(':').ok_or_else(unauthorized)?;
            Credential::Password { username: username.into(), password: password.into() }
        }
        _ => return Err(unauthorized()),
    }))
}

/// The caller by the rules of the 1.x API, where a token that is switched off is nobody's (InfluxDB 2.7).
pub async fn v1_caller(app: &App, user: Option<&str>, password: Option<&str>, headers: &HeaderMap) -> Result<Caller> {
    let credential = from_v1(user, password, headers)?.or_else(|| session_key(headers).map(Credential::Session));
    let caller = recognise(app, credential).await?;
    if caller.inactive { Err(unauthorized()) } else { Ok(caller) }
}

/// What a 1.x request shows: `u` and `p`, `p` alone (a token, InfluxDB 3), or the header.
fn from_v1(user: Option<&str>, password: Option<&str>, headers: &HeaderMap) -> Result<Option<Credential>> {
    let some = |text: Option<&str>| text.filter(|t| !t.is_empty()).map(str::to_string);
    Ok(match (some(user), some(password)) {
        (Some(username), Some(password)) => Some(Credential::Password { username, password }),
        (None, Some(token)) => Some(Credential::Token(token)),
        _ => from_header(headers)?,
    })
}

/// The key in the session's cookie.
pub fn session_key(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|v| v.to_str().ok()).flat_map(|text| text.split(';'));
    let mut pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == SESSION_COOKIE).map(|(_, key)| key.to_string())
}
