//! Flux syntax as data.

pub mod node;
pub mod print;

pub use node::*;
