//! What every handler gets: the engine, the settings, the figures.

use super::{auth, body, figures::Figures, problem::Problem};
use crate::{
    catalog::Caller,
    engine::Engine,
    memory::Lease,
    model::{Failure, Result},
};
use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Method, Uri},
};
use serde::de::DeserializeOwned;
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Limits and switches of the HTTP door.
#[derive(Debug, Clone)]
pub struct HttpSettings {
    /// Bytes of a request's body, as sent and as decompressed.
    pub body_bytes_max: usize,
    /// `/setup` works again and again, for the test suites of clients (InfluxDB 2.7's `testing-always-allow-setup`).
    pub always_allow_setup: bool,
    /// `/metrics` answers 403.
    pub metrics_disabled: bool,
    /// How long running requests may take to end once the server is told to stop.
    pub drain: Duration,
}

impl Default for HttpSettings {
    fn default() -> HttpSettings {
        HttpSettings { body_bytes_max: 256 << 20, always_allow_setup: false, metrics_disabled: false, drain: Duration::from_secs(5) }
    }
}

#[derive(Clone)]
pub struct App {
    pub engine: Engine,
    pub settings: Arc<HttpSettings>,
    pub figures: Arc<Figures>,
}

impl App {
    pub fn new(engine: Engine, settings: HttpSettings) -> App {
        App { engine, settings: Arc::new(settings), figures: Arc::default() }
    }
}

/// A request in the form most doors want: parameters of the URL, and the body within its limits.
pub struct Call {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub params: HashMap<String, String>,
    pub body: bytes::Bytes,
    /// The memory that the body is charged, as long as the call lives.
    _held: Lease,
}

impl FromRequest<App> for Call {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> std::result::Result<Call, Problem> {
        let (parts, sent) = request.into_parts();
        let params = query_params(&parts.uri);
        let writes = matches!(parts.uri.path(), "/write" | "/api/v2/write" | "/api/v3/write_lp");
        let what = if writes { "points batch" } else { "request body" };
        let (body, held) = body::read(app, &parts.headers, sent, what).await?;
        Ok(Call { method: parts.method, uri: parts.uri, headers: parts.headers, params, body, _held: held })
    }
}

/// Parameters of a URL; of a repeated one the first counts.
pub fn query_params(uri: &Uri) -> HashMap<String, String> {
    let mut params = HashMap::new();
    for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes()) {
        params.entry(name.into_owned()).or_insert(value.into_owned());
    }
    params
}

/// Parameters of a request's URL, for doors that take no body.
pub struct Params(pub HashMap<String, String>);

impl FromRequestParts<App> for Params {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, _: &App) -> std::result::Result<Params, Self::Rejection> {
        Ok(Params(query_params(&parts.uri)))
    }
}

/// The parameter, unless it is absent or empty.
pub fn text<'a>(params: &'a HashMap<String, String>, name: &str) -> Option<&'a str> {
    params.get(name).map(String::as_str).filter(|text| !text.is_empty())
}

impl Call {
    pub fn text(&self, name: &str) -> Option<&str> {
        text(&self.params, name)
    }

    /// `orgID`, else `org`: a name or an id.
    pub fn org(&self) -> Option<&str> {
        self.text("orgID").or_else(|| self.text("org"))
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        body::json(&self.body)
    }

    pub fn body_text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).map_err(|e| Failure::invalid(format!("the body is not UTF-8: {e}")))
    }

    /// The caller by the rules of the 1.x API.
    pub async fn v1_caller(&self, app: &App) -> Result<Caller> {
        auth::v1_caller(app, self.text("u"), self.text("p"), &self.headers).await
    }
}
