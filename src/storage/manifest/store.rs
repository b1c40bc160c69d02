//! Manifest versions in the object store: load the newest good one, commit the next number.

use super::{
    Edit, Version,
    version::{Stamp, VersionError},
};
use crate::model::{BucketId, ErrorKind, Failure, Result};
use crate::storage::object::{Store, StoreError};

/// How many old versions are kept behind the newest, for a reader elsewhere and for the day one is damaged.
const KEPT: u64 = 4;

/// The versions of one bucket.
#[derive(Debug, Clone)]
pub struct ManifestStore {
    store: Store,
    bucket: BucketId,
}

/// What was found.
#[derive(Debug)]
pub struct Loaded {
    pub version: Version,
    /// Number of the next commit; greater than every number ever taken.
    pub next: u64,
    /// Paths of newer versions that cannot be read, with the reason.
    pub damaged: Vec<(String, String)>,
}

/// What became of a commit.
#[derive(Debug)]
pub enum Committed {
    Now(Version),
    /// The number holds an earlier commit of this process, whose reply was lost; this edit is not in it.
    Earlier(Version),
}

impl ManifestStore {
    pub fn new(store: Store, bucket: BucketId) -> ManifestStore {
        ManifestStore { store, bucket }
    }

    /// Buckets that have a folder in the store.
    pub async fn buckets(store: &Store) -> Result<Vec<BucketId>, StoreError> {
        Ok(store.folders("buckets").await?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    fn folder(&self) -> String {
        format!("buckets/{}/manifest", self.bucket)
    }

    fn path(&self, number: u64) -> String {
        ManifestStore::path_of(self.bucket, number)
    }

    /// Where a version lies in the store.
    pub fn path_of(bucket: BucketId, number: u64) -> String {
        format!("buckets/{bucket}/manifest/{number:020}.manifest")
    }

    /// The number in a version's path; `None`: it is no version.
    pub fn number_of(path: &str) -> Option<u64> {
        path.rsplit('/').next()?.strip_suffix(".manifest")?.parse().ok()
    }

    /// Numbers of all versions in the store, ascending.
    pub async fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        let listed = self.store.list(&self.folder()).await?;
        let mut numbers: Vec<u64> = listed.iter().filter_map(|l| ManifestStore::number_of(&l.path)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Removes versions of `numbers` that a commit should have removed and could not; how many are gone.
    pub async fn prune(&self, numbers: &[u64], newest: u64) -> u64 {
        let mut gone = 0;
        for &old in numbers.iter().filter(|n| **n < newest.saturating_sub(KEPT)) {
            match self.store.delete(&self.path(old)).await {
                Ok(()) => gone += 1,
                Err(e) => tracing::warn!(number = old, error = %e, "old manifest version stays"),
            }
        }
        gone
    }

    /// The newest version that reads; damaged ones after it are named. A version of a newer format is an error:
    /// falling back behind it would undo what a newer program did.
    pub async fn load(&self) -> Result<Loaded> {
        let numbers = self.numbers().await?;
        let next = numbers.last().map_or(1, |n| n + 1);
        let mut damaged = vec![];
        // A version that lies under another's name still says what was.
        let mut misplaced: Option<Version> = None;
        for &number in numbers.iter().rev() {
            let path = self.path(number);
            let bytes = match self.store.get(&path).await {
                Ok(bytes) => bytes,
                // Collected by its writer between the listing and now.
                Err(StoreError::NotFound { .. }) => continue,
                Err(e) => return Err(e.into()),
            };
            let reason = match Version::decode(&bytes) {
                Ok(version) if version.bucket == self.bucket && version.number == number => {
                    let version = misplaced.filter(|m| m.number > number).unwrap_or(version);
                    return Ok(Loaded { next: next.max(version.number + 1), version, damaged });
                }
                Ok(other) => {
                    let what = format!("it holds version {} of bucket {}", other.number, other.bucket);
                    let newer = misplaced.as_ref().is_none_or(|m| m.number < other.number);
                    if other.bucket == self.bucket && newer {
                        misplaced = Some(other);
                    }
                    what
                }
                Err(e @ VersionError::Newer { .. }) => return Err(Failure::internal(format!("{path}: {e}"))),
                Err(e) => e.to_string(),
            };
            tracing::error!(path, reason, "manifest version cannot be read; using the one before");
            damaged.push((path, reason));
        }
        let version = misplaced.unwrap_or_else(|| Version::empty(self.bucket));
        Ok(Loaded { next: next.max(version.number + 1), version, damaged })
    }

    /// Writes `before` + `edit` under the stamp's number. When another process took the number, nothing has changed and the
    /// failure says so. Old versions are removed afterwards.
    pub async fn commit(&self, before: &Version, edit: &Edit, stamp: Stamp) -> Result<Committed> {
        let (after, Stamp { number, writer, .. }) = (edit.apply(before, stamp)?, stamp);
        match self.store.create(&self.path(number), after.encode()).await {
            Ok(()) => {}
            Err(StoreError::Exists { path }) => {
                let found = Version::decode(&self.store.get(&path).await?);
                if let Ok(ours) = found
                    && (ours.writer, ours.bucket, ours.number) == (writer, after.bucket, number)
                {
                    return Ok(Committed::Earlier(ours));
                }
                let message = format!("another process wrote `{path}`: only one server may write to a store at a time");
                return Err(Failure::new(ErrorKind::Conflict, message));
            }
            Err(e) => return Err(e.into()),
        }
        // A version that cannot be removed now is removed by a later commit, or stays as a harmless old state.
        if let Some(old) = number.checked_sub(KEPT + 1).filter(|n| *n > 0)
            && let Err(e) = self.store.delete(&self.path(old)).await
        {
            tracing::warn!(number = old, error = %e, "old manifest version stays");
        }
        Ok(Committed::Now(after))
    }
}
