//! Reductions by group and time window: all of them in one pass over rows in any order of series.
//!
//! The input is cut into slices of one group, one window and times that do not decrease; each reduction gets whole
//! slices. Rows of one series stand together, so that looking up group and window costs little. Groups and windows are
//! held in memory and charged to the query; so are all values where a reduction needs them.

mod collect;
mod fold;
mod pick;

use super::{
    gap_fill::Windows,
    groups::Groups,
    operator::{Batches, Newest, Operator, OperatorNode},
};
use crate::model::{Failure, Timestamp, schema::time_type};
use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, TimestampNanosecondArray, UInt32Array, new_null_array, types::TimestampNanosecondType,
    },
    compute::take,
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use futures::{StreamExt, TryStreamExt};
use std::{collections::HashMap, ops::Range, sync::Arc};

const BATCH_ROWS: usize = 8192;

/// What becomes of the values of a group. Nulls take no part; a group without values has no result.
#[derive(Debug, Clone, PartialEq)]
pub enum Reduction {
    Count,
    CountDistinct,
    Sum,
    Mean,
    Median,
    /// Of the most frequent values the earliest.
    Mode,
    Spread,
    /// Of a sample; NaN for one value.
    Stddev,
    /// Area under the line through the points, cut at the borders of windows by interpolation (InfluxDB 1.8).
    Integral {
        unit_ns: i64,
    },
    First,
    Last,
    Min,
    Max,
    /// InfluxQL's percentile, one of the values.
    Percentile(f64),
    /// The values, each once, in order of first appearance.
    Distinct,
    /// The greatest or smallest `count` values in time order; at most one for each value of the first `by` carried columns.
    Extremes {
        extreme: Extreme,
        count: usize,
        by: usize,
    },
    /// Any `count` points, in time order.
    Sample {
        count: usize,
        seed: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extreme {
    Greatest,
    Smallest,
}

impl Reduction {
    /// The type of the result; `None` for a column type it does not take.
    pub fn output(&self, input: &DataType) -> Option<DataType> {
        let number = matches!(input, DataType::Float64 | DataType::Int64 | DataType::UInt64);
        let float = number.then_some(DataType::Float64);
        match self {
            Reduction::Count | Reduction::CountDistinct => Some(DataType::Int64),
            Reduction::Mean | Reduction::Median | Reduction::Stddev | Reduction::Integral { .. } => float,
            Reduction::Sum | Reduction::Spread | Reduction::Percentile(_) | Reduction::Extremes { .. } => number.then(|| input.clone()),
            Reduction::Min | Reduction::Max => (number || *input == DataType::Boolean).then(|| input.clone()),
            Reduction::First | Reduction::Last | Reduction::Mode | Reduction::Distinct | Reduction::Sample { .. } => Some(input.clone()),
        }
    }

    /// Whether a group may have several results; such a reduction stands alone.
    pub fn is_many(&self) -> bool {
        matches!(self, Reduction::Distinct | Reduction::Extremes { .. } | Reduction::Sample { .. })
    }

    /// Whether the result is one of the points, with a time and a row of its own.
    pub fn is_selector(&self) -> bool {
        use Reduction::*;
        matches!(self, First | Last | Min | Max | Percentile(_) | Extremes { .. } | Sample { .. })
    }
}

/// One reduction of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub reduction: Reduction,
    pub input: String,
    /// Name of the result's column.
    pub output: String,
    /// Takes also the rows outside of [`Reduce::bounds`], which were read for what follows.
    pub beyond_bounds: bool,
}

/// The time of a row of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowTime {
    /// The start of the window.
    Window,
    /// The point's own; for one selector only.
    Point,
    /// Without windows: this time.
    Constant(Timestamp),
}

/// What to reduce, by what.
#[derive(Debug, Clone)]
pub struct Reduce {
    /// Text columns that tell groups apart; absent and empty are one.
    pub key: Vec<String>,
    pub time: String,
    pub windows: Option<Windows>,
    pub calls: Vec<Call>,
    /// Columns of the selected row, where there is one selector.
    pub carried: Vec<String>,
    /// First and last instant of the rows asked for.
    pub bounds: (Timestamp, Timestamp),
    pub row_time: RowTime,
    /// Order of the answer: by key (absent first), then time; all of it reversed when descending.
    pub descending: bool,
    /// Adds a column [`Reduce::presence`] for each call: whether the group has any result of it.
    pub with_presence: bool,
}

impl Reduce {
    /// Name of the column that says whether the group has results of call `at`.
    pub fn presence(at: usize) -> String {
        format!("has {at}")
    }
}

