//! Rows for time windows that have none, and values for what they miss: Flux's `createEmpty`, InfluxQL's `fill()` and
//! SQL's `date_bin_gapfill`.
//!
//! Input: the rows of each series stand together, in the order of their window's start (either direction). Rows that
//! share a window are kept. A series that does not occur gets no rows; an empty table gets all windows of the bounds.
//! Rows stream, except that a line between two known values needs the second one first.

use super::{
    per_table::{TableState, TableTransform, per_table},
    size::held_bytes,
};
use crate::{
    kernel::{
        Number,
        fill::fill_linear,
        time_window::{InfluxqlWindow, TimeWindow},
    },
    memory,
    model::Timestamp,
};
use arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, TimestampNanosecondArray, new_null_array,
        types::TimestampNanosecondType,
    },
    compute::{concat_batches, interleave},
    datatypes::{DataType, Float64Type, Int64Type, SchemaRef, UInt64Type},
    record_batch::RecordBatch,
};
use datafusion::{
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::LogicalPlan,
};
use std::sync::Arc;

const BATCH_ROWS: usize = 8192;

/// Where the next window starts.
#[derive(Debug, Clone, Copy)]
pub enum Windows {
    /// Flux and SQL: fixed lengths, calendar months, zones.
    Regular(TimeWindow),
    /// InfluxQL's `GROUP BY time()`.
    Influxql(InfluxqlWindow),
}

impl Windows {
    /// Start and end of the window that holds `time`.
    pub fn bounds(&self, time: Timestamp) -> (Timestamp, Timestamp) {
        match self {
            Windows::Regular(window) => {
                let bounds = window.latest(time);
                (bounds.start, bounds.stop)
            }
            Windows::Influxql(window) => window.bounds(time),
        }
    }

    fn next(&self, start: Timestamp) -> Timestamp {
        match self {
            Windows::Regular(window) => {
                let mut bounds = window.next(window.latest(start));
                // A window that the zone's clock skipped has no length and starts where its neighbour does.
                while bounds.start <= start && bounds.start < Timestamp::MAX {
                    bounds = window.next(bounds);
                }
                bounds.start
            }
            Windows::Influxql(window) => window.bounds(start).1.max(start.saturating_add(1)),
        }
    }

    fn previous(&self, start: Timestamp) -> Timestamp {
        match self {
            Windows::Regular(window) => {
                let mut bounds = window.previous(window.latest(start));
                while bounds.start >= start && bounds.start > Timestamp::MIN {
                    bounds = window.previous(bounds);
                }
                bounds.start
            }
            Windows::Influxql(window) => window.bounds(start.saturating_sub(1)).0,
        }
    }
}

/// What stands where a column has no value.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Fill {
    #[default]
    Null,
    /// The last known value before it in the order of the rows (under DESC: the later one).
    Previous,
    /// The line between its known neighbours, for numbers; null outside of them.
    Linear,
    /// A value of the column's own type.
    Constant(ScalarValue),
}

/// How one column is filled; columns that are not named get nulls.
#[derive(Debug, Clone)]
pub struct ColumnFill {
    pub column: String,
    pub fill: Fill,
    /// Fill the nulls of rows that exist, too: InfluxQL, where each aggregate has windows of its own. SQL's `locf` and
    /// Flux fill only rows that were missing.
    pub nulls_too: bool,
}

/// What to fill.
#[derive(Debug, Clone)]
pub struct GapFill {
    /// Columns that tell series apart; inserted rows repeat them.
    pub series: Vec<String>,
    /// Column with each row's window start (timestamp, nanoseconds).
    pub time: String,
    pub windows: Windows,
    /// Start of the first and of the last window wanted (inclusive; in time order also when descending). `None`: the
    /// series' own first or last row.
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub descending: bool,
    pub fills: Vec<ColumnFill>,
}

