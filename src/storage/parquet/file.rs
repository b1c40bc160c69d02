//! One Parquet file as a source of sorted blocks: footer, pruning of row groups by time, decoding of wanted columns.
//!
//! A block is a row group. Its tags are decoded once into runs; fields only when rows of the group are wanted.

use super::{
    cache::{Cache, Decoded, Part},
    writer::parquet_failure,
};
use crate::model::{Failure, MeasurementSchema, Result, schema::tag_type, schema::time_type};
use crate::storage::{
    block::{Block, RowFilter, SeriesRuns, Span, select},
    manifest::{FileMeta, Tombstone},
    merge::Source,
    object::Store,
};
use arrow::{
    array::{ArrayRef, AsArray},
    datatypes::{Field, Schema},
};
use async_trait::async_trait;
use bytes::Bytes;
use parquet::{
    arrow::{
        ProjectionMask,
        arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    file::{
        metadata::ParquetMetaDataReader,
        reader::{ChunkReader, Length},
        statistics::Statistics,
    },
};
use std::{io::Cursor, sync::Arc};

const TAIL_BYTES: u64 = 64 << 10;

/// Reads files of one store through one cache.
pub struct FileReader {
    pub store: Store,
    pub cache: Cache,
}

impl FileReader {
    async fn footer(&self, file: &FileMeta, schema: &MeasurementSchema) -> Result<Arc<ArrowReaderMetadata>> {
        if let Some(Decoded::Footer(footer)) = self.cache.get(file.id, Part::Footer) {
            return Ok(footer);
        }
        let damaged = |what: &str| Failure::internal(format!("damaged file `{}`: {what}", file.path));
        let from = file.bytes.saturating_sub(TAIL_BYTES);
        let mut tail = self.range(&file.path, from..file.bytes).await?;
        let Some(end) = tail.len().checked_sub(8).filter(|_| tail.ends_with(b"PAR1")) else {
            return Err(damaged("it does not end as a Parquet file"));
        };
        let length = u32::from_le_bytes([tail[end], tail[end + 1], tail[end + 2], tail[end + 3]]) as usize;
        if length > end {
            let start = file.bytes.checked_sub(length as u64 + 8).ok_or_else(|| damaged("its footer is longer than the file"))?;
            tail = self.range(&file.path, start..file.bytes).await?;
        }
        let end = tail.len() - 8;
        let metadata = ParquetMetaDataReader::decode_metadata(&tail[end - length..end]).map_err(|e| damaged(&e.to_string()))?;
        // Tags come out as dictionaries: the file says strings.
        let columns = metadata.file_metadata().schema_descr().columns().iter().map(|c| match c.name() {
            "time" => Field::new("time", time_type(), false),
            name if schema.is_tag(name) => Field::new(name, tag_type(), true),
            name => Field::new(name, schema.fields.get(name).map_or(tag_type(), |t| t.arrow()), true),
        });
        let hint = Arc::new(Schema::new(columns.collect::<Vec<_>>()));
        let options = ArrowReaderOptions::new().with_schema(hint);
        let footer = ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(|e| damaged(&e.to_string()))?;
        let footer = Arc::new(footer);
        self.cache.put(file.id, Part::Footer, Decoded::Footer(footer.clone()));
        Ok(footer)
    }

    async fn range(&self, path: &str, range: std::ops::Range<u64>) -> Result<Bytes> {
        let mut found = self.store.get_ranges(path, &[range]).await?;
        found.pop().ok_or_else(|| Failure::internal(format!("the store gave nothing of `{path}`")))
    }

    /// Columns of one row group, decoded; absent ones are `None`.
    async fn columns(
        &self,
        file: &FileMeta,
        footer: &ArrowReaderMetadata,
        group: usize,
        names: &[Arc<str>],
    ) -> Result<Vec<Option<ArrayRef>>> {
        let part = |name: &Arc<str>| Part::Column { group: group as u32, name: name.clone() };
        let mut out: Vec<Option<ArrayRef>> = vec![None; names.len()];
        let mut missing = vec![];
        for (i, name) in names.iter().enumerate() {
            match self.cache.get(file.id, part(name)) {
                Some(Decoded::Column(array)) => out[i] = Some(array),
                _ => missing.extend(footer.schema().index_of(name).ok().map(|leaf| (leaf, i))),
            }
        }
        for (leaf, array) in self.decode(file, footer, group, missing.iter().map(|m| m.0).collect()).await? {
            let i = missing.iter().find(|m| m.0 == leaf).expect("only missing columns were asked for").1;
            self.cache.put(file.id, part(&names[i]), Decoded::Column(array.clone()));
            out[i] = Some(array);
        }
        Ok(out)
    }

    async fn decode(
        &self,
        file: &FileMeta,
        footer: &ArrowReaderMetadata,
        group: usize,
        mut leaves: Vec<usize>,
    ) -> Result<Vec<(usize, ArrayRef)>> {
        if leaves.is_empty() {
            return Ok(vec![]);
        }
        leaves.sort_unstable();
        let damaged = |e: &dyn std::fmt::Display| Failure::internal(format!("damaged file `{}`: {e}", file.path));
        let metadata = footer.metadata().row_group(group);
        let ranges: Vec<_> = leaves.iter().map(|&l| metadata.column(l).byte_range()).map(|(at, n)| at..at + n).collect();
        let parts = self.store.get_ranges(&file.path, &ranges).await?;
        let bytes = Fetched { length: file.bytes, parts: ranges.iter().map(|r| r.start).zip(parts).collect() };
        let mask = ProjectionMask::leaves(footer.parquet_schema(), leaves.iter().copied());
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, footer.clone())
            .with_row_groups(vec![group])
            .with_projection(mask)
            .with_batch_size(metadata.num_rows() as usize)
            .build();
        let mut reader = reader.map_err(|e| damaged(&e))?;
        let batch = reader.next().ok_or_else(|| damaged(&"an empty row group"))?.map_err(|e| damaged(&e))?;
        if batch.num_rows() as i64 != metadata.num_rows() {
            return Err(damaged(&"a row group has fewer rows than it says"));
        }
        Ok(leaves.into_iter().zip(batch.columns().iter().cloned()).collect())
    }

    async fn runs(&self, file: &FileMeta, footer: &ArrowReaderMetadata, group: usize, tags: &[Arc<str>]) -> Result<Arc<SeriesRuns>> {
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
struct Fetched {
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
    pub next_group: usize,
}

#[async_trait]
impl Source for FileSource {
    async fn next_block(&mut self) -> Result<Option<(Arc<Block>, Vec<Span>)>> {
        let footer = self.reader.footer(&self.file, &self.schema).await?;
        let time_name: Arc<str> = "time".into();
        while self.next_group < footer.metadata().num_row_groups() {
            let group = self.next_group;
            self.next_group += 1;
            if let Some(Statistics::Int64(times)) = footer.metadata().row_group(group).column(0).statistics()
                && (times.max_opt().is_some_and(|t| *t < self.filter.time_min)
                    || times.min_opt().is_some_and(|t| *t > self.filter.time_max))
            {
                continue;
            }
            let runs = self.reader.runs(&self.file, &footer, group, &self.schema.tags).await?;
            let time = self.reader.columns(&self.file, &footer, group, std::slice::from_ref(&time_name)).await?.pop().flatten();
            let time = time.ok_or_else(|| Failure::internal(format!("damaged file `{}`: it has no time column", self.file.path)))?;
            let time = time.as_primitive().clone();
            let spans = select(&runs, time.values(), &self.filter, &self.tombstones)?;
            if spans.is_empty() {
                continue;
            }
            debug_assert_eq!(runs.starts.last().copied(), Some(time.len() as u32), "runs cover the row group");
            let fields = self.reader.columns(&self.file, &footer, group, &self.fields).await?;
            return Ok(Some((Arc::new(Block { runs, time, fields }), spans)));
        }
        Ok(None)
    }
}

/// Reads a whole file's footer metadata for checks; errors name the damage.
pub fn describe(bytes: &Bytes) -> Result<Option<String>> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(bytes).map_err(parquet_failure)?;
    let entries = metadata.file_metadata().key_value_metadata();
    Ok(entries.and_then(|e| e.iter().find(|e| e.key == super::writer::FOOTER_KEY)).and_then(|e| e.value.clone()))
}
