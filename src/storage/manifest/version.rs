//! One version of a bucket's manifest, and its bytes. Knows nothing of stores.

use crate::model::{BucketId, DeleteSpec, Failure, FieldType, MeasurementSchema};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    ops::{Deref, Range},
    sync::Arc,
};

const MAGIC: &[u8; 8] = b"TGMANIF\n";
const FORMAT: u32 = 2;
/// Its body is JSON as it is; since then it is packed.
const PLAIN_FORMAT: u32 = 1;
const HEADER: usize = 24;
/// The body names every file anew, with much the same words: the quickest level makes it a fifth or less.
const ZSTD_LEVEL: i32 = 1;

/// A Parquet file of one measurement and one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileMeta {
    /// Random, unique in the store; never zero.
    pub id: u64,
    /// Relative to the store's root.
    pub path: String,
    pub measurement: Arc<str>,
    /// First instant of the partition, nanoseconds since the epoch.
    pub partition: i64,
    pub rows: u64,
    pub bytes: u64,
    /// Smallest and greatest time of the rows.
    pub time_min: i64,
    pub time_max: i64,
    /// Write order of the rows against other files and chunks (see `storage/chunk.rs`). It has all rows of its measurement and
    /// partition that came with a sequence from one to the other, less what other files of the version have.
    pub sequence_min: u64,
    pub sequence_max: u64,
    /// 0 as flushed; one more than its inputs when compacted.
    pub level: u32,
    /// Tags of the first and the last row, in name order; absent tags are left out.
    pub key_min: Vec<(Arc<str>, Arc<str>)>,
    pub key_max: Vec<(Arc<str>, Arc<str>)>,
    /// CRC32C of the whole object.
    pub checksum: u32,
    /// CRC32C of the Parquet footer with its length and closing magic; the footer holds those of the columns.
    pub footer_checksum: u32,
    /// Number of the manifest version this file was written for. Deletes of earlier versions are folded in, where they
    /// concerned its rows.
    pub created_in: u64,
    /// When it was written, nanoseconds since the epoch.
    #[serde(default)]
    pub written_at: i64,
}

impl FileMeta {
    /// A file to be written: rows, times, keys, length and checksums are filled in by writing.
    pub fn draft(bucket: BucketId, measurement: Arc<str>, partition: i64, id: u64) -> FileMeta {
        FileMeta {
            id,
            path: format!("buckets/{bucket}/data/{partition}/{id:016x}.parquet"),
            measurement,
            partition,
            rows: 0,
            bytes: 0,
            time_min: i64::MAX,
            time_max: i64::MIN,
            sequence_min: 0,
            sequence_max: 0,
            level: 0,
            key_min: vec![],
            key_max: vec![],
            checksum: 0,
            footer_checksum: 0,
            created_in: 0,
            written_at: 0,
        }
    }
}

/// A delete that hides rows of older sequences at read time, until compactions have folded it into every file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Hides rows of files and chunks whose sequence is not greater.
    pub sequence: u64,
    pub delete: DeleteSpec,
    /// Number of the manifest version that brought it, and when that was; the commit fills them in.
    #[serde(default)]
    pub version: u64,
    #[serde(default)]
    pub at: i64,
}

impl Tombstone {
    pub fn new(sequence: u64, delete: DeleteSpec) -> Tombstone {
        Tombstone { sequence, delete, version: 0, at: 0 }
    }

    /// Whether rows of the file may have to be hidden: it is older than the delete, and was not written with the delete
    /// in view.
    pub fn hides_in(&self, file: &FileMeta) -> bool {
        file.sequence_max <= self.sequence
            && self.version >= file.created_in
            && self.delete.concerns(&file.measurement)
            && self.delete.overlaps(file.time_min, file.time_max)
    }

    /// Whether it leaves no row of the file.
    pub fn hides_all_of(&self, file: &FileMeta) -> bool {
        let (range, last) = (self.delete.range, self.delete.last());
        self.hides_in(file) && self.delete.tags.is_empty() && range.start <= file.time_min && file.time_max <= last
    }

