//! Bytes at rest. Storage has never heard of a query language, of users, or of HTTP.

pub mod chunk;
pub mod fs;
pub mod wal;
