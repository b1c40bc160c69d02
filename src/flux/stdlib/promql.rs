//! Package `internal/promql`: Prometheus' functions of range vectors (Flux v0.200, after Prometheus 2's `promql/functions.go`).
//!
//! A table is one range vector: `_time` and `_value` (float), bounds `_start` and `_stop` in the key. Rows with a null
//! in either do not count. A table for which a function has no answer vanishes.

mod bucket_quantile;

use super::{
    Call,
    function::functions,
    run::{batch_of, frames, run},
    tables::{each, floats, run_error, times},
};
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        lower::value_function::value_function,
    },
    model::{duration::SECOND, schema::time_type},
    plan::{Frame, TableStream, node::per_table::EMPTY, stream::col},
};
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, TimestampNanosecondArray},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use bucket_quantile::{Bucket, bucket_quantile};
use chrono::{DateTime, Datelike, Timelike, Utc};
use datafusion::common::Result;
use std::sync::Arc;

/// The samples of a table, and its bounds where the key has them.
struct RangeVector {
    samples: Vec<(i64, f64)>,
    start: Option<i64>,
    stop: Option<i64>,
}

impl RangeVector {
    fn bounds(&self, function: &str) -> Result<(i64, i64)> {
        let missing = |name: &str| run_error(format!("{function}: no column \"{name}\" of type time exists in the group key"));
        Ok((self.start.ok_or_else(|| missing("_start"))?, self.stop.ok_or_else(|| missing("_stop"))?))
    }
}