    /// Whether it may have to hide rows of the lost file, once that is restored.
    pub fn may_hide_in(&self, lost: &LostFile) -> bool {
        self.delete.overlaps(lost.time_min, lost.time_max)
    }

    /// Whether it was meant for rows of any of the files.
    pub fn hides_in_any(&self, files: &[Arc<FileMeta>]) -> bool {
        files.iter().any(|f| self.hides_in(f))
    }
}

/// A file that left the manifest and waits for the readers that may still use it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Removed {
    pub path: String,
    /// When it left, nanoseconds since the epoch, and with which version.
    pub at: i64,
    #[serde(default)]
    pub version: u64,
}

/// A file that belongs to the bucket, as far as we know, and of which we do not know what rows it holds: it was named by a
/// damaged version only, and cannot be read itself. An answer that might need its rows is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LostFile {
    pub path: String,
    pub what: String,
    /// Smallest and greatest time that its rows may have.
    pub time_min: i64,
    pub time_max: i64,
    /// Of a folder that could not be listed: any file in it that was written for a later version than this may be lost.
    #[serde(default)]
    pub known_through: Option<u64>,
}

impl LostFile {
    /// Whether it lies in the folder of the partition, which begins at this time.
    pub fn may_lie_in(&self, partition: i64) -> bool {
        !self.path.ends_with(".parquet") || self.path.rsplit('/').nth(1) == Some(partition.to_string().as_str())
    }

    /// Whether the object is it, or lies in it.
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    pub fn failure(&self) -> Failure {
        let (path, what) = (&self.path, &self.what);
        Failure::internal(format!(
            "rows of this time may be missing: file `{path}` cannot be read ({what}); restore it from a backup, or delete it to give up \
             its rows, and restart"
        ))
    }
}

/// The state of one bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    /// 0 before the first commit.
    pub number: u64,
    pub bucket: BucketId,
    /// Random id of the process that wrote it.
    pub writer: u64,
    /// The bucket was dropped: nothing of it may be read any more.
    pub dropped: bool,
    /// Rows up to this write-ahead-log sequence are in files.
    pub flushed_through: u64,
    /// The time it was, as far as retention trusts the clock (`storage/retention.rs`), nanoseconds since the epoch.
    pub as_of: i64,
    pub schemas: BTreeMap<Arc<str>, Arc<MeasurementSchema>>,
    /// By measurement, partition and sequence, see [`in_order`]: there may be tens of thousands, of which a question wants few.
    pub files: Vec<Arc<FileMeta>>,
    pub tombstones: Vec<Arc<Tombstone>>,
    pub removed: Vec<Removed>,
    pub lost: Vec<LostFile>,
}

/// The order of a version's files. Nearly sorted ones take little time.
pub fn in_order(files: &mut [Arc<FileMeta>]) {
    let place = |f: &FileMeta| (f.partition, f.sequence_min, f.sequence_max, f.id);
    files.sort_by(|a, b| a.measurement.cmp(&b.measurement).then_with(|| place(a).cmp(&place(b))));
}

/// Those of the files of one measurement, in order, that may have rows of the closed stretch of time. (Partitions do not overlap.)
pub fn within(files: &[Arc<FileMeta>], time_min: i64, time_max: i64) -> &[Arc<FileMeta>] {
    let end = files.partition_point(|f| f.partition <= time_max);
    // The last partition that begins at `time_min` or before it reaches beyond.
    let begun = files[..end].partition_point(|f| f.partition <= time_min);
    let start = begun.checked_sub(1).map_or(0, |last| files[..begun].partition_point(|f| f.partition < files[last].partition));
    &files[start..end]
}

/// The files of one measurement in a version, in order. Clones share them; as long as one is there, none of them is deleted.
#[derive(Clone)]
pub struct FileSlice {
    version: Arc<Version>,
    range: Range<usize>,
}

impl FileSlice {
    pub fn of(version: Arc<Version>, measurement: &str) -> FileSlice {
        let range = version.range_of(measurement);
        FileSlice { version, range }
    }

    /// Files of one measurement and partition.
    pub fn of_partition(bucket: BucketId, files: Vec<Arc<FileMeta>>) -> FileSlice {
        let range = 0..files.len();
        FileSlice { version: Arc::new(Version { files, ..Version::empty(bucket) }), range }
    }

