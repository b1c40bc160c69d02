//! A value per row from the rows of its partition: `derivative(v, time) OVER (PARTITION BY host ORDER BY time)`.
//!
//! A file here is one [`PartitionFunction`]: columns of a whole partition in, one column out. The adapter in this file
//! makes a DataFusion window function of it. A null value gives null and is passed over: the row after it looks back to
//! the last value that was there.

pub mod cumulative_sum;
pub mod derivative;
pub mod difference;
pub mod elapsed;
pub mod exponential_moving_average;
pub mod increase;
pub mod moving_average;

use crate::{
    functions::arguments::{self, constant},
    kernel::derivative::OnFall,
    model::{Failure, duration, schema::time_type},
};
use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, TimestampNanosecondArray, types::TimestampNanosecondType},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Float64Type},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs},
    logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl},
};
use std::{fmt, hash::Hash, sync::Arc};

/// Every window function of ours.
pub fn all() -> Vec<WindowUDF> {
    let mut all = vec![
        udf(cumulative_sum::CumulativeSumFunction),
        udf(elapsed::ElapsedFunction),
        udf(exponential_moving_average::ExponentialMovingAverageFunction),
        udf(increase::IncreaseFunction),
        udf(moving_average::MovingAverageFunction),
    ];
    for on_fall in [OnFall::Keep, OnFall::Missing] {
        all.push(udf(derivative::DerivativeFunction(on_fall)));
        all.push(udf(difference::DifferenceFunction(on_fall)));
    }
    all
}

/// What one function does with a partition.
pub trait PartitionFunction: fmt::Debug + Clone + PartialEq + Eq + Hash + Send + Sync + 'static {
    fn name(&self) -> &'static str;

    /// How it is called, for people.
    fn usage(&self) -> &'static str;

    /// The type of the answer; `None`: it cannot be called with such arguments.
    fn result(&self, arguments: &[DataType]) -> Option<DataType>;

    fn run(&self, arguments: &Arguments) -> Result<ArrayRef>;
}

/// The arguments of one partition.
pub struct Arguments<'a> {
    columns: &'a [ArrayRef],
    constants: &'a [Option<ScalarValue>],
    usage: &'static str,
}

impl Arguments<'_> {
    /// Argument `i` as one of the three number types.
    pub fn numbers(&self, i: usize) -> Result<ArrayRef> {
        let wanted = arguments::number_type(self.columns[i].data_type()).ok_or_else(|| wrong(self.usage))?;
        Ok(cast(&self.columns[i], &wanted)?)
    }

    pub fn floats(&self, i: usize) -> Result<Float64Array> {
        Ok(cast(&self.columns[i], &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    }

    pub fn times(&self, i: usize) -> Result<TimestampNanosecondArray> {
        Ok(cast(&self.columns[i], &time_type())?.as_primitive::<TimestampNanosecondType>().clone())
    }

    /// A constant length of time in nanoseconds; one second when the argument is left out.
    pub fn unit_ns(&self, i: usize) -> Result<i64> {
        match self.constants.get(i) {
            None => Ok(duration::SECOND),
            Some(value) => arguments::nanoseconds(value.as_ref()).ok_or_else(|| wrong(self.usage)),
        }
    }

    /// A constant number of rows, at least one.
    pub fn rows(&self, i: usize) -> Result<usize> {
        let value = self.constants.get(i).and_then(|v| v.as_ref()?.cast_to(&DataType::Int64).ok());
        match value {
            Some(ScalarValue::Int64(Some(n))) if n > 0 => usize::try_from(n).map_err(|_| wrong(self.usage)),
            _ => Err(wrong(self.usage)),
        }
    }
}

fn wrong(usage: &'static str) -> datafusion::error::DataFusionError {
    Failure::invalid(format!("expected {usage}")).into()
}

fn udf(function: impl PartitionFunction) -> WindowUDF {
    WindowUDF::from(Adapter { function, signature: Signature::variadic_any(Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Adapter<F> {
    function: F,
    signature: Signature,
}

impl<F: PartitionFunction> WindowUDFImpl for Adapter<F> {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.input_fields().iter().map(|f| f.data_type().clone()).collect();
        let result = self.function.result(&types).ok_or_else(|| wrong(self.function.usage()))?;
        Ok(Arc::new(Field::new(args.name(), result, true)))
    }

    fn partition_evaluator(&self, args: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        let constants = args.input_exprs().iter().map(constant).collect();
        Ok(Box::new(Partition { function: self.function.clone(), constants }))
    }
}

#[derive(Debug)]
struct Partition<F> {
    function: F,
    constants: Vec<Option<ScalarValue>>,
}

impl<F: PartitionFunction> PartitionEvaluator for Partition<F> {
    fn evaluate_all(&mut self, values: &[ArrayRef], _rows: usize) -> Result<ArrayRef> {
        self.function.run(&Arguments { columns: values, constants: &self.constants, usage: self.function.usage() })
    }
}
