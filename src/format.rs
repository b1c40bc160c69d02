//! Record batches to and from wire text and files; everything streams, nothing is held whole.

pub mod annotated_csv;
pub mod cell;
pub mod csv_v1;
pub mod json_v1;
pub mod msgpack_v1;
pub mod relation;
pub mod series;
pub mod table;
pub mod v1;
