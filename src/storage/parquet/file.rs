//! One Parquet file as a source of sorted blocks: footer, pruning of row groups by time, decoding of wanted columns.
//!
//! A block is a row group. Its tags are decoded once into runs; fields only when rows of the group are wanted.

use super::{
    cache::{Cache, Decoded, Part},
    decimal,
    pages::GroupPages,
    writer::{FOOTER_KEY, Footer, footer_start, seal},
};
use crate::model::{Failure, MeasurementSchema, Result, schema::tag_type, schema::time_type};
use crate::storage::{
    block::{Block, RowFilter, SeriesRuns, select},
    feed::{Rows, Source},
    manifest::{FileMeta, Tombstone},
    object::{Store, StoreError},
    prune,
};
use arrow::{
    array::{ArrayRef, AsArray},
    datatypes::{Field, Schema},
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader},
        parquet_to_arrow_field_levels,
    },
    file::{
        metadata::{ParquetMetaData, ParquetMetaDataReader},
        reader::{ChunkReader, Length},
    },
};
use std::{
    collections::{BTreeMap, VecDeque},
    io::Cursor,
    sync::Arc,
};

const TAIL_BYTES: u64 = 64 << 10;

/// A file's footer, made ready for decoding.
#[derive(Debug)]
pub struct OpenFooter {
    arrow: ArrowReaderMetadata,
    /// CRC32C of each column, per row group.
    checksums: Vec<Vec<u32>>,
}

impl OpenFooter {
    pub(super) fn metadata(&self) -> &ParquetMetaData {
        self.arrow.metadata()
    }

    pub(super) fn schema(&self) -> &Schema {
        self.arrow.schema()
    }

    pub fn bytes(&self) -> usize {
        self.metadata().memory_size() + self.checksums.iter().map(|c| c.len() * 4).sum::<usize>()
    }
}

/// Reads files of one store through one cache, and remembers which of them are damaged.
pub struct FileReader {
    pub store: Store,
    pub cache: Cache,
    /// Path and reason.
    damaged: Arc<Mutex<BTreeMap<String, String>>>,
}

impl FileReader {
    pub fn new(store: Store, cache_bytes: usize) -> FileReader {
        FileReader { store, cache: Cache::new(cache_bytes), damaged: Arc::default() }
    }

    /// A reader with a cache of its own, so that reading everything once does not push out what queries use.
    pub fn beside(&self, cache_bytes: usize) -> FileReader {
        FileReader { store: self.store.clone(), cache: Cache::new(cache_bytes), damaged: self.damaged.clone() }
    }

    /// Files that could not be read, with the reason.
    pub fn damaged(&self) -> BTreeMap<String, String> {
        self.damaged.lock().clone()
    }

    /// Forgets that a file was damaged: it has been read through since, and is well.
    pub fn mended(&self, path: &str) {
        self.damaged.lock().remove(path);
    }

    pub fn is_damaged(&self, path: &str) -> bool {
        self.damaged.lock().contains_key(path)
    }

    /// Remembers a damaged file. The failure is what a query gets that needs its rows: an answer without them would be
    /// wrong and not look it.
    pub fn damage(&self, path: &str, what: impl std::fmt::Display) -> Failure {
        let mut damaged = self.damaged.lock();
        let what = damaged.entry(path.to_string()).or_insert_with(|| what.to_string());
        Failure::internal(format!("damaged file `{path}`: {what}"))
    }

