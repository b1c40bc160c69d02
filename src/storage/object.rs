//! The object store beneath storage: local disk, memory, or an S3-compatible service, all behind [`Store`].
//!
//! What the rest of storage may rely on, whichever store is opened:
//! - an object is written whole and never changed ([`Store::create`] is create-if-absent);
//! - when `create` returns, the object survives power loss (on local disk: [`durable`] syncs file and directory);
//! - a reply that was lost is no conflict: an object that exists with exactly our bytes was put by us, because
//!   every object carries a random id of its writer.
//!
//! This module has never heard of buckets, manifests or Parquet.

mod durable;
#[cfg(test)]
pub mod faulty;
#[cfg(all(test, feature = "s3"))]
pub mod s3_server;
mod upload;

pub use durable::STAGED_FOLDER;
pub use upload::Upload;

use crate::{
    model::{ErrorKind, Failure},
    storage::disk::{Disk, LocalDisk},
};
use bytes::Bytes;
use durable::DurableFolder;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, memory::InMemory, path::Path};
use std::{ops::Range, sync::Arc, time::Duration};

/// A folder of an object store, and how to speak to it: with patience.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
    url: Arc<str>,
    retry: Retry,
    /// The server must show that it honours create-if-absent before anything is written.
    checks_creates: bool,
    /// The objects' folder, when that is on this machine.
    local: Option<DurableFolder>,
}

/// Room on the disk under a local store, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    pub free: u64,
    pub total: u64,
}

/// How often, and after which first pause (it doubles), a failed request is sent again.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    pub attempts: u32,
    pub first_pause: Duration,
}

impl Default for Retry {
    fn default() -> Retry {
        Retry { attempts: 5, first_pause: Duration::from_millis(50) }
    }
}

/// An outcome other than success, named by what it means for the caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("there is no object `{path}`")]
    NotFound { path: String },
    /// The name is taken by other bytes: somebody else created it.
    #[error("object `{path}` exists already with other contents")]
    Exists { path: String },
    /// The store did not answer, or refused, through all attempts.
    #[error("the store failed at `{path}`: {message}")]
    Failed { path: String, message: String },
    /// The store's URL cannot be used.
    #[error("{0}")]
    Url(String),
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Failure {
        match &e {
            StoreError::NotFound { .. } => Failure::internal(e.to_string()),
            StoreError::Exists { .. } => Failure::new(ErrorKind::Conflict, e.to_string()),
            StoreError::Failed { .. } => Failure::new(ErrorKind::Unavailable, e.to_string()).retry_after(5),
            StoreError::Url(_) => Failure::invalid(e.to_string()),
        }
    }
}

/// One object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Relative to the store's root.
    pub path: String,
    pub bytes: u64,
    /// Last change, nanoseconds since the epoch, by the store's own clock.
    pub modified: i64,
}