/// Key columns (as texts), time, results, carried columns (dictionaries as texts), and presence when asked for.
pub fn reduce(input: LogicalPlan, spec: Reduce) -> crate::model::Result<LogicalPlan> {
    let from = input.schema().as_arrow().clone();
    let mut fields: Vec<Field> = spec.key.iter().map(|k| Field::new(k, DataType::Utf8, true)).collect();
    fields.push(Field::new(&spec.time, time_type(), true));
    for call in &spec.calls {
        let input = from.field_with_name(&call.input)?.data_type();
        let output = call.reduction.output(input).ok_or_else(|| Failure::invalid(format!("{:?} does not take {input}", call.reduction)))?;
        fields.push(Field::new(&call.output, output, true));
    }
    for name in &spec.carried {
        let data_type = match from.field_with_name(name)?.data_type() {
            DataType::Dictionary(_, value) => value.as_ref().clone(),
            other => other.clone(),
        };
        fields.push(Field::new(name, data_type, true));
    }
    if spec.with_presence {
        fields.extend((0..spec.calls.len()).map(|at| Field::new(Reduce::presence(at), DataType::Boolean, true)));
    }
    Ok(OperatorNode::plan(Arc::new(spec), vec![input], Arc::new(Schema::new(fields)))?)
}

impl Operator for Reduce {
    fn name(&self) -> &'static str {
        "Reduce"
    }

    fn describe(&self) -> String {
        let calls: Vec<String> = self.calls.iter().map(|c| format!("{:?}({})", c.reduction, c.input)).collect();
        format!("{} by [{}], {:?}", calls.join(", "), self.key.join(", "), self.windows)
    }

    fn newest(&self) -> Option<Newest> {
        let lasts = self.windows.is_none() && self.calls.iter().all(|c| c.reduction == Reduction::Last);
        let complete = self.calls.iter().map(|c| c.input.clone()).collect();
        lasts.then(|| Newest { count: 1, complete, by: self.key.clone(), time: self.time.clone() })
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, memory: MemoryReservation) -> Result<Batches> {
        let mut input = inputs.remove(0);
        let mut work = Work::new(self.clone(), &input.schema())?;
        let work = async move {
            while let Some(batch) = input.try_next().await? {
                work.take(&batch)?;
                memory.try_resize(work.size())?;
            }
            drop(input);
            let answer = work.finish(&schema)?;
            memory.try_resize(answer.get_array_memory_size())?;
            let starts: Vec<usize> = (0..answer.num_rows()).step_by(BATCH_ROWS).collect();
            Result::<_>::Ok(futures::stream::iter(starts).map(move |start| -> Result<RecordBatch> {
                // The reservation lives as long as the rows do.
                let _charged = &memory;
                Ok(answer.slice(start, BATCH_ROWS.min(answer.num_rows() - start)))
            }))
        };
        Ok(futures::stream::once(work).try_flatten().boxed())
    }
}

/// One reduction at work. A slot is one window of one group.
trait Accumulator: Send {
    /// Takes rows of one slot; their times do not decrease.
    fn update(&mut self, slot: usize, times: &[i64], column: &ArrayRef, rows: Range<usize>) -> Result<()>;

    /// The batch whose rows were taken ends.
    fn end_batch(&mut self, _column: &ArrayRef, _carried: &[ArrayRef]) -> Result<()> {
        Ok(())
    }

    fn finish(&mut self, slots: &Slots) -> Result<Outcome>;

    fn size(&self) -> usize;
}

/// The results of one reduction.
struct Outcome {
    values: ArrayRef,
    /// The slot of each value; `None`: one value for each slot.
    rows: Option<Vec<usize>>,
    /// The points' times, of selectors.
    times: Option<Vec<i64>>,
    /// Columns of the points' rows; none when there were no points.
    carried: Vec<ArrayRef>,
}

impl Outcome {
    fn per_slot(values: ArrayRef) -> Outcome {
        Outcome { values, rows: None, times: None, carried: vec![] }
    }
}

/// Slots by group and window.
#[derive(Default)]
struct Slots {
    /// Group and window start of each slot.
    of: Vec<(u32, i64)>,
    numbers: HashMap<(u32, i64), u32, ahash::RandomState>,
}

impl Slots {
    fn len(&self) -> usize {
        self.of.len()
    }

    fn group(&self, slot: usize) -> u32 {
        self.of[slot].0
    }

    fn find(&self, group: u32, start: i64) -> Option<usize> {
        self.numbers.get(&(group, start)).map(|n| *n as usize)
    }

    /// Without windows all slots share this start.
    fn only_start(&self) -> i64 {
        self.of.first().map_or(0, |(_, start)| *start)
    }

    fn number(&mut self, group: u32, start: i64) -> usize {
        let next = self.of.len() as u32;
        let number = *self.numbers.entry((group, start)).or_insert(next);
        if number == next {
            self.of.push((group, start));
        }
        number as usize
    }
}

struct Work {
    spec: Reduce,
    key: Vec<usize>,
    time: usize,
    inputs: Vec<usize>,
    carried: Vec<usize>,
    accumulators: Vec<Box<dyn Accumulator>>,
    groups: Groups,
    slots: Slots,
}

fn accumulator(call: &Call, input: &DataType, spec: &Reduce) -> Result<Box<dyn Accumulator>> {
    if call.reduction.output(input).is_none() {
        return Err(Failure::internal(format!("{:?} was planned for {input}", call.reduction)).into());
    }
    let known = fold::folding(&call.reduction, input).or_else(|| pick::picking(&call.reduction, input));
    Ok(known.unwrap_or_else(|| Box::new(collect::Collecting::new(call.reduction.clone(), spec.windows, spec.bounds.0, spec.descending))))
}

