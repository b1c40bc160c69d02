//! The standard library: one file per package, one `Function` per built-in, compositions in `.flux` preludes.

pub mod array;
pub mod csv;
pub mod function;
pub mod tables;
pub mod universe;

pub use function::{Call, Function};