/// `input` with a row for every window; the schema stays, but every column that is not part of the series may be null.
pub fn gap_fill(input: LogicalPlan, spec: GapFill) -> Result<LogicalPlan> {
    let from = input.schema().as_arrow().clone();
    let fields = from.fields().iter().map(|f| {
        let keeps = spec.series.contains(f.name()) || *f.name() == spec.time;
        if keeps { f.as_ref().clone() } else { f.as_ref().clone().with_nullable(true) }
    });
    let schema = Arc::new(arrow::datatypes::Schema::new_with_metadata(fields.collect::<Vec<_>>(), from.metadata().clone()));
    let columns = from.fields().iter().map(|field| {
        if spec.series.contains(field.name()) {
            return Ok(Column::Series);
        }
        if *field.name() == spec.time {
            return Ok(Column::Time);
        }
        let fill = spec.fills.iter().find(|f| f.column == *field.name());
        let numeric = matches!(field.data_type(), DataType::Float64 | DataType::Int64 | DataType::UInt64);
        Ok(match fill.map(|f| (&f.fill, f.nulls_too)) {
            None | Some((Fill::Null, _)) => {
                Column::Value { filler: new_null_array(field.data_type(), 1), nulls_too: false, previous: false }
            }
            Some((Fill::Constant(value), nulls_too)) => {
                Column::Value { filler: value.cast_to(field.data_type())?.to_array()?, nulls_too, previous: false }
            }
            Some((Fill::Previous, nulls_too)) => Column::Value { filler: new_null_array(field.data_type(), 1), nulls_too, previous: true },
            Some((Fill::Linear, _)) if numeric => Column::Linear { filler: new_null_array(field.data_type(), 1) },
            // Only numbers have a line between them (InfluxDB 1.8: strings stay null).
            Some((Fill::Linear, _)) => Column::Value { filler: new_null_array(field.data_type(), 1), nulls_too: false, previous: false },
        })
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let time = from.index_of(&spec.time).map_err(DataFusionError::from)?;
    let key = spec.series.clone();
    let transform = Transform { spec, columns, time, schema: schema.clone() };
    per_table(input, &key, Arc::new(transform), schema, &key)
}

#[derive(Debug, Clone)]
enum Column {
    Series,
    Time,
    Value { filler: ArrayRef, nulls_too: bool, previous: bool },
    Linear { filler: ArrayRef },
}

#[derive(Debug, Clone)]
struct Transform {
    spec: GapFill,
    columns: Vec<Column>,
    time: usize,
    schema: SchemaRef,
}

impl TableTransform for Transform {
    fn name(&self) -> &'static str {
        "GapFill"
    }

    fn start(&self, first: &RecordBatch) -> Result<Box<dyn TableState>> {
        let linear = self.columns.iter().any(|c| matches!(c, Column::Linear { .. }));
        let carry = first.columns().iter().map(|c| c.slice(0, 1)).collect();
        let known = vec![false; self.columns.len()];
        Ok(Box::new(Series { shape: self.clone(), carry, known, next: None, began: false, linear, held: vec![], given: 0 }))
    }
}

/// One series on its way through.
struct Series {
    shape: Transform,
    /// One row: the series' key, and each column's last known value.
    carry: Vec<ArrayRef>,
    /// Which of the carried values are known at all.
    known: Vec<bool>,
    /// Start of the window that comes next.
    next: Option<Timestamp>,
    began: bool,
    linear: bool,
    /// Rows whose lines are still open; the first `given` of them were given out and stay as the line's beginning.
    held: Vec<RecordBatch>,
    given: usize,
}

/// A row of the output: a row of the input at its time, or a gap.
#[derive(Clone, Copy)]
struct Row {
    time: Timestamp,
    input: Option<usize>,
}

impl Series {
    fn step(&self, start: Timestamp) -> Timestamp {
        if self.shape.spec.descending { self.shape.spec.windows.previous(start) } else { self.shape.spec.windows.next(start) }
    }

    fn is_before(&self, a: Timestamp, b: Timestamp) -> bool {
        if self.shape.spec.descending { a > b } else { a < b }
    }

    /// The bounds in the order of the rows.
    fn bounds(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let GapFill { first, last, descending, .. } = self.shape.spec;
        if descending { (last, first) } else { (first, last) }
    }

    /// Turns a list of rows into a batch.
    fn build(&mut self, rows: &[Row], input: Option<&RecordBatch>, out: &mut Vec<RecordBatch>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut columns = Vec::with_capacity(self.shape.columns.len());
        for (i, column) in self.shape.columns.iter().enumerate() {
            let source = input.map(|b| b.column(i));
            let at = |row: &Row, gap: (usize, usize)| row.input.map_or(gap, |r| (2, r));
            let pick = |filler: &ArrayRef, places: &[(usize, usize)]| {
                let mut sources: Vec<&dyn Array> = vec![filler.as_ref(), self.carry[i].as_ref()];
                sources.extend(source.map(|s| s.as_ref()));
                interleave(&sources, places)
            };
            columns.push(match column {
                Column::Time => Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|r| r.time))) as ArrayRef,
                Column::Series => pick(&self.carry[i], &rows.iter().map(|r| at(r, (1, 0))).collect::<Vec<_>>())?,
                Column::Linear { filler } => pick(filler, &rows.iter().map(|r| at(r, (0, 0))).collect::<Vec<_>>())?,
                Column::Value { filler, nulls_too, previous } => {
                    let mut gap = if *previous && self.known[i] { (1, 0) } else { (0, 0) };
                    let mut places = Vec::with_capacity(rows.len());
                    for row in rows {
                        let missing = row.input.is_some_and(|r| source.is_some_and(|s| s.is_null(r)));
                        let place = if missing && *nulls_too { gap } else { at(row, gap) };
                        if *previous && row.input.is_some() && !(missing && *nulls_too) {
                            gap = place;
                        }
                        places.push(place);
                    }
                    let array = pick(filler, &places)?;
                    if *previous {
                        self.carry[i] = array.slice(array.len() - 1, 1);
                        self.known[i] = true;
                    }
                    array
                }
            });
        }
        let batch = RecordBatch::try_new(self.shape.schema.clone(), columns)?;
        // A gap may be as long as time itself, and all of it is given at once.
        let held = self.held.iter().map(held_bytes).sum::<usize>();
        memory::allow(held_bytes(&batch).saturating_mul(out.len()).saturating_add(held.saturating_mul(2)), "filling gaps")?;
        if !self.linear {
            out.push(batch);
            return Ok(());
        }
        self.held.push(batch);
        // No line ends in a gap: however long it is, its rows are put together once.
        if rows.iter().any(|row| row.input.is_some()) { self.draw_lines(false, out) } else { Ok(()) }
    }

    /// Gives the rows up to which every line has its end; all of them when the series has ended.
    fn draw_lines(&mut self, ended: bool, out: &mut Vec<RecordBatch>) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let held = concat_batches(&self.shape.schema, &std::mem::take(&mut self.held))?;
        let count = held.num_rows();
        let times = held.column(self.shape.time).as_primitive::<TimestampNanosecondType>().values().to_vec();
        let (mut columns, mut closed) = (held.columns().to_vec(), count);
        for (i, column) in self.shape.columns.iter().enumerate() {
            if !matches!(column, Column::Linear { .. }) {
                continue;
            }
            let last_known = (0..count).rev().find(|r| columns[i].is_valid(*r));
            // Before its first known value a column has no line to wait for, so those rows may go.
            let open = last_known.map_or(count, |known| if known + 1 == count { count } else { known });
            closed = closed.min(open);
            columns[i] = match columns[i].data_type() {
                DataType::Float64 => lines::<Float64Type>(&times, &columns[i]),
                DataType::Int64 => lines::<Int64Type>(&times, &columns[i]),
                _ => lines::<UInt64Type>(&times, &columns[i]),
            };
        }
        let filled = RecordBatch::try_new(self.shape.schema.clone(), columns)?;
        let upto = if ended { count } else { closed };
        if upto > self.given {
            out.push(filled.slice(self.given, upto - self.given));
        }
        if !ended {
            // One row stays behind as the beginning of the lines to come.
            let keep = upto.saturating_sub(1).min(count);
            self.given = upto.max(self.given) - keep;
            self.held = vec![filled.slice(keep, count - keep)];
        }
        Ok(())
    }
}

