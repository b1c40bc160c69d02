//! What rows that are held are charged to a query.

use arrow::{array::Array, compute::concat_batches, datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{common::Result, execution::memory_pool::MemoryReservation};

/// Bytes of these rows alone: a slice of a large batch, which others hold too, is charged for its own rows.
pub fn held_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or_else(|_| c.get_array_memory_size())).sum()
}

/// Batches that `memory` is charged for, as one.
pub fn joined(schema: &SchemaRef, held: Vec<RecordBatch>, memory: &MemoryReservation) -> Result<RecordBatch> {
    // While they are put together, they are there twice.
    let bytes = memory.size();
    memory.try_grow(bytes)?;
    let all = concat_batches(schema, &held)?;
    drop(held);
    memory.try_resize(bytes)?;
    Ok(all)
}
