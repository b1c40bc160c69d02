//! `count`, `sum`, `mean`, `spread`, `stddev`: each table becomes one row.
//!
//! They run on wide frames as they are: all fields in one pass, where a null is no row.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{is_number, run_error, stream},
        },
    },
    kernel::Number,
    model::Result as Outcome,
    plan::{
        Frame,
        node::{TableState, TableTransform},
        stream::type_name,
    },
};
use arrow::{
    array::{
        Array, ArrayRef, ArrowNativeTypeOp, ArrowPrimitiveType, AsArray, Float64Array, Int64Array, PrimitiveArray, UInt64Array,
        new_null_array,
    },
    datatypes::{DataType, Field, Float64Type, Int64Type, Schema, UInt64Type},
    record_batch::RecordBatch,
};
use datafusion::common::{Result, ScalarValue};
use std::{ops::Range, sync::Arc};

pub const FUNCTIONS: &[&Function] = &[&COUNT, &SUM, &MEAN, &SPREAD, &STDDEV];

/// One reduction of a column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aggregate {
    Count,
    Sum,
    Mean,
    Spread,
    /// `true`: divided by n (mode "population"), else by n - 1.
    Stddev {
        population: bool,
    },
    // Picks of a row whose other columns are not looked at (`aggregateWindow`).
    First,
    Last,
    Min,
    Max,
}

impl Aggregate {
    /// The aggregate that a built-in of this name does, with its default arguments.
    pub fn by_name(name: &str) -> Option<Aggregate> {
        Some(match name {
            "count" => Aggregate::Count,
            "sum" => Aggregate::Sum,
            "mean" => Aggregate::Mean,
            "spread" => Aggregate::Spread,
            "stddev" => Aggregate::Stddev { population: false },
            _ => return None,
        })
    }

    /// The pick that a built-in of this name does.
    pub fn selector_by_name(name: &str) -> Option<Aggregate> {
        [Aggregate::First, Aggregate::Last, Aggregate::Min, Aggregate::Max].into_iter().find(|a| a.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Aggregate::First => "first",
            Aggregate::Last => "last",
            Aggregate::Min => "min",
            Aggregate::Max => "max",
            Aggregate::Count => "count",
            Aggregate::Sum => "sum",
            Aggregate::Mean => "mean",
            Aggregate::Spread => "spread",
            Aggregate::Stddev { .. } => "stddev",
        }
    }

    /// The type of the result; `None` for a column type it does not take.
    pub fn output(self, input: &DataType) -> Option<DataType> {
        match self {
            Aggregate::Count => Some(DataType::Int64),
            Aggregate::First | Aggregate::Last => Some(input.clone()),
            Aggregate::Sum | Aggregate::Spread | Aggregate::Min | Aggregate::Max => is_number(input).then(|| input.clone()),
            Aggregate::Mean | Aggregate::Stddev { .. } => is_number(input).then_some(DataType::Float64),
        }
    }
}

/// What an aggregate keeps while rows pass.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    rows: i64,
    count: i64,
    float: f64,
    int: i64,
    uint: u64,
    /// Welford's sum of squared distances.
    squares: f64,
    low: Option<ScalarValue>,
    high: Option<ScalarValue>,
}

impl Tally {
    /// Takes some rows of a column.
    pub fn update(&mut self, aggregate: Aggregate, column: &ArrayRef, rows: Range<usize>) -> Result<()> {
        self.rows += rows.len() as i64;
        match aggregate {
            Aggregate::Count => self.count += (rows.len() - null_count(column, &rows)) as i64,
            Aggregate::First if self.low.is_some() => {}
            Aggregate::First => {
                let row = rows.into_iter().find(|r| column.is_valid(*r));
                self.low = row.map(|row| ScalarValue::try_from_array(column, row)).transpose()?;
            }
            Aggregate::Last => {
                if let Some(row) = rows.rev().find(|r| column.is_valid(*r)) {
                    self.high = Some(ScalarValue::try_from_array(column, row)?);
                }
            }
            _ => match column.data_type() {
                DataType::Int64 => self.numbers(aggregate, column.as_primitive::<Int64Type>(), rows),
                DataType::UInt64 => self.numbers(aggregate, column.as_primitive::<UInt64Type>(), rows),
                _ => self.numbers(aggregate, column.as_primitive::<Float64Type>(), rows),
            },
        }
        Ok(())
    }

