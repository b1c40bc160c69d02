//! Work on one table at a time: ordered input is cut where the key changes, and a [`TableTransform`] gets each table.
//!
//! An empty table (a key without rows) travels as one row whose [`EMPTY`] column is true. Only the machinery here
//! sees that column: a transform is started for the table and finished without a row.

use super::operator::{Batches, Operator, OperatorNode};
use super::size::held_bytes;
use crate::model::runs::runs;
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, new_null_array},
    compute::BatchCoalescer,
    datatypes::SchemaRef,
    record_batch::RecordBatch,
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use futures::StreamExt;
use std::{any::Any, collections::VecDeque, fmt, sync::Arc};

/// Name of the column that marks the row of an empty table. No name a user can write holds this character.
pub const EMPTY: &str = "\u{0}empty";

/// Rows per batch given on, where tables are small.
const BATCH_ROWS: usize = 8192;

/// What to do with each table.
pub trait TableTransform: Any + fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;

    /// Begins a table. `first` is its first row (for an empty table: its key, the rest null), without the marker.
    fn start(&self, first: &RecordBatch) -> Result<Box<dyn TableState>>;
}

/// The work on one table.
pub trait TableState: Send {
    /// Takes the table's next rows; may give rows.
    fn push(&mut self, rows: &RecordBatch, out: &mut Vec<RecordBatch>) -> Result<()>;

    /// The table has ended; gives what is left.
    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()>;

    /// Bytes held.
    fn size(&self) -> usize {
        0
    }
}

#[derive(Debug)]
struct PerTable {
    key: Vec<String>,
    output_key: Vec<String>,
    transform: Arc<dyn TableTransform>,
}

/// Runs `transform` on every table of `input`, whose tables are told apart by `key`. The output has `schema`; where
/// that has an [`EMPTY`] column, a table that got no rows stays as an empty table with the values of `output_key`.
pub fn per_table(
    input: LogicalPlan,
    key: &[String],
    transform: Arc<dyn TableTransform>,
    schema: SchemaRef,
    output_key: &[String],
) -> Result<LogicalPlan> {
    let operator = PerTable { key: key.to_vec(), output_key: output_key.to_vec(), transform };
    OperatorNode::plan(Arc::new(operator), vec![input], schema)
}

/// The transform at the top of a plan, when it is a `T`, and its input.
pub fn as_transform<T: TableTransform>(plan: &LogicalPlan) -> Option<(&T, &LogicalPlan)> {
    let (per_table, input) = OperatorNode::as_operator::<PerTable>(plan)?;
    let transform: &dyn Any = per_table.transform.as_ref();
    Some((transform.downcast_ref()?, input))
}

impl Operator for PerTable {
    fn name(&self) -> &'static str {
        self.transform.name()
    }

    fn describe(&self) -> String {
        format!("by [{}]", self.key.join(", "))
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, memory: MemoryReservation) -> Result<Batches> {
        let input = inputs.remove(0);
        let input_schema = input.schema();
        let key = self.key.iter().map(|k| input_schema.index_of(k)).collect::<Result<Vec<_>, _>>()?;
        let work = Work {
            marker: input_schema.index_of(EMPTY).ok(),
            key,
            output_key: self.output_key.clone(),
            transform: self.transform.clone(),
            output_marker: schema.index_of(EMPTY).ok(),
            coalescer: BatchCoalescer::new(schema.clone(), BATCH_ROWS),
            schema,
            memory,
            current: None,
        };
        let state = (input, work, VecDeque::new(), false);
        Ok(futures::stream::try_unfold(state, |(mut input, mut work, mut ready, mut done)| async move {
            loop {
                if let Some(batch) = ready.pop_front() {
                    return Ok(Some((batch, (input, work, ready, done))));
                }
                if done {
                    return Ok(None);
                }
                match input.next().await {
                    Some(batch) => work.take(&batch?)?,
                    None => {
                        done = true;
                        work.end()?;
                    }
                }
                while let Some(batch) = work.coalescer.next_completed_batch() {
                    ready.push_back(batch);
                }
            }
        })
        .boxed())
    }
}

struct Work {
    marker: Option<usize>,
    key: Vec<usize>,
    output_key: Vec<String>,
    transform: Arc<dyn TableTransform>,
    schema: SchemaRef,
    output_marker: Option<usize>,
    coalescer: BatchCoalescer,
    memory: MemoryReservation,
    current: Option<Current>,
}

struct Current {
    key: Vec<ArrayRef>,
    first: RecordBatch,
    state: Box<dyn TableState>,
    row_count: usize,
}

