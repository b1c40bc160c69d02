//! A value from the values of one row.

pub mod bounded;
pub mod gap_fill;
pub mod math;
pub mod time_window;
