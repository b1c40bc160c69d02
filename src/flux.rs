//! Flux: text to a program of table streams.
//!
//! `parse` (pest) → `ast` → `semantic` (names and arguments, before anything runs) → `eval` (closures, options,
//! records; tables stay streams) → `plan` builders, with row functions lowered to DataFusion expressions.

pub mod ast;
pub mod diagnostic;
pub mod eval;
pub mod lower;
pub mod program;
pub mod stdlib;
