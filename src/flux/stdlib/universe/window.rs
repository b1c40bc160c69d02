//! `window` and `aggregateWindow`: tables by time.
//!
//! `aggregateWindow` is a composition: window, aggregate, fill empty windows, restore the bounds. For the aggregates
//! that need no row order it is one streaming pass over rows as they come, on wide frames over all fields at once.

use super::{
    aggregates::{Aggregate, Tally},
    pick::Pick,
};
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{FunctionValue, Value},
        stdlib::{
            Call, Function,
            tables::{run_error, stream, times},
        },
    },
    kernel::time_window::{Bounds, Location, TimeWindow},
    memory,
    model::{Duration, Result as Outcome, TimeRange, schema::time_type},
    plan::{
        Frame, TableStream,
        merge::is_column,
        node::{
            OperatorNode, TableState, TableTransform,
            per_table::{EMPTY, as_transform},
            size::held_bytes,
            unpivot::plain,
        },
        stream::{col, null, regroup_frames, time_literal},
    },
};
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, TimestampNanosecondArray, UInt64Array, new_null_array},
    compute::{concat, take, take_record_batch},
    datatypes::{DataType, Field, Schema, TimestampNanosecondType},
    record_batch::RecordBatch,
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{Expr, Filter, LogicalPlan, Projection},
};
use std::{collections::BTreeMap, sync::Arc};

pub const FUNCTIONS: &[&Function] = &[&WINDOW, &_WINDOW, &AGGREGATE_WINDOW];

pub static WINDOW: Function = Function {
    name: "window",
    signature: "(<-tables: stream[A], ?every: duration, ?period: duration, ?offset: duration, ?location: {zone: string, offset: duration}, ?timeColumn: string, ?startColumn: string, ?stopColumn: string, ?createEmpty: bool) => stream[B]",
    summary: "Regroups rows into windows of time; `_start` and `_stop` become the window's bounds.",
    examples: &[],
    call: window,
};

pub static _WINDOW: Function = Function { name: "_window", ..WINDOW };

/// What the windows of a call are.
#[derive(Debug, Clone)]
struct Shape {
    /// `None`: one window, the bounds of the query (`every: inf`).
    window: Option<TimeWindow>,
    bounds: TimeRange,
    create_empty: bool,
    time: String,
    start: String,
    stop: String,
}

/// A window in an ordered map, and beside it.
const WINDOW_BYTES: usize = 64;
/// A value of a window, while it is found and as it is given.
const CELL_BYTES: usize = 32;
/// So many windows are made between two looks at whether there is room.
const LOOK_WINDOWS: usize = 1 << 14;

impl Shape {
    /// Every window that holds `time`, clipped to the bounds, in order.
    fn holding(&self, time: i64, out: &mut Vec<(i64, i64)>) -> Result<()> {
        out.clear();
        // The one window of `every: inf` takes every row: `_stop` may have become the time before.
        let Some(window) = &self.window else {
            out.push((self.bounds.start, self.bounds.stop));
            return Ok(());
        };
        if !self.bounds.contains(time) {
            return Ok(());
        }
        let mut at = window.latest(time);
        // Windows are numbered by their beginning, so earlier ones hold the time until one ends before it.
        while at.stop > time {
            if at.contains(time) {
                if out.len() % LOOK_WINDOWS == LOOK_WINDOWS - 1 {
                    memory::allow(out.len() * WINDOW_BYTES, "window")?;
                }
                out.push(self.clip(at));
            }
            at = window.previous(at);
        }
        out.reverse();
        Ok(())
    }

    fn clip(&self, window: Bounds) -> (i64, i64) {
        (window.start.max(self.bounds.start), window.stop.min(self.bounds.stop))
    }