    pub(super) async fn footer(&self, file: &FileMeta) -> Result<Arc<OpenFooter>> {
        if let Some(Decoded::Footer(footer)) = self.cache.get(file.id, Part::Footer) {
            return Ok(footer);
        }
        if let Some(what) = self.damaged.lock().get(&file.path) {
            return Err(Failure::internal(format!("damaged file `{}`: {what}", file.path)));
        }
        let from = file.bytes.saturating_sub(TAIL_BYTES);
        let mut tail = self.ranges(&file.path, std::slice::from_ref(&(from..file.bytes))).await?.remove(0);
        if !tail.ends_with(b"PAR1") || tail.len() < 8 {
            return Err(self.damage(&file.path, "it does not end as a Parquet file"));
        }
        if footer_start(&tail).is_none() && tail.len() as u64 != file.bytes {
            tail = self.ranges(&file.path, std::slice::from_ref(&(0..file.bytes))).await?.remove(0);
        }
        let start = footer_start(&tail).ok_or_else(|| self.damage(&file.path, "its footer is longer than the file"))?;
        if crc32c::crc32c(&tail[start..]) != file.footer_checksum {
            return Err(self.damage(&file.path, "the checksum of its footer does not match"));
        }
        let metadata = ParquetMetaDataReader::decode_metadata(&tail[start..tail.len() - 8]).map_err(|e| self.damage(&file.path, e))?;
        let own = own_footer(&metadata).map_err(|e| self.damage(&file.path, e))?;
        // Tags come out as dictionaries: the file says strings. It may have columns that a reader's schema, being a moment older,
        // has not.
        let columns = metadata.file_metadata().schema_descr().columns().iter().map(|c| match c.name() {
            "time" => Field::new("time", time_type(), false),
            name => {
                let stored = || decimal::scale(c).map(decimal::stored_type);
                Field::new(name, own.fields.get(name).map_or(tag_type(), |of| stored().unwrap_or(of.arrow())), true)
            }
        });
        let hint = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
        let options = ArrowReaderOptions::new().with_schema(hint);
        let arrow = ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(|e| self.damage(&file.path, e))?;
        let footer = Arc::new(OpenFooter { arrow, checksums: own.columns });
        self.cache.put(file.id, Part::Footer, Decoded::Footer(footer.clone()));
        Ok(footer)
    }