impl Work {
    fn new(spec: Reduce, from: &Schema) -> Result<Work> {
        let at = |names: &[String]| -> Result<Vec<usize>> { Ok(names.iter().map(|n| from.index_of(n)).collect::<Result<_, _>>()?) };
        let inputs = at(&spec.calls.iter().map(|c| c.input.clone()).collect::<Vec<_>>())?;
        let accumulators = spec.calls.iter().zip(&inputs).map(|(call, i)| accumulator(call, from.field(*i).data_type(), &spec));
        let accumulators = accumulators.collect::<Result<Vec<_>>>()?;
        Ok(Work {
            key: at(&spec.key)?,
            time: from.index_of(&spec.time)?,
            carried: at(&spec.carried)?,
            inputs,
            accumulators,
            groups: Groups::default(),
            slots: Slots::default(),
            spec,
        })
    }

    fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        let keys: Vec<ArrayRef> = self.key.iter().map(|k| batch.column(*k).clone()).collect();
        let times = batch.column(self.time).as_primitive::<TimestampNanosecondType>().values();
        let (min, max) = self.spec.bounds;
        for (run, group) in self.groups.runs(&keys, batch.num_rows())? {
            let mut row = run.start;
            while row < run.end {
                let time = times[row];
                let (start, stop) = match &self.spec.windows {
                    Some(windows) => windows.bounds(time),
                    None => (i64::MIN, i64::MAX),
                };
                let inside = (min..=max).contains(&time);
                let mut end = row + 1;
                let mut last = time;
                while end < run.end {
                    let next = times[end];
                    let within = last <= next && (next < stop || stop == i64::MAX) && (min..=max).contains(&next) == inside;
                    if !within {
                        break;
                    }
                    last = next;
                    end += 1;
                }
                let slot = self.slots.number(group, start);
                for ((accumulator, call), input) in self.accumulators.iter_mut().zip(&self.spec.calls).zip(&self.inputs) {
                    if inside || call.beyond_bounds {
                        accumulator.update(slot, times, batch.column(*input), row..end)?;
                    }
                }
                row = end;
            }
        }
        let carried: Vec<ArrayRef> = self.carried.iter().map(|c| batch.column(*c).clone()).collect();
        for (accumulator, input) in self.accumulators.iter_mut().zip(&self.inputs) {
            accumulator.end_batch(batch.column(*input), &carried)?;
        }
        Ok(())
    }

    fn size(&self) -> usize {
        let slots = self.slots.len() * 40 + self.groups.size();
        slots + self.accumulators.iter().map(|a| a.size()).sum::<usize>()
    }

    fn finish(mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        let outcomes = self.accumulators.iter_mut().map(|a| a.finish(&self.slots)).collect::<Result<Vec<_>>>()?;
        self.accumulators.clear();
        // A reduction with several results per slot stands alone, so the first outcome knows what a row is.
        let count = outcomes.first().map_or(0, |o| o.values.len());
        let slot_of = |row: usize| outcomes[0].rows.as_ref().map_or(row, |rows| rows[row]);
        let kept = |row: usize| outcomes.iter().any(|o| o.values.is_valid(row));
        let ranks = self.groups.ranks();
        let mut order: Vec<u32> = (0..count as u32).filter(|row| kept(*row as usize)).collect();
        order.sort_by_key(|row| {
            let (group, start) = self.slots.of[slot_of(*row as usize)];
            (ranks[group as usize], start)
        });
        if self.spec.descending {
            order.reverse();
        }
        let order = UInt32Array::from(order);
        let rows = || order.values().iter().map(|row| *row as usize);
        let mut columns: Vec<ArrayRef> = vec![];
        for at in 0..self.key.len() {
            columns.push(self.groups.column(at, rows().map(|row| self.slots.group(slot_of(row)))));
        }
        let time_of = |row: usize| match (self.spec.row_time, &outcomes[0].times) {
            (RowTime::Window, _) => self.slots.of[slot_of(row)].1,
            (RowTime::Point, Some(times)) => times[row],
            (RowTime::Point, None) => self.slots.of[slot_of(row)].1,
            (RowTime::Constant(time), _) => time,
        };
        columns.push(Arc::new(TimestampNanosecondArray::from_iter_values(rows().map(time_of))));
        for outcome in &outcomes {
            columns.push(take(&outcome.values, &order, None)?);
        }
        for at in 0..self.carried.len() {
            let data_type = schema.field(columns.len()).data_type();
            columns.push(match outcomes[0].carried.get(at) {
                Some(column) => take(column, &order, None)?,
                None => new_null_array(data_type, order.len()),
            });
        }
        if self.spec.with_presence {
            for outcome in &outcomes {
                let mut has = vec![false; self.groups.len()];
                for row in 0..outcome.values.len() {
                    has[self.slots.group(slot_of(row)) as usize] |= outcome.values.is_valid(row);
                }
                let has = rows().map(|row| Some(has[self.slots.group(slot_of(row)) as usize]));
                columns.push(Arc::new(has.collect::<BooleanArray>()));
            }
        }
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}

#[cfg(test)]
mod tests;
