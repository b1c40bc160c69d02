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
// It can do more than is asked of it here.
#[allow(dead_code)]
#[cfg(feature = "s3")]
#[path = "../src/storage/object/s3_server.rs"]
mod s3_server;
mod support;
mod tidy;
