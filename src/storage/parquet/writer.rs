//! Sorted batches of one measurement -> the bytes of one Parquet file.
//!
//! Key-value metadata `tidegauge.file` holds [`Footer`] as JSON, from which the manifest can be rebuilt, and the checksum
//! of every column of every row group: Parquet has none that this writer fills in, and a flipped bit must not become a
//! value. Time is delta-packed; so are integers and floats that are decimals ([`Decimals`]) unless they take only a few values, for which
//! a dictionary is smaller. Other floats take a larger dictionary while that is small, else byte-stream-split; tags take dictionaries. Row
//! groups hold 65,536 rows, or 32 MiB where these are more; pages hold 8,192 rows.

use super::decimal::Decimals;
use crate::model::{BucketId, Failure, FieldType, MeasurementSchema, Result};
use crate::storage::{block::row_bytes, give_way, manifest::FileMeta};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{Fields, Int32Type, Schema, TimestampNanosecondType};
use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, Encoding, ZstdLevel},
    file::{
        metadata::{KeyValue, SortingColumn},
        properties::{WriterProperties, WriterVersion},
    },
    schema::types::ColumnPath,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

pub const FOOTER_KEY: &str = "tidegauge.file";
pub const ROW_GROUP_ROWS: usize = 65_536;
const PAGE_ROWS: usize = 8_192;
/// A column of so many distinct integers takes a dictionary. Ten levels far apart: 0.4 bytes a value against 2.0 delta-packed; a random
/// walk over a hundred levels: 1.0 against 0.4.
const FEW_VALUES: usize = 16;
/// Bytes of a row group as it is in memory, where rows are long: a reader decodes a row group at a time.
const ROW_GROUP_BYTES: usize = 32 << 20;
/// So many rows are encoded between two times that others may have the processor.
const ROWS_BETWEEN: usize = 4_096;

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Footer {
    pub format: u32,
    pub bucket: BucketId,
    pub tags: Vec<Arc<str>>,
    pub fields: BTreeMap<Arc<str>, FieldType>,
    /// CRC32C of the bytes of each column, per row group.
    pub columns: Vec<Vec<u32>>,
    /// `bytes` and the checksums are zero here: a file cannot hold its own.
    pub file: FileMeta,
}

/// A file being written. Bytes of finished row groups can be taken away while it grows.
pub struct FileWriter {
    decimals: Decimals,
    writer: ArrowWriter<Vec<u8>>,
    footer: Footer,
    /// Length and CRC32C of the bytes that were taken.
    taken: u64,
    checksum: u32,
}