    /// Every window of the bounds. Whoever asks makes a row of each, of `columns` columns.
    fn all(&self, columns: usize) -> Result<Vec<(i64, i64)>> {
        let Some(window) = &self.window else { return Ok(vec![(self.bounds.start, self.bounds.stop)]) };
        if let Some((first, last)) = window.overlapping_indices(self.bounds.start, self.bounds.stop) {
            let count = usize::try_from(last.saturating_sub(first)).unwrap_or(0);
            memory::allow(count.saturating_mul(WINDOW_BYTES + columns * CELL_BYTES), "window")?;
        }
        Ok(window.overlapping(self.bounds.start, self.bounds.stop).map(|w| self.clip(w)).collect())
    }
}

pub(crate) fn location(call: &mut Call<'_>) -> FluxResult<Location> {
    let given = call.optional::<Arc<crate::flux::eval::Record>>("location")?;
    // The default is `option location` as it stands at the call.
    let record = match (given, call.interpreter.universe("location")) {
        (Some(record), _) | (None, Some(Value::Record(record))) => record,
        _ => return Ok(Location::UTC),
    };
    let mut location = match record.get("zone") {
        Some(Value::String(zone)) => Location::named(zone)?,
        _ => Location::UTC,
    };
    if let Some(Value::Duration(offset)) = record.get("offset") {
        location.offset = *offset;
    }
    Ok(location)
}

pub(crate) const INFINITE: i64 = i64::MAX;

fn shape(call: &mut Call<'_>, tables: &TableStream) -> FluxResult<Shape> {
    let every = call.optional::<Duration>("every")?;
    let period = call.optional::<Duration>("period")?;
    let offset = call.or("offset", Duration::ZERO)?;
    let location = location(call)?;
    let Some((every, period)) = every.or(period).zip(period.or(every)) else {
        return Err(FluxError::invalid("window function requires at least one of \"every\" or \"period\" to be set").at(call.span));
    };
    let Some(bounds) = tables.bounds else {
        return Err(FluxError::invalid("window: nil bounds passed to window; use range to set the window range").at(call.span));
    };
    let window = if every.nanoseconds == INFINITE {
        None
    } else {
        Some(TimeWindow::new(every, period, offset, location).map_err(|e| FluxError::from(e).at(call.span))?)
    };
    Ok(Shape {
        window,
        bounds,
        create_empty: call.or("createEmpty", false)?,
        time: call.column_name("timeColumn", "_time")?,
        start: call.column_name("startColumn", "_start")?,
        stop: call.column_name("stopColumn", "_stop")?,
    })
}

fn window(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let shape = shape(call, &tables)?;
    let frames = tables.frames.iter().map(|f| into_windows(f, &shape)).collect::<Outcome<Vec<_>>>()?;
    Ok(stream(regroup_frames(frames, call.context())?, &tables))
}

/// Rows of each table by window; a row in several windows is repeated, one in none is dropped.
fn into_windows(frame: &Frame, shape: &Shape) -> Outcome<Frame> {
    if !matches!(frame.data_type(&shape.time), Some(DataType::Timestamp(..))) {
        return frame.fail("window", format!("window: missing time column \"{}\"", shape.time));
    }
    let bound = |name: &String| (name.clone(), if frame.has(name) { col(name) } else { null(&time_type()) });
    let mut input = frame.with_columns(vec![bound(&shape.start), bound(&shape.stop)])?;
    let schema = input.schema();
    let mut key = frame.key.clone();
    key.extend([&shape.start, &shape.stop].into_iter().filter(|c| !frame.is_key(c)).cloned());
    input.key = frame.key.clone();
    let mut fields: Vec<Arc<Field>> = schema.fields().iter().map(|f| Arc::new(f.as_ref().clone().with_nullable(true))).collect();
    let keep_empty = shape.create_empty;
    if keep_empty {
        fields.push(Arc::new(Field::new(EMPTY, DataType::Boolean, true)));
    }
    let out = Arc::new(Schema::new(fields));
    let (shape, out_key) = (shape.clone(), key.clone());
    input.whole_tables("window", schema, key, keep_empty, move |first, rows| windowed(first, rows, &shape, &out_key, &out))
}

