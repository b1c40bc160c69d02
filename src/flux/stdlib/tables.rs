//! What table functions share: taking the piped stream, changing frames, giving a stream back.

use super::function::Call;
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        lower::cells::record_at,
    },
    model::{Failure, Result},
    plan::{Context, Frame, Selection, TableStream, stream::regroup_frames},
};
use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt64Type},
    record_batch::RecordBatch,
};
use datafusion::error::DataFusionError;
use std::sync::Arc;

impl Call<'_> {
    /// A stream. What reads all of a bucket is refused: it is to be bounded first.
    pub fn stream(&mut self, name: &str) -> FluxResult<Arc<TableStream>> {
        let stream = self.any_stream(name)?;
        stream.check_bounded()?;
        Ok(stream)
    }

    fn any_stream(&mut self, name: &str) -> FluxResult<Arc<TableStream>> {
        let value = self.required::<Value>(name)?;
        let wrong = || FluxError::invalid(format!("keyword argument \"{name}\" should be of kind stream, but got {}", value.type_name()));
        value.tables()?.ok_or_else(|| wrong().at(self.span))
    }

    /// The piped rows, where they are not planned yet.
    pub fn selection(&self) -> Option<Arc<Selection>> {
        self.arguments.iter().find_map(|(name, value)| match value {
            Value::Selection(rows) if name.as_ref() == "tables" => Some(rows.clone()),
            _ => None,
        })
    }

    /// The piped stream as it is.
    pub fn tables(&mut self) -> FluxResult<TableStream> {
        Ok(self.stream("tables")?.as_ref().clone())
    }

    /// The piped stream, bounded or not.
    pub fn unbounded_tables(&mut self) -> FluxResult<TableStream> {
        Ok(self.any_stream("tables")?.as_ref().clone())
    }

    /// The piped stream in long frames.
    pub fn long_tables(&mut self) -> FluxResult<TableStream> {
        Ok(self.tables()?.to_long()?)
    }

    pub fn context(&self) -> &dyn Context {
        self.interpreter.context
    }

    /// A list of column names, or the default.
    pub fn column_names(&mut self, name: &str, default: &[&str]) -> FluxResult<Vec<String>> {
        Ok(self.optional(name)?.unwrap_or_else(|| default.iter().map(|c| c.to_string()).collect()))
    }

    pub fn column_name(&mut self, name: &str, default: &str) -> FluxResult<String> {
        Ok(self.optional::<Arc<str>>(name)?.map_or_else(|| default.to_string(), |c| c.to_string()))
    }
}

/// A stream as a value.
pub fn stream(frames: Vec<Frame>, like: &TableStream) -> Value {
    Value::Stream(Arc::new(like.with_frames(frames)))
}

/// Each long frame changed by itself; keys stay distinct.
pub fn each(call: &mut Call<'_>, change: impl Fn(&Frame) -> Result<Frame>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let frames = tables.frames.iter().map(change).collect::<Result<Vec<_>>>()?;
    Ok(stream(frames, &tables))
}

/// Each long frame changed so that keys may meet.
pub fn each_regrouped(call: &mut Call<'_>, change: impl Fn(&Frame) -> Result<Frame>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let frames = tables.frames.iter().map(change).collect::<Result<Vec<_>>>()?;
    Ok(stream(regroup_frames(frames, call.context())?, &tables))
}

/// Whether rows may be brought together with all their fields, as long as `_field` stays in the key.
pub fn may_regroup_wide(tables: &TableStream) -> bool {
    let [frame] = tables.frames.as_slice() else { return false };
    // With `null_rows`, a null of one table would become a row where another of the same new key has values.
    frame.is_wide() && !frame.null_rows && !["_field", "_value"].iter().any(|name| frame.has(name))
}

/// An error raised while tables flow, for DataFusion to carry.
pub fn run_error(message: impl Into<String>) -> DataFusionError {
    Failure::invalid(message).into()
}

/// A Flux error for DataFusion to carry.
pub fn carried(error: FluxError) -> DataFusionError {
    Failure::from(error).into()
}

/// Numbers of a column as floats, nulls as `None`; `None` when the column has no numbers.
pub fn floats(column: &ArrayRef) -> Option<Vec<Option<f64>>> {
    Some(match column.data_type() {
        DataType::Float64 => column.as_primitive::<Float64Type>().iter().collect(),
        DataType::Int64 => column.as_primitive::<Int64Type>().iter().map(|v| v.map(|v| v as f64)).collect(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().iter().map(|v| v.map(|v| v as f64)).collect(),
        _ => return None,
    })
}

/// Times of a column, nulls as `None`; `None` when the column has no times.
pub fn times(column: &ArrayRef) -> Option<Vec<Option<i64>>> {
    matches!(column.data_type(), DataType::Timestamp(..)).then(|| column.as_primitive::<TimestampNanosecondType>().iter().collect())
}

pub fn is_number(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float64 | DataType::Int64 | DataType::UInt64)
}

/// Every row of a frame as a record, by running it now; for functions that have no expression.
pub fn run_rows(frame: &Frame, context: &dyn Context) -> FluxResult<Vec<(RecordBatch, Vec<crate::flux::eval::Record>)>> {
    let batches = context.collect(frame.plan.clone())?;
    Ok(batches
        .into_iter()
        .map(|b| {
            let rows = (0..b.num_rows()).map(|r| record_at(&b, r)).collect();
            (b, rows)
        })
        .collect())
}