impl Store {
    /// Opens a store by its URL:
    /// `memory:` (gone with the process), `file:///folder` or a plain path (created when absent), or
    /// `s3://bucket/prefix?endpoint=http://host:9000&region=eu-west-1` with credentials from `AWS_*` variables
    /// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, ...; on Amazon's machines also the instance's
    /// role). `virtual_hosted_style=true` puts the bucket's name into the host's.
    pub fn open(url: &str) -> Result<Store, StoreError> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        Store::open_with(url, std::env::vars_os().filter_map(text))
    }

    /// As [`open`](Self::open), with these variables in place of the environment's.
    pub fn open_with(url: &str, variables: impl Iterator<Item = (String, String)>) -> Result<Store, StoreError> {
        if url == "memory:" || url == "memory://" || url == "memory:///" {
            return Ok(Store::memory());
        }
        if url.starts_with("s3://") {
            return open_s3(url, variables);
        }
        let folder: std::path::PathBuf = match url.split_once("://") {
            Some(("file", _)) => url::Url::parse(url)
                .ok()
                .and_then(|u| u.to_file_path().ok())
                .ok_or_else(|| StoreError::Url(format!("`{url}` is no file URL; write file:///folder or a plain path")))?,
            Some((scheme, _)) => {
                return Err(StoreError::Url(format!("unknown store `{scheme}://`; use a path, file:///, memory: or s3://")));
            }
            None => url.into(),
        };
        Store::local(Arc::new(LocalDisk), &folder, url)
    }

    /// A folder on a disk.
    pub fn local(disk: Arc<dyn Disk>, folder: &std::path::Path, url: &str) -> Result<Store, StoreError> {
        let local = DurableFolder::open(disk, folder)
            .map_err(|e| StoreError::Url(format!("cannot open the store in `{}`: {e}", folder.display())))?;
        Ok(Store { local: Some(local.clone()), ..Store::over(Arc::new(local), Path::default(), url) })
    }

    /// An empty store in memory.
    pub fn memory() -> Store {
        Store::over(Arc::new(InMemory::new()), Path::default(), "memory:")
    }

    /// A store over any implementation; objects live under `prefix`.
    pub fn over(objects: Arc<dyn ObjectStore>, prefix: Path, url: &str) -> Store {
        Store { objects, prefix, url: url.into(), retry: Retry::default(), checks_creates: false, local: None }
    }

    pub fn with_retry(mut self, retry: Retry) -> Store {
        self.retry = retry;
        self
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Room under a local store; `None` where there is no such bound.
    pub fn space(&self) -> Option<Space> {
        let stat = rustix::fs::statvfs(self.local.as_ref()?.root()).ok()?;
        Some(Space { free: stat.f_bavail.saturating_mul(stat.f_frsize), total: stat.f_blocks.saturating_mul(stat.f_frsize) })
    }

    /// Writes an object that must not exist yet; durable when this returns.
    ///
    /// `Exists` only when the name holds *other* bytes. Callers put a random id into what they write, so equal bytes
    /// mean that an earlier attempt of this very call arrived and only its reply was lost.
    pub async fn create(&self, path: &str, bytes: Bytes) -> Result<(), StoreError> {
        let location = self.location(path);
        let mut pause = self.retry.first_pause;
        for attempt in 1.. {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let error = match self.objects.put_opts(&location, bytes.clone().into(), options).await {
                Ok(_) => return Ok(()),
                Err(e) => e,
            };
            if matches!(error, object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) {
                // Not through `?`: when the other object is unreadable, the name is taken all the same.
                return match self.get(path).await {
                    Ok(found) if found == bytes => Ok(()),
                    Ok(_) => Err(StoreError::Exists { path: path.to_string() }),
                    Err(StoreError::NotFound { .. }) if attempt < self.retry.attempts => continue,
                    Err(e) => Err(e),
                };
            }
            if attempt >= self.retry.attempts || !is_transient(&error) {
                return Err(self.name_error(path, error));
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        unreachable!("the loop ends by returning")
    }

    /// Fails when the server lets one object replace another although asked not to: manifests would be overwritten. `random`
    /// names the object that is tried.
    pub async fn check_create(&self, random: u64) -> Result<(), StoreError> {
        if !self.checks_creates {
            return Ok(());
        }
        let path = format!("probe/{random:016x}");
        self.create(&path, Bytes::from(format!("first {random}"))).await?;
        let second = self.create(&path, Bytes::from(format!("second {random}"))).await;
        self.delete(&path).await?;
        match second {
            Err(StoreError::Exists { .. }) => Ok(()),
            Err(other) => Err(other),
            Ok(()) => {
                let message = "the server ignores `If-None-Match: *`, so that two writers could overwrite each other; use one that honours it, as Amazon S3 does";
                Err(StoreError::Url(format!("`{}` cannot be written to: {message}", self.url)))
            }
        }
    }

    pub async fn get(&self, path: &str) -> Result<Bytes, StoreError> {
        let location = self.location(path);
        self.patiently(path, || async { self.objects.get(&location).await?.bytes().await }).await
    }

    /// Several byte ranges of one object, in the order asked.
    pub async fn get_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let location = self.location(path);
        self.patiently(path, || self.objects.get_ranges(&location, ranges)).await
    }

    /// Everything under a folder, in path order.
    pub async fn list(&self, folder: &str) -> Result<Vec<Listed>, StoreError> {
        let location = self.location(folder);
        let mut found: Vec<ObjectMeta> =
            self.patiently(folder, || async { self.objects.list(Some(&location)).try_collect().await }).await?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        let relative = |meta: &ObjectMeta| match meta.location.prefix_match(&self.prefix) {
            Some(parts) => parts.map(|p| p.as_ref().to_string()).collect::<Vec<_>>().join("/"),
            None => meta.location.to_string(),
        };
        Ok(found
            .iter()
            .map(|m| Listed { path: relative(m), bytes: m.size, modified: m.last_modified.timestamp_nanos_opt().unwrap_or(i64::MAX) })
            .collect())
    }

    /// Names of the folders directly under `folder`, in order.
    pub async fn folders(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        let location = self.location(folder);
        let result = self.patiently(folder, || self.objects.list_with_delimiter(Some(&location))).await;
        let listed = match result {
            Ok(listed) => listed,
            Err(StoreError::NotFound { .. }) => return Ok(vec![]),
            Err(e) => return Err(e),
        };
        let mut names: Vec<String> = listed.common_prefixes.iter().filter_map(|p| p.filename().map(str::to_string)).collect();
        names.sort();
        Ok(names)
    }

    /// Removes an object; one that is not there is as good as removed.
    pub async fn delete(&self, path: &str) -> Result<(), StoreError> {
        let location = self.location(path);
        match self.patiently(path, || self.objects.delete(&location)).await {
            Err(StoreError::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    /// When it returns, objects that can be found in a folder survive a power loss, whoever put them there.
    pub async fn settle(&self, folder: &str) -> Result<(), StoreError> {
        let (Some(local), location) = (&self.local, self.location(folder)) else { return Ok(()) };
        self.patiently(folder, || local.settle(&location)).await
    }

    fn location(&self, path: &str) -> Path {
        path.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), |at, part| at.join(part))
    }

    /// Runs a request that may be repeated, until it succeeds, fails for good, or has failed often enough.
    async fn patiently<T, F>(&self, path: &str, request: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut pause = self.retry.first_pause;
        for attempt in 1.. {
            match request().await {
                Ok(value) => return Ok(value),
                Err(e) if attempt < self.retry.attempts && is_transient(&e) => {
                    tracing::debug!(path, attempt, error = %e, "store request failed, trying again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(e) => return Err(self.name_error(path, e)),
            }
        }
        unreachable!("the loop ends by returning")
    }

    fn name_error(&self, path: &str, e: object_store::Error) -> StoreError {
        match e {
            object_store::Error::NotFound { .. } => StoreError::NotFound { path: path.to_string() },
            other => StoreError::Failed { path: path.to_string(), message: other.to_string() },
        }
    }
}

/// Whether the same request may succeed later. A full disk is not: the caller decides what to do about it.
fn is_transient(e: &object_store::Error) -> bool {
    let object_store::Error::Generic { source, .. } = e else { return false };
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source.as_ref());
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind as K;
            return !matches!(io.kind(), K::StorageFull | K::PermissionDenied | K::ReadOnlyFilesystem | K::QuotaExceeded);
        }
        cause = error.source();
    }
    true
}

/// Opens `s3://bucket/prefix?setting=value`. `variables` are the environment's.
#[cfg(feature = "s3")]
fn open_s3(url: &str, variables: impl Iterator<Item = (String, String)>) -> Result<Store, StoreError> {
    use object_store::{
        ClientOptions, RetryConfig,
        aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut},
    };
    let wrong = |what: String| StoreError::Url(what);
    let parsed = url::Url::parse(url).map_err(|e| wrong(format!("`{url}` is no URL: {e}")))?;
    let bucket = parsed.host_str().ok_or_else(|| wrong(format!("`{url}` names no S3 bucket; write s3://bucket/prefix")))?;
    let variables: Vec<(String, String)> = variables.filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty()).collect();
    let setting = |name: &str| parsed.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let endpoint = setting("endpoint").or_else(|| {
        let named = |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
        named("AWS_ENDPOINT_URL_S3").or_else(|| named("AWS_ENDPOINT_URL")).or_else(|| named("AWS_ENDPOINT"))
    });
    // Patience is ours (`Retry`): the client's own would add minutes to it.
    let retry = RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() };
    let client = ClientOptions::new().with_connect_timeout(Duration::from_secs(5)).with_timeout(Duration::from_secs(120));
    let mut builder = AmazonS3Builder::new().with_client_options(client).with_retry(retry);
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
    let s3 = builder.build().map_err(|e| wrong(format!("cannot open `{url}`: {e}")))?;
    let prefix = Path::from_url_path(parsed.path()).map_err(|e| wrong(format!("bad prefix in `{url}`: {e}")))?;
    Ok(Store { checks_creates: true, ..Store::over(Arc::new(s3), prefix, url) })
}

#[cfg(not(feature = "s3"))]
fn open_s3(url: &str, _: impl Iterator<Item = (String, String)>) -> Result<Store, StoreError> {
    Err(StoreError::Url(format!("`{url}`: this build has no S3 support (crate feature `s3`)")))
}
