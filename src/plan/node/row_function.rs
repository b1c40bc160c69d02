//! Functions that make a row from the rows before it, series by series: `derivative`, moving averages, forecasts, ...
//!
//! Results are added as columns; a function may read what an earlier one of the same node gave. A null is no value: it is
//! passed over and gives null. Loops are `kernel`'s, in InfluxQL's variants.

use super::{
    per_table::{TableState, TableTransform, per_table},
    size::held_bytes,
};
use crate::{
    kernel::{
        Number,
        chande_momentum_oscillator::ChandeMomentumOscillator,
        cumulative_sum::CumulativeSum,
        derivative::{Derivative, OnFall},
        elapsed::elapsed,
        exponential_moving_average::{DoubleEma, Ema, TripleEma, TripleExponentialDerivative, Warmup},
        holt_winters::holt_winters,
        kaufmans::{KaufmansAma, KaufmansEr},
        moving_average::MovingAverage,
        relative_strength_index::RelativeStrengthIndex,
    },
    model::{Failure, Timestamp},
};
use arrow::{
    array::{
        Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, BooleanArray, Float64Array, Int64Array, PrimitiveArray,
        TimestampNanosecondArray, UInt32Array, new_null_array, types::TimestampNanosecondType,
    },
    compute::{concat, concat_batches, filter_record_batch, take},
    datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, UInt64Type},
    record_batch::RecordBatch,
};
use datafusion::{common::Result, logical_expr::LogicalPlan};
use std::sync::Arc;

/// What to make of a column, row by row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowFunction {
    /// Rate of change per unit.
    Derivative {
        unit_ns: i64,
        non_negative: bool,
    },
    /// In the type of the column; a falling unsigned value wraps (InfluxDB 1.8). A second row of the same time is passed over.
    Difference {
        non_negative: bool,
    },
    /// Whole units since the row before; negative when times fall.
    Elapsed {
        unit_ns: i64,
    },
    /// Mean of `n` values; nothing before the n-th.
    MovingAverage(usize),
    CumulativeSum,
    Smoothing {
        kind: Smoothing,
        period: usize,
        hold: Option<usize>,
        warmup: Option<Warmup>,
    },
    /// Holt-Winters forecast of `count` values every `every_ns`, with the fit over the known ones when asked for.
    HoltWinters {
        count: usize,
        season: usize,
        every_ns: i64,
        with_fit: bool,
    },
}

/// InfluxQL's averages and oscillators with a period, a hold period and a warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Smoothing {
    Exponential,
    DoubleExponential,
    TripleExponential,
    TripleExponentialDerivative,
    RelativeStrengthIndex,
    KaufmansEfficiencyRatio,
    KaufmansAdaptive,
    ChandeMomentum,
}

impl RowFunction {
    /// The type of the result; `None` for a column type it does not take.
    pub fn output(&self, input: &DataType) -> Option<DataType> {
        let number = matches!(input, DataType::Float64 | DataType::Int64 | DataType::UInt64);
        match self {
            RowFunction::Elapsed { .. } => Some(DataType::Int64),
            RowFunction::Difference { .. } | RowFunction::CumulativeSum => number.then(|| input.clone()),
            _ => number.then_some(DataType::Float64),
        }
    }
}

/// One function of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct RowCall {
    pub function: RowFunction,
    pub input: String,
    pub output: String,
}

#[derive(Debug, Clone)]
pub struct RowFunctions {
    /// Columns that tell series apart.
    pub series: Vec<String>,
    pub time: String,
    pub calls: Vec<RowCall>,
    /// A row stays when one of these columns has a value ...
    pub needed: Vec<String>,
    /// ... or when its time lies in these bounds (inclusive).
    pub kept_times: Option<(Timestamp, Timestamp)>,
}

/// `input`, ordered by series and time in either direction, with a column for each call.
pub fn row_functions(input: LogicalPlan, spec: RowFunctions) -> crate::model::Result<LogicalPlan> {
    let from = input.schema().as_arrow().clone();
    let mut fields: Vec<Field> = from.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    for call in &spec.calls {
        let input = fields.iter().find(|f| *f.name() == call.input).map(|f| f.data_type().clone());
        let output = input.as_ref().and_then(|t| call.function.output(t));
        let output = output.ok_or_else(|| Failure::invalid(format!("{:?} does not take {input:?}", call.function)))?;
        fields.push(Field::new(&call.output, output, true));
    }
    let schema = Arc::new(Schema::new(fields));
    let key = spec.series.clone();
    let transform = Transform { spec, schema: schema.clone() };
    Ok(per_table(input, &key, Arc::new(transform), schema, &key)?)
}

#[derive(Debug, Clone)]
struct Transform {
    spec: RowFunctions,
    schema: SchemaRef,
}

