//! Flux syntax as data.

pub mod node;

pub use node::*;
