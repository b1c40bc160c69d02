//! S3-compatible services: the settings, and the way to the server.

use super::{Retry, Store, StoreError, patience::PAUSE_MAX};
use async_trait::async_trait;
use object_store::{
    BackoffConfig, ClientOptions, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut},
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService, ReqwestConnector},
    path::Path,
};
use parking_lot::Mutex;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, RETRY_AFTER};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A server that asks for more silence than this is asked again all the same.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Opens `s3://bucket/prefix?setting=value`. `variables` are the environment's.
pub fn open(url: &str, variables: impl Iterator<Item = (String, String)>, retry: Retry) -> Result<Store, StoreError> {
    let wrong = |what: String| StoreError::Url(what);
    let parsed = url::Url::parse(url).map_err(|e| wrong(format!("`{url}` is no URL: {e}")))?;
    let bucket = parsed.host_str().ok_or_else(|| wrong(format!("`{url}` names no S3 bucket; write s3://bucket/prefix")))?;
    let variables: Vec<(String, String)> = variables.filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty()).collect();
    let setting = |name: &str| parsed.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let endpoint = setting("endpoint").or_else(|| {
        let named = |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        named("AWS_ENDPOINT_URL_S3").or_else(|| named("AWS_ENDPOINT_URL")).or_else(|| named("AWS_ENDPOINT"))
    });
    let client = ClientOptions::new().with_connect_timeout(CONNECT_WITHIN).with_timeout(retry.reply_within);
    let mut builder = AmazonS3Builder::new().with_client_options(client).with_http_connector(Connector::default());
    for (name, value) in &variables {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    builder = builder.with_bucket_name(bucket).with_conditional_put(S3ConditionalPut::ETagMatch);
    for (key, value) in parsed.query_pairs() {
        builder = match key.as_ref() {
            "endpoint" => builder,
            "region" => builder.with_region(value),
            "virtual_hosted_style" => builder.with_virtual_hosted_style_request(value == "true"),
            other => {
                let known = "endpoint, region and virtual_hosted_style; credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
                return Err(wrong(format!("unknown setting `{other}` in `{url}`; known are {known}")));
            }
        };
    }
    if let Some(endpoint) = endpoint {
        // A server that is not Amazon's has no instance to ask for credentials, and the client would ask for minutes.
        let has = |wanted: &str| variables.iter().any(|(name, _)| name == wanted);
        let unsigned = has("AWS_SKIP_SIGNATURE") || has("AWS_WEB_IDENTITY_TOKEN_FILE") || has("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        if !(unsigned || has("AWS_ACCESS_KEY_ID") && has("AWS_SECRET_ACCESS_KEY")) {
            let what = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_SKIP_SIGNATURE=true for a store without keys)";
            return Err(wrong(format!("no credentials for `{url}`: {what}")));
        }
        builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
    }
    let client = |retry| match builder.clone().with_retry(retry).build() {
        Ok(client) => Ok(Arc::new(client)),
        Err(e) => Err(wrong(format!("cannot open `{url}`: {e}"))),
    };
    let prefix = Path::from_url_path(parsed.path()).map_err(|e| wrong(format!("bad prefix in `{url}`: {e}")))?;
    // Requests are repeated in one place, by `Store`, so that attempts do not multiply; those of an upload by its client.
    let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let store = Store::over(client(once)?, prefix, url).with_retry(retry);
    Ok(Store { uploads: client(patient(retry))?, checks_creates: true, ..store })
}

/// The same patience in the client's terms.
fn patient(retry: Retry) -> RetryConfig {
    let init_backoff = retry.first_pause.max(Duration::from_millis(1));
    let backoff = BackoffConfig { init_backoff, max_backoff: PAUSE_MAX, base: 2.0 };
    RetryConfig { max_retries: retry.attempts.saturating_sub(1) as usize, retry_timeout: retry.patience, backoff }
}

/// Makes the clients of one store, which keep silent together.
#[derive(Debug, Default)]
struct Connector {
    silent_until: Arc<Mutex<Option<Instant>>>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Heedful { client, silent_until: self.silent_until.clone() }))
    }
}

/// Sends no request while the server has asked for silence (`Retry-After`), and takes no reply that contradicts itself.
#[derive(Debug)]
struct Heedful {
    client: HttpClient,
    silent_until: Arc<Mutex<Option<Instant>>>,
}

#[async_trait]
impl HttpService for Heedful {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let until = *self.silent_until.lock();
        if let Some(until) = until {
            tokio::time::sleep_until(until).await;
        }
        let is_listing = request.uri().query().is_some_and(|query| query.contains("list-type="));
        let reply = self.client.execute(request).await?;
        if let Some(silence) = silence_asked(reply.headers()) {
            let mut until = self.silent_until.lock();
            *until = (*until).max(Some(Instant::now() + silence.min(SILENCE_MAX)));
        }
        if is_short(reply.headers()) {
            return Err(HttpError::new(HttpErrorKind::Interrupted, Contradiction("it has fewer bytes than the range that it names")));
        }
        if !(is_listing && reply.status().is_success()) {
            return Ok(reply);
        }
        // An error may come with status 200, which reads as a listing without objects.
        let (parts, body) = reply.into_parts();
        let body = body.bytes().await?;
        match memchr::memmem::find(&body, b"<ListBucketResult") {
            Some(_) => Ok(HttpResponse::from_parts(parts, body.into())),
            None => Err(HttpError::new(HttpErrorKind::Interrupted, Contradiction("it was to be a listing and is none"))),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a reply of the store cannot be used: {0}")]
struct Contradiction(&'static str);

/// In seconds; a date is not heeded.
fn silence_asked(headers: &HeaderMap) -> Option<Duration> {
    Some(Duration::from_secs(headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?))
}

/// Whether a part of an object has fewer bytes than its `Content-Range` says.
fn is_short(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let named = || {
        let (from, to) = text(CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?.0.split_once('-')?;
        to.parse::<u64>().ok()?.checked_sub(from.parse().ok()?)?.checked_add(1)
    };
    let there = || text(CONTENT_LENGTH)?.parse::<u64>().ok();
    matches!((named(), there()), (Some(named), Some(there)) if there < named)
}