fn windowed(first: &RecordBatch, rows: &RecordBatch, shape: &Shape, key: &[String], out: &Arc<Schema>) -> Result<RecordBatch> {
    let times = rows.column_by_name(&shape.time).and_then(times).ok_or_else(|| run_error("window: time column is not of type time"))?;
    let mut by_window: BTreeMap<(i64, i64), Vec<u64>> = BTreeMap::new();
    if shape.create_empty {
        by_window.extend(shape.all(rows.num_columns())?.into_iter().map(|w| (w, vec![])));
    }
    let (mut holding, mut made, mut looked) = (vec![], 0, 0);
    // A row is repeated in each of its windows.
    let row_bytes = held_bytes(rows) / rows.num_rows().max(1) + CELL_BYTES;
    for (row, time) in times.iter().enumerate() {
        let Some(time) = time else { return Err(run_error("window: null time in time column")) };
        shape.holding(*time, &mut holding)?;
        made += holding.len();
        if made - looked >= LOOK_WINDOWS {
            looked = made;
            memory::allow(made.saturating_mul(row_bytes), "window")?;
        }
        for window in &holding {
            by_window.entry(*window).or_default().push(row as u64);
        }
    }
    // An empty window is one row of key values behind the last row of the table; the marker says what it is.
    let none = rows.num_rows() as u64;
    let (mut from, mut starts, mut stops, mut empty) = (vec![], vec![], vec![], vec![]);
    for ((start, stop), rows) in by_window {
        let is_empty = rows.is_empty();
        let rows = if is_empty { vec![none] } else { rows };
        starts.extend(std::iter::repeat_n(start, rows.len()));
        stops.extend(std::iter::repeat_n(stop, rows.len()));
        empty.extend(std::iter::repeat_n(is_empty, rows.len()));
        from.extend(rows);
    }
    let from = UInt64Array::from(from);
    let columns = out.fields().iter().map(|f| -> Result<ArrayRef> {
        let name = f.name();
        if name == EMPTY {
            return Ok(Arc::new(BooleanArray::from(empty.clone())));
        }
        if *name == shape.start {
            return Ok(Arc::new(TimestampNanosecondArray::from(starts.clone())));
        }
        if *name == shape.stop {
            return Ok(Arc::new(TimestampNanosecondArray::from(stops.clone())));
        }
        let column = rows.column_by_name(name).expect("a column of the input");
        let last =
            if key.contains(name) { first.column_by_name(name).expect("a key column").clone() } else { new_null_array(f.data_type(), 1) };
        Ok(take(&concat(&[column, &last])?, &from, None)?)
    });
    Ok(RecordBatch::try_new(out.clone(), columns.collect::<Result<Vec<_>>>()?)?)
}

pub static AGGREGATE_WINDOW: Function = Function {
    name: "aggregateWindow",
    signature: "(<-tables: stream[A], every: duration, ?period: duration, ?offset: duration, ?location: {zone: string, offset: duration}, fn: (<-: stream[B], column: C) => stream[D], ?column: C, ?timeSrc: string, ?timeDst: string, ?createEmpty: bool) => stream[E]",
    summary: "Aggregates windows of time: one row per window, stamped with the window's end.",
    examples: &[],
    call: aggregate_window,
};

