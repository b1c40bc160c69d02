//! Rows that are durable in the log and not yet in files: staged per request, kept per measurement, handed out sorted.
//!
//! ```text
//! request text -> stage (types, series of this request) -> [log] -> Part -> Table (series of the measurement) -> Chunk
//! ```
//! The only per-series memory is that of series with rows in the buffer; it goes when they are flushed.

pub mod sort;
pub mod stage;
pub mod table;

pub use stage::{Rejected, RejectedLine, Staged, StagedTable, stage};
pub use table::Table;
