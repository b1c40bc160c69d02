//! Numbers that describe a column's distribution: `skew(x)`, `quantile(x, q[, method])`.
//!
//! Methods: `estimate_tdigest` (default), `exact_mean` = `interpolated` (linear interpolation), `exact_selector`.

use crate::{
    kernel::{quantile, skew::Skew, tdigest::TDigest},
    model::Failure,
};
use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Float64Type},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, ColumnarValue, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
    physical_expr::PhysicalExpr,
};
use std::sync::Arc;

/// What is asked of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    Skew,
    Quantile,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ShapeFunction {
    shape: Shape,
    signature: Signature,
}

impl ShapeFunction {
    pub fn new(shape: Shape) -> ShapeFunction {
        ShapeFunction { shape, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ShapeFunction {
    fn name(&self) -> &str {
        match self.shape {
            Shape::Skew => "skew",
            Shape::Quantile => "quantile",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let count = types.len();
        let fits = if self.shape == Shape::Skew { count == 1 } else { count == 2 || count == 3 };
        if !fits || !types[0].is_numeric() {
            return Err(Failure::invalid("expected skew(number) or quantile(number, q, method)").into());
        }
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let item = Field::new_list_field(DataType::Float64, true);
        Ok(vec![Arc::new(Field::new_list(format!("{}[values]", args.name), item, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let kind = match self.shape {
            Shape::Skew => Kind::Skew,
            Shape::Quantile => {
                let ScalarValue::Float64(Some(q)) = constant(&args.exprs[1])?.cast_to(&DataType::Float64)? else {
                    return Err(Failure::invalid("quantile expects a number for q").into());
                };
                if !(0.0..=1.0).contains(&q) {
                    return Err(Failure::invalid("quantile must be between 0 and 1").into());
                }
                let method = match args.exprs.get(2) {
                    Some(method) => constant(method)?.try_as_str().flatten().map(str::to_string),
                    None => None,
                };
                match method.as_deref() {
                    None | Some("estimate_tdigest") => Kind::Estimate(q),
                    Some("exact_mean" | "interpolated") => Kind::Interpolated(q),
                    Some("exact_selector") => Kind::Selector(q),
                    Some(other) => {
                        let known = "estimate_tdigest, exact_mean, exact_selector, interpolated";
                        return Err(Failure::invalid(format!("unknown method {other}; known are {known}")).into());
                    }
                }
            }
        };
        Ok(Box::new(Values { kind, values: vec![] }))
    }
}

fn constant(expr: &Arc<dyn PhysicalExpr>) -> Result<ScalarValue> {
    let empty = arrow::record_batch::RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()));
    match expr.evaluate(&empty) {
        Ok(ColumnarValue::Scalar(value)) => Ok(value),
        _ => Err(Failure::invalid("quantile expects constants for q and method").into()),
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Skew,
    Estimate(f64),
    Interpolated(f64),
    Selector(f64),
}

/// The values of a group, kept until the end: exact answers need them all.
#[derive(Debug)]
struct Values {
    kind: Kind,
    values: Vec<f64>,
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = cast(&values[0], &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        if values.null_count() == 0 {
            self.values.extend_from_slice(values.values());
        } else {
            self.values.extend(values.iter().flatten());
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|values| self.update_batch(&[values]))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.values.iter().map(|v| ScalarValue::from(*v)).collect();
        Ok(vec![ScalarValue::List(ScalarValue::new_list(&values, &DataType::Float64, true))])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(match self.kind {
            Kind::Interpolated(q) => quantile::interpolated(&mut self.values, q),
            Kind::Selector(q) => {
                quantile::selector_index(self.values.len(), q).map(|index| *self.values.select_nth_unstable_by(index, f64::total_cmp).1)
            }
            Kind::Estimate(q) => {
                let mut digest = TDigest::default();
                self.values.iter().for_each(|v| digest.push(*v));
                digest.quantile(q)
            }
            Kind::Skew => {
                let mut skew = Skew::default();
                self.values.iter().for_each(|v| skew.push(*v));
                skew.value()
            }
        }))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }
}