    /// Byte ranges of a file, each of the length asked.
    pub(super) async fn ranges(&self, path: &str, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Bytes>> {
        let parts = match self.store.get_ranges(path, ranges).await {
            Err(StoreError::NotFound { .. }) => return Err(self.damage(path, "it is gone")),
            other => other?,
        };
        let whole = parts.len() == ranges.len() && parts.iter().zip(ranges).all(|(p, r)| p.len() as u64 == r.end - r.start);
        if whole { Ok(parts) } else { Err(self.damage(path, "it is shorter than it was")) }
    }

    /// Columns of one row group, decoded; absent ones are `None`. And whether some were not in the cache.
    async fn columns(
        &self,
        file: &FileMeta,
        footer: &OpenFooter,
        group: usize,
        names: &[Arc<str>],
    ) -> Result<(Vec<Option<ArrayRef>>, bool)> {
        let part = |name: &Arc<str>| Part::Column { group: group as u32, name: name.clone() };
        let mut out: Vec<Option<ArrayRef>> = vec![None; names.len()];
        let mut missing = vec![];
        for (i, name) in names.iter().enumerate() {
            match self.cache.get(file.id, part(name)) {
                Some(Decoded::Column(array)) => out[i] = Some(array),
                _ => missing.extend(footer.schema().index_of(name).ok().map(|leaf| (leaf, i))),
            }
        }
        let fetched = !missing.is_empty();
        for (leaf, array) in self.decode(file, footer, group, missing.iter().map(|m| m.0).collect()).await? {
            let i = missing.iter().find(|m| m.0 == leaf).expect("only missing columns were asked for").1;
            self.cache.put(file.id, part(&names[i]), Decoded::Column(array.clone()));
            out[i] = Some(array);
        }
        Ok((out, fetched))
    }

    pub(super) async fn decode(
        &self,
        file: &FileMeta,
        footer: &OpenFooter,
        group: usize,
        mut leaves: Vec<usize>,
    ) -> Result<Vec<(usize, ArrayRef)>> {
        if leaves.is_empty() {
            return Ok(vec![]);
        }
        leaves.sort_unstable();
        let damaged = |e: &dyn std::fmt::Display| self.damage(&file.path, e);
        let metadata = footer.metadata().row_group(group);
        let ranges: Vec<_> = leaves.iter().map(|&l| metadata.column(l).byte_range()).map(|(at, n)| at..at + n).collect();
        let parts = self.ranges(&file.path, &ranges).await?;
        for (part, &leaf) in parts.iter().zip(&leaves) {
            if footer.checksums.get(group).and_then(|g| g.get(leaf)) != Some(&crc32c::crc32c(part)) {
                let column = metadata.column(leaf).column_path().string();
                return Err(damaged(&format!("the checksum of column `{column}` in row group {group} does not match")));
            }
        }
        let bytes = Arc::new(Fetched { length: file.bytes, parts: ranges.iter().map(|r| r.start).zip(parts).collect() });
        let mask = ProjectionMask::leaves(footer.arrow.parquet_schema(), leaves.iter().copied());
        let hint = Some(footer.schema().fields());
        let levels = parquet_to_arrow_field_levels(footer.arrow.parquet_schema(), mask, hint).map_err(|e| damaged(&e))?;
        let pages = GroupPages { metadata: footer.metadata(), group, bytes };
        let reader = ParquetRecordBatchReader::try_new_with_row_groups(&levels, &pages, metadata.num_rows() as usize, None);
        let mut reader = reader.map_err(|e| damaged(&e))?;
        let batch = reader.next().ok_or_else(|| damaged(&"an empty row group"))?.map_err(|e| damaged(&e))?;
        if batch.num_rows() as i64 != metadata.num_rows() {
            return Err(damaged(&"a row group has fewer rows than it says"));
        }
        Ok(leaves.into_iter().zip(batch.columns().iter().cloned().map(decimal::decode)).collect())
    }

    pub(super) async fn runs(&self, file: &FileMeta, footer: &OpenFooter, group: usize, tags: &[Arc<str>]) -> Result<Arc<SeriesRuns>> {
        let part = Part::Runs { group: group as u32 };
        if let Some(Decoded::Runs(runs)) = self.cache.get(file.id, part.clone()) {
            return Ok(runs);
        }
        // A measurement that gains a tag later does not change this file: absent tags are left out here, and are null.
        let present: Vec<(usize, Arc<str>)> = tags.iter().filter_map(|t| Some((footer.schema().index_of(t).ok()?, t.clone()))).collect();
        let decoded = self.decode(file, footer, group, present.iter().map(|p| p.0).collect()).await?;
        let column = |leaf: usize| decoded.iter().find(|d| d.0 == leaf).map(|d| d.1.clone());
        let columns: Vec<ArrayRef> = present.iter().filter_map(|p| column(p.0)).collect();
        let names: Vec<Arc<str>> = present.into_iter().map(|p| p.1).collect();
        let rows = footer.metadata().row_group(group).num_rows() as usize;
        let runs = Arc::new(SeriesRuns::of(&names, &columns, rows));
        self.cache.put(file.id, part, Decoded::Runs(runs.clone()));
        Ok(runs)
    }
}

/// The fetched byte ranges of a file, each from its offset.
pub struct Fetched {
    length: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Fetched {
    fn from(&self, start: u64) -> parquet::errors::Result<Bytes> {
        let part = self.parts.iter().find(|(at, b)| *at <= start && start < at + b.len() as u64);
        let outside = || parquet::errors::ParquetError::General(format!("byte {start} lies outside the columns read"));
        part.map(|(at, b)| b.slice((start - at) as usize..)).ok_or_else(outside)
    }
}

impl Length for Fetched {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Fetched {
    type T = Cursor<Bytes>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Cursor<Bytes>> {
        self.from(start).map(Cursor::new)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let bytes = self.from(start)?;
        match bytes.len() >= length {
            true => Ok(bytes.slice(..length)),
            false => Err(parquet::errors::ParquetError::EOF(format!("{length} bytes from {start} are not all there"))),
        }
    }
}

/// A file being read.
pub struct FileSource {
    pub reader: Arc<FileReader>,
    pub file: Arc<FileMeta>,
    pub schema: Arc<MeasurementSchema>,
    pub fields: Vec<Arc<str>>,
    pub filter: RowFilter,
    /// Those that apply to this file.
    pub tombstones: Vec<Arc<Tombstone>>,
    /// Row groups that may have wanted rows and were not read yet; `None` before the first.
    pub wanted_groups: Option<VecDeque<usize>>,
}

#[async_trait]
impl Source for FileSource {
    async fn next_block(&mut self) -> Result<Option<Rows>> {
        let footer = self.reader.footer(&self.file).await?;
        let time_name: Arc<str> = "time".into();
        let mut groups = match self.wanted_groups.take() {
            Some(groups) => groups,
            None => prune::row_groups(footer.metadata(), &self.filter).into(),
        };
        while let Some(group) = groups.pop_front() {
            let runs = self.reader.runs(&self.file, &footer, group, &self.schema.tags).await?;
            let wanted = self.filter.wanted(&runs)?;
            if !wanted.contains(&true) {
                continue;
            }
            let (mut time, time_fetched) = self.reader.columns(&self.file, &footer, group, std::slice::from_ref(&time_name)).await?;
            let time = time.pop().flatten().ok_or_else(|| self.reader.damage(&self.file.path, "it has no time column"))?;
            let time = time.as_primitive().clone();
            let spans = select(&runs, &wanted, time.values(), &self.filter, &self.tombstones);
            if spans.is_empty() {
                continue;
            }
            debug_assert_eq!(runs.starts.last().copied(), Some(time.len() as u32), "runs cover the row group");
            let (fields, fields_fetched) = self.reader.columns(&self.file, &footer, group, &self.fields).await?;
            self.wanted_groups = Some(groups);
            let block = Block { runs, time, fields };
            let held_bytes = block.bytes();
            return Ok(Some(Rows { block: Arc::new(block), spans, held_bytes, fetched: time_fetched || fields_fetched }));
        }
        self.wanted_groups = Some(groups);
        Ok(None)
    }

