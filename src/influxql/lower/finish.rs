//! The last step of a select whose rows are few (aggregates, limited rows): missing windows are filled, then series and
//! rows are counted. Rows come in answer order and stay in it.

use crate::influxql::ast::{Fill, Limits};
use crate::plan::node::operator::{Batches, Operator};
use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, TimestampNanosecondArray, UInt32Array},
    compute::{concat_batches, partition, take},
    datatypes::{DataType, Int64Type, SchemaRef, TimestampNanosecondType},
    record_batch::RecordBatch,
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
};
use futures::{StreamExt, TryStreamExt};
use std::{ops::Range, sync::Arc};

/// Windows to be filled: `start` is the first window's, absent: each series' own first one.
#[derive(Debug, Clone, Copy)]
pub struct Windows {
    pub start: Option<i64>,
    /// The last window.
    pub end: i64,
    pub every: i64,
}

/// Columns are `dimensions` tags, then time, then values.
#[derive(Debug, Clone)]
pub struct Finish {
    pub dimensions: usize,
    pub windows: Option<Windows>,
    pub fill: Fill,
    /// Which value columns are counts: an empty window counts 0.
    pub counts: Vec<bool>,
    pub descending: bool,
    pub limits: Limits,
}

impl Operator for Finish {
    fn name(&self) -> &'static str {
        "FinishSeries"
    }

    fn describe(&self) -> String {
        format!("{:?}, {:?}, {:?}", self.windows, self.fill, self.limits)
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, memory: MemoryReservation) -> Result<Batches> {
        let finish = self.clone();
        let mut input = inputs.remove(0);
        let work = async move {
            let mut batches = Vec::new();
            while let Some(batch) = input.try_next().await? {
                memory.try_grow(batch.get_array_memory_size())?;
                batches.push(batch);
            }
            let out = finish.all(&concat_batches(&input.schema(), &batches)?)?;
            let out = out.into_iter().map(|b| RecordBatch::try_new(schema.clone(), b).map_err(Into::into)).collect::<Vec<Result<_>>>();
            Ok::<_, datafusion::error::DataFusionError>(futures::stream::iter(out))
        };
        Ok(futures::stream::once(work).try_flatten().boxed())
    }
}

impl Finish {
    fn all(&self, rows: &RecordBatch) -> Result<Vec<Vec<ArrayRef>>> {
        if rows.num_rows() == 0 {
            return Ok(vec![]);
        }
        let series = match self.dimensions {
            0 => std::iter::once(0..rows.num_rows()).collect(),
            n => partition(&rows.columns()[..n])?.ranges(),
        };
        let limits = self.limits;
        let count = if limits.series_limit == 0 { usize::MAX } else { limits.series_limit };
        series.into_iter().skip(limits.series_offset).take(count).map(|range| self.one(rows, range)).collect()
    }

    fn one(&self, rows: &RecordBatch, range: Range<usize>) -> Result<Vec<ArrayRef>> {
        let mut columns: Vec<ArrayRef> = rows.columns().iter().map(|c| c.slice(range.start, range.len())).collect();
        if let Some(windows) = self.windows {
            columns = self.filled(&columns, windows)?;
        }
        let offset = self.limits.offset.min(columns[0].len());
        let left = columns[0].len() - offset;
        let length = if self.limits.limit == 0 { left } else { left.min(self.limits.limit) };
        Ok(columns.into_iter().map(|c| c.slice(offset, length)).collect())
    }

    /// One series with a row for every window.
    fn filled(&self, columns: &[ArrayRef], windows: Windows) -> Result<Vec<ArrayRef>> {
        let times = columns[self.dimensions].as_primitive::<TimestampNanosecondType>().values().clone();
        let first = if self.descending { times[times.len() - 1] } else { times[0] };
        let start = windows.start.unwrap_or(first);
        let count = usize::try_from((windows.end - start) / windows.every + 1).unwrap_or(0);
        let mut at = vec![None; count];
        for (row, time) in times.iter().enumerate() {
            let mut slot = ((time - start) / windows.every) as usize;
            if self.descending {
                slot = count.wrapping_sub(1).wrapping_sub(slot);
            }
            if let Some(place) = at.get_mut(slot) {
                *place = Some(row as u32);
            }
        }
        let time_of = |slot: usize| start + windows.every * (if self.descending { count - 1 - slot } else { slot }) as i64;
        let mut out = Vec::with_capacity(columns.len());
        for tag in &columns[..self.dimensions] {
            out.push(take(tag, &UInt32Array::from(vec![0; count]), None)?);
        }
        out.push(Arc::new(TimestampNanosecondArray::from_iter_values((0..count).map(time_of))));
        for (column, is_count) in columns[self.dimensions + 1..].iter().zip(&self.counts) {
            let mut rows = at.clone();
            if self.fill == Fill::Previous {
                let mut last = None;
                for row in &mut rows {
                    *row = row.filter(|r| column.is_valid(*r as usize)).or(last);
                    last = *row;
                }
            }
            let taken = take(column, &UInt32Array::from(rows), None)?;
            let value = match self.fill {
                Fill::Integer(v) => Some(v as f64),
                Fill::Number(v) => Some(v),
                _ if *is_count => Some(0.0),
                _ => None,
            };
            // A field that the series never has stays null whatever the fill.
            let value = value.filter(|_| column.null_count() < column.len());
            out.push(match (value, taken.data_type()) {
                (Some(v), DataType::Int64) => {
                    Arc::new(taken.as_primitive::<Int64Type>().iter().map(|x| Some(x.unwrap_or(v as i64))).collect::<Int64Array>())
                }
                (Some(v), DataType::Float64) => {
                    let floats = taken.as_primitive::<arrow::datatypes::Float64Type>();
                    Arc::new(floats.iter().map(|x| Some(x.unwrap_or(v))).collect::<Float64Array>())
                }
                _ => taken,
            });
        }
        Ok(out)
    }
}
