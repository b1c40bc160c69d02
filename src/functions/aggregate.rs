//! A value from the rows of a group.

pub mod integral;
pub mod mode;
pub mod selector;
pub mod shape;
pub mod spread;
