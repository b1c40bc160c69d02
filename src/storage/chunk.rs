//! Sorted rows of one measurement: what the buffer hands to readers and to the flush.

use crate::{
    model::{MeasurementSchema, Result},
    storage::{
        block::Block,
        buffer::sort::{Order, Unsorted},
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
    /// Write order against other chunks and files of the measurement, for rows that are equal in tags and time. The greatest one
    /// that a row came with.
    pub sequence: u64,
    /// Smallest and greatest time of the rows.
    pub time_min: i64,
    pub time_max: i64,
    /// As they came: equal ones each.
    pub row_count: usize,
    pub(super) columns: Arc<Columns>,
}

/// The rows as columns. They are sorted when the first one is asked for, since most questions are about other times than those of the
/// newest rows; and each field then when it is asked for, since most questions are about few of them. Clones of a chunk share what was made.
#[derive(Debug)]
pub struct Columns {
    unsorted: Option<Unsorted>,
    order: OnceLock<Order>,
    /// In the order of the schema's fields.
    fields: Box<[OnceLock<ArrayRef>]>,
}

impl Columns {
    pub fn later(field_count: usize, unsorted: Unsorted) -> Columns {
        let fields = (0..field_count).map(|_| OnceLock::new()).collect();
        Columns { unsorted: Some(unsorted), order: OnceLock::new(), fields }
    }

    fn unsorted(&self) -> &Unsorted {
        self.unsorted.as_ref().expect("what was not made before is made of rows")
    }
}

impl Chunk {
    fn order(&self) -> &Order {
        self.columns.order.get_or_init(|| self.columns.unsorted().order(&self.schema))
    }

    #[cfg(test)]
    pub fn is_sorted(&self) -> bool {
        self.columns.order.get().is_some()
    }

    pub fn time(&self) -> &TimestampNanosecondArray {
        &self.order().time
    }

    /// The rows with the named fields.
    pub fn block(&self, fields: &[Arc<str>]) -> Block {
        let column = |name: &Arc<str>| self.schema.fields.keys().position(|field| field == name).map(|at| self.field(at));
        let Order { runs, time, .. } = self.order();
        Block { runs: runs.clone(), time: time.clone(), fields: fields.iter().map(column).collect() }
    }

    /// The field at a place of the schema.
    fn field(&self, at: usize) -> ArrayRef {
        let make = || {
            let (name, field_type) = self.schema.fields.iter().nth(at).expect("a place of the schema");
            self.columns.unsorted().field(self.order(), name, *field_type)
        };
        self.columns.fields[at].get_or_init(make).clone()
    }

    /// The rows in the layout of `schema.arrow_schema()`.
    pub fn batch(&self) -> Result<RecordBatch> {
        let Order { runs, time, .. } = self.order();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(time.clone())];
        columns.extend(runs.tags.iter().map(|tag| runs.column(tag)));
        columns.extend((0..self.schema.fields.len()).map(|at| self.field(at)));
        Ok(RecordBatch::try_new(self.schema.arrow_schema(), columns)?)
    }

    /// Rows that are in order already, all of one sequence.
    #[cfg(test)]
    pub fn of(schema: Arc<MeasurementSchema>, batch: &RecordBatch, sequence: u64, time_min: i64, time_max: i64) -> Chunk {
        use crate::storage::block::SeriesRuns;
        use arrow::array::AsArray;
        let keys = 1 + schema.tags.len();
        let runs = Arc::new(SeriesRuns::of(&schema.tags, &batch.columns()[1..keys], batch.num_rows()));
        let order = OnceLock::from(Order::given(runs, batch.column(0).as_primitive().clone()));
        let fields = batch.columns()[keys..].iter().cloned().map(OnceLock::from).collect();
        let columns = Arc::new(Columns { unsorted: None, order, fields });
        Chunk { schema, sequence, time_min, time_max, row_count: batch.num_rows(), columns }
    }
}
