//! A value from the values of one row.

pub mod time_window;
