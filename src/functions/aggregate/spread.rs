//! `spread(x)`: greatest minus smallest value, in the type of the column. Null without values.

use crate::kernel::{Number, spread::Spread};
use arrow::{
    array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray},
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, UInt64Type},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};
use std::{fmt, sync::Arc};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SpreadFunction {
    signature: Signature,
}

impl Default for SpreadFunction {
    fn default() -> SpreadFunction {
        SpreadFunction {
            signature: Signature::uniform(1, vec![DataType::Int64, DataType::UInt64, DataType::Float64], Volatility::Immutable),
        }
    }
}

impl AggregateUDFImpl for SpreadFunction {
    fn name(&self) -> &str {
        "spread"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(["min", "max"].map(|n| Arc::new(Field::new(format!("{}[{n}]", args.name), args.return_type().clone(), true))).into())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(match args.return_type() {
            DataType::Float64 => Box::new(State::<Float64Type>::default()),
            DataType::UInt64 => Box::new(State::<UInt64Type>::default()),
            _ => Box::new(State::<Int64Type>::default()),
        })
    }
}

struct State<T: ArrowPrimitiveType>(Spread<T::Native>)
where
    T::Native: Number;

impl<T: ArrowPrimitiveType> Default for State<T>
where
    T::Native: Number,
{
    fn default() -> Self {
        State(Spread::default())
    }
}

impl<T: ArrowPrimitiveType> fmt::Debug for State<T>
where
    T::Native: Number,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.range())
    }
}

fn scalar<T: ArrowPrimitiveType>(value: Option<T::Native>) -> Result<ScalarValue> {
    ScalarValue::try_from_array(&PrimitiveArray::<T>::from_iter([value]), 0)
}

impl<T: ArrowPrimitiveType> Accumulator for State<T>
where
    T::Native: Number + ArrowNativeTypeOp,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        if values.null_count() == 0 {
            values.values().iter().for_each(|v| self.0.push(*v));
        } else {
            values.iter().flatten().for_each(|v| self.0.push(v));
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states.iter().try_for_each(|s| self.update_batch(std::slice::from_ref(s)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let range = self.0.range();
        Ok(vec![scalar::<T>(range.map(|r| r.0))?, scalar::<T>(range.map(|r| r.1))?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // A spread wider than the type can hold wraps, as Go's integers do.
        scalar::<T>(self.0.range().map(|(min, max)| ArrowNativeTypeOp::sub_wrapping(max, min)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
