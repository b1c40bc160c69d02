//! Bytes at rest. Storage has never heard of a query language, of users, or of HTTP.

pub mod block;
pub mod chunk;
pub mod delete;
pub mod files;
pub mod fs;
pub mod manifest;
pub mod merge;
pub mod object;
pub mod parquet;
pub mod read;
pub mod wal;
