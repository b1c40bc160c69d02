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
pub struct Auth(pub Caller);

impl FromRequestParts<App> for Auth {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> std::result::Result<Auth, Problem> {
        let credential = from_header(&parts.headers)?.or_else(|| session_key(&parts.headers).map(Credential::Session));
        Ok(Auth(recognise(app, credential).await?))
    }
}

/// Who shows this. A password may take a core some milliseconds, away from the async threads.
pub async fn recognise(app: &App, credential: Option<Credential>) -> Result<Caller> {
    let credential = credential.ok_or_else(|| Failure::new(ErrorKind::Unauthorized, "unauthorized access"))?;
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
    let refused = || Failure::new(ErrorKind::Unauthorized, "unauthorized access");
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let (scheme, rest) = value.to_str().ok().and_then(|text| text.trim().split_once(' ')).ok_or_else(refused)?;
    let rest = rest.trim();
    Ok(Some(match scheme.to_ascii_lowercase().as_str() {
        "token" | "bearer" => Credential::Token(rest.to_string()),
        "basic" => {
            let text = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(refused)?;
            let (username, password) = text.split_once(':').ok_or_else(refused)?;
            Credential::Password { username: username.into(), password: password.into() }
        }
        _ => return Err(refused()),
    }))
}

/// What a 1.x request shows: `u` and `p`, `p` alone (a token, InfluxDB 3), or the header.
pub fn from_v1(user: Option<&str>, password: Option<&str>, headers: &HeaderMap) -> Result<Option<Credential>> {
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
