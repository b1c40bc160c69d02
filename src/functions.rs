//! DataFusion functions over the kernels, registered once per session. They know Arrow and SQL types, but no language.

pub mod scalar;

use datafusion::{
    execution::{FunctionRegistry, context::SessionState},
    logical_expr::ScalarUDF,
};
use std::sync::Arc;

/// Makes every function of ours known to a session.
pub fn register(state: &mut SessionState) -> crate::model::Result<()> {
    state.register_udf(Arc::new(ScalarUDF::from(scalar::time_window::TimeWindowStart::default())))?;
    Ok(())
}
