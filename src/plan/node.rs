//! Custom plan nodes: a logical node and its execution, together.
//!
//! [`operator`] is the one pair of logical node and `ExecutionPlan` that everything order-preserving shares; the
//! files beside it are [`Operator`]s: they say what comes out for what goes in, and know nothing of DataFusion's planning.

pub mod columns;
pub mod concat;
pub mod first_enough;
pub mod gap_fill;
pub mod groups;
pub mod operator;
pub mod ordered;
pub mod per_table;
pub mod reduce;
pub mod regroup;
pub mod row_function;
pub mod series_limit;
pub mod size;
pub mod time_order;
pub mod unpivot;
pub mod values;

pub use operator::{NodePlanner, Operator, OperatorNode};
pub use per_table::{TableState, TableTransform};
