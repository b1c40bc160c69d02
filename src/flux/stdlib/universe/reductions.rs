//! `quantile`, `skew`, `mode`, `integral`, `covariance`: reductions that need the whole table.

use super::sort::sorted_rows;
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{each, floats, is_number, run_error, times},
        },
    },
    kernel::{
        covariance::Covariance,
        integral::Integral,
        mode::Mode,
        quantile,
        skew::Skew,
        tdigest::{DEFAULT_COMPRESSION, TDigest},
    },
    model::{Duration, duration::SECOND},
    plan::{Frame, stream::type_name},
};
use arrow::{
    array::{Array, ArrayRef, Float64Array, UInt64Array, new_null_array},
    compute::{take, take_record_batch},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
    row::{RowConverter, SortField},
};
use datafusion::common::Result;
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&QUANTILE, &SKEW, &MODE, &INTEGRAL, &COVARIANCE];

/// Key columns repeated for as many rows as `run` gives, and the columns it gives, which `added` describes; one named like
/// a key column takes its place. The input's table may be empty: `first` holds the key.
pub(super) fn reduce_rows<F>(frame: &Frame, name: &'static str, added: Vec<Field>, run: F) -> crate::model::Result<Frame>
where
    F: Fn(&RecordBatch, &RecordBatch) -> Result<Vec<ArrayRef>> + Send + Sync + 'static,
{
    let schema = frame.schema();
    let keys: Vec<String> = frame.key.iter().filter(|k| !added.iter().any(|f| f.name() == *k)).cloned().collect();
    let mut fields: Vec<Field> = keys.iter().filter_map(|k| schema.field_with_name(k).ok().cloned()).collect();
    fields.extend(added);
    let out = Arc::new(Schema::new(fields.into_iter().map(|f| f.with_nullable(true)).collect::<Vec<_>>()));
    let (names, shape) = (keys.clone(), out.clone());
    frame.whole_tables(name, out.as_ref().clone(), keys, false, move |first, rows| {
        let results = run(first, rows)?;
        let same = UInt64Array::from(vec![0; results.first().map_or(0, |r| r.len())]);
        let mut columns: Vec<ArrayRef> = vec![];
        for name in &names {
            columns.push(take(first.column_by_name(name).expect("a key column"), &same, None)?);
        }
        columns.extend(results);
        Ok(RecordBatch::try_new(shape.clone(), columns)?)
    })
}

/// [`reduce_rows`] to one column of type `output`.
fn reduce<F>(frame: &Frame, name: &'static str, column: &str, output: DataType, run: F) -> crate::model::Result<Frame>
where
    F: Fn(&RecordBatch, &RecordBatch) -> Result<ArrayRef> + Send + Sync + 'static,
{
    reduce_rows(frame, name, vec![Field::new(column, output, true)], move |first, rows| Ok(vec![run(first, rows)?]))
}

/// The frame failing for the usual reasons; `None` when the column can be reduced.
fn unfit(frame: &Frame, name: &'static str, column: &str, fits: fn(&DataType) -> bool) -> Option<crate::model::Result<Frame>> {
    if frame.is_key(column) {
        return Some(frame.fail(name, format!("{name}: cannot aggregate columns that are part of the group key")));
    }
    match frame.data_type(column) {
        None => Some(frame.fail(name, format!("{name}: column \"{column}\" does not exist"))),
        Some(t) if !fits(&t) => Some(frame.fail(name, format!("{name}: unsupported aggregate column type {}", type_name(&t)))),
        Some(_) => None,
    }
}

fn present(rows: &RecordBatch, column: &str) -> Vec<f64> {
    let values = rows.column_by_name(column).and_then(floats).unwrap_or_default();
    values.into_iter().flatten().collect()
}

fn one(value: Option<f64>) -> ArrayRef {
    Arc::new(Float64Array::from(vec![value]))
}

pub static QUANTILE: Function = Function {
    name: "quantile",
    signature: "(<-tables: stream[A], ?column: string, q: float, ?compression: float, ?method: string) => stream[A]",
    summary: "The value below which a fraction `q` of a column lies: estimated (t-digest), an exact mean, a selected row, or interpolated.",
    examples: &[],
    call: quantile_call,
};

fn quantile_call(call: &mut Call<'_>) -> FluxResult<Value> {
    let column = call.column_name("column", "_value")?;
    let q = call.required::<f64>("q")?;
    if !(0.0..=1.0).contains(&q) {
        return Err(FluxError::invalid("quantile must be between 0 and 1").at(call.span));
    }
    // 0 is no compression given (Flux v0.200 `quantile.go`).
    let compression = call.optional::<f64>("compression")?.filter(|c| *c != 0.0);
    let method = call.or::<Arc<str>>("method", "estimate_tdigest".into())?;
    if compression.is_some() && method.as_ref() != "estimate_tdigest" {
        return Err(FluxError::invalid("compression parameter is only valid for method estimate_tdigest").at(call.span));
    }
    match method.as_ref() {
        "estimate_tdigest" => {
            let compression = compression.unwrap_or(DEFAULT_COMPRESSION);
            each(call, |frame| {
                if let Some(failing) = unfit(frame, "quantile", &column, is_number) {
                    return failing;
                }
                let name = column.clone();
                reduce(frame, "quantile", &column, DataType::Float64, move |_, rows| {
                    let mut digest = TDigest::new(compression);
                    present(rows, &name).into_iter().for_each(|v| digest.push(v));
                    Ok(one(digest.quantile(q)))
                })
            })
        }
        "exact_mean" | "interpolated" => {
            // exact_mean takes floats only (Flux v0.200); `interpolated` is ours and takes every number.
            let fits = if method.as_ref() == "exact_mean" { |t: &DataType| t == &DataType::Float64 } else { is_number };
            each(call, |frame| {
                if let Some(failing) = unfit(frame, "quantile", &column, fits) {
                    return failing;
                }
                let name = column.clone();
                let run = move |_: &RecordBatch, rows: &RecordBatch| Ok(one(quantile::interpolated(&mut present(rows, &name), q)));
                reduce(frame, "quantile", &column, DataType::Float64, run)
            })
        }
        // The column argument does not reach the selector upstream (Flux v0.200): it always reads `_value`.
        "exact_selector" => each(call, |frame| {
            if !frame.has("_value") {
                return frame.fail("quantile", "quantile: no column \"_value\" exists".to_string());
            }
            let keys = frame.key.clone();
            frame.whole_tables("quantile", frame.schema(), frame.key.clone(), false, move |first, rows| {
                let values = rows.column_by_name("_value").expect("looked up when the plan was made");
                let order = sorted_rows(std::slice::from_ref(values), values.len(), false)?;
                let order = order.slice(values.null_count(), values.len() - values.null_count());
                match quantile::selector_index(order.len(), q) {
                    Some(at) => Ok(take_record_batch(rows, &order.slice(at, 1))?),
                    None => {
                        let schema = rows.schema();
                        let columns = schema
                            .fields()
                            .iter()
                            .zip(first.columns())
                            .map(|(f, c)| if keys.contains(f.name()) { c.clone() } else { new_null_array(f.data_type(), 1) });
                        Ok(RecordBatch::try_new(schema.clone(), columns.collect())?)
                    }
                }
            })
        }),
        other => {
            let known = "estimate_tdigest, exact_mean, exact_selector and interpolated";
            Err(FluxError::invalid(format!("unknown method {other}: the methods are {known}")).at(call.span))
        }
    }
}

pub static SKEW: Function = Function {
    name: "skew",
    signature: "(<-tables: stream[A], ?column: string) => stream[B]",
    summary: "The skewness of a column, of a population; NaN for one value.",
    examples: &[],
    call: |call| {
        let column = call.column_name("column", "_value")?;
        each(call, |frame| {
            if let Some(failing) = unfit(frame, "skew", &column, is_number) {
                return failing;
            }
            let name = column.clone();
            reduce(frame, "skew", &column, DataType::Float64, move |_, rows| {
                let mut state = Skew::default();
                present(rows, &name).into_iter().for_each(|v| state.push(v));
                Ok(one(state.value()))
            })
        })
    },
};

pub static MODE: Function = Function {
    name: "mode",
    signature: "(<-tables: stream[A], ?column: string) => stream[B]",
    summary: "The most frequent values of a column as `_value`, sorted; one null row when all are equally frequent.",
    examples: &[],
    call: |call| {
        let column = call.column_name("column", "_value")?;
        each(call, |frame| {
            if let Some(failing) = unfit(frame, "mode", &column, |_| true) {
                return failing;
            }
            let name = column.clone();
            let output = frame.data_type(&column).unwrap_or(DataType::Null);
            reduce(frame, "mode", "_value", output, move |_, rows| {
                let values = rows.column_by_name(&name).expect("looked up when the plan was made");
                let converter = RowConverter::new(vec![SortField::new(values.data_type().clone())])?;
                let keys = converter.convert_columns(std::slice::from_ref(values))?;
                let mut state = Mode::default();
                let mut first_row = ahash::HashMap::<&[u8], u64>::default();
                for row in (0..values.len()).filter(|r| values.is_valid(*r)) {
                    first_row.entry(keys.row(row).data()).or_insert(row as u64);
                    state.push(keys.row(row).data());
                }
                let mut modes: Vec<&[u8]> = state.all().into_iter().copied().collect();
                if modes.is_empty() {
                    return Ok(new_null_array(values.data_type(), 1));
                }
                modes.sort_unstable();
                Ok(take(values, &UInt64Array::from_iter_values(modes.iter().map(|m| first_row[m])), None)?)
            })
        })
    },
};

pub static INTEGRAL: Function = Function {
    name: "integral",
    signature: "(<-tables: stream[A], ?unit: duration, ?timeColumn: string, ?column: string, ?interpolate: string) => stream[B]",
    summary: "The area under a column per `unit` of time; `interpolate: \"linear\"` reaches to the bounds of the table.",
    examples: &[],
    call: integral,
};

fn integral(call: &mut Call<'_>) -> FluxResult<Value> {
    let column = call.column_name("column", "_value")?;
    let time = call.column_name("timeColumn", "_time")?;
    let unit_ns = call.or("unit", Duration::from_nanoseconds(SECOND))?.mean_nanoseconds();
    if unit_ns <= 0 {
        return Err(FluxError::invalid("integral: unit must be positive").at(call.span));
    }
    let linear = match call.or::<Arc<str>>("interpolate", "".into())?.as_ref() {
        "" => false,
        "linear" => true,
        other => return Err(FluxError::invalid(format!("integral: unknown interpolation type: {other}")).at(call.span)),
    };
    each(call, |frame| {
        if let Some(failing) = unfit(frame, "integral", &column, is_number) {
            return failing;
        }
        if let Some(missing) = ["_start", "_stop"].into_iter().find(|c| !frame.is_key(c)) {
            return frame.fail("integral", format!("integral: integral function needs {missing} column to be part of group key"));
        }
        if !frame.has(&time) {
            return frame.fail("integral", format!("integral: no column \"{time}\" exists"));
        }
        let (name, time) = (column.clone(), time.clone());
        reduce(frame, "integral", &column, DataType::Float64, move |first, rows| {
            let bound = |c: &str| first.column_by_name(c).and_then(times).and_then(|t| t[0]);
            let (Some(start), Some(stop)) = (bound("_start"), bound("_stop")) else {
                return Err(run_error("integral: the bounds of a table cannot be null"));
            };
            let times = rows.column_by_name(&time).and_then(times).ok_or_else(|| run_error("integral: the time column holds no times"))?;
            let values = rows.column_by_name(&name).and_then(floats).unwrap_or_default();
            let mut state = Integral::new(unit_ns, start, stop, linear);
            let mut last = i64::MIN;
            for (time, value) in times.into_iter().zip(values) {
                let Some(time) = time else { return Err(run_error("integral: integral found null time in time column")) };
                if time < last {
                    return Err(run_error("integral: integral found out-of-order times in time column"));
                }
                last = time;
                if let Some(value) = value {
                    state.push(time, value);
                }
            }
            Ok(one(Some(state.finish())))
        })
    })
}

pub static COVARIANCE: Function = Function {
    name: "covariance",
    signature: "(<-tables: stream[A], columns: [string], ?pearsonr: bool, ?valueDst: string) => stream[B]",
    summary: "The covariance of two float columns, or Pearson's r.",
    examples: &[],
    call: covariance,
};

fn covariance(call: &mut Call<'_>) -> FluxResult<Value> {
    let columns = call.column_names("columns", &[])?;
    let pearson = call.or("pearsonr", false)?;
    let target = call.column_name("valueDst", "_value")?;
    let [x, y] = columns.as_slice() else {
        return Err(FluxError::invalid("must provide exactly two columns").at(call.span));
    };
    each(call, |frame| {
        for column in [x, y] {
            match frame.data_type(column) {
                None => return frame.fail("covariance", format!("covariance: specified column does not exist in table: {column}")),
                Some(DataType::Float64) => {}
                Some(_) => return frame.fail("covariance", "covariance: covariance only supports float values".to_string()),
            }
        }
        let (x, y) = (x.clone(), y.clone());
        reduce(frame, "covariance", &target, DataType::Float64, move |_, rows| {
            let column = |c: &str| rows.column_by_name(c).and_then(floats).unwrap_or_default();
            let mut state = Covariance::default();
            for pair in column(&x).into_iter().zip(column(&y)) {
                if let (Some(x), Some(y)) = pair {
                    state.push(x, y);
                }
            }
            Ok(one(Some(if pearson { state.pearson() } else { state.covariance() })))
        })
    })
}
