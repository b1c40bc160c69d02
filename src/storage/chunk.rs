//! Sorted rows of one measurement: what the buffer hands to readers and to the flush.

use crate::{
    model::{MeasurementSchema, Result},
    storage::{
        block::{Block, SeriesRuns},
        buffer::sort::SortedRows,
    },
};
use arrow::{
    array::{ArrayRef, TimestampNanosecondArray},
    record_batch::RecordBatch,
};
use std::sync::{Arc, OnceLock};

/// Rows sorted by (tags in name order, nulls first; time), no two rows equal in tags and time (fields were merged).
#[derive(Debug, Clone)]
pub struct Chunk {
    pub schema: Arc<MeasurementSchema>,
    pub runs: Arc<SeriesRuns>,
    pub time: TimestampNanosecondArray,
    pub fields: Fields,
    /// Write order against other chunks and files of the measurement, for rows that are equal in tags and time. The greatest one
    /// that a row came with.
    pub sequence: u64,
    /// Smallest and greatest time of the rows.
    pub time_min: i64,
    pub time_max: i64,
}

/// One column of each field of a schema, in its order. Most questions are about few of them, so each is made when it is first asked
/// for; clones share them.
#[derive(Debug, Clone)]
pub struct Fields {
    columns: Arc<[OnceLock<ArrayRef>]>,
    rows: Option<Arc<SortedRows>>,
}

impl Fields {
    pub fn later(count: usize, rows: SortedRows) -> Fields {
        Fields { columns: (0..count).map(|_| OnceLock::new()).collect(), rows: Some(Arc::new(rows)) }
    }
}

impl Chunk {
    pub fn row_count(&self) -> usize {
        self.time.len()
    }

    /// The rows with the named fields.
    pub fn block(&self, fields: &[Arc<str>]) -> Block {
        let column = |name: &Arc<str>| self.schema.fields.keys().position(|field| field == name).map(|at| self.field(at));
        Block { runs: self.runs.clone(), time: self.time.clone(), fields: fields.iter().map(column).collect() }
    }

    /// The field at a place of the schema.
    fn field(&self, at: usize) -> ArrayRef {
        let make = || {
            let rows = self.fields.rows.as_ref().expect("fields without rows to make them of are there");
            let (name, field_type) = self.schema.fields.iter().nth(at).expect("a place of the schema");
            rows.field(name, *field_type)
        };
        self.fields.columns[at].get_or_init(make).clone()
    }

    /// The rows in the layout of `schema.arrow_schema()`.
    pub fn batch(&self) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.time.clone())];
        columns.extend(self.runs.tags.iter().map(|tag| self.runs.column(tag)));
        columns.extend((0..self.schema.fields.len()).map(|at| self.field(at)));
        Ok(RecordBatch::try_new(self.schema.arrow_schema(), columns)?)
    }

    /// Rows that are in order already, all of one sequence.
    #[cfg(test)]
    pub fn of(schema: Arc<MeasurementSchema>, batch: &RecordBatch, sequence: u64, time_min: i64, time_max: i64) -> Chunk {
        use arrow::array::AsArray;
        let keys = 1 + schema.tags.len();
        let runs = Arc::new(SeriesRuns::of(&schema.tags, &batch.columns()[1..keys], batch.num_rows()));
        let columns = batch.columns()[keys..].iter().cloned().map(OnceLock::from).collect();
        let (time, fields) = (batch.column(0).as_primitive().clone(), Fields { columns, rows: None });
        Chunk { schema, runs, time, fields, sequence, time_min, time_max }
    }
}
