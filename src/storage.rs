//! Bytes at rest. Storage has never heard of a query language, of users, or of HTTP.

pub mod chunk;
pub mod delete;
pub mod files;
pub mod fs;
pub mod manifest;
pub mod object;
pub mod parquet;
pub mod wal;