    fn numbers<T: ArrowPrimitiveType>(&mut self, aggregate: Aggregate, column: &PrimitiveArray<T>, rows: Range<usize>)
    where
        T::Native: Number + ArrowNativeTypeOp + Into<ScalarValue>,
    {
        match aggregate {
            // Floats one after the other, so that the sum does not depend on how rows come in batches.
            Aggregate::Sum if T::DATA_TYPE == DataType::Float64 => self.count += each(column, rows, |v| self.float += v.to_f64()),
            Aggregate::Sum => {
                let mut sum = T::Native::default();
                self.count += each(column, rows, |v| sum = sum.plus(v));
                match sum.into() {
                    ScalarValue::Int64(Some(sum)) => self.int = self.int.wrapping_add(sum),
                    ScalarValue::UInt64(Some(sum)) => self.uint = self.uint.wrapping_add(sum),
                    _ => {}
                }
            }
            Aggregate::Mean if column.null_count() == 0 => {
                self.count += rows.len() as i64;
                self.float = T::Native::added(self.float, &column.values()[rows]);
            }
            Aggregate::Mean => self.count += each(column, rows, |v| self.float += v.to_f64()),
            Aggregate::Stddev { .. } => {
                let mut count = self.count;
                each(column, rows, |v| {
                    count += 1;
                    let delta = v.to_f64() - self.float;
                    self.float += delta / count as f64;
                    self.squares += delta * (v.to_f64() - self.float);
                });
                self.count = count;
            }
            _ => {
                // Floats in total order.
                let mut range: Option<(T::Native, T::Native)> = None;
                each(column, rows, |v| {
                    range = Some(
                        range.map_or((v, v), |(low, high)| (if v.is_lt(low) { v } else { low }, if v.is_gt(high) { v } else { high })),
                    );
                });
                let Some((low, high)) = range.map(|(low, high)| (low.into(), high.into())) else { return };
                if self.low.as_ref().is_none_or(|known| low < *known) {
                    self.low = Some(low);
                }
                if self.high.as_ref().is_none_or(|known| high > *known) {
                    self.high = Some(high);
                }
            }
        }
    }

    /// Whether any value that is not null was seen.
    pub fn has_values(&self) -> bool {
        self.count > 0 || self.low.is_some() || self.high.is_some()
    }

