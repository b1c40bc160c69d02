//! Rows that are durable in the log and not yet in files: staged per request, kept per measurement, handed out sorted.
//!
//! ```text
//! request text -> stage (types, series of this request) -> [log] -> Part -> Table (series of the measurement) -> Chunk
//! ```
//! Where lines are not stored as they were sent (some refused, coerced or put in quarantine), the log has them as they are stored.
//! The only per-series memory is that of series with rows in the buffer; it goes when they are flushed.

pub mod keys;
pub mod quarantine;
pub mod rejected;
pub mod sort;
pub mod stage;
pub mod table;
pub mod texts;

pub use rejected::{Rejected, RejectedLine, RejectedLines};
pub use stage::{Conflicts, Staged, StagedTable, stage};
pub use table::Table;