impl FileWriter {
    /// `meta` names the file; rows, times, keys, bytes and checksum are filled in by writing.
    pub fn new(bucket: BucketId, schema: &MeasurementSchema, decimals: Decimals, meta: FileMeta) -> Result<FileWriter> {
        let column = |name: &str| ColumnPath::new(vec![name.to_string()]);
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_created_by("tidegauge".to_string())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).map_err(parquet_failure)?))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_data_page_row_count_limit(PAGE_ROWS)
            .set_write_batch_size(1024)
            .set_sorting_columns(Some(
                (1..=schema.tags.len() as i32)
                    .chain([0])
                    .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: true })
                    .collect(),
            ))
            .set_column_dictionary_enabled(column("time"), false)
            .set_column_encoding(column("time"), Encoding::DELTA_BINARY_PACKED);
        for tag in &schema.tags {
            properties = properties.set_column_dictionary_page_size_limit(column(tag), 16 << 20);
        }
        for (name, field_type) in &schema.fields {
            properties = match field_type {
                FieldType::Float if decimals.stored(name).is_none() => properties
                    .set_column_dictionary_page_size_limit(column(name), 128 << 10)
                    .set_column_encoding(column(name), Encoding::BYTE_STREAM_SPLIT),
                FieldType::Integer | FieldType::Unsigned | FieldType::Float => properties
                    .set_column_dictionary_page_size_limit(column(name), FEW_VALUES * 8)
                    .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED),
                FieldType::String | FieldType::Boolean => properties,
            };
        }
        // The Arrow schema is left out: readers then see tags as the strings that they are.
        let options = ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
        let layout = schema.arrow_schema();
        let stored = layout.fields().iter().map(|field| match decimals.stored(field.name()) {
            Some(decimal) => Arc::new(field.as_ref().clone().with_data_type(decimal)),
            None => field.clone(),
        });
        let stored = Arc::new(Schema::new(stored.collect::<Fields>()));
        let writer = ArrowWriter::try_new_with_options(Vec::new(), stored, options).map_err(parquet_failure)?;
        let meta = FileMeta { rows: 0, bytes: 0, checksum: 0, footer_checksum: 0, time_min: i64::MAX, time_max: i64::MIN, ..meta };
        let footer = Footer { format: 1, bucket, tags: schema.tags.clone(), fields: schema.fields.clone(), columns: vec![], file: meta };
        Ok(FileWriter { decimals, writer, footer, taken: 0, checksum: 0 })
    }

    /// Appends rows in the layout of the schema; over all calls they are sorted by (tags, time).
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let file = &mut self.footer.file;
        if file.rows == 0 {
            file.key_min = key_at(batch, &self.footer.tags, 0);
        }
        file.key_max = key_at(batch, &self.footer.tags, batch.num_rows() - 1);
        file.rows += batch.num_rows() as u64;
        for &time in batch.column(0).as_primitive::<TimestampNanosecondType>().values() {
            file.time_min = file.time_min.min(time);
            file.time_max = file.time_max.max(time);
        }
        let batch = &self.decimals.encode(batch)?;
        let row_bytes = row_bytes(batch.columns(), batch.num_rows());
        let fitting = (ROW_GROUP_BYTES / row_bytes.max(1)).max(1);
        for from in (0..batch.num_rows()).step_by(fitting) {
            let rows = fitting.min(batch.num_rows() - from);
            if self.writer.in_progress_rows() > 0 && self.writer.in_progress_rows() + rows > fitting {
                self.writer.flush().map_err(parquet_failure)?;
            }
            for at in (from..from + rows).step_by(ROWS_BETWEEN) {
                self.writer.write(&batch.slice(at, ROWS_BETWEEN.min(from + rows - at))).map_err(parquet_failure)?;
                give_way();
            }
        }
        Ok(())
    }

    /// The bytes of row groups that were finished since the last call.
    pub fn take(&mut self) -> Result<Bytes> {
        self.settle()?;
        let bytes = std::mem::take(self.writer.inner_mut());
        self.taken += bytes.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, &bytes);
        Ok(bytes.into())
    }

    /// Takes down the checksums of finished row groups while their bytes are here.
    fn settle(&mut self) -> Result<()> {
        self.writer.sync().map_err(|e| Failure::internal(format!("Parquet: {e}")))?;
        let written = self.writer.inner();
        for group in &self.writer.flushed_row_groups()[self.footer.columns.len()..] {
            let ranges = group.columns().iter().map(|c| c.byte_range()).map(|(at, length)| (at - self.taken, length));
            let checksums = ranges.map(|(at, length)| crc32c::crc32c(&written[at as usize..(at + length) as usize]));
            self.footer.columns.push(checksums.collect());
        }
        Ok(())
    }

    /// The bytes that were not taken, and what the manifest says of the file.
    pub fn finish(mut self) -> Result<(Bytes, FileMeta)> {
        self.writer.flush().map_err(parquet_failure)?;
        self.settle()?;
        let text = serde_json::to_string(&self.footer).expect("plain data with string keys is always JSON");
        self.writer.append_key_value_metadata(KeyValue::new(FOOTER_KEY.to_string(), text));
        let bytes = Bytes::from(self.writer.into_inner().map_err(parquet_failure)?);
        // Only row groups are taken, so the footer is all here.
        let sealed = seal(self.footer.file, &bytes).ok_or_else(|| Failure::internal("Parquet: a file was written without a footer"))?;
        let checksum = crc32c::crc32c_append(self.checksum, &bytes);
        Ok((bytes, FileMeta { bytes: self.taken + sealed.bytes, checksum, ..sealed }))
    }
}

/// Adds what only the finished bytes tell; `None` when they are no Parquet file.
pub fn seal(file: FileMeta, bytes: &[u8]) -> Option<FileMeta> {
    let footer_checksum = crc32c::crc32c(&bytes[footer_start(bytes)?..]);
    Some(FileMeta { bytes: bytes.len() as u64, checksum: crc32c::crc32c(bytes), footer_checksum, ..file })
}

/// Where the footer begins in the last bytes of a file. `None`: they are not the end of a Parquet file, or too few.
pub fn footer_start(tail: &[u8]) -> Option<usize> {
    let end = tail.len().checked_sub(8).filter(|_| tail.ends_with(b"PAR1"))?;
    let length = u32::from_le_bytes([tail[end], tail[end + 1], tail[end + 2], tail[end + 3]]) as usize;
    end.checked_sub(length)
}

fn key_at(batch: &RecordBatch, tags: &[Arc<str>], row: usize) -> Vec<(Arc<str>, Arc<str>)> {
    let value = |column: usize| -> Option<Arc<str>> {
        let tag = batch.column(column).as_dictionary::<Int32Type>();
        let code = tag.key(row)?;
        let values = tag.values().as_string::<i32>();
        values.is_valid(code).then(|| values.value(code).into())
    };
    tags.iter().enumerate().filter_map(|(i, name)| Some((name.clone(), value(i + 1)?))).collect()
}

pub fn parquet_failure(e: parquet::errors::ParquetError) -> Failure {
    Failure::internal(format!("Parquet: {e}"))
}
