//! `moving_average(value, n)`: mean of the last `n` rows; null for the rows before the `n`-th. Among the `n` rows a null
//! takes a place but no part.

use super::{Arguments, PartitionFunction};
use crate::{functions::arguments::number_type, kernel::moving_average::MovingAverage};
use arrow::{
    array::{ArrayRef, Float64Array},
    datatypes::DataType,
};
use datafusion::common::Result;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MovingAverageFunction;

impl PartitionFunction for MovingAverageFunction {
    fn name(&self) -> &'static str {
        "moving_average"
    }

    fn usage(&self) -> &'static str {
        "moving_average(number, rows) OVER (... ORDER BY time), with at least one row"
    }

    fn result(&self, arguments: &[DataType]) -> Option<DataType> {
        matches!(arguments, [number, rows] if number_type(number).is_some() && rows.is_integer()).then_some(DataType::Float64)
    }

    fn run(&self, arguments: &Arguments) -> Result<ArrayRef> {
        let mut state = MovingAverage::new(arguments.rows(1)?);
        let means = arguments.floats(0)?.iter().map(|value| state.push(value).flatten()).collect::<Float64Array>();
        Ok(Arc::new(means))
    }
}
