//! `cumulative_sum(value)`: running sum in the type of the column. A null repeats the sum so far; integers wrap.

use super::{Arguments, PartitionFunction};
use crate::{
    functions::arguments::number_type,
    kernel::{Number, cumulative_sum::CumulativeSum},
};
use arrow::{
    array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
    datatypes::{DataType, Float64Type, Int64Type, UInt64Type},
};
use datafusion::common::Result;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CumulativeSumFunction;

impl PartitionFunction for CumulativeSumFunction {
    fn name(&self) -> &'static str {
        "cumulative_sum"
    }

    fn usage(&self) -> &'static str {
        "cumulative_sum(number) OVER (... ORDER BY time)"
    }

    fn result(&self, arguments: &[DataType]) -> Option<DataType> {
        let [number] = arguments else { return None };
        number_type(number)
    }

    fn run(&self, arguments: &Arguments) -> Result<ArrayRef> {
        let values = arguments.numbers(0)?;
        Ok(match values.data_type() {
            DataType::Int64 => Arc::new(sums(values.as_primitive::<Int64Type>())),
            DataType::UInt64 => Arc::new(sums(values.as_primitive::<UInt64Type>())),
            _ => Arc::new(sums(values.as_primitive::<Float64Type>())),
        })
    }
}

fn sums<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>) -> PrimitiveArray<T>
where
    T::Native: Number,
{
    let mut state = CumulativeSum::default();
    PrimitiveArray::from_iter_values(values.iter().map(|value| state.push(value)))
}
