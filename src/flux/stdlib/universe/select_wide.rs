//! Selectors on wide rows: the picked row of every field's table, all fields in one pass.
//!
//! What comes out are wide rows that hold a value where the row was picked for the field, and a null, which is no row,
//! elsewhere. Tables that begin and end within a batch are picked from it together; of the one that goes on, the best
//! row of each field is held.

use super::pick::Pick;
use crate::{
    model::runs::runs,
    plan::node::{
        Operator, OperatorNode,
        operator::{BatchWork, Batches, Newest, joined, worked},
        size::held_bytes,
    },
};
use arrow::{
    array::{ArrayRef, UInt64Array},
    compute::{concat_batches, take, take_record_batch},
    datatypes::SchemaRef,
    record_batch::RecordBatch,
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use std::{ops::Range, sync::Arc};

#[derive(Debug, Clone)]
struct SelectWide {
    pick: Pick,
    key: Vec<String>,
    fields: Vec<String>,
}

/// The rows of `input` that `pick` chooses for each of `fields`, from each table by `key`.
pub fn select_wide(input: LogicalPlan, pick: Pick, key: &[String], fields: &[String]) -> Result<LogicalPlan> {
    let schema = Arc::new(input.schema().as_arrow().clone());
    let select = SelectWide { pick, key: key.to_vec(), fields: fields.to_vec() };
    OperatorNode::plan(Arc::new(select), vec![input], schema)
}

impl Operator for SelectWide {
    fn name(&self) -> &'static str {
        self.pick.name()
    }

    fn describe(&self) -> String {
        format!("by [{}]", self.key.join(", "))
    }

    fn newest(&self) -> Option<Newest> {
        let (complete, by) = (self.fields.clone(), self.key.clone());
        (self.pick == Pick::Last).then(|| Newest { count: 1, complete, by, time: "_time".to_string() })
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, memory: MemoryReservation) -> Result<Batches> {
        let input = inputs.remove(0);
        let at = |names: &[String]| names.iter().map(|n| schema.index_of(n)).collect::<Result<Vec<_>, _>>();
        let work = Work { pick: self.pick, key: at(&self.key)?, fields: at(&self.fields)?, schema, open: None, memory };
        Ok(worked(input, work))
    }
}

struct Work {
    pick: Pick,
    key: Vec<usize>,
    fields: Vec<usize>,
    schema: SchemaRef,
    open: Option<Open>,
    memory: MemoryReservation,
}

/// The table that may go on.
struct Open {
    key: Vec<ArrayRef>,
    row_count: usize,
    /// By field: number of the row in the table, and the row.
    best: Vec<Option<(usize, RecordBatch)>>,
}

/// The rows picked from one batch, in order, each with the fields that it was picked for.
#[derive(Default)]
struct Picked {
    rows: Vec<u64>,
    /// By field: the row, where this one was picked for it.
    fields: Vec<Vec<Option<u64>>>,
}

impl BatchWork for Work {
    fn take(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let keys: Vec<ArrayRef> = self.key.iter().map(|k| batch.column(*k).clone()).collect();
        let tables = runs(&keys, batch.num_rows())?;
        let mut picked = Picked { fields: vec![vec![]; self.fields.len()], ..Picked::default() };
        let mut before = None;
        for (at, rows) in tables.iter().enumerate() {
            let key: Vec<ArrayRef> = keys.iter().map(|k| k.slice(rows.start, 1)).collect();
            if at == 0 && self.open.as_ref().is_some_and(|open| open.key == key) {
                self.go_on(batch, rows.clone())?;
                continue;
            }
            if at <= 1 {
                before = before.or(self.close()?);
            }
            if at + 1 == tables.len() {
                self.open = Some(Open { key, row_count: 0, best: vec![None; self.fields.len()] });
                self.go_on(batch, rows.clone())?;
            } else {
                self.pick_from(batch, rows.clone(), &mut picked)?;
            }
        }
        let found = self.given(batch, picked)?;
        joined(before, found)
    }

    /// The rows of the open table, which has ended.
    fn close(&mut self) -> Result<Option<RecordBatch>> {
        let Some(open) = self.open.take() else { return Ok(None) };
        self.memory.free();
        let mut rows: Vec<(usize, RecordBatch)> = vec![];
        for (number, row) in open.best.iter().flatten() {
            if !rows.iter().any(|(n, _)| n == number) {
                rows.push((*number, row.clone()));
            }
        }
        rows.sort_by_key(|(number, _)| *number);
        let mut picked = Picked { fields: vec![vec![]; self.fields.len()], ..Picked::default() };
        for (at, (number, _)) in rows.iter().enumerate() {
            picked.rows.push(at as u64);
            for (best, of_field) in open.best.iter().zip(&mut picked.fields) {
                of_field.push(best.as_ref().filter(|(n, _)| n == number).map(|_| at as u64));
            }
        }
        let rows = concat_batches(&self.schema, rows.iter().map(|(_, row)| row))?;
        self.given(&rows, picked)
    }
}

impl Work {
    /// More rows of the open table.
    fn go_on(&mut self, batch: &RecordBatch, rows: Range<usize>) -> Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let mut won: Vec<(usize, usize)> = vec![];
        for (at, (field, best)) in self.fields.iter().zip(&open.best).enumerate() {
            let values = batch.column(*field);
            let Some(row) = self.pick.row(values, rows.clone())? else { continue };
            let wins = match best {
                Some((_, old)) => self.pick.prefers((values, row), (old.column(*field), 0))?,
                None => true,
            };
            if wins {
                won.push((at, row));
            }
        }
        let distinct = distinct(won.iter().map(|(_, row)| *row));
        if !distinct.is_empty() {
            // Copied, so that a row does not keep its whole batch alive.
            let copied = take_record_batch(batch, &UInt64Array::from_iter_values(distinct.iter().map(|r| *r as u64)))?;
            self.memory.try_grow(held_bytes(&copied))?;
            for (at, row) in won {
                let place = distinct.partition_point(|r| *r < row);
                open.best[at] = Some((open.row_count + row - rows.start, copied.slice(place, 1)));
            }
        }
        open.row_count += rows.len();
        Ok(())
    }

    /// A table that lies in the batch as a whole.
    fn pick_from(&self, batch: &RecordBatch, rows: Range<usize>, picked: &mut Picked) -> Result<()> {
        let chosen = self.fields.iter().map(|f| self.pick.row(batch.column(*f), rows.clone()));
        let chosen: Vec<Option<usize>> = chosen.collect::<Result<_>>()?;
        for row in distinct(chosen.iter().flatten().copied()) {
            picked.rows.push(row as u64);
            for (field, of_field) in chosen.iter().zip(&mut picked.fields) {
                of_field.push(field.filter(|r| *r == row).map(|r| r as u64));
            }
        }
        Ok(())
    }

    fn given(&self, batch: &RecordBatch, picked: Picked) -> Result<Option<RecordBatch>> {
        if picked.rows.is_empty() {
            return Ok(None);
        }
        let rows = UInt64Array::from(picked.rows);
        let columns = batch.columns().iter().enumerate().map(|(at, column)| {
            let field = self.fields.iter().position(|f| *f == at);
            Ok(match field {
                Some(field) => take(column, &UInt64Array::from(picked.fields[field].clone()), None)?,
                None => take(column, &rows, None)?,
            })
        });
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns.collect::<Result<Vec<_>>>()?)?))
    }
}

/// The rows in order, each once.
fn distinct(rows: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut rows: Vec<usize> = rows.collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}
