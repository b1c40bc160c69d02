//! A Flux function of values as a DataFusion scalar function: called once per row, with nulls as null values.

use super::cells::{column_of, value_at};
use crate::{
    flux::{diagnostic::FluxResult, eval::Value},
    memory,
    model::Failure,
};
use arrow::datatypes::DataType;
use datafusion::{
    common::{DataFusionError, Result},
    logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction},
};
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

/// What is called for each row.
pub type RowCode = Arc<dyn Fn(Vec<Value>) -> FluxResult<Value> + Send + Sync>;

struct ValueFunction {
    name: String,
    returns: DataType,
    signature: Signature,
    code: RowCode,
}

/// The call of `code` on `arguments`, which gives a value of type `returns` or null.
pub fn value_function(name: &str, arguments: Vec<Expr>, returns: DataType, code: RowCode) -> Expr {
    let signature = Signature::variadic_any(Volatility::Volatile);
    let function = ValueFunction { name: name.to_string(), returns, signature, code };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(ScalarUDF::new_from_impl(function)), arguments))
}

// Two calls are the same when they run the same code value; a closure's text says nothing about what it captured.
impl PartialEq for ValueFunction {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.code, &other.code)
    }
}

impl Eq for ValueFunction {}

impl Hash for ValueFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for ValueFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl ScalarUDFImpl for ValueFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = arguments.args.iter().map(|a| a.to_array(arguments.number_rows)).collect::<Result<Vec<_>>>()?;
        let failed = |e: crate::flux::diagnostic::FluxError| DataFusionError::from(Failure::from(e));
        let mut values = Vec::with_capacity(arguments.number_rows);
        for row in 0..arguments.number_rows {
            values.push((self.code)(columns.iter().map(|c| value_at(c.as_ref(), row)).collect()).map_err(failed)?);
        }
        let bytes = values.iter().map(|value| if let Value::String(text) = value { text.len() } else { 0 }).sum();
        memory::allow(bytes, &self.name)?;
        Ok(ColumnarValue::Array(column_of(&values, &self.returns).map_err(failed)?))
    }
}
