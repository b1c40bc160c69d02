//! Sorted rows of one measurement: what the buffer hands to readers and to the flush.

use crate::model::MeasurementSchema;
use arrow::record_batch::RecordBatch;
use std::sync::Arc;

/// Rows in the layout of `schema.arrow_schema()`, sorted by (tags in name order, nulls first; time), no two rows
/// equal in tags and time (fields were merged, the last write of each field won).
#[derive(Debug, Clone)]
pub struct Chunk {
    pub schema: Arc<MeasurementSchema>,
    pub batch: RecordBatch,
    /// Write order against other chunks and files of the measurement: where rows are equal in tags and time, the
    /// non-null fields of the higher sequence win.
    pub sequence: u64,
    /// Smallest and greatest time of the rows.
    pub time_min: i64,
    pub time_max: i64,
}