fn lines<T: ArrowPrimitiveType>(times: &[i64], column: &ArrayRef) -> ArrayRef
where
    T::Native: Number,
{
    let mut values: Vec<Option<T::Native>> = column.as_primitive::<T>().iter().collect();
    fill_linear(times, &mut values);
    Arc::new(PrimitiveArray::<T>::from_iter(values))
}

impl TableState for Series {
    fn push(&mut self, input: &RecordBatch, out: &mut Vec<RecordBatch>) -> Result<()> {
        let times = input.column(self.shape.time).as_primitive::<TimestampNanosecondType>().clone();
        let mut rows = Vec::with_capacity(input.num_rows());
        for i in 0..input.num_rows() {
            let time = times.value(i);
            if !self.began {
                self.began = true;
                self.next = Some(self.bounds().0.unwrap_or(time));
            }
            while let Some(gap) = self.next.filter(|n| self.is_before(*n, time)) {
                rows.push(Row { time: gap, input: None });
                self.next = Some(self.step(gap)).filter(|n| *n != gap);
                if rows.len() >= BATCH_ROWS {
                    self.build(&std::mem::take(&mut rows), Some(input), out)?;
                }
            }
            rows.push(Row { time, input: Some(i) });
            if self.next == Some(time) {
                self.next = Some(self.step(time)).filter(|n| *n != time);
            }
        }
        self.build(&rows, Some(input), out)
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()> {
        let (first, last) = self.bounds();
        if !self.began {
            self.next = first;
        }
        let mut rows = vec![];
        while let (Some(gap), Some(last)) = (self.next, last) {
            if self.is_before(last, gap) {
                break;
            }
            rows.push(Row { time: gap, input: None });
            self.next = Some(self.step(gap)).filter(|n| *n != gap);
            if rows.len() >= BATCH_ROWS {
                self.build(&std::mem::take(&mut rows), None, out)?;
            }
        }
        self.build(&rows, None, out)?;
        self.draw_lines(true, out)
    }

    fn size(&self) -> usize {
        self.held.iter().map(RecordBatch::get_array_memory_size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::Duration,
        plan::{Context, memory::MemoryContext},
    };
    use arrow::array::{Float64Array, Int64Array, StringArray};
    use expect_test::{Expect, expect};

    type Point = (&'static str, i64, Option<f64>, Option<i64>);

    fn check(points: &[Point], change: impl Fn(&mut GapFill), expected: Expect) {
        let batch = RecordBatch::try_from_iter_with_nullable([
            ("h", Arc::new(StringArray::from_iter_values(points.iter().map(|p| p.0))) as ArrayRef, false),
            ("time", Arc::new(TimestampNanosecondArray::from_iter_values(points.iter().map(|p| p.1))) as ArrayRef, false),
            ("v", Arc::new(Float64Array::from_iter(points.iter().map(|p| p.2))) as ArrayRef, true),
            ("n", Arc::new(Int64Array::from_iter(points.iter().map(|p| p.3))) as ArrayRef, true),
        ])
        .expect("a batch");
        let window = TimeWindow::every(Duration::from_nanoseconds(10)).expect("a window");
        let mut spec = GapFill {
            series: vec!["h".into()],
            time: "time".into(),
            windows: Windows::Regular(window),
            first: Some(0),
            last: Some(40),
            descending: false,
            fills: vec![],
        };
        change(&mut spec);
        let context = MemoryContext::new(0);
        // Batches of two rows: series and gaps cross their borders.
        let parts: Vec<_> = (0..batch.num_rows()).step_by(2).map(|i| batch.slice(i, 2.min(batch.num_rows() - i))).collect();
        let table = datafusion::datasource::MemTable::try_new(batch.schema(), vec![parts]).expect("a table");
        let source = datafusion::datasource::provider_as_source(Arc::new(table));
        let scan = datafusion::logical_expr::LogicalPlanBuilder::scan("t", source, None).and_then(|b| b.build()).expect("a scan");
        let plan = gap_fill(scan, spec).expect("a plan");
        let rows = context.collect(plan).expect("rows");
        let mut text = String::new();
        for batch in &rows {
            let (h, t) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<TimestampNanosecondType>());
            let (v, n) = (batch.column(2).as_primitive::<Float64Type>(), batch.column(3).as_primitive::<Int64Type>());
            for i in 0..batch.num_rows() {
                let show = |s: Option<String>| s.unwrap_or("-".into());
                let v = show(v.is_valid(i).then(|| v.value(i).to_string()));
                let n = show(n.is_valid(i).then(|| n.value(i).to_string()));
                text += &format!("{} {} {v} {n}\n", h.value(i), t.value(i));
            }
        }
        expected.assert_eq(&text);
    }

    fn fill(column: &str, fill: Fill, nulls_too: bool) -> ColumnFill {
        ColumnFill { column: column.into(), fill, nulls_too }
    }

    const POINTS: [Point; 4] =
        [("a", 10, Some(1.0), Some(1)), ("a", 40, Some(4.0), Some(2)), ("b", 0, Some(8.0), None), ("b", 20, None, Some(5))];

    #[test]
    fn nulls_and_constants() {
        let change = |spec: &mut GapFill| spec.fills = vec![fill("n", Fill::Constant(ScalarValue::Int64(Some(0))), true)];
        check(
            &POINTS,
            change,
            expect![[r#"
            a 0 - 0
            a 10 1 1
            a 20 - 0
            a 30 - 0
            a 40 4 2
            b 0 8 0
            b 10 - 0
            b 20 - 5
            b 30 - 0
            b 40 - 0
        "#]],
        );
    }

    #[test]
    fn previous_and_linear() {
        let change = |spec: &mut GapFill| spec.fills = vec![fill("v", Fill::Linear, true), fill("n", Fill::Previous, true)];
        check(
            &POINTS,
            change,
            expect![[r#"
            a 0 - -
            a 10 1 1
            a 20 2 1
            a 30 3 1
            a 40 4 2
            b 0 8 -
            b 10 - -
            b 20 - 5
            b 30 - 5
            b 40 - 5
        "#]],
        );
    }

    #[test]
    fn descending_within_the_series_own_bounds() {
        let change = |spec: &mut GapFill| {
            (spec.first, spec.last, spec.descending) = (None, None, true);
            spec.fills = vec![fill("v", Fill::Linear, false), fill("n", Fill::Previous, false)];
        };
        check(
            &[("a", 40, Some(4.0), Some(2)), ("a", 40, Some(5.0), Some(3)), ("a", 10, Some(2.0), None)],
            change,
            expect![[r#"
            a 40 4 2
            a 40 5 3
            a 30 4 3
            a 20 3 3
            a 10 2 -
        "#]],
        );
    }
}