impl TableTransform for Transform {
    fn name(&self) -> &'static str {
        "RowFunctions"
    }

    fn start(&self, _first: &RecordBatch) -> Result<Box<dyn TableState>> {
        let base = self.schema.fields().len() - self.spec.calls.len();
        let steps = self.spec.calls.iter().enumerate().map(|(i, call)| {
            let input = self.schema.index_of(&call.input)?;
            debug_assert!(input < base + i, "a function reads what stands before it");
            Ok((input, step(&call.function, self.schema.field(input).data_type())))
        });
        let whole = self.spec.calls.iter().any(|c| matches!(c.function, RowFunction::HoltWinters { .. }));
        let steps = steps.collect::<Result<Vec<_>>>()?;
        Ok(Box::new(Series { shape: self.clone(), steps, held: whole.then(Vec::new) }))
    }
}

/// A function at work: column by column, in pieces.
type Step = Box<dyn FnMut(&[i64], &ArrayRef) -> ArrayRef + Send>;

struct Series {
    shape: Transform,
    steps: Vec<(usize, Step)>,
    /// All rows, where a forecast needs them.
    held: Option<Vec<RecordBatch>>,
}

impl Series {
    fn kept(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let times = batch.column(batch.schema().index_of(&self.shape.spec.time)?).as_primitive::<TimestampNanosecondType>();
        let needed = self.shape.spec.needed.iter().map(|n| Ok(batch.column(batch.schema().index_of(n)?)));
        let needed = needed.collect::<Result<Vec<_>>>()?;
        let inside = |row: usize| self.shape.spec.kept_times.is_some_and(|(min, max)| (min..=max).contains(&times.value(row)));
        let kept: BooleanArray = (0..batch.num_rows()).map(|r| Some(inside(r) || needed.iter().any(|c| c.is_valid(r)))).collect();
        Ok(filter_record_batch(&batch, &kept)?)
    }

    fn extended(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let times = rows.column(rows.schema().index_of(&self.shape.spec.time)?).as_primitive::<TimestampNanosecondType>().values().clone();
        let mut columns = rows.columns().to_vec();
        for (input, step) in &mut self.steps {
            let result = step(&times, &columns[*input]);
            columns.push(result);
        }
        Ok(RecordBatch::try_new(self.shape.schema.clone(), columns)?)
    }

    /// Forecasts have rows of their own behind the last one.
    fn forecast(&mut self, rows: &RecordBatch) -> Result<RecordBatch> {
        let time_at = rows.schema().index_of(&self.shape.spec.time)?;
        let mut times = rows.column(time_at).as_primitive::<TimestampNanosecondType>().values().to_vec();
        let (known, mut columns) = (times.len(), rows.columns().to_vec());
        for (at, (input, step)) in self.steps.iter_mut().enumerate() {
            let RowFunction::HoltWinters { count, season, every_ns, with_fit } = self.shape.spec.calls[at].function else {
                let result = step(&times[..known], &columns[*input].slice(0, known));
                let rest = new_null_array(result.data_type(), times.len() - known);
                columns.push(concat(&[&result, &rest])?);
                continue;
            };
            let values = arrow::compute::cast(&columns[*input], &DataType::Float64)?;
            let values = values.as_primitive::<Float64Type>();
            let points: Vec<(i64, f64)> =
                (0..known.min(values.len())).filter(|r| values.is_valid(*r)).map(|r| (times[r], values.value(r))).collect();
            let mut given: Vec<(i64, f64)> = vec![];
            if let (Some((first, _)), Some((last, _))) = (points.first().copied(), points.last().copied()) {
                let place = |time: i64| usize::try_from((time - first) / every_ns).unwrap_or(0);
                let mut series = vec![None; place(last) + 1];
                points.iter().for_each(|(time, value)| series[place(*time)] = Some(*value));
                if let Some(forecast) = holt_winters(&series, count, season, with_fit) {
                    let start = if with_fit { first } else { last + every_ns };
                    given = forecast.values.iter().enumerate().map(|(i, v)| (start + i as i64 * every_ns, *v)).collect();
                }
            }
            let mut result: Vec<Option<f64>> = vec![None; times.len()];
            for (time, value) in given.into_iter().filter(|(_, v)| v.is_finite()) {
                match times.iter().position(|t| *t == time) {
                    Some(row) => result[row] = Some(value),
                    None => {
                        times.push(time);
                        result.push(Some(value));
                    }
                }
            }
            columns.push(Arc::new(Float64Array::from(result)));
        }
        let series: Vec<usize> = self.shape.spec.series.iter().map(|s| rows.schema().index_of(s)).collect::<Result<_, _>>()?;
        for (at, column) in columns.iter_mut().enumerate() {
            let missing = times.len() - column.len();
            if at == time_at {
                *column = Arc::new(TimestampNanosecondArray::from(times.clone()));
            } else if missing > 0 {
                let rest = if series.contains(&at) {
                    take(column, &UInt32Array::from(vec![0; missing]), None)?
                } else {
                    new_null_array(column.data_type(), missing)
                };
                *column = concat(&[column, &rest])?;
            }
        }
        let mut order: Vec<u32> = (0..times.len() as u32).collect();
        order.sort_by_key(|i| times[*i as usize]);
        let order = UInt32Array::from(order);
        let columns = columns.iter().map(|c| take(c, &order, None)).collect::<Result<Vec<_>, _>>()?;
        Ok(RecordBatch::try_new(self.shape.schema.clone(), columns)?)
    }
}

