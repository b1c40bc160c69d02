//! The manifest: which files make up a bucket, its schemas and its tombstones.
//!
//! ```text
//! buckets/<bucket id>/manifest/<number, 20 digits>.manifest     immutable, numbered from 1 without reuse
//! buckets/<bucket id>/data/<partition>/<file id>.parquet        immutable; ids only, never a user's names
//!
//! one version:
//!   0   8   magic "TGMANIF\n"
//!   8   4   format version, u32 little-endian (this code writes 2, reads 1, refuses greater ones); the body says it again
//!  12   4   CRC32C of the body, u32 little-endian
//!  16   8   length of the body in bytes, u64 little-endian
//!  24   n   body: JSON, see `version::Body`, packed by zstd (not in format 1)
//! ```
//!
//! Invariants:
//! - A version is complete in itself; the highest readable number is the state of the bucket.
//! - A version is committed by create-if-absent of the next number. Whoever loses that race has changed nothing.
//! - Every file that a version names was durable before the version was written.
//! - A number is never used again, also not that of a damaged version: the next commit takes the number after it.
//!
//! When the newest version is damaged, the one before it is used and the damage is named; files that the damaged one
//! introduced are found again by the number in their own metadata (`created_in`), so that rows whose log is trimmed
//! already stay. Assumed of the store: an object is whole or absent, or its checksum tells.

pub mod edit;
pub mod store;
pub mod version;

pub use edit::Edit;
pub use store::{Committed, Loaded, ManifestStore};
pub use version::{FileMeta, FileSlice, LostFile, Stamp, Tombstone, Totals, Version};