fn aggregate_window(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.tables()?;
    let function = call.required::<Value>("fn")?;
    let column = call.column_name("column", "_value")?;
    let time_source = call.column_name("timeSrc", "_stop")?;
    let time_target = call.column_name("timeDst", "_time")?;
    let create_empty = call.or("createEmpty", true)?;
    let mut shape = shape(call, &tables)?;
    shape.create_empty = create_empty;
    let kind = match &function {
        Value::Function(f) => match f.as_ref() {
            FunctionValue::Builtin(f) => Aggregate::by_name(f.name)
                .or_else(|| Aggregate::selector_by_name(f.name).filter(|kind| tables.frames.iter().all(|f| picks_values_only(f, *kind)))),
            FunctionValue::Closure { .. } => None,
        },
        _ => None,
    };
    let plain = column == "_value" && time_target == "_time" && (time_source == "_stop" || time_source == "_start");
    if let (Some(kind), true, true) = (kind, plain, shape.window.is_some_and(|w| w.is_seamless())) {
        let from_start = time_source == "_start";
        let frames = tables.frames.iter().map(|f| reduce_windows(f, kind, &shape, from_start)).collect::<Outcome<Vec<_>>>()?.concat();
        return Ok(stream(frames, &tables));
    }
    let long = tables.to_long()?;
    if let (Value::Function(f), true, true) = (&function, plain, shape.window.is_some_and(|w| w.is_seamless()))
        && let FunctionValue::Builtin(f) = f.as_ref()
        && let Some(picks) = long.frames.iter().map(|frame| pick_of(frame, f.name)).collect::<Option<Vec<_>>>()
    {
        let from_start = time_source == "_start";
        let frames = long.frames.iter().zip(picks).map(|(frame, pick)| pick_windows(frame, pick, &shape, from_start));
        return Ok(stream(regroup_frames(frames.collect::<Outcome<Vec<_>>>()?, call.context())?, &tables));
    }
    let frames = long.frames.iter().map(|f| into_windows(f, &shape)).collect::<Outcome<Vec<_>>>()?;
    let windows = stream(regroup_frames(frames, call.context())?, &tables);
    let reduced = call.interpreter.call(&function, vec![("column".into(), Value::string(column))], Some(windows), call.span)?;
    let Some(reduced) = reduced.tables()? else {
        return Err(FluxError::invalid(format!("aggregateWindow: `fn` must return a stream, found {}", reduced.type_name())).at(call.span));
    };
    let whole = Shape { window: None, create_empty: false, time: time_target.clone(), ..shape };
    let mut frames = vec![];
    for frame in reduced.to_long()?.frames {
        // An empty window is a row of nulls now; without createEmpty it is nothing.
        let filled = if create_empty { frame.show_empty_tables()? } else { frame.without_empty_tables()? };
        if !filled.has(&time_source) {
            frames.push(filled.fail("duplicate", format!("duplicate: column \"{time_source}\" doesn't exist"))?);
            continue;
        }
        let stamped = filled.with_columns(vec![(time_target.clone(), col(&time_source))])?;
        let stamped = stamped.filter(col(&time_target).is_not_null())?;
        frames.push(into_bounds(&stamped, &whole)?);
    }
    Ok(stream(regroup_frames(frames, call.context())?, &tables))
}

/// Whether a row that `kind` picks has nothing to tell but its table, its time and its value.
fn picks_values_only(frame: &Frame, kind: Aggregate) -> bool {
    let told = |c: &String| c == "_time" || frame.is_key(c) || frame.fields.contains(c);
    let fits = |f: &String| frame.data_type(f).is_some_and(|t| kind.output(&t).is_some());
    frame.is_wide() && !frame.null_rows && frame.columns().iter().all(told) && frame.fields.iter().all(fits)
}

/// The same windows over the rows of the last `count` of them only, where one table has them all. With more windows than
/// are worth a try, or none that say when they begin, nothing.
pub fn newest_of_windows(plan: &LogicalPlan, count: usize) -> Outcome<Option<LogicalPlan>> {
    if let LogicalPlan::Projection(shown) = plan
        && shown.expr.iter().any(|e| is_column(e, "_time"))
    {
        let newest = newest_of_windows(&shown.input, count)?;
        return Ok(newest
            .map(|newest| Projection::try_new(shown.expr.clone(), Arc::new(newest)))
            .transpose()?
            .map(LogicalPlan::Projection));
    }
    let picking = as_transform::<PickWindows>(plan).map(|(p, input)| (&p.shape, p.one_table, input));
    let reducing = as_transform::<ReduceWindows>(plan).map(|(p, input)| (&p.shape, p.one_table, input));
    let Some((shape, one_table, input)) = picking.or(reducing) else { return Ok(None) };
    let (Some(window), true) = (&shape.window, one_table && (1..=1_000).contains(&count)) else { return Ok(None) };
    let last = window.latest(shape.bounds.stop.saturating_sub(1));
    let first = (1..count).fold(last, |at, _| window.previous(at));
    let recent = Filter::try_new(col(&shape.time).gt_eq(time_literal(first.start)), Arc::new(input.clone()))?;
    Ok(Some(OperatorNode::over(plan, LogicalPlan::Filter(recent))?))
}

