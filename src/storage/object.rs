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
mod patience;
#[cfg(feature = "s3")]
mod s3;
#[cfg(all(test, feature = "s3"))]
pub mod s3_server;
mod upload;

pub use durable::STAGED_FOLDER;
pub use patience::Retry;
pub use upload::Upload;

use crate::{
    clock::Randomness,
    model::{ErrorKind, Failure},
    storage::{
        disk::{Disk, LocalDisk},
        failpoint::{Failpoints, Mistake},
    },
};
use bytes::Bytes;
use durable::DurableFolder;
use futures::TryStreamExt;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, memory::InMemory, path::Path};
use patience::Attempts;
use std::{ops::Range, sync::Arc};

/// A folder of an object store, and how to speak to it: with patience.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The same objects, by a client that repeats the requests of an upload itself: only it knows which part was which.
    uploads: Arc<dyn ObjectStore>,
    prefix: Path,
    url: Arc<str>,
    retry: Retry,
    /// Spreads the attempts of many.
    spread: Randomness,
    failpoints: Failpoints,
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

/// An outcome other than success, named by what it means for the caller.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("there is no object `{path}`")]
    NotFound { path: String },
    /// The name is taken by other bytes: somebody else created it.
    #[error("object `{path}` exists already with other contents")]
    Exists { path: String },
    /// The store did not answer, or refused, through all attempts.
    #[error("the store `{store}` failed at `{path}`: {message}")]
    Failed { store: Arc<str>, path: String, message: String },
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

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({}, {:?})", self.url, self.retry)
    }
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
            return open_s3(url, variables, Retry::default());
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
        Store {
            uploads: objects.clone(),
            objects,
            prefix,
            url: url.into(),
            retry: Retry::default(),
            spread: Randomness::from_os(),
            failpoints: Failpoints::default(),
            checks_creates: false,
            local: None,
        }
    }

    /// With these failpoints, which only tests arm.
    pub fn with_failpoints(self, failpoints: Failpoints) -> Store {
        Store { failpoints, ..self }
    }

    /// As [`open_with`](Self::open_with), with this patience.
    #[cfg(all(test, feature = "s3"))]
    pub fn open_s3(url: &str, variables: impl Iterator<Item = (String, String)>, retry: Retry) -> Result<Store, StoreError> {
        open_s3(url, variables, retry)
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
        let mut attempts = self.attempts();
        loop {
            let mode = match attempts.repeated() && self.failpoints.has(Mistake::PutRetriedAsNew) {
                true => PutMode::Overwrite,
                false => PutMode::Create,
            };
            let options = PutOptions { mode, ..PutOptions::default() };
            let error = match self.objects.put_opts(&location, bytes.clone().into(), options).await {
                Ok(_) => return Ok(()),
                Err(e) => e,
            };
            let taken = matches!(error, object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. });
            if taken {
                if self.failpoints.has(Mistake::LostReplyTakenForSuccess) {
                    return Ok(());
                }
                // Not through `?`: when the other object is unreadable, the name is taken all the same.
                match self.get(path).await {
                    Ok(found) if found == bytes && !self.failpoints.has(Mistake::LostReplyTakenForConflict) => return Ok(()),
                    Ok(_) => return Err(StoreError::Exists { path: path.to_string() }),
                    // S3 refuses one of two requests at once, also when neither has made the object yet.
                    Err(StoreError::NotFound { .. }) => {}
                    Err(e) => return Err(e),
                };
            }
            if !((taken || is_transient(&error)) && attempts.another(&error).await) {
                return Err(self.name_error(path, &attempts, error));
            }
        }
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

    /// When it returns, an object that another process created survives a power loss, whatever that one was told: on a local disk it is
    /// written anew in its place.
    pub async fn renew(&self, path: &str) -> Result<(), StoreError> {
        let (Some(local), location) = (&self.local, self.location(path)) else { return Ok(()) };
        self.patiently(path, || local.renew(&location)).await
    }

    fn location(&self, path: &str) -> Path {
        path.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), |at, part| at.join(part))
    }

    /// Runs a request that may be repeated, until it succeeds, fails for good, or has failed often enough.
    async fn patiently<T, F>(&self, path: &str, request: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut attempts = self.attempts();
        loop {
            let error = match request().await {
                Ok(value) => return Ok(value),
                Err(e) => e,
            };
            if !(is_transient(&error) && attempts.another(&error).await) {
                return Err(self.name_error(path, &attempts, error));
            }
        }
    }

    fn attempts(&self) -> Attempts<'_> {
        Attempts::new(self.retry, &self.spread)
    }

    fn name_error(&self, path: &str, attempts: &Attempts<'_>, e: object_store::Error) -> StoreError {
        match e {
            object_store::Error::NotFound { .. } => StoreError::NotFound { path: path.to_string() },
            other => {
                let cause = patience::cause_of(&other);
                let message = if attempts.repeated() { format!("{} attempts, the last one: {cause}", attempts.made()) } else { cause };
                StoreError::Failed { store: self.url.clone(), path: path.to_string(), message }
            }
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

#[cfg(feature = "s3")]
use s3::open as open_s3;

#[cfg(not(feature = "s3"))]
fn open_s3(url: &str, _: impl Iterator<Item = (String, String)>, _: Retry) -> Result<Store, StoreError> {
    Err(StoreError::Url(format!("`{url}`: this build has no S3 support (crate feature `s3`)")))
}