    /// A column of results for windows that are known to exist: no rows give a count of 0, else null; `None` is null.
    pub fn finish_rows<'a>(
        tallies: impl ExactSizeIterator<Item = Option<&'a Tally>>,
        aggregate: Aggregate,
        output: &DataType,
        wide: bool,
    ) -> Result<ArrayRef> {
        let result = |tally: Option<&Tally>| match tally {
            Some(tally) => tally.finish(aggregate, output, false, if wide { tally.count } else { tally.rows }),
            None => ScalarValue::try_from(output),
        };
        macro_rules! numbers {
            ($array:ident, $variant:ident) => {{
                let number = |tally| match result(tally)? {
                    ScalarValue::$variant(number) => Ok(number),
                    other => Err(run_error(format!("{}: {other} is no {output}", aggregate.name()))),
                };
                Ok(Arc::new(tallies.map(number).collect::<Result<$array>>()?))
            }};
        }
        match output {
            _ if tallies.len() == 0 => Ok(new_null_array(output, 0)),
            DataType::Float64 => numbers!(Float64Array, Float64),
            DataType::Int64 => numbers!(Int64Array, Int64),
            DataType::UInt64 => numbers!(UInt64Array, UInt64),
            _ => ScalarValue::iter_to_array(tallies.map(result).collect::<Result<Vec<_>>>()?),
        }
    }

    /// The result for a table of `rows` rows: nulls count as rows (Flux v0.200 `count.go`), but in a wide frame a null is no
    /// row. There (`wide`) a column without values had no rows at all: null, which means no table.
    fn finish(&self, aggregate: Aggregate, output: &DataType, wide: bool, rows: i64) -> Result<ScalarValue> {
        if aggregate == Aggregate::Count {
            let count = rows;
            return Ok(ScalarValue::Int64((!wide || count > 0).then_some(count)));
        }
        if aggregate == Aggregate::Spread {
            return match (&self.low, &self.high) {
                (Some(low), Some(high)) => high.sub(low),
                _ => ScalarValue::try_from(output),
            };
        }
        let picked = match aggregate {
            Aggregate::First | Aggregate::Min => self.low.clone(),
            Aggregate::Last | Aggregate::Max => self.high.clone(),
            _ => None,
        };
        if self.count == 0 {
            return picked.map_or_else(|| ScalarValue::try_from(output), Ok);
        }
        Ok(match (aggregate, output) {
            (Aggregate::Sum, DataType::Int64) => ScalarValue::from(self.int),
            (Aggregate::Sum, DataType::UInt64) => ScalarValue::from(self.uint),
            (Aggregate::Sum, _) => ScalarValue::from(self.float),
            (Aggregate::Mean, _) => ScalarValue::from(self.float / self.count as f64),
            (Aggregate::Stddev { population }, _) if self.count > 1 => {
                let divisor = if population { self.count } else { self.count - 1 };
                ScalarValue::from((self.squares / divisor as f64).sqrt())
            }
            _ => ScalarValue::from(f64::NAN),
        })
    }
}

fn null_count(column: &dyn Array, rows: &Range<usize>) -> usize {
    column.nulls().map_or(0, |nulls| nulls.slice(rows.start, rows.len()).null_count())
}

/// Visits the values that are not null; gives their number.
fn each<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, rows: Range<usize>, mut visit: impl FnMut(T::Native)) -> i64 {
    if column.null_count() == 0 {
        let values = &column.values()[rows];
        values.iter().for_each(|v| visit(*v));
        return values.len() as i64;
    }
    let valid = rows.filter(|r| column.is_valid(*r));
    valid.map(|r| visit(column.value(r))).count() as i64
}

#[derive(Debug, Clone)]
struct Reduce {
    name: &'static str,
    aggregate: Aggregate,
    columns: Vec<String>,
    key: Vec<String>,
    wide: bool,
    results: Arc<Schema>,
}

struct Reducing {
    shape: Reduce,
    tallies: Vec<Tally>,
}

impl TableTransform for Reduce {
    fn name(&self) -> &'static str {
        self.name
    }

    fn copied(&self) -> &[String] {
        &self.key
    }

    fn start(&self, _first: &RecordBatch) -> Result<Box<dyn TableState>> {
        Ok(Box::new(Reducing { shape: self.clone(), tallies: vec![Tally::default(); self.columns.len()] }))
    }
}

