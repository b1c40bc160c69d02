//! Every integration test in one binary, so that linking DataFusion is paid for once.

mod bounded;
mod cli;
mod clock_jumps;
mod corruption;
mod flux_suite;
mod full_disk;
mod guarantees;
mod hostile;
mod import;
mod influxql;
mod parity;
mod plans;
mod process;
#[cfg(feature = "s3")]
#[path = "../src/storage/object/s3_server.rs"]
#[expect(dead_code, reason = "more of it is used inside the crate")]
mod s3_server;
mod support;
mod tidy;