    /// Rows up to this sequence of the log are in files of the version.
    pub fn flushed_through(&self) -> u64 {
        self.version.flushed_through
    }

    /// Those that may have rows of the closed stretch of time.
    pub fn within(&self, time_min: i64, time_max: i64) -> &[Arc<FileMeta>] {
        within(self, time_min, time_max)
    }
}

impl Deref for FileSlice {
    type Target = [Arc<FileMeta>];

    fn deref(&self) -> &[Arc<FileMeta>] {
        &self.version.files[self.range.clone()]
    }
}

/// What a bucket's files come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    pub files: u64,
    pub bytes: u64,
    /// The most files that a measurement has in one partition: so many a question for one series and partition may have to open.
    pub partition_files_max: u64,
}

/// What a commit puts on a version besides its edit.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    pub number: u64,
    pub writer: u64,
    /// By the wall clock, nanoseconds since the epoch.
    pub now: i64,
    pub as_of: i64,
}

/// Why bytes are no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    #[error("damaged manifest: {0}")]
    Damaged(String),
    #[error("manifest of format {found}, this program reads up to {FORMAT}: it was written by a newer Tidegauge; run that one")]
    Newer { found: u32 },
}

/// The body on disk. Fields may be added; readers ignore those they do not know.
#[derive(Serialize, Deserialize)]
struct Body {
    number: u64,
    bucket: BucketId,
    writer: u64,
    dropped: bool,
    flushed_through: u64,
    #[serde(default)]
    as_of: i64,
    schemas: Vec<SchemaBody>,
    files: Vec<Arc<FileMeta>>,
    tombstones: Vec<Arc<Tombstone>>,
    removed: Vec<Removed>,
    #[serde(default)]
    lost: Vec<LostFile>,
    /// The header's format once more, under the checksum: else a flipped bit would read as a newer program's version.
    #[serde(default = "first_format")]
    format: u32,
}

/// Before the body said so.
fn first_format() -> u32 {
    1
}

#[derive(Deserialize)]
struct FormatOnly {
    #[serde(default = "first_format")]
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct SchemaBody {
    measurement: Arc<str>,
    tags: Vec<Arc<str>>,
    fields: BTreeMap<Arc<str>, FieldType>,
}

impl Version {
    /// Whether a lost file may lie in the partition.
    pub fn may_have_lost_in(&self, partition: i64) -> bool {
        self.lost.iter().any(|l| l.may_lie_in(partition))
    }

    /// The state of a bucket that was never written.
    pub fn empty(bucket: BucketId) -> Version {
        Version {
            number: 0,
            bucket,
            writer: 0,
            dropped: false,
            flushed_through: 0,
            as_of: i64::MIN,
            schemas: BTreeMap::new(),
            files: vec![],
            tombstones: vec![],
            removed: vec![],
            lost: vec![],
        }
    }

