//! Deleting objects that nothing refers to any more.
//!
//! A file that left the manifest is deleted when all of this holds:
//! - no reader of this process holds it (a snapshot keeps its `FileMeta` alive, and we hold a weak reference);
//! - it left longer ago than the grace period, for readers elsewhere that only see the store;
//! - the newest version is not the one that it left with: if that one is damaged, the version before it, which still names
//!   the file, is what a restart falls back to;
//! - this process has committed a version since it opened the store: one that it only found may not last.
//!
//! A sweep also deletes files that never came into the manifest (a crash between writing and commit), and old versions.

use super::{
    failpoint::Failpoint,
    files::FileStore,
    manifest::{Edit, Version},
    retention::is_past,
};
use crate::model::{BucketId, ErrorKind, Failure, Result};
use futures::StreamExt;
use std::collections::HashSet;

const DELETES_IN_FLIGHT: usize = 8;

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    pub files: u64,
    pub versions: u64,
}

impl FileStore {
    /// Deletes what left the manifest of a bucket long enough ago.
    pub async fn collect(&self, bucket: BucketId) -> Result<Collected> {
        let Some(mut version) = self.version(bucket) else { return Ok(Collected::default()) };
        let (now, grace_ns) = (self.inner.clock.now(), self.grace_ns());
        let due = |v: &Version| -> Vec<String> {
            let old = v.removed.iter().filter(|r| is_past(r.at, grace_ns, now) && !self.is_pinned(&r.path));
            old.map(|r| r.path.clone()).collect()
        };
        let paths = due(&version);
        if paths.is_empty() {
            return Ok(Collected::default());
        }
        if self.is_anothers(&version) || version.removed.iter().any(|r| r.version == version.number && paths.contains(&r.path)) {
            version = self.commit(bucket, vec![], |_, _| Ok(Some(Edit::default()))).await?;
        }
        let paths: Vec<String> = due(&version).into_iter().filter(|p| paths.contains(p)).collect();
        let (gone, failure) = self.delete_all(paths).await;
        self.pass(Failpoint::Collected)?;
        let files = gone.len() as u64;
        if files > 0 {
            let edit = Edit { collected: gone, ..Edit::default() };
            self.commit(bucket, vec![], |_, _| Ok(Some(edit.clone()))).await?;
        }
        failure.map_or(Ok(Collected { files, versions: 0 }), Err)
    }

    /// Deletes files that are older than the grace period and in no version, and all but the newest versions.
    pub async fn sweep(&self, bucket: BucketId) -> Result<Collected> {
        let entry = self.entry(bucket);
        let numbers = entry.manifest.numbers().await?;
        // The listing first, then what is being written, then the state: a file that is committed meanwhile is seen in one
        // of the two.
        let listed = self.inner.store.list(&format!("buckets/{bucket}/data")).await?;
        let writing: HashSet<String> = self.inner.writing.lock().clone();
        let Some(version) = self.version(bucket) else { return Ok(Collected::default()) };
        if numbers.last().is_some_and(|newest| *newest > version.number) && !entry.is_in_doubt() {
            let message = format!("bucket {bucket} has a manifest version of another process: only one server may write to a store");
            return Err(Failure::new(ErrorKind::Conflict, message));
        }
        let named = version.files.iter().map(|f| &f.path).chain(version.removed.iter().map(|r| &r.path));
        let kept: HashSet<&String> = named.chain(&writing).collect();
        let before = self.inner.clock.now().saturating_sub(self.grace_ns());
        // What was lost may be there again, and waits for the next opening.
        let lost = |path: &str| self.inner.reader.is_damaged(path) || version.lost.iter().any(|l| l.covers(path));
        let orphans = listed.iter().filter(|l| l.modified <= before && !kept.contains(&l.path) && !lost(&l.path));
        let (gone, failure) = self.delete_all(orphans.map(|l| l.path.clone()).collect()).await;
        let versions = entry.manifest.prune(&numbers, version.number).await;
        failure.map_or(Ok(Collected { files: gone.len() as u64, versions }), Err)
    }

    /// What could be deleted, and a failure when not all could.
    async fn delete_all(&self, paths: Vec<String>) -> (Vec<String>, Option<Failure>) {
        let delete = |path: String| async move {
            let outcome = match self.pass(Failpoint::LocalDelete) {
                Ok(()) => self.inner.store.delete(&path).await.map_err(Failure::from),
                Err(killed) => Err(killed),
            };
            (outcome, path)
        };
        let outcomes: Vec<_> = futures::stream::iter(paths).map(delete).buffer_unordered(DELETES_IN_FLIGHT).collect().await;
        let mut gone = vec![];
        let mut failure = None;
        for (outcome, path) in outcomes {
            match outcome {
                Ok(()) => gone.push(path),
                Err(e) => failure = Some(e),
            }
        }
        (gone, failure)
    }

    fn grace_ns(&self) -> i64 {
        i64::try_from(self.inner.options.grace.as_nanos()).unwrap_or(i64::MAX)
    }
}

#[cfg(test)]
mod tests;
