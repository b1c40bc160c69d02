//! `holtWinters`: values to come.

use super::reductions::reduce_rows;
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{each, floats, is_number, run_error, times},
        },
    },
    kernel::holt_winters::holt_winters,
    model::{Duration, schema::time_type},
};
use arrow::{
    array::{ArrayRef, Float64Array, TimestampNanosecondArray},
    datatypes::{DataType, Field},
};
use std::sync::Arc;

/// Buckets of one table; a longer stretch is refused instead of filling the memory.
const BUCKETS_MAX: usize = 10_000_000;

pub static FUNCTION: Function = Function {
    name: "holtWinters",
    signature: "(<-tables: stream[A], n: int, interval: duration, ?withFit: bool, ?column: string, ?timeColumn: string, ?seasonality: int, ?withMinSSE: bool) => stream[B]",
    summary: "Forecasts `n` values, `interval` apart, by Holt and Winters' damped method; `withFit` gives the fitted values, too.",
    examples: &[],
    call: forecast,
};

fn forecast(call: &mut Call<'_>) -> FluxResult<Value> {
    let n = call.required::<i64>("n")?;
    let interval = call.required::<Duration>("interval")?;
    let with_fit = call.or("withFit", false)?;
    let column = call.column_name("column", "_value")?;
    let time_column = call.column_name("timeColumn", "_time")?;
    let season = call.or::<i64>("seasonality", 0)?;
    let with_error = call.or("withMinSSE", false)?;
    let Some(n) = usize::try_from(n).ok().filter(|n| *n > 0) else {
        return Err(FluxError::invalid("holtWinters: n must be greater than 0").at(call.span));
    };
    let Ok(season) = usize::try_from(season) else {
        return Err(FluxError::invalid("holtWinters: seasonality must be greater than or equal to 0").at(call.span));
    };
    if interval.mean_nanoseconds() <= 0 {
        return Err(FluxError::invalid("holtWinters: interval must be positive").at(call.span));
    }
    each(call, |frame| {
        if !frame.data_type(&column).is_some_and(|t| is_number(&t)) {
            return frame.fail("holtWinters", format!("holtWinters: no numeric column \"{column}\" exists"));
        }
        if !matches!(frame.data_type(&time_column), Some(DataType::Timestamp(..))) {
            return frame.fail("holtWinters", format!("holtWinters: no time column \"{time_column}\" exists"));
        }
        let mut added = vec![Field::new("_time", time_type(), true), Field::new("_value", DataType::Float64, true)];
        if with_error {
            added.push(Field::new("minSSE", DataType::Float64, true));
        }
        let (column, time_column) = (column.clone(), time_column.clone());
        reduce_rows(frame, "holtWinters", added, move |_, rows| {
            let times = rows.column_by_name(&time_column).and_then(times).unwrap_or_default();
            let values = rows.column_by_name(&column).and_then(floats).unwrap_or_default();
            let (mut first, mut last, mut bucket_stop) = (None, 0, 0);
            // One value per interval from the first time on: its first one, none where it has no row.
            let mut buckets: Vec<Option<f64>> = vec![];
            for (time, value) in times.into_iter().zip(values) {
                let Some(time) = time else { continue };
                if value.is_some_and(|v| !v.is_finite()) {
                    return Err(run_error("holtWinters: the values must be finite numbers"));
                }
                last = time;
                if first.is_none() {
                    first = Some(time);
                    bucket_stop = interval.add_to(time);
                    buckets.push(value);
                    continue;
                }
                while time >= bucket_stop {
                    let next = interval.add_to(bucket_stop);
                    if buckets.len() >= BUCKETS_MAX || next <= bucket_stop {
                        return Err(run_error(format!("holtWinters: the rows span more than {BUCKETS_MAX} intervals")));
                    }
                    buckets.push(if time < next { value } else { None });
                    bucket_stop = next;
                }
            }
            let found = holt_winters(&buckets, n, season, with_fit);
            let values = found.as_ref().map(|f| f.values.clone()).unwrap_or_default();
            let mut time = if with_fit { first.unwrap_or_default() } else { interval.add_to(last) };
            let mut stamps = vec![];
            for _ in &values {
                stamps.push(time);
                time = interval.add_to(time);
            }
            let count = values.len();
            let mut columns: Vec<ArrayRef> = vec![Arc::new(TimestampNanosecondArray::from(stamps)), Arc::new(Float64Array::from(values))];
            if with_error {
                columns.push(Arc::new(Float64Array::from(vec![found.map_or(f64::NAN, |f| f.min_sse); count])));
            }
            Ok(columns)
        })
    })
}
