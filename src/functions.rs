//! DataFusion functions over the kernels, registered once per session. They know Arrow and SQL types, but no language.

pub mod aggregate;
pub mod scalar;

use aggregate::{
    selector::{Pick, SelectorFunction},
    shape::{Shape, ShapeFunction},
    spread::SpreadFunction,
};

use datafusion::{
    execution::{FunctionRegistry, context::SessionState},
    logical_expr::{AggregateUDF, ScalarUDF},
};
use std::sync::Arc;

/// Makes every function of ours known to a session.
pub fn register(state: &mut SessionState) -> crate::model::Result<()> {
    state.register_udf(Arc::new(ScalarUDF::from(scalar::time_window::TimeWindowStart::default())))?;
    let aggregates = [Pick::First, Pick::Last, Pick::Min, Pick::Max].map(|p| AggregateUDF::from(SelectorFunction::new(p)));
    let shapes = [Shape::Skew, Shape::Quantile].map(|s| AggregateUDF::from(ShapeFunction::new(s)));
    for function in aggregates.into_iter().chain(shapes).chain([AggregateUDF::from(SpreadFunction::default())]) {
        state.register_udaf(Arc::new(function))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
