//! Every integration test in one binary, so that linking DataFusion is paid for once.

mod influxql;
mod parity;
mod support;
mod tidy;
