//! Brings the rows of equal keys together: tables come out in key order, rows of one table in the order they came in.
//!
//! Everything is held in memory and charged to the query, since any row may belong to the first table.

use super::operator::{Batches, Operator, OperatorNode};
use super::per_table::EMPTY;
use super::size::{held_bytes, joined};
use arrow::{
    array::{Array, AsArray, UInt64Array},
    compute::take_record_batch,
    datatypes::{Schema, SchemaRef},
    record_batch::RecordBatch,
    row::{RowConverter, SortField},
};
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, memory_pool::MemoryReservation},
    logical_expr::LogicalPlan,
};
use futures::{StreamExt, TryStreamExt};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

const BATCH_ROWS: usize = 8192;
/// A key column of a row as it is compared.
const KEY_BYTES: usize = 24;

#[derive(Debug)]
pub struct Regroup(Vec<String>);

/// The rows of `input`, tables by `key` one after the other.
pub fn regroup(input: LogicalPlan, key: &[String]) -> Result<LogicalPlan> {
    let schema = Arc::new(input.schema().as_arrow().clone());
    OperatorNode::plan(Arc::new(Regroup(key.to_vec())), vec![input], schema)
}

impl Operator for Regroup {
    fn name(&self) -> &'static str {
        "Regroup"
    }

    fn describe(&self) -> String {
        format!("by [{}]", self.0.join(", "))
    }

    fn unchanged(&self, schema: &Schema) -> HashSet<String> {
        // A marker stands for its table only where that has no row.
        let names = schema.fields().iter().map(|f| f.name().clone());
        if schema.index_of(EMPTY).is_ok() { HashSet::new() } else { names.collect() }
    }

    fn run(&self, mut inputs: Vec<SendableRecordBatchStream>, schema: SchemaRef, memory: MemoryReservation) -> Result<Batches> {
        let input = inputs.remove(0);
        let key = self.0.clone();
        if key.is_empty() && schema.index_of(EMPTY).is_err() {
            // One table: its rows are where they belong.
            return Ok(input.boxed());
        }
        let work = async move {
            let mut held = vec![];
            let mut input = input;
            while let Some(batch) = input.try_next().await? {
                memory.try_grow(held_bytes(&batch))?;
                held.push(batch);
            }
            let all = joined(&schema, held, &memory)?;
            // Keys as they are compared, and the order.
            memory.try_grow(all.num_rows() * (KEY_BYTES * key.len() + size_of::<u64>()))?;
            let order = order(&all, &key)?;
            let starts: Vec<usize> = (0..order.len()).step_by(BATCH_ROWS).collect();
            Result::<_>::Ok(futures::stream::iter(starts).map(move |start| -> Result<RecordBatch> {
                // The reservation lives as long as the rows do.
                let _charged = &memory;
                let part = order.slice(start, BATCH_ROWS.min(order.len() - start));
                Ok(take_record_batch(&all, &part)?)
            }))
        };
        Ok(futures::stream::once(work).try_flatten().boxed())
    }
}

/// Row numbers so that equal keys stand together, keys ascending (nulls first), rows in the order they came.
/// The marker of an empty table is left out where its key has rows or another marker.
pub fn order(rows: &RecordBatch, key: &[String]) -> Result<UInt64Array> {
    let markers = rows.column_by_name(EMPTY).map(|c| c.as_boolean().clone());
    let is_marker = |row: usize| markers.as_ref().is_some_and(|m| m.value(row));
    let columns = key.iter().filter_map(|k| rows.column_by_name(k).cloned()).collect::<Vec<_>>();
    let mut groups: Vec<Vec<u64>> = vec![];
    if columns.is_empty() {
        groups.push((0..rows.num_rows() as u64).collect());
    } else {
        let converter = RowConverter::new(columns.iter().map(|c| SortField::new(c.data_type().clone())).collect())?;
        let keys = converter.convert_columns(&columns)?;
        let mut by_key: HashMap<&[u8], usize, ahash::RandomState> = HashMap::default();
        let mut names: Vec<&[u8]> = vec![];
        for row in 0..rows.num_rows() {
            let name = keys.row(row).data();
            let group = *by_key.entry(name).or_insert_with(|| {
                groups.push(vec![]);
                names.push(name);
                groups.len() - 1
            });
            groups[group].push(row as u64);
        }
        let mut ranks: Vec<usize> = (0..groups.len()).collect();
        ranks.sort_by_key(|g| names[*g]);
        groups = ranks.into_iter().map(|g| std::mem::take(&mut groups[g])).collect();
    }
    let mut order = Vec::with_capacity(rows.num_rows());
    for group in groups {
        let before = order.len();
        order.extend(group.iter().copied().filter(|row| !is_marker(*row as usize)));
        if order.len() == before {
            order.extend(group.first());
        }
    }
    Ok(UInt64Array::from(order))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    #[test]
    fn equal_keys_stand_together_in_key_order_and_rows_keep_theirs() {
        let key: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), None, Some("a"), Some("b"), None]));
        let value: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5]));
        let rows = RecordBatch::try_from_iter([("k", key), ("v", value)]).expect("valid");
        let order = order(&rows, &["k".to_string()]).expect("sorts");
        assert_eq!(order.values().as_ref(), &[1, 4, 2, 0, 3]);
    }
}
