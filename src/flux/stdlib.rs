//! The standard library: one file per package, one `Function` per built-in, compositions in `.flux` preludes.

pub mod function;

pub use function::{Call, Function};
