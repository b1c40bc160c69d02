//! Making a bucket's manifest anew while nobody has the store open: what an opening does by itself where the newest version is
//! damaged or gone, and, when asked, giving up the rows of files that cannot be read.

use super::{
    manifest::{Committed, Edit, ManifestStore, Stamp, Version},
    object::Store,
    parquet::file::FileReader,
    recover,
};
use crate::model::{BucketId, Failure, Result};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

/// How to go about it.
#[derive(Debug, Clone, Copy)]
pub struct RebuildOptions {
    /// Files that are lost, gone or unreadable leave the manifest; their bytes are kept in `quarantine/`.
    pub give_up: bool,
    /// Length of a partition, nanoseconds.
    pub partition_ns: i64,
    /// Random id of this process.
    pub writer: u64,
    /// Nanoseconds since the epoch.
    pub now: i64,
}

/// What became of one bucket's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rebuilt {
    pub bucket: BucketId,
    /// Numbers of the newest version that could be read before (0: none), and of the newest one now. Equal: it was sound.
    pub before: u64,
    pub after: u64,
    pub files: usize,
    pub rows: u64,
    /// Paths whose rows were given up.
    pub given_up: Vec<String>,
    /// What is damaged, and why, given up or not.
    pub damaged: Vec<(String, String)>,
}

/// Every bucket of the store, or the one asked for.
pub async fn rebuild(store: &Store, wanted: Option<BucketId>, options: RebuildOptions) -> Result<Vec<Rebuilt>> {
    let mut buckets = ManifestStore::buckets(store).await?;
    buckets.retain(|b| wanted.is_none_or(|w| w == *b));
    if let (Some(bucket), true) = (wanted, buckets.is_empty()) {
        return Err(Failure::not_found(format!("there is no bucket {bucket} in the store")));
    }
    let mut done = vec![];
    for bucket in buckets {
        done.push(rebuild_one(store, bucket, options).await?);
    }
    Ok(done)
}

async fn rebuild_one(store: &Store, bucket: BucketId, options: RebuildOptions) -> Result<Rebuilt> {
    let RebuildOptions { give_up, partition_ns, writer, now } = options;
    let manifest = ManifestStore::new(store.clone(), bucket);
    let mut loaded = manifest.load().await?;
    let before = loaded.version.number;
    let mut damaged = loaded.damaged.clone();
    let mut given_up = vec![];
    if !loaded.version.dropped {
        let repaired = recover::repair(store, &manifest, &mut loaded, partition_ns, writer, now).await;
        if let Some(failure) = repaired.failure {
            return Err(failure.context(format!("the manifest of bucket {bucket} could not be stored")));
        }
        damaged.extend(repaired.damaged);
        if give_up {
            let edit = unreadable(store, &loaded.version, &mut damaged).await?;
            given_up =
                leave(store, &manifest, &mut loaded.version, edit, Stamp { number: loaded.next, writer, now, as_of: i64::MIN }).await?;
        }
    }
    let Version { number, files, .. } = &loaded.version;
    Ok(Rebuilt { bucket, before, after: *number, files: files.len(), rows: files.iter().map(|f| f.rows).sum(), given_up, damaged })
}

/// An edit that takes away what cannot be read. Fails when the store does not answer: that says nothing of the files.
async fn unreadable(store: &Store, version: &Version, damaged: &mut Vec<(String, String)>) -> Result<Edit> {
    let reader = FileReader::new(store.clone(), 0);
    let lost = version.lost.iter().map(|l| l.path.clone()).filter(|path| path.ends_with(".parquet"));
    let mut edit = Edit { no_longer_lost: lost.collect(), ..Edit::default() };
    for file in &version.files {
        let wrong = reader.check(version, file, &CancellationToken::new()).await?;
        if let Some(what) = wrong {
            edit.remove.push(file.id);
            damaged.retain(|(path, _)| *path != file.path);
            damaged.push((file.path.clone(), what));
        }
    }
    Ok(edit)
}

/// Commits the edit after the bytes of what leaves were kept; the paths.
async fn leave(store: &Store, manifest: &ManifestStore, version: &mut Version, edit: Edit, stamp: Stamp) -> Result<Vec<String>> {
    let leaving = version.files.iter().filter(|f| edit.remove.contains(&f.id)).map(|f| f.path.clone());
    let (leaving, lost): (Vec<String>, Vec<String>) = (leaving.collect(), edit.no_longer_lost.clone());
    if leaving.is_empty() && lost.is_empty() {
        return Ok(vec![]);
    }
    let here: Vec<String> = store.list(&format!("buckets/{}/data", version.bucket)).await?.into_iter().map(|l| l.path).collect();
    for path in leaving.iter().chain(&lost).filter(|path| here.contains(path)) {
        recover::keep_aside(store, path).await?;
    }
    match manifest.commit(version, &edit, stamp).await? {
        Committed::Now(after) | Committed::Earlier(after) => *version = after,
    }
    // The next opening would take them for lost again.
    for path in lost.iter().filter(|path| here.contains(path)) {
        store.delete(path).await?;
    }
    Ok([leaving, lost].concat())
}

#[cfg(test)]
mod tests;
