//! `elapsed(time[, unit])`: time since the row before in whole units (one second), truncated.

use super::{Arguments, PartitionFunction};
use crate::{functions::arguments::is_time, kernel::elapsed::elapsed};
use arrow::{
    array::{ArrayRef, Int64Array},
    datatypes::DataType,
};
use datafusion::common::Result;
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ElapsedFunction;

impl PartitionFunction for ElapsedFunction {
    fn name(&self) -> &'static str {
        "elapsed"
    }

    fn usage(&self) -> &'static str {
        "elapsed(time[, INTERVAL '1 second']) OVER (... ORDER BY time)"
    }

    fn result(&self, arguments: &[DataType]) -> Option<DataType> {
        matches!(arguments, [time] | [time, _] if is_time(time)).then_some(DataType::Int64)
    }

    fn run(&self, arguments: &Arguments) -> Result<ArrayRef> {
        let (times, unit) = (arguments.times(0)?, arguments.unit_ns(1)?);
        let mut last = None;
        let gaps = times.iter().map(|time| {
            let time = time?;
            last.replace(time).map(|earlier| elapsed(earlier, time, unit))
        });
        Ok(Arc::new(gaps.collect::<Int64Array>()))
    }
}
