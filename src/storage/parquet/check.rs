//! Reading a whole file to see whether it is what the manifest says: every page, every row, every checksum. And counting its
//! series, for which its tags are enough.

use super::{
    file::{FileReader, OpenFooter, own_footer},
    writer::Footer,
};
use crate::model::{ErrorKind, Failure, Result};
use crate::storage::{
    block::SeriesRuns,
    manifest::{FileMeta, Version},
};
use ahash::RandomState;
use arrow::{
    array::{ArrayRef, AsArray},
    datatypes::TimestampNanosecondType,
};
use std::{collections::HashSet, sync::Arc};
use tokio_util::sync::CancellationToken;

/// Bytes of a file that are in memory at a time, beside one decoded row group.
const PIECE_BYTES: u64 = 8 << 20;

type Key = Vec<(Arc<str>, Arc<str>)>;

/// What the rows of a file turn out to be.
struct Rows {
    count: u64,
    time_min: i64,
    time_max: i64,
    key_min: Key,
    key_max: Key,
    /// Of the last row, as bytes.
    last: Option<(Vec<u8>, i64)>,
}

impl FileReader {
    /// Reads the file through; what is wrong with it. Fails with `Unavailable` when the store does not answer, which says nothing of
    /// the file, and when `stop` was cancelled.
    pub async fn check(&self, version: &Version, file: &FileMeta, stop: &CancellationToken) -> Result<Option<String>> {
        match self.try_check(version, file, stop).await {
            Err(failure) => match self.damaged().remove(&file.path) {
                None if failure.kind == ErrorKind::Unavailable => Err(failure),
                known => Ok(Some(known.unwrap_or(failure.message))),
            },
            checked => checked,
        }
    }

    async fn try_check(&self, version: &Version, file: &FileMeta, stop: &CancellationToken) -> Result<Option<String>> {
        let footer = self.footer(file).await?;
        let own = own_footer(footer.metadata()).map_err(|what| self.damage(&file.path, what))?;
        if let Some(wrong) = says_otherwise(&own, version, file) {
            return Ok(Some(wrong));
        }
        let mut rows = Rows { count: 0, time_min: i64::MAX, time_max: i64::MIN, key_min: vec![], key_max: vec![], last: None };
        for group in 0..footer.metadata().num_row_groups() {
            if stop.is_cancelled() {
                return Err(stopped());
            }
            let leaves = (0..footer.schema().fields().len()).collect();
            let columns: Vec<ArrayRef> = self.decode(file, &footer, group, leaves).await?.into_iter().map(|c| c.1).collect();
            if let Err(wrong) = rows.take(&footer, &own, &columns) {
                return Ok(Some(format!("row group {group}: {wrong}")));
            }
        }
        if let Some(wrong) = rows.differ_from(file) {
            return Ok(Some(wrong));
        }
        let mut checksum = 0;
        let mut at = 0;
        while at < file.bytes {
            let end = (at + PIECE_BYTES).min(file.bytes);
            let piece = self.ranges(&file.path, std::slice::from_ref(&(at..end))).await?;
            checksum = crc32c::crc32c_append(checksum, &piece[0]);
            at = end;
        }
        Ok((checksum != file.checksum).then(|| "the checksum of the whole file does not match".to_string()))
    }

    /// Adds a hash of each series in the file (of its tags, in the order of `tags`) to `series`.
    pub async fn collect_series(&self, file: &FileMeta, tags: &[Arc<str>], state: &RandomState, series: &mut HashSet<u64>) -> Result<()> {
        let footer = self.footer(file).await?;
        let mut key = vec![];
        for group in 0..footer.metadata().num_row_groups() {
            let runs = self.runs(file, &footer, group, tags).await?;
            for run in 0..runs.len() {
                runs.key(run, tags, &mut key);
                series.insert(state.hash_one(&key));
            }
        }
        Ok(())
    }
}

fn stopped() -> Failure {
    Failure::new(ErrorKind::Unavailable, "the check was broken off")
}

/// How the file's own words differ from the manifest's.
fn says_otherwise(own: &Footer, version: &Version, file: &FileMeta) -> Option<String> {
    if own.bucket != version.bucket {
        return Some(format!("it says that it is of bucket {}", own.bucket));
    }
    let FileMeta { bytes, checksum, footer_checksum, .. } = *file;
    let told = FileMeta { bytes, checksum, footer_checksum, ..own.file.clone() };
    if told != *file {
        return Some(format!("it says of itself {told:?}, and the manifest {file:?}"));
    }
    let Some(schema) = version.schemas.get(&file.measurement) else {
        return Some(format!("the manifest has no schema of `{}`", file.measurement));
    };
    if let Some(tag) = own.tags.iter().find(|tag| !schema.is_tag(tag)) {
        return Some(format!("its tag `{tag}` is none in the manifest's schema"));
    }
    let field = own.fields.iter().find(|(name, of)| schema.fields.get(*name) != Some(*of));
    field.map(|(name, of)| format!("its field `{name}` ({of}) is another in the manifest's schema"))
}

impl Rows {
    /// Takes the next row group in; fails with what is wrong in it.
    fn take(&mut self, footer: &OpenFooter, own: &Footer, columns: &[ArrayRef]) -> Result<(), String> {
        let column = |name: &str| footer.schema().index_of(name).ok().and_then(|at| columns.get(at)).cloned();
        let time = column("time").ok_or("it has no time column")?;
        let times = time.as_primitive::<TimestampNanosecondType>().values();
        let tags: Vec<ArrayRef> = own.tags.iter().filter_map(|tag| column(tag)).collect();
        if tags.len() != own.tags.len() {
            return Err("it lacks the column of a tag".into());
        }
        let runs = SeriesRuns::of(&own.tags, &tags, times.len());
        for run in 0..runs.len() {
            let times = &times[runs.starts[run] as usize..runs.starts[run + 1] as usize];
            let mut key = vec![];
            runs.key(run, &own.tags, &mut key);
            let follows = self.last.as_ref().is_none_or(|(before, time)| *before < key || (*before == key && *time < times[0]));
            if !follows || !times.is_sorted_by(|a, b| a < b) {
                return Err("its rows are out of order".into());
            }
            let (first, last) = (times[0], times[times.len() - 1]);
            (self.time_min, self.time_max) = (self.time_min.min(first), self.time_max.max(last));
            let values = || runs.tags.iter().filter_map(|t| Some((t.name.clone(), t.value(run)?.into()))).collect();
            if self.count == 0 {
                self.key_min = values();
            }
            self.key_max = values();
            self.count += times.len() as u64;
            self.last = Some((key, last));
        }
        Ok(())
    }

    fn differ_from(&self, file: &FileMeta) -> Option<String> {
        if self.count != file.rows {
            return Some(format!("it has {} rows, and the manifest says {}", self.count, file.rows));
        }
        let times = (self.time_min, self.time_max) == (file.time_min, file.time_max);
        let keys = (&self.key_min, &self.key_max) == (&file.key_min, &file.key_max);
        match (times, keys) {
            (true, true) => None,
            (false, _) => Some("its first and last times are not those of the manifest".to_string()),
            (_, false) => Some("its first and last series are not those of the manifest".to_string()),
        }
    }
}
