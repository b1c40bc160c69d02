//! InfluxQL's mathematical functions of one or two numbers. Outside of its domain a function gives NaN, which leaves as
//! null. `abs`, `ceil`, `floor` and `round` keep integers as they are (InfluxDB 1.6.7).

use crate::model::Failure;
use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
};
use datafusion::{
    common::Result,
    logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Math {
    Abs,
    Ceil,
    Floor,
    Round,
    Sqrt,
    Exp,
    Ln,
    Log2,
    Log10,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    /// Two arguments from here on.
    Pow,
    Log,
    Atan2,
}

impl Math {
    const ALL: [Math; 18] = {
        use Math::*;
        [Abs, Ceil, Floor, Round, Sqrt, Exp, Ln, Log2, Log10, Sin, Cos, Tan, Asin, Acos, Atan, Pow, Log, Atan2]
    };

    pub fn by_name(name: &str) -> Option<Math> {
        Math::ALL.into_iter().find(|m| m.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Math::Abs => "abs",
            Math::Ceil => "ceil",
            Math::Floor => "floor",
            Math::Round => "round",
            Math::Sqrt => "sqrt",
            Math::Exp => "exp",
            Math::Ln => "ln",
            Math::Log2 => "log2",
            Math::Log10 => "log10",
            Math::Sin => "sin",
            Math::Cos => "cos",
            Math::Tan => "tan",
            Math::Asin => "asin",
            Math::Acos => "acos",
            Math::Atan => "atan",
            Math::Pow => "pow",
            Math::Log => "log",
            Math::Atan2 => "atan2",
        }
    }

    pub fn argument_count(self) -> usize {
        if matches!(self, Math::Pow | Math::Log | Math::Atan2) { 2 } else { 1 }
    }

    /// Whether integers stay integers.
    pub fn keeps_integers(self) -> bool {
        matches!(self, Math::Abs | Math::Ceil | Math::Floor | Math::Round)
    }

    /// The type of the result for a first argument of this type.
    pub fn output(self, input: &DataType) -> DataType {
        let keeps = self.keeps_integers() && matches!(input, DataType::Int64 | DataType::UInt64);
        if keeps { input.clone() } else { DataType::Float64 }
    }

    fn of(self, x: f64, y: f64) -> f64 {
        match self {
            Math::Abs => x.abs(),
            Math::Ceil => x.ceil(),
            Math::Floor => x.floor(),
            Math::Round => x.round(),
            Math::Sqrt => x.sqrt(),
            Math::Exp => x.exp(),
            Math::Ln => x.ln(),
            Math::Log2 => x.log2(),
            Math::Log10 => x.log10(),
            Math::Sin => x.sin(),
            Math::Cos => x.cos(),
            Math::Tan => x.tan(),
            Math::Asin => x.asin(),
            Math::Acos => x.acos(),
            Math::Atan => x.atan(),
            Math::Pow => x.powf(y),
            Math::Log => x.ln() / y.ln(),
            Math::Atan2 => x.atan2(y),
        }
    }

    /// The call as an expression.
    pub fn call(self, arguments: Vec<Expr>) -> Expr {
        ScalarUDF::from(MathFunction { math: self, signature: Signature::variadic_any(Volatility::Immutable) }).call(arguments)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MathFunction {
    math: Math,
    signature: Signature,
}

impl ScalarUDFImpl for MathFunction {
    fn name(&self) -> &str {
        self.math.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if types.len() != self.math.argument_count() {
            return Err(Failure::internal(format!("{} takes {} arguments", self.name(), self.math.argument_count())).into());
        }
        Ok(self.math.output(&types[0]))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        if self.math.keeps_integers() && matches!(arrays[0].data_type(), DataType::Int64 | DataType::UInt64) {
            let integers: ArrayRef = match (self.math, arrays[0].data_type()) {
                (Math::Abs, DataType::Int64) => {
                    Arc::new(arrays[0].as_primitive::<Int64Type>().iter().map(|v| v.map(i64::wrapping_abs)).collect::<Int64Array>())
                }
                _ => arrays[0].clone(),
            };
            return Ok(ColumnarValue::Array(integers));
        }
        let floats = arrays.iter().map(|a| Ok(cast(a, &DataType::Float64)?)).collect::<Result<Vec<_>>>()?;
        let x = floats[0].as_primitive::<Float64Type>();
        let result: Float64Array = match floats.get(1) {
            None => x.unary(|x| self.math.of(x, 0.0)),
            Some(y) => arrow::compute::binary(x, y.as_primitive::<Float64Type>(), |x, y| self.math.of(x, y))?,
        };
        Ok(ColumnarValue::Array(Arc::new(result)))
    }
}
