//! What a predicate says of `_field` and `_value`, as parts of a delete: each field's values are rows by themselves there.

use super::{DeletePart, stream::col};
use crate::model::{FieldType, MeasurementSchema};
use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, Operator, binary_expr},
    prelude::lit,
};
use std::sync::Arc;

/// Values of the fields that meet every condition on their name and on themselves.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ValueFilter {
    /// Whether the name is the one wanted, or one that is not.
    pub fields: Vec<(bool, Arc<str>)>,
    /// A value of another type does not meet it; numbers are one type.
    pub values: Vec<(Operator, ScalarValue)>,
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
            let compare =
                |(op, value): &(Operator, ScalarValue)| fits(*field_type, value).then(|| binary_expr(col(name), *op, lit(value.clone())));
            let conditions = self.values.iter().map(compare).collect::<Option<Vec<_>>>()?;
            Some(DeletePart { field: Some(name.clone()), condition: conditions.into_iter().reduce(Expr::and) })
        };
        measurement.fields.iter().filter(|(name, _)| is_meant(name)).filter_map(part).collect()
    }
}

fn fits(field_type: FieldType, value: &ScalarValue) -> bool {
    match field_type {
        FieldType::Float | FieldType::Integer | FieldType::Unsigned => value.data_type().is_numeric(),
        FieldType::String => matches!(value, ScalarValue::Utf8(_)),
        FieldType::Boolean => matches!(value, ScalarValue::Boolean(_)),
    }
}
