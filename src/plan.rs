//! Language-neutral plans: the builders that Flux, InfluxQL and SQL share, over DataFusion's `LogicalPlan`.
//! This floor knows no syntax and no storage; what it must ask of the database is [`context::Context`].

pub mod condition;
pub mod context;
pub mod float;
pub mod memory;
pub mod merge;
pub mod node;
mod scan;
pub mod selection;
pub mod stream;
pub mod time_bounds;
pub mod values;

pub use context::{BucketInfo, BucketRef, Context, DatabaseInfo, DeletePart, DeleteRows, MeasurementTable, PolicyChange, WriteRows};
pub use selection::Selection;
pub use stream::{Frame, TableStream};
