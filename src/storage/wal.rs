//! The write-ahead log: a write is acknowledged when its record has been synced, and not before.
//!
//! The log is a folder of segments, `<first sequence as 16 hex digits>.wal`, each a run of records (see [`frame`]).
//! A segment is written by one process in one go: opening the log always begins a new segment, and so does any
//! failed call, so that a torn record can only be the last thing of its segment and no good record follows it there.
//! Sequences rise through all segments and are never used twice; a failed write burns its own.
//!
//! A segment begins with a frame that says which record was the last durable one before it. So a segment that was cut, emptied
//! or removed shows by the next one. Only of the last one nobody can tell whether its end is torn because the process died or
//! because the disk lost it.
//!
//! Of the disk we assume: bytes synced before are not changed by later appends; everything else is checked by CRC.

pub mod frame;
pub mod log;
pub mod replay;

pub use frame::Record;
pub use log::{Log, LogOptions};
pub use replay::{Damage, Missing, Replayed, SEQUENCE_JUMP, named_sequence, replay};
