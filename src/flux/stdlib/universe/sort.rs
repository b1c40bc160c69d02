//! `sort`, `limit`, `tail`: order and extent of each table.

use super::window::newest_of_windows;
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{Call, Function, tables::each},
    },
    plan::{
        Frame,
        node::{
            OperatorNode, TableState, TableTransform,
            first_enough::first_enough,
            per_table::{WholeTable, as_transform},
            regroup::Regroup,
        },
    },
};
use arrow::{
    array::{ArrayRef, UInt64Array},
    compute::take_record_batch,
    record_batch::RecordBatch,
};
use datafusion::{common::Result, logical_expr::LogicalPlan};
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&SORT, &LIMIT, &TAIL];

pub static SORT: Function = Function {
    name: "sort",
    signature: "(<-tables: stream[A], ?columns: [string], ?desc: bool) => stream[A]",
    summary: "Sorts the rows of each table; equal rows keep their order. Nulls come first, or last when descending.",
    examples: &[],
    call: sort,
};

fn sort(call: &mut Call<'_>) -> FluxResult<Value> {
    let columns = call.column_names("columns", &["_value"])?;
    let descending = call.or("desc", false)?;
    each(call, |frame| {
        let by: Vec<String> = columns.iter().filter(|c| frame.has(c) && !frame.is_key(c)).cloned().collect();
        if by.is_empty() {
            return Ok(frame.clone());
        }
        let sort = SortRows { by, descending };
        frame.per_table(Arc::new(sort), frame.schema(), frame.key.clone(), frame.has_empty_tables())
    })
}

#[derive(Debug, Clone)]
struct SortRows {
    by: Vec<String>,
    descending: bool,
}

impl TableTransform for SortRows {
    fn name(&self) -> &'static str {
        "sort"
    }

    fn start(&self, first: &RecordBatch) -> Result<Box<dyn TableState>> {
        let SortRows { by, descending } = self.clone();
        let run = move |_: &RecordBatch, rows: &RecordBatch| {
            let columns = by.iter().filter_map(|c| rows.column_by_name(c).cloned()).collect::<Vec<_>>();
            Ok(take_record_batch(rows, &sorted_rows(&columns, rows.num_rows(), descending)?)?)
        };
        WholeTable { name: "sort", input: first.schema(), run: Arc::new(run) }.start(first)
    }
}

/// Row numbers in stable order: nulls first, or last when descending.
pub fn sorted_rows(columns: &[ArrayRef], row_count: usize, descending: bool) -> Result<UInt64Array> {
    use arrow::{array::make_comparator, compute::SortOptions};
    let options = SortOptions { descending, nulls_first: !descending };
    let comparators = columns.iter().map(|c| make_comparator(c, c, options)).collect::<Result<Vec<_>, _>>()?;
    let mut order: Vec<u64> = (0..row_count as u64).collect();
    order.sort_by(|a, b| {
        let (a, b) = (*a as usize, *b as usize);
        comparators.iter().map(|c| c(a, b)).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    Ok(UInt64Array::from(order))
}

pub static LIMIT: Function = Function {
    name: "limit",
    signature: "(<-tables: stream[A], n: int, ?offset: int) => stream[A]",
    summary: "Keeps the first `n` rows of each table, after skipping `offset` rows.",
    examples: &[],
    call: limit,
};

/// `n` and `offset`, both at least zero.
fn extent(call: &mut Call<'_>) -> FluxResult<(usize, usize)> {
    let (n, offset) = (call.required::<i64>("n")?, call.or::<i64>("offset", 0)?);
    match (usize::try_from(n), usize::try_from(offset)) {
        (Ok(n), Ok(offset)) => Ok((n, offset)),
        _ => Err(FluxError::invalid(format!("{}: n and offset cannot be negative", call.function.name)).at(call.span)),
    }
}

fn limit(call: &mut Call<'_>) -> FluxResult<Value> {
    let (n, offset) = extent(call)?;
    let context = call.context().shared();
    each(call, |frame| {
        let keep_empty = n == 0 || frame.has_empty_tables();
        let limited = |frame: &Frame| frame.per_table(Arc::new(Limit { n, offset }), frame.schema(), frame.key.clone(), keep_empty);
        let whole = limited(frame)?;
        match newest_windows(&frame.plan, n.saturating_add(offset))? {
            Some(plan) if n > 0 => {
                let narrow = limited(&Frame { plan, ..frame.clone() })?;
                Ok(Frame { plan: first_enough(narrow.plan, whole.plan.clone(), n, vec![], context.as_ref())?, ..whole })
            }
            _ => Ok(whole),
        }
    })
}

/// The same rows without those that come after the first `count`, where these are the latest windows of one table.
fn newest_windows(plan: &LogicalPlan, count: usize) -> crate::model::Result<Option<LogicalPlan>> {
    let by_time = |(sort, _): &(&SortRows, &LogicalPlan)| sort.descending && sort.by == ["_time"];
    let Some((_, sorted)) = as_transform::<SortRows>(plan).filter(by_time) else { return Ok(None) };
    let regrouped = OperatorNode::as_operator::<Regroup>(sorted).map(|(_, input)| input);
    let Some(windows) = newest_of_windows(regrouped.unwrap_or(sorted), count)? else { return Ok(None) };
    let sorted = if regrouped.is_some() { OperatorNode::over(sorted, windows)? } else { windows };
    Ok(Some(OperatorNode::over(plan, sorted)?))
}

/// The frame with at most `n` rows of each table.
pub fn first_rows(frame: &Frame, n: usize) -> crate::model::Result<Frame> {
    frame.per_table(Arc::new(Limit { n, offset: 0 }), frame.schema(), frame.key.clone(), false)
}

/// The first rows of each table; the rest is skipped without being held.
#[derive(Debug, Clone)]
struct Limit {
    n: usize,
    offset: usize,
}

impl TableTransform for Limit {
    fn name(&self) -> &'static str {
        "limit"
    }

    fn start(&self, _first: &RecordBatch) -> Result<Box<dyn TableState>> {
        Ok(Box::new(self.clone()))
    }
}

impl TableState for Limit {
    fn push(&mut self, rows: &RecordBatch, out: &mut Vec<RecordBatch>) -> Result<()> {
        let skipped = self.offset.min(rows.num_rows());
        let taken = self.n.min(rows.num_rows() - skipped);
        self.offset -= skipped;
        self.n -= taken;
        if taken > 0 {
            out.push(rows.slice(skipped, taken));
        }
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<RecordBatch>) -> Result<()> {
        Ok(())
    }
}

pub static TAIL: Function = Function {
    name: "tail",
    signature: "(<-tables: stream[A], n: int, ?offset: int) => stream[A]",
    summary: "Keeps the last `n` rows of each table, before the last `offset` rows.",
    examples: &[],
    call: tail,
};

fn tail(call: &mut Call<'_>) -> FluxResult<Value> {
    let (n, offset) = extent(call)?;
    each(call, |frame| {
        let keep_empty = n == 0 || frame.has_empty_tables();
        frame.whole_tables("tail", frame.schema(), frame.key.clone(), keep_empty, move |_, rows| {
            let stop = rows.num_rows().saturating_sub(offset);
            let start = stop.saturating_sub(n);
            Ok(rows.slice(start, stop - start))
        })
    })
}
