//! A Flux stream of tables on relations.
//!
//! A [`TableStream`] is a few frames. A [`Frame`] is one DataFusion plan whose rows come **in order**: the rows of
//! one table stand together (no other table's rows between them), in the table's own row order. Everything that
//! builds on a frame keeps that promise; a node that needs it asks for a single partition.

use crate::model::TimeRange;
use datafusion::logical_expr::LogicalPlan;

/// One uniformly typed part of a stream.
#[derive(Debug, Clone)]
pub struct Frame {
    pub plan: LogicalPlan,
    /// Names of the group-key columns. In a wide frame `_field` is part of the key without being a column.
    pub key: Vec<String>,
    /// Field columns, when this frame is wide: each stands for tables of its own, and a null means *no row* there.
    /// Empty for a long frame, where a null is a value.
    pub fields: Vec<String>,
    /// A null in a group-key column means that the table does not have the column (rows from storage, where a
    /// series lacks a tag). Otherwise a null key value is a value.
    pub absent_keys: bool,
}

/// What a Flux pipe carries.
#[derive(Debug, Clone, Default)]
pub struct TableStream {
    pub frames: Vec<Frame>,
    /// Bounds set by `range`, which `window` needs.
    pub bounds: Option<TimeRange>,
}
