//! A Parquet file that is sent while it is written: a row group leaves as soon as it is complete.

use super::Encoder;
use crate::model::{Failure, Result};
use ::parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
};
use arrow::{datatypes::SchemaRef, record_batch::RecordBatch};

/// A row group ends when it has so many bytes: what is held of an answer.
const GROUP_BYTES: usize = 8 << 20;

pub struct RowGroups(ArrowWriter<Vec<u8>>);

fn failure(e: ParquetError) -> Failure {
    match e {
        ParquetError::NYI(what) => Failure::invalid(format!("the answer does not fit into Parquet: {what}; cast that column")),
        ParquetError::ArrowError(what) => Failure::invalid(format!("the answer does not fit into Parquet: {what}")),
        other => Failure::internal(other.to_string()),
    }
}

impl RowGroups {
    pub fn new(schema: &SchemaRef) -> Result<RowGroups> {
        let properties = WriterProperties::builder()
            .set_created_by("tidegauge".to_string())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1).map_err(failure)?))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .build();
        ArrowWriter::try_new(vec![], schema.clone(), Some(properties)).map(RowGroups).map_err(failure)
    }
}

impl Encoder for RowGroups {
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.0.write(batch).map_err(failure)?;
        if self.0.in_progress_size() >= GROUP_BYTES {
            self.0.flush().map_err(failure)?;
        }
        // The writer counts what it wrote, so its offsets hold although the bytes are taken away.
        out.append(self.0.inner_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.0.finish().map_err(failure)?;
        out.append(self.0.inner_mut());
        Ok(())
    }
}
