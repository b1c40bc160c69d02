//! Row-wise transformations: `derivative`, `difference`, `cumulativeSum`, `elapsed`, moving averages and oscillators, `fill`.
//!
//! The loops are `kernel`'s; here is which rows stay and what the other columns hold.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        lower::cells::{column_type, literal},
        stdlib::{
            Call, Function,
            tables::{each, floats, is_number, run_error, times},
        },
    },
    kernel::{
        chande_momentum_oscillator::FluxChandeMomentumOscillator,
        cumulative_sum::CumulativeSum,
        derivative::{Derivative, OnFall},
        difference::Difference,
        elapsed::elapsed_as_flux,
        exponential_moving_average::{FluxEma, FluxTripleExponentialDerivative},
        kaufmans::FluxKaufmansAma,
        moving_average::MovingAverage,
        relative_strength_index::FluxRelativeStrengthIndex,
    },
    model::{Duration, duration::SECOND},
    plan::{
        Frame,
        stream::{col, regroup_frames, type_name},
    },
};
use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, UInt64Array},
    compute::take,
    datatypes::{DataType, Field, Float64Type, Int64Type, Schema, UInt64Type},
    record_batch::RecordBatch,
};
use datafusion::{common::Result, functions::expr_fn::coalesce};
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[
    &DERIVATIVE,
    &DIFFERENCE,
    &CUMULATIVE_SUM,
    &ELAPSED,
    &MOVING_AVERAGE,
    &EXPONENTIAL_MOVING_AVERAGE,
    &TRIPLE_EXPONENTIAL_DERIVATIVE,
    &KAUFMANS_AMA,
    &CHANDE_MOMENTUM_OSCILLATOR,
    &RELATIVE_STRENGTH_INDEX,
    &FILL,
];

