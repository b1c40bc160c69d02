//! `histogram` and `histogramQuantile`.

use super::reductions::reduce_rows;
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{each, floats, run_error},
        },
    },
    kernel::histogram_quantile::{Bucket, OnNonmonotonic, Outcome, histogram_quantile},
};
use arrow::{
    array::{ArrayRef, Float64Array},
    datatypes::{DataType, Field},
};
use std::sync::Arc;

pub static HISTOGRAM: Function = Function {
    name: "histogram",
    signature: "(<-tables: stream[A], ?column: string, ?upperBoundColumn: string, ?countColumn: string, bins: [float], ?normalize: bool) => stream[B]",
    summary: "For each bin, how many values of a column are at or below its bound. A value above all bounds is an error.",
    examples: &[],
    call: histogram,
};

fn histogram(call: &mut Call<'_>) -> FluxResult<Value> {
    let column = call.column_name("column", "_value")?;
    let bound_column = call.column_name("upperBoundColumn", "le")?;
    let count_column = call.column_name("countColumn", "_value")?;
    let normalize = call.or("normalize", false)?;
    let list = call.required::<Arc<Vec<Value>>>("bins")?;
    let bins: Option<Vec<f64>> = list.iter().map(|v| if let Value::Float(v) = v { Some(*v) } else { None }).collect();
    let mut bins = bins.ok_or_else(|| FluxError::invalid("histogram: bins must be floats").at(call.span))?;
    bins.sort_by(f64::total_cmp);
    each(call, |frame| {
        match frame.data_type(&column) {
            None => return frame.fail("histogram", format!("histogram: column \"{column}\" is missing")),
            Some(DataType::Float64) => {}
            Some(_) => return frame.fail("histogram", format!("histogram: column \"{column}\" must be a float")),
        }
        let (column, bins) = (column.clone(), bins.clone());
        let added = vec![Field::new(&bound_column, DataType::Float64, true), Field::new(&count_column, DataType::Float64, true)];
        reduce_rows(frame, "histogram", added, move |_, rows| {
            let values = rows.column_by_name(&column).and_then(floats).unwrap_or_default();
            let mut counts = vec![0.0; bins.len()];
            let mut total = 0.0;
            for value in values.into_iter().flatten() {
                let at = bins.partition_point(|b| *b < value);
                let Some(count) = counts.get_mut(at) else {
                    return Err(run_error(format!("histogram: found value greater than any bin, {} {value}", bins.len())));
                };
                *count += 1.0;
                total += 1.0;
            }
            let mut sum = 0.0;
            let counts = counts.into_iter().map(|c| {
                sum += c;
                if normalize { sum / total } else { sum }
            });
            let counts: ArrayRef = Arc::new(Float64Array::from_iter_values(counts));
            Ok(vec![Arc::new(Float64Array::from(bins.clone())), counts])
        })
    })
}

pub static HISTOGRAM_QUANTILE: Function = Function {
    name: "histogramQuantile",
    signature: "(<-tables: stream[A], ?quantile: float, ?countColumn: string, ?upperBoundColumn: string, ?valueColumn: string, ?minValue: float, ?onNonmonotonic: string) => stream[B]",
    summary: "A quantile estimated from the cumulative counts of a histogram.",
    examples: &[],
    call: quantile,
};

fn quantile(call: &mut Call<'_>) -> FluxResult<Value> {
    let q = call.required::<f64>("quantile")?;
    let count_column = call.column_name("countColumn", "_value")?;
    let bound_column = call.column_name("upperBoundColumn", "le")?;
    let value_column = call.column_name("valueColumn", "_value")?;
    let min_value = call.or("minValue", 0.0)?;
    let rule = match call.or::<Arc<str>>("onNonmonotonic", "error".into())?.as_ref() {
        "error" => OnNonmonotonic::Error,
        "force" => OnNonmonotonic::Force,
        "drop" => OnNonmonotonic::Drop,
        other => {
            let text =
                format!("value provided to histogramQuantile parameter onNonmonotonic is invalid: {other}; it is error, force or drop");
            return Err(FluxError::invalid(text).at(call.span));
        }
    };
    each(call, |frame| {
        for (what, column) in [("count", &count_column), ("upper bound", &bound_column)] {
            match frame.data_type(column) {
                None => return frame.fail("histogramQuantile", format!("histogramQuantile: table is missing {what} column \"{column}\"")),
                Some(DataType::Float64) => {}
                Some(_) => {
                    return frame.fail("histogramQuantile", format!("histogramQuantile: {what} column \"{column}\" must be of type float"));
                }
            }
        }
        let (count_column, bound_column) = (count_column.clone(), bound_column.clone());
        let added = vec![Field::new(&value_column, DataType::Float64, true)];
        reduce_rows(frame, "histogramQuantile", added, move |_, rows| {
            let column = |name: &str| rows.column_by_name(name).and_then(floats).unwrap_or_default();
            let mut buckets = vec![];
            for (count, bound) in column(&count_column).into_iter().zip(column(&bound_column)) {
                let (Some(count), Some(upper_bound)) = (count, bound) else {
                    return Err(run_error("histogramQuantile: unexpected null in the count or upper bound column"));
                };
                buckets.push(Bucket { upper_bound, count });
            }
            buckets.sort_by(|a, b| a.upper_bound.total_cmp(&b.upper_bound));
            let value = match histogram_quantile(&mut buckets, q, min_value, rule) {
                Outcome::Value(value) => vec![Some(value)],
                Outcome::Null => vec![None],
                Outcome::Dropped => vec![],
                Outcome::Empty => return Err(run_error("histogramQuantile: histogram is empty")),
                Outcome::NotMonotonic => return Err(run_error("histogramQuantile: histogram records counts are not monotonic")),
            };
            let value: ArrayRef = Arc::new(Float64Array::from(value));
            Ok(vec![value])
        })
    })
}
