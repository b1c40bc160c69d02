//! Flux values in and out of Arrow columns.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{Record, Value},
    },
    model::schema::time_type,
    plan::stream::{null, time_literal, type_name},
};
use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, NullArray, StringArray, TimestampNanosecondArray, UInt64Array,
    },
    datatypes::{DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt64Type},
    record_batch::RecordBatch,
};
use datafusion::{
    common::ScalarValue,
    logical_expr::{Expr, lit},
};
use std::sync::Arc;

/// The value in one row. Null for a null.
pub fn value_at(column: &dyn Array, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => Value::Bool(column.as_boolean().value(row)),
        DataType::Int64 => Value::Int(column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => Value::UInt(column.as_primitive::<UInt64Type>().value(row)),
        DataType::Float64 => Value::Float(column.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(..) => Value::Time(column.as_primitive::<TimestampNanosecondType>().value(row)),
        DataType::Utf8 => Value::string(column.as_string::<i32>().value(row)),
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            value_at(dictionary.values(), dictionary.normalized_keys()[row])
        }
        _ => Value::Null,
    }
}

/// One row as Flux's record; a null cell is a null of its column's type.
pub fn record_at(batch: &RecordBatch, row: usize) -> Record {
    let cell = |column: &ArrayRef| match value_at(column.as_ref(), row) {
        Value::Null => match column.data_type() {
            DataType::Null => Value::Null,
            DataType::Dictionary(..) => Value::NullOf(DataType::Utf8),
            known => Value::NullOf(known.clone()),
        },
        value => value,
    };
    let schema = batch.schema();
    schema.fields().iter().zip(batch.columns()).map(|(f, c)| (Arc::from(f.name().as_str()), cell(c))).collect()
}

/// The column type that holds a value; `None` for what no table can hold.
pub fn column_type(value: &Value) -> Option<DataType> {
    Some(match value {
        Value::Null => DataType::Null,
        Value::NullOf(data_type) => data_type.clone(),
        Value::Bool(_) => DataType::Boolean,
        Value::Int(_) => DataType::Int64,
        Value::UInt(_) => DataType::UInt64,
        Value::Float(_) => DataType::Float64,
        Value::String(_) => DataType::Utf8,
        Value::Time(_) => time_type(),
        Value::Dynamic(inner) => return column_type(inner),
        _ => return None,
    })
}

/// A literal of a value; `None` for what no table can hold.
pub fn literal(value: &Value) -> Option<Expr> {
    Some(match value {
        Value::Null => lit(ScalarValue::Null),
        Value::NullOf(data_type) => null(data_type),
        Value::Bool(v) => lit(*v),
        Value::Int(v) => lit(*v),
        Value::UInt(v) => lit(*v),
        Value::Float(v) => lit(*v),
        Value::String(v) => lit(v.to_string()),
        Value::Time(v) => time_literal(*v),
        _ => return None,
    })
}

/// Values of one type as a column; nulls fit every type.
pub fn column_of(values: &[Value], data_type: &DataType) -> FluxResult<ArrayRef> {
    macro_rules! build {
        ($array:ty, $pattern:pat => $out:expr) => {
            Arc::new(
                values
                    .iter()
                    .map(|v| match v {
                        $pattern => Ok(Some($out)),
                        Value::Null | Value::NullOf(_) => Ok(None),
                        other => Err(clash(other, data_type)),
                    })
                    .collect::<FluxResult<$array>>()?,
            )
        };
    }
    Ok(match data_type {
        DataType::Boolean => build!(BooleanArray, Value::Bool(v) => *v),
        DataType::Int64 => build!(Int64Array, Value::Int(v) => *v),
        DataType::UInt64 => build!(UInt64Array, Value::UInt(v) => *v),
        DataType::Float64 => build!(Float64Array, Value::Float(v) => *v),
        DataType::Utf8 => {
            let texts = values.iter().map(|v| match v {
                Value::String(s) => Ok(Some(s.to_string())),
                Value::Null | Value::NullOf(_) => Ok(None),
                other => Err(clash(other, data_type)),
            });
            Arc::new(texts.collect::<FluxResult<StringArray>>()?)
        }
        DataType::Timestamp(..) => build!(TimestampNanosecondArray, Value::Time(v) => *v),
        _ => Arc::new(NullArray::new(values.len())),
    })
}

fn clash(value: &Value, data_type: &DataType) -> FluxError {
    FluxError::run(format!("expected {} but found {}", type_name(data_type), value.type_name()))
}
