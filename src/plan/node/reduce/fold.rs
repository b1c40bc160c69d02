//! Reductions that keep a few numbers per group: `count`, `sum`, `mean`, `spread`, `stddev`.

use super::{Accumulator, Outcome, Reduction, Slots};
use crate::kernel::{
    Number,
    spread::Spread,
    variance::{Divisor, Variance},
};
use arrow::{
    array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray},
    datatypes::{DataType, Float64Type, Int64Type, UInt64Type},
};
use datafusion::common::Result;
use std::{marker::PhantomData, ops::Range, sync::Arc};

/// The accumulator of a folding reduction over numbers of a type.
pub fn folding(reduction: &Reduction, input: &DataType) -> Option<Box<dyn Accumulator>> {
    Some(match input {
        _ if *reduction == Reduction::Count => Box::new(Count::default()),
        DataType::Float64 => numbers::<Float64Type>(reduction)?,
        DataType::Int64 => numbers::<Int64Type>(reduction)?,
        DataType::UInt64 => numbers::<UInt64Type>(reduction)?,
        _ => return None,
    })
}

fn numbers<T: ArrowPrimitiveType>(reduction: &Reduction) -> Option<Box<dyn Accumulator>>
where
    T::Native: Number + ArrowNativeTypeOp,
{
    Some(match reduction {
        Reduction::Sum => Box::new(Folding::<T, Sum<T>>::default()),
        Reduction::Mean => Box::new(Folding::<T, Mean<T>>::default()),
        Reduction::Spread => Box::new(Folding::<T, Spread<T::Native>>::default()),
        Reduction::Stddev => Box::new(Folding::<T, Variance>::default()),
        _ => return None,
    })
}

#[derive(Default)]
struct Count(Vec<i64>);

impl Accumulator for Count {
    fn update(&mut self, slot: usize, _times: &[i64], column: &ArrayRef, rows: Range<usize>) -> Result<()> {
        self.0.resize(self.0.len().max(slot + 1), 0);
        let nulls = column.nulls().map_or(0, |n| n.slice(rows.start, rows.len()).null_count());
        self.0[slot] += (rows.len() - nulls) as i64;
        Ok(())
    }

    fn finish(&mut self, slots: &Slots) -> Result<Outcome> {
        self.0.resize(slots.len(), 0);
        Ok(Outcome::per_slot(Arc::new(self.0.iter().map(|n| (*n > 0).then_some(*n)).collect::<Int64Array>())))
    }

    fn size(&self) -> usize {
        self.0.capacity() * size_of::<i64>()
    }
}

/// What one group keeps.
trait Fold<T: ArrowPrimitiveType>: Default + Clone + Send + 'static {
    type Output: ArrowPrimitiveType;
    fn push(&mut self, value: T::Native);
    /// `None`: no values, or none that has a result.
    fn value(&self) -> Option<<Self::Output as ArrowPrimitiveType>::Native>;
}

struct Folding<T, F> {
    folds: Vec<F>,
    of: PhantomData<fn() -> T>,
}

impl<T, F> Default for Folding<T, F> {
    fn default() -> Self {
        Folding { folds: vec![], of: PhantomData }
    }
}

impl<T: ArrowPrimitiveType, F: Fold<T>> Accumulator for Folding<T, F> {
    fn update(&mut self, slot: usize, _times: &[i64], column: &ArrayRef, rows: Range<usize>) -> Result<()> {
        if self.folds.len() <= slot {
            self.folds.resize(slot + 1, F::default());
        }
        let column = column.as_primitive::<T>();
        let fold = &mut self.folds[slot];
        match column.nulls() {
            Some(nulls) if nulls.null_count() > 0 => {
                rows.filter(|r| nulls.is_valid(*r)).for_each(|r| fold.push(column.value(r)));
            }
            _ => column.values()[rows].iter().for_each(|v| fold.push(*v)),
        }
        Ok(())
    }

    fn finish(&mut self, slots: &Slots) -> Result<Outcome> {
        self.folds.resize(slots.len(), F::default());
        Ok(Outcome::per_slot(Arc::new(PrimitiveArray::<F::Output>::from_iter(self.folds.iter().map(F::value)))))
    }

    fn size(&self) -> usize {
        self.folds.capacity() * size_of::<F>()
    }
}

/// Integers wrap, as Go's do.
struct Sum<T: ArrowPrimitiveType> {
    sum: T::Native,
    count: u64,
}

impl<T: ArrowPrimitiveType> Default for Sum<T> {
    fn default() -> Self {
        Sum { sum: T::Native::default(), count: 0 }
    }
}

impl<T: ArrowPrimitiveType> Clone for Sum<T> {
    fn clone(&self) -> Self {
        Sum { sum: self.sum, count: self.count }
    }
}

impl<T: ArrowPrimitiveType> Fold<T> for Sum<T>
where
    T::Native: Number,
{
    type Output = T;

    fn push(&mut self, value: T::Native) {
        self.sum = self.sum.plus(value);
        self.count += 1;
    }

    fn value(&self) -> Option<T::Native> {
        (self.count > 0).then_some(self.sum)
    }
}

/// The sum in the type of the values, divided as floats (InfluxDB 1.8).
struct Mean<T: ArrowPrimitiveType>(Sum<T>);

impl<T: ArrowPrimitiveType> Default for Mean<T> {
    fn default() -> Self {
        Mean(Sum::default())
    }
}

impl<T: ArrowPrimitiveType> Clone for Mean<T> {
    fn clone(&self) -> Self {
        Mean(self.0.clone())
    }
}

impl<T: ArrowPrimitiveType> Fold<T> for Mean<T>
where
    T::Native: Number,
{
    type Output = Float64Type;

    fn push(&mut self, value: T::Native) {
        self.0.push(value);
    }

    fn value(&self) -> Option<f64> {
        self.0.value().map(|sum| sum.to_f64() / self.0.count as f64)
    }
}

impl<T: ArrowPrimitiveType> Fold<T> for Spread<T::Native>
where
    T::Native: Number + ArrowNativeTypeOp,
{
    type Output = T;

    fn push(&mut self, value: T::Native) {
        Spread::push(self, value);
    }

    fn value(&self) -> Option<T::Native> {
        self.range().map(|(min, max)| max.sub_wrapping(min))
    }
}

/// Of a sample; NaN for one value.
impl<T: ArrowPrimitiveType> Fold<T> for Variance
where
    T::Native: Number,
{
    type Output = Float64Type;

    fn push(&mut self, value: T::Native) {
        Variance::push(self, value.to_f64());
    }

    fn value(&self) -> Option<f64> {
        self.stddev(Divisor::Sample)
    }
}
