//! What the arguments of functions have in common: number types, constants, lengths of time.

use crate::{functions::scalar::time_window::parse_duration, model::duration};
use arrow::{
    datatypes::{DataType, Schema},
    record_batch::RecordBatch,
};
use datafusion::{common::ScalarValue, logical_expr::ColumnarValue, physical_expr::PhysicalExpr};
use std::sync::Arc;

/// The kernels' type for a column of numbers: Float64, Int64 or UInt64. `None` for what is no number.
pub fn number_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => DataType::Int64,
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => DataType::UInt64,
        DataType::Null => DataType::Float64,
        other if other.is_numeric() => DataType::Float64,
        _ => return None,
    })
}

/// The type of differences between such numbers: integers stay integers, and unsigned ones become signed.
pub fn difference_type(data_type: &DataType) -> Option<DataType> {
    Some(if number_type(data_type)? == DataType::Float64 { DataType::Float64 } else { DataType::Int64 })
}

pub fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..))
}

/// The value of an expression that looks at no column.
pub fn constant(expr: &Arc<dyn PhysicalExpr>) -> Option<ScalarValue> {
    match expr.evaluate(&RecordBatch::new_empty(Arc::new(Schema::empty()))) {
        Ok(ColumnarValue::Scalar(value)) => Some(value),
        _ => None,
    }
}

/// A positive length of time: an interval without months, a duration, or text such as `'1m30s'`. A day has 24 hours.
pub fn nanoseconds(value: Option<&ScalarValue>) -> Option<i64> {
    let ns = match value? {
        ScalarValue::IntervalMonthDayNano(Some(i)) if i.months == 0 => {
            i64::from(i.days).checked_mul(duration::DAY)?.checked_add(i.nanoseconds)?
        }
        ScalarValue::IntervalDayTime(Some(i)) => {
            i64::from(i.days).checked_mul(duration::DAY)?.checked_add(i64::from(i.milliseconds) * duration::MILLISECOND)?
        }
        ScalarValue::DurationSecond(Some(n)) => n.checked_mul(duration::SECOND)?,
        ScalarValue::DurationMillisecond(Some(n)) => n.checked_mul(duration::MILLISECOND)?,
        ScalarValue::DurationMicrosecond(Some(n)) => n.checked_mul(duration::MICROSECOND)?,
        ScalarValue::DurationNanosecond(Some(n)) => *n,
        other => {
            let parsed = parse_duration(other.try_as_str()??)?;
            if parsed.months != 0 || parsed.negative {
                return None;
            }
            parsed.nanoseconds
        }
    };
    (ns > 0).then_some(ns)
}
