//! What a predicate says of `_field` and `_value`, as parts of a delete: each field's values are rows by themselves there.

use super::{DeletePart, float, stream::col};
use crate::model::{FieldType, MeasurementSchema};
use arrow::datatypes::DataType;
use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, Operator, binary_expr, cast},
    prelude::lit,
};
use std::sync::Arc;

/// Values of the fields that meet every condition on their name and on themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValueFilter {
    /// Whether the name is the one wanted, or one that is not.
    pub fields: Vec<(bool, Arc<str>)>,
    pub values: Vec<ValueTest>,
}

/// A comparison with a literal. A value of another type does not meet it; numbers are one type, unless one is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueTest {
    pub operator: Operator,
    pub value: ScalarValue,
    /// Only values of fields of this type.
    pub only: Option<FieldType>,
}

impl ValueFilter {
    /// It says nothing: rows are meant whole.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.values.is_empty()
    }

    /// Its part for each field of the measurement whose values may meet it.
    pub fn parts(&self, measurement: &MeasurementSchema) -> Vec<DeletePart> {
        let is_meant = |name: &Arc<str>| self.fields.iter().all(|(equal, wanted)| (wanted == name) == *equal);
        let part = |(name, field_type): (&Arc<str>, &FieldType)| {
            let conditions = self.values.iter().map(|test| test.on(name, *field_type)).collect::<Option<Vec<_>>>()?;
            Some(DeletePart { field: Some(name.clone()), condition: conditions.into_iter().reduce(Expr::and) })
        };
        measurement.fields.iter().filter(|(name, _)| is_meant(name)).filter_map(part).collect()
    }
}

impl ValueTest {
    /// `None`: no value of the field meets it.
    fn on(&self, field: &str, field_type: FieldType) -> Option<Expr> {
        let ValueTest { operator, value, only } = self;
        let fits = match field_type {
            FieldType::Float | FieldType::Integer | FieldType::Unsigned => value.data_type().is_numeric(),
            FieldType::String => matches!(value, ScalarValue::Utf8(_)),
            FieldType::Boolean => matches!(value, ScalarValue::Boolean(_)),
        };
        if !fits || only.is_some_and(|only| only != field_type) {
            return None;
        }
        if [field_type.arrow(), value.data_type()].contains(&DataType::Float64) {
            let bound = value.cast_to(&DataType::Float64).ok()?;
            return float::compare(*operator, cast(col(field), DataType::Float64), lit(bound));
        }
        Some(binary_expr(col(field), *operator, lit(value.clone())))
    }
}