/// What a selector picks in this long frame; `None` when only the composition knows what to do or to say.
fn pick_of(frame: &Frame, name: &str) -> Option<Pick> {
    let timed = matches!(frame.data_type("_time"), Some(DataType::Timestamp(..)));
    if !timed || frame.is_key("_value") || frame.is_key("_time") || frame.has_empty_tables() {
        return None;
    }
    let data_type = frame.data_type("_value")?;
    Pick::ALL.into_iter().find(|pick| pick.name() == name && pick.takes(&data_type))
}

/// The picked row of every window, stamped with the window's start or stop; with `create_empty` a row of nulls where
/// there is none. One pass over each table, which holds the picked rows only.
fn pick_windows(frame: &Frame, pick: Pick, shape: &Shape, from_start: bool) -> Outcome<Frame> {
    let bound = |name: &String| (name.clone(), if frame.has(name) { col(name) } else { null(&time_type()) });
    let mut input = frame.with_columns(vec![bound(&shape.start), bound(&shape.stop)])?;
    let schema = input.schema();
    let mut key = frame.key.clone();
    key.extend([&shape.start, &shape.stop].into_iter().filter(|c| !frame.is_key(c)).cloned());
    input.key = frame.key.clone();
    let copied: Vec<String> = frame.key.iter().filter(|k| **k != shape.start && **k != shape.stop).cloned().collect();
    let made: Vec<_> = schema.fields().iter().filter(|f| !copied.contains(f.name())).cloned().collect();
    let plan = PickWindows {
        pick,
        shape: shape.clone(),
        from_start,
        one_table: frame.key.is_empty(),
        copied,
        made: Arc::new(Schema::new(made.iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>())),
    };
    input.per_table(Arc::new(plan), schema, key, false)
}

#[derive(Debug, Clone)]
struct PickWindows {
    pick: Pick,
    shape: Shape,
    from_start: bool,
    /// Whether all rows are of one table.
    one_table: bool,
    copied: Vec<String>,
    /// The other columns.
    made: Arc<Schema>,
}

struct PickingWindows {
    plan: PickWindows,
    /// The picked row of each window that has rows.
    windows: BTreeMap<(i64, i64), Option<RecordBatch>>,
    current: (i64, i64),
    row_bytes: usize,
}

impl TableTransform for PickWindows {
    fn name(&self) -> &'static str {
        self.pick.name()
    }

    fn copied(&self) -> &[String] {
        &self.copied
    }

    fn start(&self, _first: &RecordBatch) -> Result<Box<dyn TableState>> {
        let current = (i64::MAX, i64::MIN);
        Ok(Box::new(PickingWindows { plan: self.clone(), windows: BTreeMap::new(), current, row_bytes: 0 }))
    }
}

