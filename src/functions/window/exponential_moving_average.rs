//! `exponential_moving_average(value, n)`: a new value weighs `2 / (n + 1)`. As in Flux, the average begins at row `n` with
//! the plain mean, the rows before are null, and a null repeats the last average.

use super::{Arguments, PartitionFunction};
use crate::{functions::arguments::number_type, kernel::exponential_moving_average::FluxEma};
use arrow::{
    array::{ArrayRef, Float64Array},
    datatypes::DataType,
};
use datafusion::common::Result;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExponentialMovingAverageFunction;

impl PartitionFunction for ExponentialMovingAverageFunction {
    fn name(&self) -> &'static str {
        "exponential_moving_average"
    }

    fn usage(&self) -> &'static str {
        "exponential_moving_average(number, rows) OVER (... ORDER BY time), with at least one row"
    }

    fn result(&self, arguments: &[DataType]) -> Option<DataType> {
        matches!(arguments, [number, rows] if number_type(number).is_some() && rows.is_integer()).then_some(DataType::Float64)
    }

    fn run(&self, arguments: &Arguments) -> Result<ArrayRef> {
        let mut state = FluxEma::new(arguments.rows(1)?);
        let means = arguments.floats(0)?.iter().map(|value| state.push(value).flatten()).collect::<Float64Array>();
        Ok(Arc::new(means))
    }
}
