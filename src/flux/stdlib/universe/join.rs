//! `join`: rows of two streams that agree on some columns.

use super::sort::sorted_rows;
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{Record, Value},
        stdlib::{Call, Function},
    },
    plan::{Context, Frame, TableStream, node::size::held_bytes, stream::regroup_frames},
};
use arrow::{
    array::{Array, ArrayRef, UInt64Array},
    compute::{concat_batches, take, take_record_batch},
    datatypes::{Field, Schema},
    record_batch::RecordBatch,
    row::{RowConverter, SortField},
};
use std::{collections::HashMap, sync::Arc};

pub static FUNCTION: Function = Function {
    name: "join",
    signature: "(<-tables: A, ?method: string, ?on: [string]) => stream[B]",
    summary: "Joins two streams, given as a record of name to stream, on columns. Always an inner join.",
    examples: &[],
    call: join,
};

fn join(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.required::<Arc<Record>>("tables")?;
    let mut on = call.column_names("on", &[])?;
    // Rows come sorted by these columns, which are taken in order of their names (Flux v0.200 `join.go`).
    on.sort();
    // The method is read and ignored (Flux v0.200): every join is inner.
    let method = call.or::<Arc<str>>("method", "inner".into())?;
    match method.as_ref() {
        "cross" if !on.is_empty() => return Err(FluxError::invalid("cross product and \"on\" are mutually exclusive").at(call.span)),
        "inner" | "left" | "right" | "full" if on.is_empty() => {
            return Err(FluxError::invalid("must specify at least one column to join on").at(call.span));
        }
        "inner" | "cross" | "left" | "right" | "full" => {}
        other => return Err(FluxError::invalid(format!("{other} is not a valid join type")).at(call.span)),
    }
    let mut streams = vec![];
    for (name, value) in tables.iter() {
        let Some(stream) = value.tables()? else {
            return Err(FluxError::invalid(format!("join: expected a stream but found {}", value.type_name())).at(call.span));
        };
        stream.check_bounded()?;
        streams.push((name.to_string(), stream.to_long()?));
    }
    // Names decide which stream is the left one, as records have no order (Flux v0.200 sorts them).
    streams.sort_by(|a, b| a.0.cmp(&b.0));
    let [(left_name, left), (right_name, right)] = streams.as_slice() else {
        return Err(FluxError::invalid("joins currently must only have two parents").at(call.span));
    };
    let lefts = run(left, &on, call.context())?;
    let rights = run(right, &on, call.context())?;
    let mut frames = vec![];
    for left in &lefts {
        for right in &rights {
            frames.extend(join_frames(left, left_name, right, right_name, &on, call.context())?);
        }
    }
    let bounds = left.bounds.or(right.bounds);
    Ok(Value::Stream(Arc::new(TableStream::new(regroup_frames(frames, call.context())?, bounds))))
}

/// One side's rows and key. Tables that lack a column of `on` take no part.
type Side = (RecordBatch, Vec<String>);

fn run(stream: &TableStream, on: &[String], context: &dyn Context) -> FluxResult<Vec<Side>> {
    let mut sides = vec![];
    for frame in stream.frames.iter().filter(|f| on.iter().all(|c| f.has(c))) {
        let frame = frame.without_empty_tables()?;
        let batches = context.collect(frame.plan.clone())?;
        if let Some(first) = batches.first() {
            sides.push((concat_batches(&first.schema(), &batches)?, frame.key.clone()));
        }
    }
    Ok(sides)
}

/// Rows that belong together. They can be as many as one side's times the other's, so they are charged as they are found.
struct Pairs<'a> {
    left: Vec<u64>,
    right: Vec<u64>,
    row_bytes: usize,
    context: &'a dyn Context,
}

impl Pairs<'_> {
    fn push(&mut self, left: u64, right: u64) -> FluxResult<()> {
        let count = self.left.len();
        if count >= 1_024 && count.is_power_of_two() {
            self.context.charge(count * self.row_bytes)?;
        }
        self.left.push(left);
        self.right.push(right);
        Ok(())
    }
}

fn join_frames(
    left: &Side,
    left_name: &str,
    right: &Side,
    right_name: &str,
    on: &[String],
    context: &dyn Context,
) -> FluxResult<Option<Frame>> {
    let columns = |side: &Side| -> Vec<ArrayRef> { on.iter().filter_map(|c| side.0.column_by_name(c).cloned()).collect() };
    let (left_on, right_on) = (columns(left), columns(right));
    if left_on.iter().zip(&right_on).any(|(l, r)| l.data_type() != r.data_type()) {
        return Ok(None);
    }
    let row_bytes = |rows: &RecordBatch| held_bytes(rows) / rows.num_rows().max(1) + size_of::<u64>();
    let mut pairs = Pairs { left: vec![], right: vec![], row_bytes: row_bytes(&left.0) + row_bytes(&right.0), context };
    if on.is_empty() {
        for l in 0..left.0.num_rows() as u64 {
            for r in 0..right.0.num_rows() as u64 {
                pairs.push(l, r)?;
            }
        }
    } else {
        let converter = RowConverter::new(left_on.iter().map(|c| SortField::new(c.data_type().clone())).collect())?;
        let (left_rows, right_rows) = (converter.convert_columns(&left_on)?, converter.convert_columns(&right_on)?);
        // Null is not equal to null here.
        let full = |columns: &[ArrayRef], row: usize| columns.iter().all(|c| c.is_valid(row));
        let mut by_value: HashMap<&[u8], Vec<u64>, ahash::RandomState> = HashMap::default();
        for row in (0..right.0.num_rows()).filter(|r| full(&right_on, *r)) {
            by_value.entry(right_rows.row(row).data()).or_default().push(row as u64);
        }
        for row in (0..left.0.num_rows()).filter(|r| full(&left_on, *r)) {
            for other in by_value.get(left_rows.row(row).data()).into_iter().flatten() {
                pairs.push(row as u64, *other)?;
            }
        }
    }
    if pairs.left.is_empty() {
        return Ok(None);
    }
    let shared =
        |name: &str| !on.iter().any(|c| c == name) && left.0.column_by_name(name).is_some() && right.0.column_by_name(name).is_some();
    let renamed = |name: &String, side: &str| if shared(name) { format!("{name}_{side}") } else { name.clone() };
    let (mut fields, mut arrays) = (vec![], vec![]);
    for (side, name, rows) in [(left, left_name, UInt64Array::from(pairs.left)), (right, right_name, UInt64Array::from(pairs.right))] {
        for (field, column) in side.0.schema().fields().iter().zip(side.0.columns()) {
            let out = renamed(field.name(), name);
            if fields.iter().any(|f: &Field| *f.name() == out) {
                continue;
            }
            arrays.push(take(column, &rows, None)?);
            fields.push(Field::new(out, field.data_type().clone(), true));
        }
    }
    let mut key: Vec<String> = vec![];
    for name in left.1.iter().map(|k| renamed(k, left_name)).chain(right.1.iter().map(|k| renamed(k, right_name))) {
        if !key.contains(&name) {
            key.push(name);
        }
    }
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
    let by: Vec<ArrayRef> = on.iter().filter_map(|c| rows.column_by_name(c).cloned()).collect();
    let rows = if by.is_empty() { rows.clone() } else { take_record_batch(&rows, &sorted_rows(&by, rows.num_rows(), false)?)? };
    Ok(Some(Frame::of(rows, key)?))
}
