//! `increase(value)`: growth of a counter since the first row, with its resets to zero counted in. A null repeats the
//! growth so far.

use super::{Arguments, PartitionFunction};
use crate::{
    functions::arguments::difference_type,
    kernel::difference::{Increase, Subtract},
};
use arrow::{
    array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
    datatypes::{DataType, Float64Type, Int64Type, UInt64Type},
};
use datafusion::common::Result;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IncreaseFunction;

impl PartitionFunction for IncreaseFunction {
    fn name(&self) -> &'static str {
        "increase"
    }

    fn usage(&self) -> &'static str {
        "increase(number) OVER (... ORDER BY time)"
    }

    fn result(&self, arguments: &[DataType]) -> Option<DataType> {
        let [number] = arguments else { return None };
        difference_type(number)
    }

    fn run(&self, arguments: &Arguments) -> Result<ArrayRef> {
        let values = arguments.numbers(0)?;
        Ok(match values.data_type() {
            DataType::Int64 => Arc::new(growth::<_, Int64Type>(values.as_primitive::<Int64Type>())),
            DataType::UInt64 => Arc::new(growth::<_, Int64Type>(values.as_primitive::<UInt64Type>())),
            _ => Arc::new(growth::<_, Float64Type>(values.as_primitive::<Float64Type>())),
        })
    }
}

fn growth<T: ArrowPrimitiveType, D: ArrowPrimitiveType>(values: &PrimitiveArray<T>) -> PrimitiveArray<D>
where
    T::Native: Subtract<Difference = D::Native>,
{
    let mut state = Increase::default();
    PrimitiveArray::from_iter_values(values.iter().map(|value| state.push(value)))
}
