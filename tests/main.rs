//! Every integration test in one binary, so that linking DataFusion is paid for once.

mod cli;
mod flux_suite;
mod guarantees;
mod influxql;
mod parity;
mod plans;
mod process;
mod support;
mod tidy;