impl TableState for PickingWindows {
    fn push(&mut self, rows: &RecordBatch, _out: &mut Vec<RecordBatch>) -> Result<()> {
        let column = |name: &str| rows.column_by_name(name).expect("looked up when the plan was made");
        let values = column("_value");
        let (pick, windows) = (self.plan.pick, &mut self.windows);
        let mut picked: BTreeMap<(i64, i64), usize> = BTreeMap::new();
        each_window(column("_time"), &self.plan.shape, &mut self.current, |window, start, stop| {
            let known = windows.entry(window).or_default();
            let Some(row) = pick.row(values, start..stop)? else { return Ok(()) };
            let before = known.as_ref().and_then(|b| b.column_by_name("_value")).map(|b| (b, 0));
            let old = picked.get(&window).map(|old| (values, *old)).or(before);
            if old.map_or(Ok(true), |old| pick.prefers((values, row), old))? {
                picked.insert(window, row);
            }
            Ok(())
        })?;
        // Copied, so that a picked row does not keep its whole batch alive.
        let copied = take_record_batch(rows, &UInt64Array::from_iter_values(picked.values().map(|row| *row as u64)))?;
        for (at, window) in picked.keys().enumerate() {
            windows.insert(*window, Some(copied.slice(at, 1)));
        }
        if copied.num_rows() > 0 {
            self.row_bytes = copied.get_array_memory_size() / copied.num_rows();
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()> {
        let plan = &self.plan;
        let mut windows = std::mem::take(&mut self.windows);
        if plan.shape.create_empty {
            plan.shape.all(plan.made.fields().len())?.into_iter().for_each(|window| _ = windows.entry(window).or_default());
        } else {
            windows.retain(|_, row| row.is_some());
        }
        if windows.is_empty() {
            return Ok(());
        }
        let (bounds, count) = (plan.shape.bounds, windows.len());
        let columns = plan.made.fields().iter().map(|field| -> Result<ArrayRef> {
            let times = |times: Vec<i64>| Arc::new(TimestampNanosecondArray::from(times)) as ArrayRef;
            let name = field.name();
            if *name == plan.shape.start || *name == plan.shape.stop {
                return Ok(times(vec![if *name == plan.shape.start { bounds.start } else { bounds.stop }; count]));
            }
            if name == "_time" {
                return Ok(times(windows.keys().map(|w| if plan.from_start { w.0 } else { w.1 }).collect()));
            }
            let none = new_null_array(field.data_type(), 1);
            let cells: Vec<ArrayRef> = windows
                .values()
                .map(|row| row.as_ref().and_then(|r| r.column_by_name(name)).cloned().unwrap_or_else(|| none.clone()))
                .collect();
            Ok(concat(&cells.iter().map(|c| c.as_ref()).collect::<Vec<_>>())?)
        });
        out.push(RecordBatch::try_new(plan.made.clone(), columns.collect::<Result<Vec<_>>>()?)?);
        Ok(())
    }

    fn size(&self) -> usize {
        self.windows.len() * (size_of::<RecordBatch>() + self.row_bytes)
    }
}

/// Calls `visit` with each window and the rows `start..stop` that lie in it one after the other. `current` is the window of
/// the row before, since rows mostly come in order.
fn each_window(
    times: &ArrayRef,
    shape: &Shape,
    current: &mut (i64, i64),
    mut visit: impl FnMut((i64, i64), usize, usize) -> Result<()>,
) -> Result<()> {
    let times = times.as_primitive::<TimestampNanosecondType>();
    if times.null_count() > 0 {
        return Err(run_error("window: null time in time column"));
    }
    let times = times.values();
    let mut holding = vec![];
    let mut row = 0;
    while row < times.len() {
        if !is_inside(times[row], *current) {
            shape.holding(times[row], &mut holding)?;
            let Some(window) = holding.first() else {
                row += 1;
                continue;
            };
            *current = *window;
        }
        let stop = row + count_inside(&times[row..], *current);
        visit(*current, row, stop)?;
        row = stop;
    }
    Ok(())
}

/// One comparison: what lies before the start wraps round to a distance beyond any window.
fn is_inside(time: i64, (start, stop): (i64, i64)) -> bool {
    stop > start && (time.wrapping_sub(start) as u64) < (stop.wrapping_sub(start) as u64)
}

/// How many of the first times lie in the window.
fn count_inside(times: &[i64], window: (i64, i64)) -> usize {
    const BLOCK: usize = 64;
    // A block that is looked at whole is compared many times at once.
    let whole = |block: &&[i64]| block.iter().fold(true, |all, time| all & is_inside(*time, window));
    let start = times.chunks_exact(BLOCK).take_while(whole).count() * BLOCK;
    start + times[start..].iter().take_while(|time| is_inside(**time, window)).count()
}

/// `_start` and `_stop` back to the bounds of the query. Windows end inside the bounds or with them, and rows stamped
/// with the last instant stay, too.
fn into_bounds(frame: &Frame, shape: &Shape) -> Outcome<Frame> {
    let mut out = frame.with_columns(vec![
        (shape.start.clone(), time_literal(shape.bounds.start)),
        (shape.stop.clone(), time_literal(shape.bounds.stop)),
    ])?;
    for name in [&shape.start, &shape.stop] {
        if !out.is_key(name) {
            out.key.push(name.clone());
        }
    }
    Ok(out)
}

/// Aggregates of all columns by window, in one pass over each table.
#[derive(Debug, Clone)]
struct ReduceWindows {
    kind: Aggregate,
    shape: Shape,
    columns: Vec<String>,
    key: Vec<String>,
    /// Whether all rows are of one table.
    one_table: bool,
    wide: bool,
    from_start: bool,
    results: Arc<Schema>,
}

struct ReducingWindows {
    plan: ReduceWindows,
    windows: BTreeMap<(i64, i64), Vec<Tally>>,
    /// The window of the row before, since rows mostly come in order.
    current: (i64, i64),
}

fn reduce_windows(frame: &Frame, kind: Aggregate, shape: &Shape, from_start: bool) -> Outcome<Vec<Frame>> {
    let fits = |f: &String| frame.data_type(f).is_some_and(|t| kind.output(&t).is_some());
    if frame.is_wide() && (frame.null_rows || !frame.fields.iter().all(fits)) {
        let long = frame.to_long()?;
        return Ok(long.iter().map(|f| reduce_windows(f, kind, shape, from_start)).collect::<Outcome<Vec<_>>>()?.concat());
    }
    let columns = if frame.is_wide() { frame.fields.clone() } else { vec!["_value".to_string()] };
    if !matches!(frame.data_type("_time"), Some(DataType::Timestamp(..))) {
        return Ok(vec![frame.fail("window", "window: missing time column \"_time\"".to_string())?]);
    }
    let name = kind.name();
    for column in &columns {
        if frame.is_key(column) {
            return Ok(vec![frame.fail(name, format!("{name}: cannot aggregate columns that are part of the group key"))?]);
        }
        let problem = match frame.data_type(column) {
            None => Some(format!("{name}: column \"{column}\" does not exist")),
            Some(t) if kind.output(&t).is_none() => {
                Some(format!("{name}: unsupported aggregate column type {}", crate::plan::stream::type_name(&t)))
            }
            Some(_) => None,
        };
        if let Some(problem) = problem {
            return Ok(vec![frame.fail(name, problem)?]);
        }
    }
    let held = frame.schema();
    let is_bound = |name: &String| name == "_start" || name == "_stop";
    // What all rows have in common is not looked at: it comes behind the windows.
    let common = |name: &String| frame.constant(name).map(plain_literal);
    let apart: Vec<String> = frame.key.iter().filter(|k| common(k).is_none()).cloned().collect();
    let looked_at = apart.iter().chain(["_time".to_string()].iter()).chain(&columns).map(|c| (c.clone(), col(c))).collect();
    let input = frame.project(looked_at, apart.clone())?;
    let copied: Vec<String> = apart.into_iter().filter(|k| !is_bound(k)).collect();
    let mut results = vec![Field::new("_time", time_type(), true)];
    for column in &columns {
        let output = frame.data_type(column).and_then(|t| kind.output(&t)).unwrap_or(DataType::Null);
        results.push(Field::new(column, output, true));
    }
    // Few rows are left of many: dictionaries would be put together at more cost than texts.
    let fields = copied.iter().filter_map(|k| held.field_with_name(k).ok().map(plain)).chain(results.iter().cloned());
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let mut key: Vec<String> = frame.key.iter().filter(|k| !is_bound(k)).cloned().collect();
    let mut shown: Vec<(String, Expr)> = key.iter().map(|k| (k.clone(), common(k).unwrap_or_else(|| col(k)))).collect();
    for (name, bound) in [("_start", shape.bounds.start), ("_stop", shape.bounds.stop)] {
        key.push(name.to_string());
        shown.push((name.to_string(), time_literal(bound)));
    }
    shown.extend(results.iter().map(|f| (f.name().clone(), col(f.name()))));
    let plan = ReduceWindows {
        one_table: input.key.is_empty(),
        kind,
        shape: shape.clone(),
        columns,
        key: copied.clone(),
        wide: frame.is_wide(),
        from_start,
        results: Arc::new(Schema::new(results)),
    };
    let mut out = input.per_table(Arc::new(plan), schema, copied, false)?.project(shown, key)?;
    out.null_rows = frame.is_wide() && shape.create_empty;
    Ok(vec![out])
}

/// A literal, a tag's as a text.
fn plain_literal(e: Expr) -> Expr {
    match e {
        Expr::Literal(ScalarValue::Dictionary(_, value), metadata) => Expr::Literal(*value, metadata),
        other => other,
    }
}

impl TableTransform for ReduceWindows {
    fn name(&self) -> &'static str {
        "aggregateWindow"
    }

    fn copied(&self) -> &[String] {
        &self.key
    }

    fn start(&self, _first: &RecordBatch) -> Result<Box<dyn TableState>> {
        let current = (i64::MAX, i64::MIN);
        Ok(Box::new(ReducingWindows { plan: self.clone(), windows: BTreeMap::new(), current }))
    }
}

impl TableState for ReducingWindows {
    fn push(&mut self, rows: &RecordBatch, _out: &mut Vec<RecordBatch>) -> Result<()> {
        let column = |name: &str| rows.column_by_name(name).expect("looked up when the plan was made");
        let (plan, windows) = (&self.plan, &mut self.windows);
        let columns: Vec<&ArrayRef> = plan.columns.iter().map(|name| column(name)).collect();
        each_window(column("_time"), &plan.shape, &mut self.current, |window, start, stop| {
            let tallies = windows.entry(window).or_insert_with(|| vec![Tally::default(); columns.len()]);
            for (column, tally) in columns.iter().zip(tallies) {
                tally.update(plan.kind, column, start..stop)?;
            }
            Ok(())
        })
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<()> {
        let plan = &self.plan;
        let mut windows = std::mem::take(&mut self.windows);
        // A field without a value in any window has no table in a wide frame, so it gets no empty windows either.
        let present: Vec<bool> = (0..plan.columns.len()).map(|at| !plan.wide || windows.values().any(|t| t[at].has_values())).collect();
        if plan.shape.create_empty {
            for window in plan.shape.all(plan.columns.len())? {
                windows.entry(window).or_insert_with(|| vec![Tally::default(); plan.columns.len()]);
            }
        }
        let stamps = windows.keys().map(|(start, stop)| if plan.from_start { *start } else { *stop });
        let mut columns: Vec<ArrayRef> = vec![Arc::new(TimestampNanosecondArray::from_iter_values(stamps))];
        for (at, field) in plan.results.fields().iter().skip(1).enumerate() {
            let tallies = windows.values().map(|tallies| &tallies[at]);
            let shown = tallies.map(|t| (present[at] && !(plan.wide && !plan.shape.create_empty && !t.has_values())).then_some(t));
            columns.push(Tally::finish_rows(shown, plan.kind, field.data_type(), plan.wide)?);
        }
        out.push(RecordBatch::try_new(plan.results.clone(), columns)?);
        Ok(())
    }

    fn size(&self) -> usize {
        self.windows.len() * (size_of::<(i64, i64)>() + self.plan.columns.len() * size_of::<Tally>())
    }
}
