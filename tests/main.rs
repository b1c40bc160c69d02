//! Every integration test in one binary, so that linking DataFusion is paid for once.

mod flux_suite;
mod influxql;
mod parity;
mod support;
mod tidy;
