//! DataFusion functions over the kernels, registered once per session. They know Arrow and SQL types, but no language.

pub mod aggregate;
pub mod arguments;
pub mod scalar;
pub mod window;

use aggregate::{
    integral::{Area, AreaFunction},
    mode::ModeFunction,
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
    for word in scalar::gap_fill::Word::ALL {
        state.register_udf(Arc::new(ScalarUDF::from(scalar::gap_fill::GapFillFunction::new(word))))?;
    }
    for function in window::all() {
        state.register_udwf(Arc::new(function))?;
    }
    let aggregates = [Pick::First, Pick::Last, Pick::Min, Pick::Max].map(|p| AggregateUDF::from(SelectorFunction::new(p)));
    let shapes = [Shape::Skew, Shape::Quantile].map(|s| AggregateUDF::from(ShapeFunction::new(s)));
    let areas = [Area::Integral, Area::TimeWeightedAverage].map(|a| AggregateUDF::from(AreaFunction::new(a)));
    let others = [AggregateUDF::from(SpreadFunction::default()), AggregateUDF::from(ModeFunction::default())];
    for function in aggregates.into_iter().chain(shapes).chain(areas).chain(others) {
        state.register_udaf(Arc::new(function))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
