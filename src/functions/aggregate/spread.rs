//! `spread(x)`: greatest minus smallest value, in the type of the column. Null without values.

use crate::kernel::{Number, spread::Spread};
use arrow::{
    array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray},
    compute::nullif,
    datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type, UInt64Type},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
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

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(match args.return_type() {
            DataType::Float64 => Box::new(Groups::<Float64Type>(vec![])),
            DataType::UInt64 => Box::new(Groups::<UInt64Type>(vec![])),
            _ => Box::new(Groups::<Int64Type>(vec![])),
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
        scalar::<T>(width(&self.0))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// A spread wider than the type can hold wraps, as Go's integers do.
fn width<T: Number + ArrowNativeTypeOp>(spread: &Spread<T>) -> Option<T> {
    spread.range().map(|(min, max)| ArrowNativeTypeOp::sub_wrapping(max, min))
}

/// The same for many groups at once.
struct Groups<T: ArrowPrimitiveType>(Vec<Spread<T::Native>>)
where
    T::Native: Number;

impl<T: ArrowPrimitiveType> Groups<T>
where
    T::Native: Number,
{
    fn update(&mut self, values: &ArrayRef, groups: &[usize], filter: Option<&BooleanArray>, count: usize) {
        self.0.resize_with(count, Spread::default);
        let values = values.as_primitive::<T>();
        for (row, group) in groups.iter().enumerate() {
            if values.is_valid(row) && filter.is_none_or(|f| f.is_valid(row) && f.value(row)) {
                self.0[*group].push(values.value(row));
            }
        }
    }
}

impl<T: ArrowPrimitiveType> GroupsAccumulator for Groups<T>
where
    T::Native: Number + ArrowNativeTypeOp,
{
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, count: usize) -> Result<()> {
        self.update(&values[0], groups, filter, count);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        states.iter().for_each(|values| self.update(values, groups, None, count));
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(emit.take_needed(&mut self.0).iter().map(width).collect::<PrimitiveArray<T>>()))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = emit.take_needed(&mut self.0);
        let least = groups.iter().map(|g| g.range().map(|r| r.0)).collect::<PrimitiveArray<T>>();
        let greatest = groups.iter().map(|g| g.range().map(|r| r.1)).collect::<PrimitiveArray<T>>();
        Ok(vec![Arc::new(least), Arc::new(greatest)])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = match filter {
            None => values[0].clone(),
            Some(filter) => nullif(&values[0], &filter.iter().map(|keep| Some(keep != Some(true))).collect::<BooleanArray>())?,
        };
        Ok(vec![values.clone(), values])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.capacity() * size_of::<Spread<T::Native>>()
    }
}
