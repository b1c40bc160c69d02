//! `difference(value)` and `non_negative_difference(value)`: the value less the one before. Integers stay integers, and
//! unsigned values give signed differences.

use super::{Arguments, PartitionFunction};
use crate::{
    functions::arguments::difference_type,
    kernel::{
        derivative::OnFall,
        difference::{Difference, Subtract},
    },
};
use arrow::{
    array::{ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray},
    datatypes::{DataType, Float64Type, Int64Type, UInt64Type},
};
use datafusion::common::Result;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DifferenceFunction(pub OnFall);

impl PartitionFunction for DifferenceFunction {
    fn name(&self) -> &'static str {
        if self.0 == OnFall::Keep { "difference" } else { "non_negative_difference" }
    }

    fn usage(&self) -> &'static str {
        match self.0 {
            OnFall::Keep => "difference(number) OVER (... ORDER BY time)",
            _ => "non_negative_difference(number) OVER (... ORDER BY time)",
        }
    }

    fn result(&self, arguments: &[DataType]) -> Option<DataType> {
        let [number] = arguments else { return None };
        difference_type(number)
    }

    fn run(&self, arguments: &Arguments) -> Result<ArrayRef> {
        let values = arguments.numbers(0)?;
        Ok(match values.data_type() {
            DataType::Int64 => Arc::new(differences::<_, Int64Type>(values.as_primitive::<Int64Type>(), self.0)),
            DataType::UInt64 => Arc::new(differences::<_, Int64Type>(values.as_primitive::<UInt64Type>(), self.0)),
            _ => Arc::new(differences::<_, Float64Type>(values.as_primitive::<Float64Type>(), self.0)),
        })
    }
}

fn differences<T: ArrowPrimitiveType, D: ArrowPrimitiveType>(values: &PrimitiveArray<T>, on_fall: OnFall) -> PrimitiveArray<D>
where
    T::Native: Subtract<Difference = D::Native>,
{
    let mut state = Difference::new(on_fall);
    values.iter().map(|value| state.push(value?)).collect()
}