impl TableState for Series {
    fn push(&mut self, rows: &RecordBatch, out: &mut Vec<RecordBatch>) -> Result<()> {
        if let Some(held) = &mut self.held {
            held.push(rows.clone());
            return Ok(());
        }
        let extended = self.extended(rows)?;
        out.push(self.kept(extended)?);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()> {
        let Some(held) = self.held.take().filter(|h| !h.is_empty()) else { return Ok(()) };
        let all = concat_batches(&held[0].schema(), &held)?;
        let extended = self.forecast(&all)?;
        out.push(self.kept(extended)?);
        Ok(())
    }

    fn size(&self) -> usize {
        self.held.iter().flatten().map(held_bytes).sum()
    }
}

fn step(function: &RowFunction, input: &DataType) -> Step {
    if let RowFunction::Elapsed { unit_ns } = *function {
        let mut last: Option<i64> = None;
        return Box::new(move |times, column| {
            let rows = (0..column.len()).map(|row| {
                let time = column.is_valid(row).then_some(times[row])?;
                last.replace(time).map(|last| elapsed(last, time, unit_ns))
            });
            Arc::new(rows.collect::<Int64Array>())
        });
    }
    match input {
        DataType::Int64 => numbers::<Int64Type>(function),
        DataType::UInt64 => numbers::<UInt64Type>(function),
        _ => numbers::<Float64Type>(function),
    }
}

fn numbers<T: ArrowPrimitiveType>(function: &RowFunction) -> Step
where
    T::Native: Number + ArrowNativeTypeOp,
{
    match function.clone() {
        RowFunction::Derivative { unit_ns, non_negative } => {
            let mut state = Derivative::new(unit_ns, if non_negative { OnFall::Missing } else { OnFall::Keep });
            rows::<T, Float64Type>(move |time, value| state.push(time, value))
        }
        RowFunction::Difference { non_negative } => {
            let mut last: Option<(i64, T::Native)> = None;
            rows::<T, T>(move |time, value| {
                if last.is_some_and(|(t, _)| t == time) {
                    return None;
                }
                let (_, before) = last.replace((time, value))?;
                (!non_negative || value >= before).then(|| ArrowNativeTypeOp::sub_wrapping(value, before))
            })
        }
        RowFunction::CumulativeSum => {
            let mut state = CumulativeSum::default();
            rows::<T, T>(move |_, value| Some(state.push(Some(value))))
        }
        RowFunction::MovingAverage(n) => {
            let mut state = MovingAverage::new(n);
            rows::<T, Float64Type>(move |_, value| state.push(Some(value.to_f64())).flatten())
        }
        RowFunction::Smoothing { kind, period, hold, warmup } => {
            let (own_hold, mut push) = smoothing(kind, period, warmup);
            let (hold, mut count) = (hold.unwrap_or(own_hold), 0);
            rows::<T, Float64Type>(move |_, value| {
                count += 1;
                let result = push(value.to_f64());
                // The first value of a triple exponential derivative has nothing before it.
                let is_result = kind != Smoothing::TripleExponentialDerivative || result.is_finite();
                (count > hold && is_result).then_some(result)
            })
        }
        RowFunction::Elapsed { .. } | RowFunction::HoltWinters { .. } => rows::<T, Float64Type>(|_, _| None),
    }
}

/// The values left out by default, and the result of one more value.
fn smoothing(kind: Smoothing, n: usize, warmup: Option<Warmup>) -> (usize, Box<dyn FnMut(f64) -> f64 + Send>) {
    let start = warmup.unwrap_or_default();
    macro_rules! with {
        ($state:expr) => {{
            let mut state = $state;
            (state.hold(), Box::new(move |value| state.push(value)))
        }};
    }
    match kind {
        Smoothing::Exponential => with!(Ema::new(n, start)),
        Smoothing::DoubleExponential => with!(DoubleEma::new(n, start)),
        Smoothing::TripleExponential => with!(TripleEma::new(n, start)),
        Smoothing::TripleExponentialDerivative => with!(TripleExponentialDerivative::new(n, start)),
        Smoothing::RelativeStrengthIndex => with!(RelativeStrengthIndex::new(n, start)),
        Smoothing::KaufmansEfficiencyRatio => with!(KaufmansEr::new(n)),
        Smoothing::KaufmansAdaptive => with!(KaufmansAma::new(n)),
        Smoothing::ChandeMomentum => with!(ChandeMomentumOscillator::new(n, warmup)),
    }
}

fn rows<T: ArrowPrimitiveType, O: ArrowPrimitiveType>(mut push: impl FnMut(i64, T::Native) -> Option<O::Native> + Send + 'static) -> Step {
    Box::new(move |times, column| {
        let column = column.as_primitive::<T>();
        let results = (0..column.len()).map(|row| column.is_valid(row).then(|| push(times[row], column.value(row))).flatten());
        Arc::new(PrimitiveArray::<O>::from_iter(results))
    })
}
