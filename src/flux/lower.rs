//! Row functions `(r) => ...` to DataFusion expressions, one lowering per frame schema.
//!
//! [`row_function`] types the lambda against the columns of a frame, by Flux's rules: nothing is promoted, a missing
//! column is a null of unknown type. What it cannot say as an expression over columns is [`Lowered::Interpret`]: the
//! caller runs the function row by row, which means the same and is slower.

pub mod cells;
pub mod known;
pub mod operators;
pub mod row_function;
pub mod value_function;

pub use row_function::{Lowered, Typed, lower_filter, lower_row};