impl Work {
    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let keys: Vec<ArrayRef> = self.key.iter().map(|k| batch.column(*k).clone()).collect();
        let tables = runs(&keys, batch.num_rows())?;
        let last = tables.len() - 1;
        for (at, range) in tables.into_iter().enumerate() {
            let rows = if range.len() == batch.num_rows() { batch.clone() } else { batch.slice(range.start, range.len()) };
            let empty = self.marker.is_some_and(|m| rows.column(m).as_boolean().value(0));
            let rows = self.without_marker(rows)?;
            // Keys are compared from batch to batch only.
            let is_compared = at == 0 || at == last;
            let key: Vec<ArrayRef> = keys.iter().filter(|_| is_compared).map(|k| k.slice(range.start, 1)).collect();
            let goes_on = at == 0 && self.current.as_ref().is_some_and(|c| same_key(&c.key, &key));
            if !goes_on {
                self.finish_table()?;
                let first = rows.slice(0, 1);
                let state = self.transform.start(&first)?;
                self.current = Some(Current { key, first, state, row_count: 0 });
            }
            if !empty {
                let mut out = vec![];
                let current = self.current.as_mut().expect("a table was begun above");
                current.state.push(&rows, &mut out)?;
                self.memory.try_resize(current.state.size())?;
                self.give(out)?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.finish_table()?;
        Ok(self.coalescer.finish_buffered_batch()?)
    }

    fn finish_table(&mut self) -> Result<()> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        let mut out = vec![];
        current.state.finish(&mut out)?;
        let row_count = current.row_count;
        let given: usize = out.iter().map(RecordBatch::num_rows).sum();
        self.give(out)?;
        self.memory.try_resize(0)?;
        if row_count + given == 0 && self.output_marker.is_some() {
            self.coalescer.push_batch(self.empty_table(&current.first)?)?;
        }
        Ok(())
    }

    fn give(&mut self, out: Vec<RecordBatch>) -> Result<()> {
        for batch in out {
            if let Some(current) = self.current.as_mut() {
                current.row_count += batch.num_rows();
            }
            let batch = match self.output_marker {
                Some(at) if batch.num_columns() + 1 == self.schema.fields().len() => {
                    let mut columns = batch.columns().to_vec();
                    columns.insert(at, Arc::new(BooleanArray::from(vec![false; batch.num_rows()])));
                    RecordBatch::try_new(self.schema.clone(), columns)?
                }
                _ => RecordBatch::try_new(self.schema.clone(), batch.columns().to_vec())?,
            };
            if batch.num_rows() > 0 {
                self.coalescer.push_batch(batch)?;
            }
        }
        Ok(())
    }

    fn empty_table(&self, first: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.schema.fields().iter().map(|f| -> Result<ArrayRef> {
            if f.name() == EMPTY {
                return Ok(Arc::new(BooleanArray::from(vec![true])));
            }
            let kept = self.output_key.contains(f.name()).then(|| first.column_by_name(f.name())).flatten();
            match kept {
                Some(value) => Ok(arrow::compute::cast(value, f.data_type())?),
                None => Ok(new_null_array(f.data_type(), 1)),
            }
        });
        Ok(RecordBatch::try_new(self.schema.clone(), columns.collect::<Result<Vec<_>>>()?)?)
    }

    fn without_marker(&self, rows: RecordBatch) -> Result<RecordBatch> {
        let Some(marker) = self.marker else { return Ok(rows) };
        let kept: Vec<usize> = (0..rows.num_columns()).filter(|i| *i != marker).collect();
        Ok(rows.project(&kept)?)
    }
}

/// Whether two one-row keys are equal; null equals null.
fn same_key(a: &[ArrayRef], b: &[ArrayRef]) -> bool {
    a.iter().zip(b).all(|(a, b)| arrow::compute::kernels::cmp::not_distinct(a, b).is_ok_and(|same| same.value(0)))
}

/// A transform that wants the whole table at once: rows in, rows out. It holds one table in memory.
pub struct WholeTable<F> {
    pub name: &'static str,
    pub input: SchemaRef,
    pub run: Arc<F>,
}

impl<F> fmt::Debug for WholeTable<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Gets the table's first row (its key) and all of its rows.
pub trait WholeTableFn: Fn(&RecordBatch, &RecordBatch) -> Result<RecordBatch> + Send + Sync + 'static {}
impl<F: Fn(&RecordBatch, &RecordBatch) -> Result<RecordBatch> + Send + Sync + 'static> WholeTableFn for F {}

impl<F: WholeTableFn> TableTransform for WholeTable<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&self, first: &RecordBatch) -> Result<Box<dyn TableState>> {
        Ok(Box::new(Held { schema: first.schema(), first: first.clone(), rows: vec![], bytes: 0, run: self.run.clone() }))
    }
}

struct Held<F> {
    schema: SchemaRef,
    first: RecordBatch,
    rows: Vec<RecordBatch>,
    bytes: usize,
    run: Arc<F>,
}

impl<F: WholeTableFn> TableState for Held<F> {
    fn push(&mut self, rows: &RecordBatch, _out: &mut Vec<RecordBatch>) -> Result<()> {
        self.bytes += held_bytes(rows);
        self.rows.push(rows.clone());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()> {
        let table = match self.rows.as_slice() {
            [one] => one.clone(),
            rows => arrow::compute::concat_batches(&self.schema, rows)?,
        };
        out.push((self.run)(&self.first, &table)?);
        Ok(())
    }

    fn size(&self) -> usize {
        self.bytes
    }
}