    fn has_more(&self) -> bool {
        self.wanted_groups.as_ref().is_none_or(|groups| !groups.is_empty())
    }
}

/// What a whole file says of itself, and what of its columns is damaged; or why it says nothing.
pub fn inspect(bytes: &Bytes) -> Result<(Footer, Option<String>), String> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(bytes).map_err(|e| e.to_string())?;
    let mut footer = own_footer(&metadata)?;
    let mut damage = None;
    for (group, checksums) in metadata.row_groups().iter().zip(&footer.columns) {
        for (column, checksum) in group.columns().iter().zip(checksums) {
            let (at, length) = column.byte_range();
            let part = at.checked_add(length).and_then(|end| bytes.get(at as usize..end as usize));
            if part.map(crc32c::crc32c) != Some(*checksum) {
                damage = Some(format!("the checksum of column `{}` does not match", column.column_path().string()));
            }
        }
    }
    footer.file = seal(footer.file, bytes).ok_or("it does not end as a Parquet file")?;
    Ok((footer, damage))
}

pub(super) fn own_footer(metadata: &ParquetMetaData) -> Result<Footer, String> {
    let entries = metadata.file_metadata().key_value_metadata();
    let text = entries.and_then(|e| e.iter().find(|e| e.key == FOOTER_KEY)).and_then(|e| e.value.as_deref());
    let footer: Footer = serde_json::from_str(text.ok_or("it was not written by Tidegauge")?).map_err(|e| e.to_string())?;
    let groups = metadata.row_groups();
    let covers = groups.len() == footer.columns.len() && groups.iter().zip(&footer.columns).all(|(g, c)| g.num_columns() == c.len());
    if covers { Ok(footer) } else { Err("its checksums do not cover its columns".to_string()) }
}
