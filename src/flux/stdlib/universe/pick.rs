//! What a selector picks: the row of a table that its values choose.

use crate::{flux::stdlib::tables::run_error, plan::stream::type_name};
use arrow::{
    array::{Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, PrimitiveArray, make_comparator},
    compute::SortOptions,
    datatypes::{DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt64Type},
};
use datafusion::common::Result;
use std::{cmp::Ordering, ops::Range};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    First,
    Last,
    /// Of equal values the first; floats in total order.
    Min,
    Max,
}

impl Pick {
    pub const ALL: [Pick; 4] = [Pick::First, Pick::Last, Pick::Min, Pick::Max];

    pub fn name(self) -> &'static str {
        match self {
            Pick::First => "first",
            Pick::Last => "last",
            Pick::Min => "min",
            Pick::Max => "max",
        }
    }

    pub fn takes(self, data_type: &DataType) -> bool {
        let numbers = matches!(data_type, DataType::Int64 | DataType::UInt64 | DataType::Float64 | DataType::Timestamp(..));
        numbers || matches!(self, Pick::First | Pick::Last)
    }

    /// The row among `rows` that is picked; none when all are null. Fails on a column that it does not take.
    pub fn row(self, column: &ArrayRef, mut rows: Range<usize>) -> Result<Option<usize>> {
        Ok(match (self, column.data_type()) {
            (Pick::First, _) => rows.find(|r| column.is_valid(*r)),
            (Pick::Last, _) => rows.rev().find(|r| column.is_valid(*r)),
            (_, DataType::Int64) => self.extreme(column.as_primitive::<Int64Type>(), rows),
            (_, DataType::UInt64) => self.extreme(column.as_primitive::<UInt64Type>(), rows),
            (_, DataType::Float64) => self.extreme(column.as_primitive::<Float64Type>(), rows),
            (_, DataType::Timestamp(..)) => self.extreme(column.as_primitive::<TimestampNanosecondType>(), rows),
            (_, other) => return Err(self.refusal(other)),
        })
    }

    fn extreme<T: ArrowPrimitiveType>(self, column: &PrimitiveArray<T>, rows: Range<usize>) -> Option<usize> {
        let values = column.values();
        let wins = |a: usize, b: usize| if self == Pick::Min { values[a].is_lt(values[b]) } else { values[a].is_gt(values[b]) };
        let best = |best: usize, row: usize| if wins(row, best) { row } else { best };
        match column.null_count() {
            0 => rows.reduce(best),
            _ => rows.filter(|r| column.is_valid(*r)).reduce(best),
        }
    }

    /// Whether a value is to be preferred to one that stands earlier in its table; neither is null.
    pub fn prefers(self, (later, row): (&ArrayRef, usize), (earlier, old): (&ArrayRef, usize)) -> Result<bool> {
        let order = || -> Result<Ordering> { Ok(make_comparator(later, earlier, SortOptions::default())?(row, old)) };
        Ok(match self {
            Pick::First => false,
            Pick::Last => true,
            Pick::Min => order()? == Ordering::Less,
            Pick::Max => order()? == Ordering::Greater,
        })
    }

    // Clients match on the words (Flux v0.200).
    fn refusal(self, data_type: &DataType) -> datafusion::common::DataFusionError {
        let selector = if self == Pick::Min { "MinSelector" } else { "MaxSelector" };
        let (name, data_type) = (self.name(), type_name(data_type));
        run_error(format!("{name}: invalid use of function: *universe.{selector} has no implementation for type {data_type}"))
    }
}
