//! Work on one table at a time: ordered input is cut where the key changes, and a [`TableTransform`] gets each table.
//!
//! An empty table (a key without rows) travels as one row whose [`EMPTY`] column is true. Only the machinery here
//! sees that column: a transform is started for the table and finished without a row.
//!
//! Where a transform leaves key columns of its answer to the machinery here, they are made for many tables at once.

use super::operator::{Batches, Operator, OperatorNode};
use super::size::held_bytes;
use crate::model::runs::runs;
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array, new_null_array},
    compute::{BatchCoalescer, cast, interleave, take},
    datatypes::SchemaRef,
    record_batch::RecordBatch,
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use futures::StreamExt;
use std::{any::Any, collections::VecDeque, fmt, ops::Range, sync::Arc};

/// Name of the column that marks the row of an empty table. No name a user can write holds this character.
pub const EMPTY: &str = "\u{0}empty";

/// Rows per batch given on, where tables are small.
const BATCH_ROWS: usize = 8192;

/// What to do with each table.
pub trait TableTransform: Any + fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;

    /// Columns of the answer that have the value of the table's first row in all rows. The batches that a state gives are
    /// without them.
    fn copied(&self) -> &[String] {
        &[]
    }

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

    fn optional(&self) -> &[String] {
        self.transform.copied()
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, memory: MemoryReservation) -> Result<Batches> {
        let input = inputs.remove(0);
        let input_schema = input.schema();
        let key = self.key.iter().map(|k| input_schema.index_of(k)).collect::<Result<Vec<_>, _>>()?;
        let is_copied = |at: &usize| self.transform.copied().contains(schema.field(*at).name());
        let (copied, made): (Vec<usize>, Vec<usize>) = (0..schema.fields().len()).partition(is_copied);
        let source = |to: usize| Ok(Copied { from: input_schema.index_of(schema.field(to).name())?, to });
        let copied = copied.into_iter().map(source).collect::<Result<_>>()?;
        let made = Arc::new(schema.project(&made)?);
        let work = Work {
            marker: input_schema.index_of(EMPTY).ok(),
            key,
            output_key: self.output_key.clone(),
            copied,
            transform: self.transform.clone(),
            output_marker: made.index_of(EMPTY).ok(),
            coalescer: BatchCoalescer::new(made.clone(), BATCH_ROWS),
            made,
            schema,
            memory,
            current: None,
            waiting: VecDeque::new(),
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
                while let Some(batch) = work.next_completed_batch()? {
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
    /// Columns that the transform leaves to us.
    copied: Vec<Copied>,
    transform: Arc<dyn TableTransform>,
    schema: SchemaRef,
    /// The columns of the answer that are not copied.
    made: SchemaRef,
    /// Among `made`.
    output_marker: Option<usize>,
    coalescer: BatchCoalescer,
    memory: MemoryReservation,
    current: Option<Current>,
    /// Whose the coalescer's rows are, one after the other, and how many; where columns are copied.
    waiting: VecDeque<(Begun, usize)>,
}

/// A column of the input and its place in the answer.
struct Copied {
    from: usize,
    to: usize,
}

struct Current {
    key: Vec<ArrayRef>,
    first: RecordBatch,
    begun: Begun,
    state: Box<dyn TableState>,
    row_count: usize,
}

/// The copied columns of a table: a row of those of all tables that begin in one batch.
#[derive(Clone)]
struct Begun {
    values: Arc<[ArrayRef]>,
    row: usize,
}

impl Work {
    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let keys: Vec<ArrayRef> = self.key.iter().map(|k| batch.column(*k).clone()).collect();
        let tables = runs(&keys, batch.num_rows())?;
        let last = tables.len() - 1;
        let values = self.first_values(batch, &tables)?;
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
                let begun = Begun { values: values.clone(), row: at };
                self.current = Some(Current { key, first, begun, state, row_count: 0 });
            }
            if !empty && let Some(mut current) = self.current.take() {
                let mut out = vec![];
                current.state.push(&rows, &mut out)?;
                self.memory.try_resize(current.state.size() + out.iter().map(held_bytes).sum::<usize>())?;
                self.give(&mut current, out)?;
                self.current = Some(current);
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
        self.memory.try_resize(current.state.size() + out.iter().map(held_bytes).sum::<usize>())?;
        self.give(&mut current, out)?;
        self.memory.try_resize(0)?;
        if current.row_count == 0 && self.output_marker.is_some() {
            let empty = self.empty_table(&current.first)?;
            self.keep(&current, empty)?;
        }
        Ok(())
    }

    fn give(&mut self, current: &mut Current, out: Vec<RecordBatch>) -> Result<()> {
        for batch in out {
            if batch.num_rows() == 0 {
                continue;
            }
            current.row_count += batch.num_rows();
            let mut columns = batch.columns().to_vec();
            if let Some(at) = self.output_marker.filter(|_| columns.len() + 1 == self.made.fields().len()) {
                columns.insert(at, Arc::new(BooleanArray::from(vec![false; batch.num_rows()])));
            }
            self.keep(current, RecordBatch::try_new(self.made.clone(), columns)?)?;
        }
        Ok(())
    }

    fn keep(&mut self, current: &Current, batch: RecordBatch) -> Result<()> {
        if !self.copied.is_empty() {
            self.waiting.push_back((current.begun.clone(), batch.num_rows()));
        }
        Ok(self.coalescer.push_batch(batch)?)
    }

    /// The copied columns of the first rows of tables. Rows of their own: a table must not keep its whole batch in memory.
    fn first_values(&self, batch: &RecordBatch, tables: &[Range<usize>]) -> Result<Arc<[ArrayRef]>> {
        if self.copied.is_empty() {
            return Ok(Arc::new([]));
        }
        let rows = UInt32Array::from_iter_values(tables.iter().map(|t| t.start as u32));
        let value = |copied: &Copied| Ok(cast(&take(batch.column(copied.from), &rows, None)?, self.schema.field(copied.to).data_type())?);
        self.copied.iter().map(value).collect()
    }

    fn next_completed_batch(&mut self) -> Result<Option<RecordBatch>> {
        let Some(made) = self.coalescer.next_completed_batch() else { return Ok(None) };
        if self.copied.is_empty() {
            return Ok(Some(made));
        }
        // The tables of these rows, and which of them each row is of.
        let (mut tables, mut table_of) = (vec![], Vec::with_capacity(made.num_rows()));
        while table_of.len() < made.num_rows() {
            let (begun, count) = self.waiting.front_mut().expect("every row is of a table that waits");
            let taken = (made.num_rows() - table_of.len()).min(*count);
            table_of.resize(table_of.len() + taken, tables.len() as u32);
            tables.push(begun.clone());
            *count -= taken;
            if *count == 0 {
                self.waiting.pop_front();
            }
        }
        let table_of = UInt32Array::from(table_of);
        // Tables that began in one batch stand one after the other.
        let mut sources: Vec<&Arc<[ArrayRef]>> = vec![];
        let mut places = Vec::with_capacity(tables.len());
        for table in &tables {
            if sources.last().is_none_or(|last| !Arc::ptr_eq(last, &table.values)) {
                sources.push(&table.values);
            }
            places.push((sources.len() - 1, table.row));
        }
        let mut made = made.columns().iter().cloned();
        let columns = (0..self.schema.fields().len()).map(|to| -> Result<ArrayRef> {
            let Some(at) = self.copied.iter().position(|copied| copied.to == to) else {
                return Ok(made.next().expect("made, since it is not copied"));
            };
            let values: Vec<&dyn Array> = sources.iter().map(|source| source[at].as_ref()).collect();
            Ok(take(&interleave(&values, &places)?, &table_of, None)?)
        });
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns.collect::<Result<Vec<_>>>()?)?))
    }

    fn empty_table(&self, first: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.made.fields().iter().map(|f| -> Result<ArrayRef> {
            if f.name() == EMPTY {
                return Ok(Arc::new(BooleanArray::from(vec![true])));
            }
            let kept = self.output_key.contains(f.name()).then(|| first.column_by_name(f.name())).flatten();
            match kept {
                Some(value) => Ok(cast(value, f.data_type())?),
                None => Ok(new_null_array(f.data_type(), 1)),
            }
        });
        Ok(RecordBatch::try_new(self.made.clone(), columns.collect::<Result<Vec<_>>>()?)?)
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

    /// The rows, and those that are made of them.
    fn size(&self) -> usize {
        self.bytes * 2
    }
}
