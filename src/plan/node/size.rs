//! What rows that are held are charged to a query.

use arrow::{array::Array, record_batch::RecordBatch};

/// Bytes of these rows alone: a slice of a large batch, which others hold too, is charged for its own rows.
pub fn held_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or_else(|_| c.get_array_memory_size())).sum()
}