/// One row per table: its key and a float, where `code` has one.
fn summary<F>(call: &mut Call<'_>, code: F) -> FluxResult<Value>
where
    F: Fn(&RangeVector) -> Result<Option<f64>> + Clone + Send + Sync + 'static,
{
    rows_of_table(call, move |name, first, rows| {
        let column = rows.column_by_name("_value").ok_or_else(|| run_error(format!("{name}: no column \"_value\" exists")))?;
        let values = floats(column).ok_or_else(|| run_error(format!("{name}: column \"_value\" must be of type float")))?;
        let at = match rows.column_by_name("_time") {
            Some(column) => times(column).ok_or_else(|| run_error(format!("{name}: column \"_time\" must be of type time")))?,
            None => vec![Some(0); values.len()],
        };
        let samples = at.into_iter().zip(values).filter_map(|(t, v)| t.zip(v)).collect();
        let bound = |name: &str| first.column_by_name(name).and_then(times).and_then(|t| t.first().copied().flatten());
        code(&RangeVector { samples, start: bound("_start"), stop: bound("_stop") })
    })
}

/// One row per table: its key and what `code` makes of (function name, first row, rows).
fn rows_of_table<F>(call: &mut Call<'_>, code: F) -> FluxResult<Value>
where
    F: Fn(&'static str, &RecordBatch, &RecordBatch) -> Result<Option<f64>> + Clone + Send + Sync + 'static,
{
    let name = call.function.name;
    each(call, |frame: &Frame| {
        let key = frame.key.clone();
        let of_key = key.iter().filter_map(|k| frame.data_type(k).map(|t| Field::new(k, t, true)));
        let schema = Schema::new(of_key.chain([Field::new("_value", DataType::Float64, true)]).collect::<Vec<_>>());
        let (shape, names, code) = (Arc::new(schema.clone()), key.clone(), code.clone());
        frame.whole_tables(name, schema, key, false, move |first, rows| {
            let Some(value) = code(name, first, rows)? else { return Ok(RecordBatch::new_empty(shape.clone())) };
            let mut columns: Vec<ArrayRef> = names.iter().filter_map(|k| first.column_by_name(k).cloned()).collect();
            columns.push(Arc::new(Float64Array::from(vec![value])));
            Ok(RecordBatch::try_new(shape.clone(), columns)?)
        })
    })
}

/// Counts steps from sample to sample.
fn count_steps(call: &mut Call<'_>, counts: fn(f64, f64) -> bool) -> FluxResult<Value> {
    summary(call, move |vector| {
        let steps = vector.samples.windows(2).filter(|w| counts(w[0].1, w[1].1)).count();
        Ok((!vector.samples.is_empty()).then_some(steps as f64))
    })
}

/// A reading of the calendar at a time in seconds since the epoch.
fn calendar(call: &mut Call<'_>, code: fn(DateTime<Utc>) -> i64) -> FluxResult<Value> {
    let Some(seconds) = call.optional::<f64>("timestamp")? else { return Ok(Value::Null) };
    Ok(Value::Float(code(DateTime::from_timestamp_nanos((seconds * 1e9) as i64)) as f64))
}

functions! {
    "changes" "(<-tables: stream[A]) => stream[B]" "How often the value changed."
        |c| count_steps(c, |before, now| now != before && !(now.is_nan() && before.is_nan()));
    "resets" "(<-tables: stream[A]) => stream[B]" "How often the value fell." |c| count_steps(c, |before, now| now < before);
    "extrapolatedRate" "(<-tables: stream[A], ?isCounter: bool, ?isRate: bool) => stream[B]"
        "The increase over the range, extrapolated to its bounds; per second for rates." |c| {
            let (counter, rate) = (c.or("isCounter", false)?, c.or("isRate", false)?);
            summary(c, move |vector| extrapolated_rate(vector, counter, rate))
        };
    "instantRate" "(<-tables: stream[A], ?isRate: bool) => stream[B]" "The step between the last two samples; per second for rates." |c| {
        let rate = c.or("isRate", false)?;
        summary(c, move |vector| Ok(instant_rate(&vector.samples, rate)))
    };
    "linearRegression" "(<-tables: stream[A], ?predict: bool, ?fromNow: float) => stream[B]"
        "The slope per second, or the value foreseen `fromNow` seconds after the range." |c| {
            let (predict, from_now) = (c.or("predict", false)?, c.or("fromNow", 0.0)?);
            summary(c, move |vector| linear_regression(vector, predict.then_some(from_now)))
        };
    "holtWinters" "(<-tables: stream[A], ?smoothingFactor: float, ?trendFactor: float) => stream[B]" "The last value, smoothed twice." |c| {
        let (smoothing, trend) = (c.or("smoothingFactor", 0.0)?, c.or("trendFactor", 0.0)?);
        for (name, factor) in [("smoothing factor", smoothing), ("trend factor", trend)] {
            if !(factor > 0.0 && factor < 1.0) {
                return Err(FluxError::invalid(format!("holtWinters: invalid {name}: must be between 0 and 1, found {factor}")).at(c.span));
            }
        }
        summary(c, move |vector| Ok(double_smoothed(&vector.samples, smoothing, trend)))
    };
    "timestamp" "(<-tables: stream[A]) => stream[A]" "Every value becomes the time of its row, in seconds since the epoch." timestamp;
    "labelReplace" "(<-tables: stream[A], source: string, destination: string, regex: string, replacement: string) => stream[B]"
        "Sets a label to what `replacement` makes of a match in another one; the whole of it must match." label_replace;
    "promHistogramQuantile" "(<-tables: stream[A], ?quantile: float, ?countColumn: string, ?upperBoundColumn: string, ?valueColumn: string) => stream[B]"
        "A quantile of a histogram whose bounds are the label `le`." histogram_quantile;
    "emptyTable" "() => stream[A]" "A table without rows." |_| empty_table();
    "promqlDayOfMonth" "(timestamp: float) => float" "The day of the month (UTC)." |c| calendar(c, |t| t.day().into());
    "promqlDayOfWeek" "(timestamp: float) => float" "The day of the week; Sunday is 0." |c| calendar(c, |t| t.weekday().num_days_from_sunday().into());
    "promqlDaysInMonth" "(timestamp: float) => float" "How many days the month has." |c| calendar(c, |t| t.num_days_in_month().into());
    "promqlHour" "(timestamp: float) => float" "The hour of the day." |c| calendar(c, |t| t.hour().into());
    "promqlMinute" "(timestamp: float) => float" "The minute of the hour." |c| calendar(c, |t| t.minute().into());
    "promqlMonth" "(timestamp: float) => float" "The month of the year." |c| calendar(c, |t| t.month().into());
    "promqlYear" "(timestamp: float) => float" "The year." |c| calendar(c, |t| t.year().into());
}

/// Prometheus' `rate`, `increase` and `delta`: when the first and last samples lie near the bounds (within 1.1 mean
/// distances), the line goes on to the bound, else for half a mean distance; a counter does not go below zero.
fn extrapolated_rate(vector: &RangeVector, counter: bool, rate: bool) -> Result<Option<f64>> {
    let (start, stop) = vector.bounds("extrapolatedRate")?;
    let [(first_time, first), .., (last_time, last)] = vector.samples.as_slice() else { return Ok(None) };
    let mut before = 0.0;
    let mut corrected = 0.0;
    for (_, value) in &vector.samples {
        if counter && *value < before {
            corrected += before;
        }
        before = *value;
    }
    let change = last - first + corrected;
    let sampled = (last_time - first_time) as f64;
    let mean_distance = sampled / (vector.samples.len() - 1) as f64;
    let mut to_start = (first_time - start) as f64;
    let to_stop = (stop - last_time) as f64;
    if counter && change > 0.0 && *first >= 0.0 {
        to_start = to_start.min(sampled * (first / change));
    }
    let reach = |distance: f64| if distance < mean_distance * 1.1 { distance } else { mean_distance / 2.0 };
    let extrapolated = change * ((sampled + reach(to_start) + reach(to_stop)) / sampled);
    Ok(Some(if rate { extrapolated / ((stop - start) as f64 / SECOND as f64) } else { extrapolated }))
}

fn instant_rate(samples: &[(i64, f64)], rate: bool) -> Option<f64> {
    let [.., (before_time, before), (time, value)] = samples else { return None };
    let seconds = (time - before_time) as f64 / SECOND as f64;
    // A counter that fell began again from zero.
    let change = if rate && value < before { *value } else { value - before };
    (seconds != 0.0).then_some(if rate { change / seconds } else { change })
}

/// The slope, or with `from_now` the value that many seconds after the range.
fn linear_regression(vector: &RangeVector, from_now: Option<f64>) -> Result<Option<f64>> {
    let [(first_time, _), _, ..] = vector.samples.as_slice() else { return Ok(None) };
    let origin = if from_now.is_some() {
        vector.stop.ok_or_else(|| run_error("linearRegression: no column \"_stop\" in the group key"))?
    } else {
        *first_time
    };
    let n = vector.samples.len() as f64;
    let (mut x_sum, mut y_sum, mut xy_sum, mut xx_sum) = (0.0, 0.0, 0.0, 0.0);
    for (time, y) in &vector.samples {
        let x = (time - origin) as f64 / SECOND as f64;
        x_sum += x;
        y_sum += y;
        xy_sum += x * y;
        xx_sum += x * x;
    }
    let slope = (xy_sum - x_sum * y_sum / n) / (xx_sum - x_sum * x_sum / n);
    Ok(Some(from_now.map_or(slope, |seconds| slope * seconds + (y_sum / n - slope * x_sum / n))))
}

/// Double exponential smoothing; nothing for fewer than two samples.
fn double_smoothed(samples: &[(i64, f64)], smoothing: f64, trend: f64) -> Option<f64> {
    let [(_, first), (_, second), ..] = samples else { return None };
    let (mut before, mut level, mut slope) = (0.0, *first, second - first);
    for (at, (_, value)) in samples[1..].iter().enumerate() {
        if at > 0 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        (before, level) = (level, smoothing * value + (1.0 - smoothing) * (level + slope));
    }
    Some(level)
}

fn timestamp(call: &mut Call<'_>) -> FluxResult<Value> {
    each(call, |frame: &Frame| {
        let Some(time) = ["_time", "_stop"].into_iter().find(|c| frame.has(c)) else {
            return frame.fail("timestamp", "timestamp: neither \"_time\" nor \"_stop\" column found".to_string());
        };
        let code =
            |values: Vec<Value>| Ok(if let Value::Time(t) = values[0] { Value::Float((t / 1_000_000) as f64 / 1e3) } else { Value::Null });
        let seconds = value_function("timestamp", vec![col(time)], DataType::Float64, Arc::new(code));
        frame.with_columns(vec![("_value".to_string(), seconds)])
    })
}

fn label_replace(call: &mut Call<'_>) -> FluxResult<Value> {
    let (source, destination) = (call.required::<Arc<str>>("source")?, call.required::<Arc<str>>("destination")?);
    let (pattern, replacement) = (call.required::<Arc<str>>("regex")?, call.required::<Arc<str>>("replacement")?);
    let pattern = regex::Regex::new(&format!("^(?:{pattern})$"))
        .map_err(|_| FluxError::invalid(format!("invalid regular expression in label_replace(): {pattern}")).at(call.span))?;
    let stream = call.stream("tables")?;
    let (mut out, mut seen) = (vec![], std::collections::HashSet::new());
    for table in run(&stream, call.context())? {
        let mut key = table.key_record();
        let text = if let Some(Value::String(text)) = key.get(&source) { text.clone() } else { "".into() };
        if let Some(found) = pattern.captures(&text) {
            let mut label = String::new();
            found.expand(&replacement, &mut label);
            key.shift_remove(&destination);
            if !label.is_empty() {
                key.insert(destination.clone(), Value::string(label));
            }
        }
        let rows: Vec<_> = table
            .records(call.context())?
            .into_iter()
            .map(|row| {
                let mut out = key.clone();
                out.insert("_value".into(), row.get("_value").cloned().unwrap_or(Value::Null));
                out
            })
            .collect();
        let mut names: Vec<String> = key.keys().map(|k| k.to_string()).collect();
        names.sort();
        if !seen.insert(names.iter().map(|n| format!("{n}={:?}\u{1}", key.get(n.as_str()))).collect::<String>()) {
            return Err(FluxError::run("labelReplace: found duplicate table with key after replacing labels").at(call.span));
        }
        out.push((names, batch_of(&rows, "labelReplace")?));
    }
    Ok(Value::Stream(Arc::new(stream.with_frames(frames(out, call.context())?))))
}

fn histogram_quantile(call: &mut Call<'_>) -> FluxResult<Value> {
    let q = call.required::<f64>("quantile")?;
    let count = call.column_name("countColumn", "_value")?;
    let bound = call.column_name("upperBoundColumn", "le")?;
    let value = call.column_name("valueColumn", "_value")?;
    if value != "_value" {
        return Err(FluxError::invalid("promHistogramQuantile: `valueColumn` must be \"_value\"").at(call.span));
    }
    rows_of_table(call, move |name, _, rows| {
        let counts = rows.column_by_name(&count).ok_or_else(|| run_error(format!("{name}: table is missing count column \"{count}\"")))?;
        if counts.data_type() != &DataType::Float64 {
            return Err(run_error(format!("{name}: count column \"{count}\" must be of type float")));
        }
        // A series without the label is not a bucket.
        let Some(bounds) = rows.column_by_name(&bound) else { return Ok(None) };
        let bounds = arrow::compute::cast(bounds, &DataType::Utf8)?;
        let bounds = bounds.as_string::<i32>();
        let mut buckets = vec![];
        for (row, count) in floats(counts).unwrap_or_default().into_iter().enumerate() {
            let count = count.ok_or_else(|| run_error(format!("{name}: unexpected null in the countColumn")))?;
            // A bound that is no number leaves a bucket of nothing at zero (Flux v0.200).
            let upper_bound = bounds.is_valid(row).then(|| bounds.value(row).parse::<f64>().ok()).flatten();
            buckets.push(upper_bound.map_or(Bucket::default(), |upper_bound| Bucket { upper_bound, count }));
        }
        Ok(Some(bucket_quantile(q, buckets)))
    })
}

fn empty_table() -> FluxResult<Value> {
    let field = |name: &str, t: DataType| Field::new(name, t, true);
    let schema = Schema::new(vec![
        field("_start", time_type()),
        field("_stop", time_type()),
        field("_time", time_type()),
        field("_value", DataType::Float64),
        field(EMPTY, DataType::Boolean),
    ]);
    let time = |t: Option<i64>| Arc::new(TimestampNanosecondArray::from(vec![t])) as ArrayRef;
    let columns: Vec<ArrayRef> = vec![
        time(Some(0)),
        time(Some(0)),
        time(None),
        Arc::new(Float64Array::from(vec![None::<f64>])),
        Arc::new(BooleanArray::from(vec![true])),
    ];
    let batch = RecordBatch::try_new(Arc::new(schema), columns)?;
    Ok(Value::Stream(Arc::new(TableStream::new(vec![Frame::of(batch, vec!["_start".into(), "_stop".into()])?], None))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_reach_for_the_bounds() {
        let samples = (1..=5).map(|i| (i * 10 * SECOND, i as f64 * 10.0)).collect();
        let vector = RangeVector { samples, start: Some(5 * SECOND), stop: Some(55 * SECOND) };
        assert_eq!(extrapolated_rate(&vector, true, true).expect("has bounds"), Some(1.0));
        assert_eq!(extrapolated_rate(&vector, false, false).expect("has bounds"), Some(50.0));
        assert_eq!(instant_rate(&[(0, 5.0), (2 * SECOND, 3.0)], true), Some(1.5));
        assert_eq!(instant_rate(&[(0, 5.0)], true), None);
        let foreseen = linear_regression(&vector, Some(5.0)).expect("has bounds").expect("has samples");
        assert!((foreseen - 60.0).abs() < 1e-9, "{foreseen}");
    }
}
