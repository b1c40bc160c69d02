//! Sorted rows of one measurement: what the buffer hands to readers and to the flush.

use crate::{
    model::{MeasurementSchema, Result},
    storage::block::{Block, SeriesRuns},
};
use arrow::{
    array::{ArrayRef, TimestampNanosecondArray},
    record_batch::RecordBatch,
};
use std::sync::Arc;

/// Rows sorted by (tags in name order, nulls first; time), no two rows equal in tags and time (fields were merged).
#[derive(Debug, Clone)]
pub struct Chunk {
    pub schema: Arc<MeasurementSchema>,
    pub runs: Arc<SeriesRuns>,
    pub time: TimestampNanosecondArray,
    /// One of each field of `schema`, in its order.
    pub fields: Vec<ArrayRef>,
    /// Write order against other chunks and files of the measurement, for rows that are equal in tags and time. The greatest one
    /// that a row came with.
    pub sequence: u64,
    /// Smallest and greatest time of the rows.
    pub time_min: i64,
    pub time_max: i64,
}

impl Chunk {
    pub fn row_count(&self) -> usize {
        self.time.len()
    }

    /// The rows with the named fields.
    pub fn block(&self, fields: &[Arc<str>]) -> Block {
        let column = |name: &Arc<str>| self.schema.fields.keys().position(|field| field == name).map(|at| self.fields[at].clone());
        Block { runs: self.runs.clone(), time: self.time.clone(), fields: fields.iter().map(column).collect() }
    }

    /// The rows in the layout of `schema.arrow_schema()`.
    pub fn batch(&self) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.time.clone())];
        columns.extend(self.runs.tags.iter().map(|tag| self.runs.column(tag)));
        columns.extend(self.fields.iter().cloned());
        Ok(RecordBatch::try_new(self.schema.arrow_schema(), columns)?)
    }

    /// Rows that are in order already, all of one sequence.
    #[cfg(test)]
    pub fn of(schema: Arc<MeasurementSchema>, batch: &RecordBatch, sequence: u64, time_min: i64, time_max: i64) -> Chunk {
        use arrow::array::AsArray;
        let keys = 1 + schema.tags.len();
        let runs = Arc::new(SeriesRuns::of(&schema.tags, &batch.columns()[1..keys], batch.num_rows()));
        let (time, fields) = (batch.column(0).as_primitive().clone(), batch.columns()[keys..].to_vec());
        Chunk { schema, runs, time, fields, sequence, time_min, time_max }
    }
}