/// Some columns replaced (those of `frame` that `replaced` names, with their new types), and the rows that stay.
fn replace<F>(frame: &Frame, name: &'static str, replaced: &[(String, DataType)], run: F) -> crate::model::Result<Frame>
where
    F: Fn(&RecordBatch) -> Result<(Vec<u64>, Vec<ArrayRef>)> + Send + Sync + 'static,
{
    let schema = frame.schema();
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
    for (column, data_type) in replaced {
        match fields.iter_mut().find(|f| f.name() == column) {
            Some(field) => *field = Arc::new(Field::new(column, data_type.clone(), true)),
            None => fields.push(Arc::new(Field::new(column, data_type.clone(), true))),
        }
    }
    let out = Arc::new(Schema::new(fields.iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>()));
    let names: Vec<String> = replaced.iter().map(|(c, _)| c.clone()).collect();
    let shape = out.clone();
    frame.whole_tables(name, out.as_ref().clone(), frame.key.clone(), frame.has_empty_tables(), move |_, rows| {
        let (kept, new) = run(rows)?;
        let kept = UInt64Array::from(kept);
        let columns = shape.fields().iter().map(|f| -> Result<ArrayRef> {
            match names.iter().position(|n| n == f.name()) {
                Some(at) => Ok(new[at].clone()),
                None => Ok(take(rows.column_by_name(f.name()).expect("a column of the input"), &kept, None)?),
            }
        });
        Ok(RecordBatch::try_new(shape.clone(), columns.collect::<Result<Vec<_>>>()?)?)
    })
}

fn time_column(rows: &RecordBatch, name: &str, function: &str) -> Result<Vec<i64>> {
    let column = rows.column_by_name(name).ok_or_else(|| run_error(format!("{function}: no column \"{name}\" exists")))?;
    let times = times(column).ok_or_else(|| run_error(format!("{function}: time column \"{name}\" is not of type time")))?;
    times.into_iter().map(|t| t.ok_or_else(|| run_error(format!("{function}: {function} found null time in time column")))).collect()
}

fn unit(call: &mut Call<'_>) -> FluxResult<i64> {
    let unit = call.or("unit", Duration::from_nanoseconds(SECOND))?.mean_nanoseconds();
    if unit <= 0 {
        return Err(FluxError::invalid(format!("{}: unit must be positive", call.function.name)).at(call.span));
    }
    Ok(unit)
}

pub static DERIVATIVE: Function = Function {
    name: "derivative",
    signature: "(<-tables: stream[A], ?unit: duration, ?nonNegative: bool, ?columns: [string], ?timeColumn: string, ?initialZero: bool) => stream[B]",
    summary: "The rate of change per `unit` from row to row.",
    examples: &[],
    call: derivative,
};

fn on_fall(call: &mut Call<'_>) -> FluxResult<OnFall> {
    let non_negative = call.or("nonNegative", false)?;
    let initial_zero = call.or("initialZero", false)?;
    Ok(match (non_negative, initial_zero) {
        (false, _) => OnFall::Keep,
        (true, false) => OnFall::Missing,
        (true, true) => OnFall::Reset,
    })
}

fn derivative(call: &mut Call<'_>) -> FluxResult<Value> {
    let unit_ns = unit(call)?;
    let on_fall = on_fall(call)?;
    let columns = call.column_names("columns", &["_value"])?;
    let time = call.column_name("timeColumn", "_time")?;
    each(call, |frame| {
        if !frame.has(&time) {
            return frame.fail("derivative", format!("derivative: no column \"{time}\" exists"));
        }
        let mut chosen = vec![];
        for column in columns.iter().filter(|c| frame.has(c)) {
            match frame.data_type(column) {
                Some(t) if is_number(&t) => chosen.push((column.clone(), DataType::Float64)),
                Some(t) => {
                    return frame
                        .fail("derivative", format!("derivative: unsupported derivative column type {}:{}", column, type_name(&t)));
                }
                None => {}
            }
        }
        let (names, time) = (chosen.clone(), time.clone());
        replace(frame, "derivative", &chosen, move |rows| {
            let times = time_column(rows, &time, "derivative")?;
            let mut kept: Vec<u64> = vec![];
            for row in 1..times.len() {
                if times[row] < times[row - 1] {
                    return Err(run_error("derivative: derivative found out-of-order times in time column"));
                }
                if times[row] > times[row - 1] {
                    kept.push(row as u64);
                }
            }
            let columns = names.iter().map(|(name, _)| -> Result<ArrayRef> {
                let column = rows.column_by_name(name).expect("looked up when the plan was made");
                macro_rules! slopes {
                    ($type:ty) => {{
                        let values = column.as_primitive::<$type>();
                        let mut state = Derivative::new(unit_ns, on_fall);
                        if let Some(true) = (values.len() > 0).then(|| values.is_valid(0)) {
                            state.push(times[0], values.value(0));
                        }
                        let slope = |row: &u64| {
                            let row = *row as usize;
                            values.is_valid(row).then(|| state.push(times[row], values.value(row))).flatten()
                        };
                        Arc::new(kept.iter().map(slope).collect::<Float64Array>()) as ArrayRef
                    }};
                }
                Ok(match column.data_type() {
                    DataType::Int64 => slopes!(Int64Type),
                    DataType::UInt64 => slopes!(UInt64Type),
                    _ => slopes!(Float64Type),
                })
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            Ok((kept, columns))
        })
    })
}

pub static DIFFERENCE: Function = Function {
    name: "difference",
    signature: "(<-tables: stream[A], ?nonNegative: bool, ?columns: [string], ?keepFirst: bool, ?initialZero: bool) => stream[B]",
    summary: "The difference from row to row; of uints it is an int.",
    examples: &[],
    call: difference,
};

fn difference(call: &mut Call<'_>) -> FluxResult<Value> {
    let keep_first = call.or("keepFirst", false)?;
    let first_zero = keep_first && matches!(call.arguments.iter().find(|(n, _)| n.as_ref() == "initialZero"), Some((_, Value::Bool(true))));
    let on_fall = on_fall(call)?;
    let columns = call.column_names("columns", &["_value"])?;
    each(call, |frame| {
        let mut chosen = vec![];
        for column in columns.iter().filter(|c| frame.has(c)) {
            match frame.data_type(column) {
                Some(DataType::Float64) => chosen.push((column.clone(), DataType::Float64)),
                Some(DataType::Int64 | DataType::UInt64) => chosen.push((column.clone(), DataType::Int64)),
                Some(t) => {
                    return frame.fail("difference", format!("difference: difference does not support column type {}", type_name(&t)));
                }
                None => {}
            }
        }
        let names = chosen.clone();
        replace(frame, "difference", &chosen, move |rows| {
            let columns = names.iter().map(|(name, _)| -> ArrayRef {
                let column = rows.column_by_name(name).expect("looked up when the plan was made");
                let skip = usize::from(!keep_first);
                macro_rules! steps {
                    ($type:ty, $out:ty) => {{
                        let mut state = Difference::new(on_fall);
                        if first_zero {
                            state = state.with_first_zero();
                        }
                        let steps = column.as_primitive::<$type>().iter().map(|v| v.and_then(|v| state.push(v))).collect::<Vec<_>>();
                        Arc::new(steps.into_iter().skip(skip).collect::<$out>()) as ArrayRef
                    }};
                }
                match column.data_type() {
                    DataType::Int64 => steps!(Int64Type, Int64Array),
                    DataType::UInt64 => steps!(UInt64Type, Int64Array),
                    _ => steps!(Float64Type, Float64Array),
                }
            });
            let kept = (0..rows.num_rows() as u64).skip(usize::from(!keep_first)).collect();
            Ok((kept, columns.collect()))
        })
    })
}

pub static CUMULATIVE_SUM: Function = Function {
    name: "cumulativeSum",
    signature: "(<-tables: stream[A], ?columns: [string]) => stream[B]",
    summary: "The running sum; a null repeats it.",
    examples: &[],
    call: cumulative_sum,
};

fn cumulative_sum(call: &mut Call<'_>) -> FluxResult<Value> {
    let columns = call.column_names("columns", &["_value"])?;
    each(call, |frame| {
        let chosen: Vec<(String, DataType)> =
            columns.iter().filter_map(|c| frame.data_type(c).filter(is_number).map(|t| (c.clone(), t))).collect();
        let names = chosen.clone();
        replace(frame, "cumulativeSum", &chosen, move |rows| {
            let columns = names.iter().map(|(name, _)| -> ArrayRef {
                let column = rows.column_by_name(name).expect("looked up when the plan was made");
                match column.data_type() {
                    DataType::Int64 => {
                        let mut state = CumulativeSum::<i64>::default();
                        Arc::new(column.as_primitive::<Int64Type>().iter().map(|v| state.push(v)).collect::<Int64Array>())
                    }
                    DataType::UInt64 => {
                        let mut state = CumulativeSum::<u64>::default();
                        Arc::new(column.as_primitive::<UInt64Type>().iter().map(|v| state.push(v)).collect::<UInt64Array>())
                    }
                    _ => {
                        let mut state = CumulativeSum::<f64>::default();
                        Arc::new(column.as_primitive::<Float64Type>().iter().map(|v| state.push(v)).collect::<Float64Array>())
                    }
                }
            });
            Ok(((0..rows.num_rows() as u64).collect(), columns.collect()))
        })
    })
}

pub static ELAPSED: Function = Function {
    name: "elapsed",
    signature: "(<-tables: stream[A], ?unit: duration, ?timeColumn: string, ?columnName: string) => stream[B]",
    summary: "Whole units of time since the row before, as `elapsed`.",
    examples: &[],
    call: elapsed,
};

fn elapsed(call: &mut Call<'_>) -> FluxResult<Value> {
    let unit_ns = unit(call)?;
    let time = call.column_name("timeColumn", "_time")?;
    let name = call.column_name("columnName", "elapsed")?;
    each(call, |frame| {
        if !frame.has(&time) {
            return frame.fail("elapsed", format!("elapsed: no column \"{time}\" exists"));
        }
        let time = time.clone();
        replace(frame, "elapsed", &[(name.clone(), DataType::Int64)], move |rows| {
            let times = time_column(rows, &time, "elapsed")?;
            let steps: Int64Array = times.windows(2).map(|w| Some(elapsed_as_flux(w[0], w[1], unit_ns))).collect();
            Ok(((1..times.len() as u64).collect(), vec![Arc::new(steps) as ArrayRef]))
        })
    })
}

/// A float for some rows of `_value`; `run` gets the values and gives rows and results.
fn smooth<F>(call: &mut Call<'_>, columns: &[String], run: F) -> FluxResult<Value>
where
    F: Fn(&[Option<f64>]) -> (Vec<u64>, Vec<Option<f64>>) + Clone + Send + Sync + 'static,
{
    let name = call.function.name;
    each(call, |frame| {
        let mut chosen = vec![];
        for column in columns {
            match frame.data_type(column) {
                Some(t) if is_number(&t) => chosen.push((column.clone(), DataType::Float64)),
                Some(t) => return frame.fail(name, format!("{name}: cannot take {name} of column {column} (type {})", type_name(&t))),
                None => return frame.fail(name, format!("{name}: cannot find column {column}")),
            }
        }
        let (names, run) = (chosen.clone(), run.clone());
        replace(frame, name, &chosen, move |rows| {
            let mut kept = vec![];
            let mut out: Vec<ArrayRef> = vec![];
            for (column, _) in &names {
                let values = floats(rows.column_by_name(column).expect("looked up when the plan was made")).unwrap_or_default();
                let (rows, values) = run(&values);
                kept = rows;
                out.push(Arc::new(Float64Array::from(values)));
            }
            Ok((kept, out))
        })
    })
}

/// Results of a state that says nothing while it warms up; `short` is asked when it never warmed up, for the last row.
fn warm(values: &[Option<f64>], mut push: impl FnMut(Option<f64>) -> Option<Option<f64>>) -> (Vec<u64>, Vec<Option<f64>>) {
    values.iter().enumerate().filter_map(|(row, v)| push(*v).map(|out| (row as u64, out))).unzip()
}

fn or_last(done: (Vec<u64>, Vec<Option<f64>>), row_count: usize, short: Option<Option<f64>>) -> (Vec<u64>, Vec<Option<f64>>) {
    match short {
        Some(value) if done.0.is_empty() && row_count > 0 => (vec![row_count as u64 - 1], vec![value]),
        _ => done,
    }
}

fn rows_of(call: &mut Call<'_>) -> FluxResult<usize> {
    let n = call.required::<i64>("n")?;
    usize::try_from(n).ok().filter(|n| *n > 0).ok_or_else(|| {
        FluxError::invalid(format!("cannot take {} with a period of {n} (must be greater than 0)", call.function.name)).at(call.span)
    })
}

fn value_column() -> Vec<String> {
    vec!["_value".to_string()]
}

pub static MOVING_AVERAGE: Function = Function {
    name: "movingAverage",
    signature: "(<-tables: stream[A], n: int) => stream[B]",
    summary: "The mean of the last `n` rows of `_value`; a shorter table gives one row.",
    examples: &[],
    call: |call| {
        let n = rows_of(call)?;
        smooth(call, &value_column(), move |values| {
            let mut state = MovingAverage::new(n);
            let done = warm(values, |v| state.push(v));
            or_last(done, values.len(), state.finish())
        })
    },
};

pub static EXPONENTIAL_MOVING_AVERAGE: Function = Function {
    name: "exponentialMovingAverage",
    signature: "(<-tables: stream[A], n: int) => stream[B]",
    summary: "The exponential moving average of `_value`, weight 2/(n+1), seeded with the mean of the first `n` rows.",
    examples: &[],
    call: |call| {
        let n = rows_of(call)?;
        smooth(call, &value_column(), move |values| {
            let mut state = FluxEma::new(n);
            let done = warm(values, |v| state.push(v));
            or_last(done, values.len(), state.finish())
        })
    },
};

pub static TRIPLE_EXPONENTIAL_DERIVATIVE: Function = Function {
    name: "tripleExponentialDerivative",
    signature: "(<-tables: stream[A], n: int) => stream[B]",
    summary: "The percentage by which the triple exponential average of `_value` changes from row to row (TRIX).",
    examples: &[],
    call: |call| {
        let n = rows_of(call)?;
        smooth(call, &value_column(), move |values| {
            let mut state = FluxTripleExponentialDerivative::new(n);
            warm(values, |v| state.push(v))
        })
    },
};

pub static KAUFMANS_AMA: Function = Function {
    name: "kaufmansAMA",
    signature: "(<-tables: stream[A], n: int, ?column: string) => stream[B]",
    summary: "Kaufman's adaptive moving average; the first `n` rows are dropped.",
    examples: &[],
    call: |call| {
        let n = rows_of(call)?;
        let columns = vec![call.column_name("column", "_value")?];
        smooth(call, &columns, move |values| {
            let mut state = FluxKaufmansAma::new(n);
            warm(values, |v| state.push(v.unwrap_or(0.0)).map(Some))
        })
    },
};

pub static CHANDE_MOMENTUM_OSCILLATOR: Function = Function {
    name: "chandeMomentumOscillator",
    signature: "(<-tables: stream[A], n: int, ?columns: [string]) => stream[B]",
    summary: "Chande's momentum oscillator, -100 to 100; the first `n` rows are dropped.",
    examples: &[],
    call: |call| {
        let n = rows_of(call)?;
        let columns = call.column_names("columns", &["_value"])?;
        smooth(call, &columns, move |values| {
            let mut state = FluxChandeMomentumOscillator::new(n);
            warm(values, |v| state.push(v.unwrap_or(0.0)).map(Some))
        })
    },
};

pub static RELATIVE_STRENGTH_INDEX: Function = Function {
    name: "relativeStrengthIndex",
    signature: "(<-tables: stream[A], n: int, ?columns: [string]) => stream[B]",
    summary: "The relative strength index, 0 to 100; the first `n` rows are dropped.",
    examples: &[],
    call: |call| {
        let n = rows_of(call)?;
        let columns = call.column_names("columns", &["_value"])?;
        smooth(call, &columns, move |values| {
            let mut state = FluxRelativeStrengthIndex::new(n);
            let done = warm(values, |v| state.push(v));
            or_last(done, values.len(), state.finish().map(Some))
        })
    },
};

pub static FILL: Function = Function {
    name: "fill",
    signature: "(<-tables: stream[A], ?column: string, ?value: B, ?usePrevious: bool) => stream[C]",
    summary: "Replaces nulls by a value, or by the value before.",
    examples: &[],
    call: fill,
};

fn fill(call: &mut Call<'_>) -> FluxResult<Value> {
    let column = call.column_name("column", "_value")?;
    let value = call.get("value");
    let previous = call.or("usePrevious", false)?;
    if value.is_some() == previous {
        return Err(FluxError::invalid("fill requires exactly one of value or usePrevious").at(call.span));
    }
    if previous {
        return each(call, |frame| {
            let Some(data_type) = frame.data_type(&column) else { return Ok(frame.clone()) };
            let name = column.clone();
            replace(frame, "fill", &[(column.clone(), data_type)], move |rows| {
                let values = rows.column_by_name(&name).expect("looked up when the plan was made");
                let mut last = 0;
                let from: UInt64Array = (0..values.len())
                    .map(|row| {
                        if values.is_valid(row) {
                            last = row as u64;
                        }
                        Some(last)
                    })
                    .collect();
                Ok(((0..values.len() as u64).collect(), vec![take(values, &from, None)?]))
            })
        });
    }
    let value = value.unwrap_or(Value::Null);
    let (Some(with), Some(value_type)) = (literal(&value), column_type(&value)) else {
        return Err(FluxError::invalid(format!("fill: unsupported value type {}", value.type_name())).at(call.span));
    };
    let tables = call.long_tables()?;
    let mut regroup = false;
    let frames = tables.frames.iter().map(|frame| {
        regroup |= frame.is_key(&column);
        match frame.data_type(&column) {
            Some(t) if t == value_type => frame.with_columns(vec![(column.clone(), coalesce(vec![col(&column), with.clone()]))]),
            Some(DataType::Null) | None => frame.with_columns(vec![(column.clone(), with.clone())]),
            Some(t) => frame.fail("fill", format!("fill: fill column type mismatch: {}/{}", type_name(&t), type_name(&value_type))),
        }
    });
    let mut frames = frames.collect::<crate::model::Result<Vec<_>>>()?;
    if regroup {
        frames = regroup_frames(frames, call.context())?;
    }
    Ok(crate::flux::stdlib::tables::stream(frames, &tables))
}
