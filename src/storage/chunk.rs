//! Sorted rows of one measurement: what the buffer hands to readers and to the flush.

use crate::{
    model::MeasurementSchema,
    storage::block::{Block, SeriesRuns, block_of},
};
use arrow::record_batch::RecordBatch;
use std::sync::{Arc, OnceLock};

/// Rows in the layout of `schema.arrow_schema()`, sorted by (tags in name order, nulls first; time), no two rows
/// equal in tags and time (fields were merged).
#[derive(Debug, Clone)]
pub struct Chunk {
    pub schema: Arc<MeasurementSchema>,
    pub batch: RecordBatch,
    /// Write order against other chunks and files of the measurement, for rows that are equal in tags and time. The greatest one
    /// that a row came with.
    pub sequence: u64,
    /// Smallest and greatest time of the rows.
    pub time_min: i64,
    pub time_max: i64,
    /// Found by the first reader; clones share it.
    runs: Arc<OnceLock<Arc<SeriesRuns>>>,
}

impl Chunk {
    pub fn new(schema: Arc<MeasurementSchema>, batch: RecordBatch, sequence: u64, time_min: i64, time_max: i64) -> Chunk {
        Chunk { schema, batch, sequence, time_min, time_max, runs: Arc::default() }
    }

    /// The rows with the named fields.
    pub fn block(&self, fields: &[Arc<str>]) -> Block {
        let columns = &self.batch.columns()[1..=self.schema.tags.len()];
        let runs = self.runs.get_or_init(|| Arc::new(SeriesRuns::of(&self.schema.tags, columns, self.batch.num_rows())));
        block_of(&self.batch, runs.clone(), fields)
    }
}
