//! Where the files of shards are.
//!
//! ```text
//! InfluxDB 1.x    DIR/data/DATABASE/POLICY/SHARD/GENERATION-SEQUENCE.tsm      DIR/wal/DATABASE/POLICY/SHARD/_NUMBER.wal
//! InfluxDB 2.x    DIR/engine/data/BUCKET_ID/autogen/SHARD/...                 DIR/engine/wal/BUCKET_ID/autogen/SHARD/...
//! ```

use super::Unreadable;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The files of one shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShardFiles {
    /// In the order in which they were written.
    pub tsm: Vec<PathBuf>,
    /// In the order in which they were written.
    pub wal: Vec<PathBuf>,
}

/// Database (in 2.x: the bucket's id), retention policy, and number of a shard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShardName {
    pub database: String,
    pub policy: String,
    pub id: u64,
}

/// Shards below the folder `data` and the folder of logs, which need not be there. Folders that are no shards (`_series`,
/// `index`) and other files (`fields.idx`, `*.tsm.tmp`) are left out.
pub fn shards(data: &Path, wal: &Path) -> Result<BTreeMap<ShardName, ShardFiles>, Unreadable> {
    let mut found: BTreeMap<ShardName, ShardFiles> = BTreeMap::new();
    walk(data, "tsm", tsm_order, &mut |shard, files| found.entry(shard).or_default().tsm = files)?;
    if wal.is_dir() {
        walk(wal, "wal", wal_order, &mut |shard, files| found.entry(shard).or_default().wal = files)?;
    }
    Ok(found)
}

/// Hands on each shard that has files of this kind. `order`: a file's place among them by its name.
fn walk<O: Ord>(
    root: &Path,
    extension: &str,
    order: fn(&str) -> Option<O>,
    found: &mut impl FnMut(ShardName, Vec<PathBuf>),
) -> Result<(), Unreadable> {
    for (database, path) in folders(root)? {
        for (policy, path) in folders(&path)? {
            // Beside the policies of a database stands its index of series, which has numbered folders too.
            if policy == "_series" {
                continue;
            }
            for (shard, path) in folders(&path)? {
                let Ok(id) = shard.parse() else { continue };
                let mut files = vec![];
                for (name, path) in entries(&path)? {
                    if let Some(stem) = name.strip_suffix(extension).and_then(|name| name.strip_suffix('.')) {
                        // Left out it would be missed; in a wrong place it would hide newer values.
                        let unknown =
                            || std::io::Error::other("its name does not say when it was written, as 000000001-000000001.tsm does");
                        files.push((order(stem).ok_or_else(unknown).map_err(Unreadable::io(&path))?, path));
                    }
                }
                files.sort();
                if !files.is_empty() {
                    let name = ShardName { database: database.clone(), policy: policy.clone(), id };
                    found(name, files.into_iter().map(|(_, path)| path).collect());
                }
            }
        }
    }
    Ok(())
}

/// Generation and sequence: a later generation was written later, in one generation a later sequence.
fn tsm_order(stem: &str) -> Option<(u64, u64)> {
    let (generation, sequence) = stem.split_once('-')?;
    Some((generation.parse().ok()?, sequence.parse().ok()?))
}

fn wal_order(stem: &str) -> Option<u64> {
    stem.strip_prefix('_')?.parse().ok()
}

fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Unreadable> {
    let mut out = vec![];
    for entry in std::fs::read_dir(folder).map_err(Unreadable::io(folder))? {
        let entry = entry.map_err(Unreadable::io(folder))?;
        out.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    Ok(out)
}

fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>, Unreadable> {
    Ok(entries(folder)?.into_iter().filter(|(_, path)| path.is_dir()).collect())
}