impl TableState for Reducing {
    fn push(&mut self, rows: &RecordBatch, _out: &mut Vec<RecordBatch>) -> Result<()> {
        for (name, tally) in self.shape.columns.iter().zip(&mut self.tallies) {
            let column = rows.column_by_name(name).expect("looked up when the plan was made");
            tally.update(self.shape.aggregate, column, 0..column.len())?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()> {
        let tallies = std::mem::take(&mut self.tallies).into_iter().zip(self.shape.results.fields());
        let columns = tallies.map(|(tally, field)| {
            let rows = if self.shape.wide { tally.count } else { tally.rows };
            tally.finish(self.shape.aggregate, field.data_type(), self.shape.wide, rows)?.to_array()
        });
        out.push(RecordBatch::try_new(self.shape.results.clone(), columns.collect::<Result<_>>()?)?);
        Ok(())
    }
}

/// One row per table: its key and the aggregate of `column`; in a wide frame, of every field.
pub fn aggregate(frame: &Frame, name: &'static str, aggregate: Aggregate, column: &str) -> Outcome<Vec<Frame>> {
    if frame.is_wide() {
        let fits = frame.fields.iter().all(|f| frame.data_type(f).is_some_and(|t| aggregate.output(&t).is_some()));
        if !fits || column != "_value" || frame.null_rows {
            let long = frame.to_long()?;
            return Ok(long.iter().map(|f| self::aggregate(f, name, aggregate, column)).collect::<Outcome<Vec<_>>>()?.concat());
        }
    }
    let columns = if frame.is_wide() { frame.fields.clone() } else { vec![column.to_string()] };
    let schema = frame.schema();
    let key = frame.key.iter().filter_map(|k| schema.field_with_name(k).ok().cloned());
    let mut results: Vec<Field> = vec![];
    for column in &columns {
        if frame.is_key(column) {
            return Ok(vec![frame.fail(name, format!("{name}: cannot aggregate columns that are part of the group key"))?]);
        }
        let Some(input) = frame.data_type(column) else {
            return Ok(vec![frame.fail(name, format!("{name}: column \"{column}\" does not exist"))?]);
        };
        let Some(output) = aggregate.output(&input) else {
            return Ok(vec![frame.fail(name, format!("{name}: unsupported aggregate column type {}", type_name(&input)))?]);
        };
        results.push(Field::new(column, output, true));
    }
    let schema = Schema::new(key.chain(results.iter().cloned()).collect::<Vec<_>>());
    let results = Arc::new(Schema::new(results));
    let shape = Reduce { name, aggregate, columns, key: frame.key.clone(), wide: frame.is_wide(), results };
    Ok(vec![frame.per_table(Arc::new(shape), schema, frame.key.clone(), false)?])
}

fn run(call: &mut Call<'_>, kind: Aggregate) -> FluxResult<Value> {
    let tables = call.tables()?;
    let column = call.column_name("column", "_value")?;
    let name = call.function.name;
    let frames = tables.frames.iter().map(|f| aggregate(f, name, kind, &column)).collect::<Outcome<Vec<_>>>()?.concat();
    Ok(stream(frames, &tables))
}

pub static COUNT: Function = Function {
    name: "count",
    signature: "(<-tables: stream[A], ?column: string) => stream[B]",
    summary: "Counts the rows of each table; null values count.",
    examples: &[],
    call: |call| run(call, Aggregate::Count),
};

pub static SUM: Function = Function {
    name: "sum",
    signature: "(<-tables: stream[A], ?column: string) => stream[B]",
    summary: "Sums a column of each table; null when it has no values.",
    examples: &[],
    call: |call| run(call, Aggregate::Sum),
};

pub static MEAN: Function = Function {
    name: "mean",
    signature: "(<-tables: stream[A], ?column: string) => stream[B]",
    summary: "Averages a column of each table; null when it has no values.",
    examples: &[],
    call: |call| run(call, Aggregate::Mean),
};

pub static SPREAD: Function = Function {
    name: "spread",
    signature: "(<-tables: stream[A], ?column: string) => stream[B]",
    summary: "The greatest value less the smallest; null when there are none.",
    examples: &[],
    call: |call| run(call, Aggregate::Spread),
};

pub static STDDEV: Function = Function {
    name: "stddev",
    signature: "(<-tables: stream[A], ?column: string, ?mode: string) => stream[B]",
    summary: "The standard deviation of a column, of a sample (the default) or of a population; NaN for one value.",
    examples: &[],
    call: |call| {
        let population = match call.or::<Arc<str>>("mode", "sample".into())?.as_ref() {
            "sample" => false,
            "population" => true,
            other => {
                return Err(FluxError::invalid(format!("stddev: unknown mode \"{other}\": must be sample or population")).at(call.span));
            }
        };
        run(call, Aggregate::Stddev { population })
    },
};
