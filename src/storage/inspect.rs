//! What a store holds: files, sizes, rows and series by bucket, measurement and partition. Rows are counted as they lie in the
//! files: those that were written twice or deleted since count until a compaction has merged them.

use super::{
    manifest::{FileMeta, ManifestStore, Version},
    object::Store,
    parquet::file::FileReader,
};
use crate::model::{BucketId, Result};
use ahash::RandomState;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketFigures {
    pub bucket: BucketId,
    /// `None`: nobody knows its name.
    pub name: Option<String>,
    /// Number of the manifest version; 0: none can be read.
    pub version: u64,
    /// Deletes that are not folded into all files yet.
    pub deletes: usize,
    /// Files that left the state and are not deleted yet.
    pub leaving: usize,
    /// Files that are lost with a damaged manifest.
    pub lost: usize,
    pub measurements: Vec<MeasurementFigures>,
}

/// One measurement of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasurementFigures {
    pub measurement: Arc<str>,
    pub tags: usize,
    pub fields: usize,
    #[serde(flatten)]
    pub total: Figures,
    pub partitions: Vec<PartitionFigures>,
}

/// One stretch of time of a measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionFigures {
    /// Its first instant, nanoseconds since the epoch.
    pub start: i64,
    #[serde(flatten)]
    pub total: Figures,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub files: u64,
    pub bytes: u64,
    pub rows: u64,
    /// `None`: they were not counted, or a file cannot be read.
    pub series: Option<u64>,
    /// Times of the first and the last row, nanoseconds since the epoch; `None` without files.
    pub time_min: Option<i64>,
    pub time_max: Option<i64>,
}

impl Figures {
    fn add(&mut self, file: &FileMeta) {
        self.files += 1;
        self.bytes += file.bytes;
        self.rows += file.rows;
        self.time_min = Some(self.time_min.map_or(file.time_min, |t| t.min(file.time_min)));
        self.time_max = Some(self.time_max.map_or(file.time_max, |t| t.max(file.time_max)));
    }
}

/// The newest versions that can be read, of every bucket that is not dropped, in order of ids.
pub async fn versions(store: &Store) -> Result<Vec<Version>> {
    let mut versions = vec![];
    for bucket in ManifestStore::buckets(store).await? {
        versions.push(ManifestStore::new(store.clone(), bucket).load().await?.version);
    }
    Ok(versions)
}

/// Counts series, which reads the tags of every file, when `series` says so. In memory are eight bytes for each series of a
/// measurement: hashes, of which among ten million two are alike once in some hundred thousand measurements.
pub async fn inspect(store: &Store, versions: &[Version], series: bool) -> Vec<BucketFigures> {
    let reader = FileReader::new(store.clone(), 0);
    let mut buckets = vec![];
    for version in versions.iter().filter(|v| !v.dropped) {
        let mut measurements = vec![];
        for schema in version.schemas.values() {
            let mut partitions: BTreeMap<i64, Vec<&FileMeta>> = BTreeMap::new();
            version.files_of(&schema.measurement).iter().for_each(|f| partitions.entry(f.partition).or_default().push(f));
            let mut total = Figures { series: series.then_some(0), ..Figures::default() };
            let mut seen = HashSet::new();
            let mut listed = vec![];
            for (start, files) in partitions {
                let mut figures = Figures { series: series.then_some(0), ..Figures::default() };
                let mut here = HashSet::new();
                for file in files {
                    figures.add(file);
                    total.add(file);
                    if series && count(&reader, file, &schema.tags, &mut here).await.is_err() {
                        (figures.series, total.series) = (None, None);
                    }
                }
                figures.series = figures.series.map(|_| here.len() as u64);
                seen.extend(here);
                listed.push(PartitionFigures { start, total: figures });
            }
            total.series = total.series.map(|_| seen.len() as u64);
            measurements.push(MeasurementFigures {
                measurement: schema.measurement.clone(),
                tags: schema.tags.len(),
                fields: schema.fields.len(),
                total,
                partitions: listed,
            });
        }
        buckets.push(BucketFigures {
            bucket: version.bucket,
            name: None,
            version: version.number,
            deletes: version.tombstones.len(),
            leaving: version.removed.len(),
            lost: version.lost.len(),
            measurements,
        });
    }
    buckets
}

async fn count(reader: &FileReader, file: &FileMeta, tags: &[Arc<str>], series: &mut HashSet<u64>) -> Result<()> {
    reader.collect_series(file, tags, &RandomState::with_seeds(1, 2, 3, 4), series).await
}

#[cfg(test)]
mod tests;
