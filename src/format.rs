//! Record batches to and from wire text and files; everything streams, nothing is held whole.

pub mod series;
pub mod table;
