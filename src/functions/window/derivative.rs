//! `derivative(value, time[, unit])` and `non_negative_derivative(...)`: slope to the row before, per unit (one second).

use super::{Arguments, PartitionFunction};
use crate::{
    functions::arguments::{is_time, number_type},
    kernel::{
        Number,
        derivative::{Derivative, OnFall},
    },
};
use arrow::{
    array::{ArrayRef, ArrowPrimitiveType, AsArray, Float64Array, PrimitiveArray, TimestampNanosecondArray},
    datatypes::{DataType, Float64Type, Int64Type, UInt64Type},
};
use datafusion::common::Result;
use std::sync::Arc;

/// See [`crate::kernel::derivative`] for falls and repeated times.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DerivativeFunction(pub OnFall);

impl PartitionFunction for DerivativeFunction {
    fn name(&self) -> &'static str {
        if self.0 == OnFall::Keep { "derivative" } else { "non_negative_derivative" }
    }

    fn usage(&self) -> &'static str {
        match self.0 {
            OnFall::Keep => "derivative(number, time[, INTERVAL '1 second']) OVER (... ORDER BY time)",
            _ => "non_negative_derivative(number, time[, INTERVAL '1 second']) OVER (... ORDER BY time)",
        }
    }

    fn result(&self, arguments: &[DataType]) -> Option<DataType> {
        let (number, time) = match arguments {
            [number, time] | [number, time, _] => (number, time),
            _ => return None,
        };
        (number_type(number).is_some() && is_time(time)).then_some(DataType::Float64)
    }

    fn run(&self, arguments: &Arguments) -> Result<ArrayRef> {
        let (values, times, unit) = (arguments.numbers(0)?, arguments.times(1)?, arguments.unit_ns(2)?);
        Ok(Arc::new(match values.data_type() {
            DataType::Int64 => slopes(values.as_primitive::<Int64Type>(), &times, unit, self.0),
            DataType::UInt64 => slopes(values.as_primitive::<UInt64Type>(), &times, unit, self.0),
            _ => slopes(values.as_primitive::<Float64Type>(), &times, unit, self.0),
        }))
    }
}

fn slopes<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>, times: &TimestampNanosecondArray, unit: i64, on_fall: OnFall) -> Float64Array
where
    T::Native: Number,
{
    let mut state = Derivative::new(unit, on_fall);
    values.iter().zip(times).map(|(value, time)| state.push(time?, value?)).collect()
}
