#![doc = include_str!("architecture.md")]

// Floor 0: nouns; no IO.
pub mod clock;
pub mod memory;
pub mod model;
// Floor 1: text and points, text and batches; InfluxDB's files; loops and functions; plans; people and names.
pub mod catalog;
pub mod format;
pub mod functions;
pub mod kernel;
pub mod line_protocol;
pub mod plan;
pub mod tsm;
// Floor 2: languages, and bytes at rest.
pub mod flux;
pub mod influxql;
pub mod sql;
pub mod storage;
// Floor 3: where languages meet storage.
pub mod query;
// Floor 4: the one handle.
pub mod engine;
// Floor 6: doors.
pub mod http;
// Floor 7: commands.
pub mod cli;
// Floor 8: tests across floors.
#[cfg(test)]
mod fuzz;