    pub fn encode(&self) -> Bytes {
        let schemas = self
            .schemas
            .values()
            .map(|s| SchemaBody { measurement: s.measurement.clone(), tags: s.tags.clone(), fields: s.fields.clone() })
            .collect();
        let body = Body {
            number: self.number,
            bucket: self.bucket,
            writer: self.writer,
            dropped: self.dropped,
            flushed_through: self.flushed_through,
            as_of: self.as_of,
            schemas,
            files: self.files.clone(),
            tombstones: self.tombstones.clone(),
            removed: self.removed.clone(),
            lost: self.lost.clone(),
            format: FORMAT,
        };
        let body = serde_json::to_vec(&body).expect("plain data with string keys is always JSON");
        let body = zstd::bulk::compress(&body, ZSTD_LEVEL).expect("its buffer has room for any packed body");
        let mut out = Vec::with_capacity(HEADER + body.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        out.extend_from_slice(&(body.len() as u64).to_le_bytes());
        out.extend_from_slice(&body);
        out.into()
    }

    pub fn decode(bytes: &[u8]) -> Result<Version, VersionError> {
        let damaged = |what: &str| VersionError::Damaged(what.to_string());
        if bytes.len() < HEADER {
            return Err(damaged("shorter than its header"));
        }
        if &bytes[..8] != MAGIC {
            return Err(damaged("it does not begin with the magic bytes"));
        }
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (body, length) = (&bytes[HEADER..], word(16) as u64 | (word(20) as u64) << 32);
        if body.len() as u64 != length {
            return Err(damaged("the body has not the length that the header says"));
        }
        if crc32c::crc32c(body) != word(12) {
            return Err(damaged("the checksum does not match"));
        }
        let found = word(8);
        let agree = |told: u32| match told == found {
            true => Ok(()),
            false => Err(VersionError::Damaged(format!("its header says format {found} and its body format {told}"))),
        };
        let unpacked = if found > PLAIN_FORMAT { zstd::decode_all(body) } else { Ok(body.to_vec()) };
        if found > FORMAT {
            // A body that does not say its format in our way may well be a newer one's.
            let told = |body: Vec<u8>| serde_json::from_slice::<FormatOnly>(&body).ok();
            agree(unpacked.ok().and_then(told).map_or(found, |body| body.format))?;
            return Err(VersionError::Newer { found });
        }
        let unpacked = unpacked.map_err(|e| VersionError::Damaged(e.to_string()))?;
        let body: Body = serde_json::from_slice(&unpacked).map_err(|e| VersionError::Damaged(e.to_string()))?;
        agree(body.format)?;
        let mut files = body.files;
        in_order(&mut files);
        let schemas = body
            .schemas
            .into_iter()
            .map(|s| (s.measurement.clone(), Arc::new(MeasurementSchema::of(s.measurement, s.tags, s.fields))))
            .collect();
        Ok(Version {
            number: body.number,
            bucket: body.bucket,
            writer: body.writer,
            dropped: body.dropped,
            flushed_through: body.flushed_through,
            as_of: body.as_of,
            schemas,
            files,
            tombstones: body.tombstones,
            removed: body.removed,
            lost: body.lost,
        })
    }

    fn range_of(&self, measurement: &str) -> Range<usize> {
        let start = self.files.partition_point(|f| f.measurement.as_ref() < measurement);
        start..start + self.files[start..].partition_point(|f| f.measurement.as_ref() == measurement)
    }

    pub fn files_of(&self, measurement: &str) -> &[Arc<FileMeta>] {
        &self.files[self.range_of(measurement)]
    }

    /// The files of one measurement and partition.
    pub fn files_in(&self, measurement: &str, partition: i64) -> &[Arc<FileMeta>] {
        let files = self.files_of(measurement);
        let start = files.partition_point(|f| f.partition < partition);
        &files[start..start + files[start..].partition_point(|f| f.partition == partition)]
    }

    /// The files of each measurement.
    pub fn measurements(&self) -> impl Iterator<Item = &[Arc<FileMeta>]> {
        let mut rest = self.files.as_slice();
        std::iter::from_fn(move || {
            let first = rest.first()?;
            let (these, others) = rest.split_at(rest.partition_point(|f| f.measurement == first.measurement));
            rest = others;
            Some(these)
        })
    }

    /// The files of each measurement and partition.
    pub fn partitions(&self) -> impl Iterator<Item = &[Arc<FileMeta>]> {
        self.files.chunk_by(|a, b| a.partition == b.partition && a.measurement == b.measurement)
    }

    /// Whether the tombstone was meant for rows of any file.
    pub fn has_hidden(&self, tombstone: &Tombstone) -> bool {
        let (start, last) = (tombstone.delete.range.start, tombstone.delete.last());
        let hides = |files: &[Arc<FileMeta>]| start <= last && tombstone.hides_in_any(within(files, start, last));
        match &tombstone.delete.measurement {
            Some(measurement) => hides(self.files_of(measurement)),
            None => self.measurements().any(hides),
        }
    }

    pub fn totals(&self) -> Totals {
        let (files, bytes) = (self.files.len() as u64, self.files.iter().map(|f| f.bytes).sum());
        Totals { files, bytes, partition_files_max: self.partitions().map(<[_]>::len).max().unwrap_or(0) as u64 }
    }

    /// The greatest sequence that any file or tombstone carries.
    pub fn sequence_max(&self) -> u64 {
        let files = self.files.iter().map(|f| f.sequence_max);
        let tombstones = self.tombstones.iter().map(|t| t.sequence);
        files.chain(tombstones).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Version {
        let mut version = Version::empty(BucketId::new(7).expect("not zero"));
        let mut schema = MeasurementSchema::new("weather \"north\"");
        schema.add_tag("host");
        schema.fields.insert("temp".into(), FieldType::Float);
        version.schemas.insert(schema.measurement.clone(), Arc::new(schema));
        version.number = u64::MAX;
        version.flushed_through = 3;
        let draft = FileMeta::draft(version.bucket, "weather \"north\"".into(), i64::MIN, 5);
        version.files.push(Arc::new(FileMeta { key_min: vec![("host".into(), "a".into())], checksum: u32::MAX, ..draft }));
        version
    }

    #[test]
    fn a_version_reads_back_as_written() {
        assert_eq!(Version::decode(&sample().encode()).as_ref(), Ok(&sample()));
    }

    #[test]
    fn a_version_of_the_first_format_is_read() {
        let version = sample();
        let json = zstd::decode_all(&version.encode()[HEADER..]).expect("packed");
        let json = String::from_utf8(json).expect("JSON").replace("\"format\":2", "\"format\":1");
        let header = [1_u32.to_le_bytes(), crc32c::crc32c(json.as_bytes()).to_le_bytes()].concat();
        let bytes = [MAGIC.as_slice(), &header, &(json.len() as u64).to_le_bytes(), json.as_bytes()].concat();
        assert_eq!(Version::decode(&bytes).as_ref(), Ok(&version));
    }

    #[test]
    fn files_are_found_by_measurement_and_time() {
        let mut version = sample();
        let file =
            |measurement: &str, partition: i64, id: u64| Arc::new(FileMeta::draft(version.bucket, measurement.into(), partition, id));
        let files = [("b", 20, 1), ("a", 0, 2), ("b", -10, 3), ("c", 0, 4), ("b", 0, 5), ("b", 0, 6), ("b", 30, 7)];
        version.files = files.into_iter().map(|(m, partition, id)| file(m, partition, id)).collect();
        in_order(&mut version.files);
        let ids = |files: &[Arc<FileMeta>]| files.iter().map(|f| f.id).collect::<Vec<_>>();
        assert_eq!(ids(version.files_of("b")), [3, 5, 6, 1, 7]);
        assert_eq!((version.files_of("").len(), version.files_of("bb").len()), (0, 0));
        assert_eq!(version.measurements().map(<[_]>::len).collect::<Vec<_>>(), [1, 5, 1]);
        assert_eq!(version.totals().partition_files_max, 2);
        for (min, max, expected) in [
            (i64::MIN, i64::MAX, vec![3, 5, 6, 1, 7]),
            (i64::MIN, -11, vec![]),
            (-11, -10, vec![3]),
            (-1, -1, vec![3]),
            (-1, 0, vec![3, 5, 6]),
            (5, 19, vec![5, 6]),
            (20, 29, vec![1]),
            (31, i64::MAX, vec![7]),
            (9, 3, vec![5, 6]),
        ] {
            assert_eq!(ids(within(version.files_of("b"), min, max)), expected, "{min}..={max}");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = sample().encode();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut broken = bytes.to_vec();
                broken[at] ^= 1 << bit;
                let decoded = Version::decode(&broken);
                assert!(matches!(decoded, Err(VersionError::Damaged(_))), "byte {at}, bit {bit}");
            }
            assert!(Version::decode(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_newer_format_is_refused_with_what_to_do() {
        let body = br#"{"format":3,"states":[]}"#;
        let mut bytes = MAGIC.to_vec();
        bytes.extend([3_u32.to_le_bytes(), crc32c::crc32c(body).to_le_bytes()].concat());
        bytes.extend((body.len() as u64).to_le_bytes());
        bytes.extend(body);
        let error = Version::decode(&bytes).expect_err("newer");
        assert!(error.to_string().contains("newer Tidegauge"), "{error}");
    }
}
