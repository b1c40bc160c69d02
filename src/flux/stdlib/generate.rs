//! Package `generate`.

use super::{Call, Function};
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
    },
    model::{TimeRange, schema::time_type},
    plan::{Frame, TableStream},
};
use arrow::{
    array::{ArrayRef, Int64Array, TimestampNanosecondArray},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&FROM];

/// Rows of one call; more is a slip of the pen.
const COUNT_MAX: i64 = 10_000_000;

static FROM: Function = Function {
    name: "from",
    signature: "(start: A, stop: B, count: int, fn: (n: int) => int) => stream[C]",
    summary: "One table of `count` rows, spread evenly from `start` towards `stop`, with what `fn` gives for 0, 1, 2, ...",
    examples: &["import \"generate\"\ngenerate.from(count: 2, fn: (n) => n * n, start: 2021-01-01T00:00:00Z, stop: 2021-01-02T00:00:00Z)"],
    call: from,
};

fn instant(call: &mut Call<'_>, name: &str) -> FluxResult<i64> {
    match call.required::<Value>(name)? {
        Value::Time(t) => Ok(t),
        Value::Duration(d) => Ok(d.add_to(call.interpreter.now()?)),
        other => Err(FluxError::invalid(format!("from: `{name}` must be a time, found {}", other.type_name())).at(call.span)),
    }
}

fn from(call: &mut Call<'_>) -> FluxResult<Value> {
    let (start, stop) = (instant(call, "start")?, instant(call, "stop")?);
    let function = call.required::<Value>("fn")?;
    let count = call.required::<i64>("count")?;
    if !(1..=COUNT_MAX).contains(&count) {
        return Err(FluxError::invalid(format!("from: count must be from 1 to {COUNT_MAX}, found {count}")).at(call.span));
    }
    let step = (stop - start) / count;
    let (mut times, mut values) = (vec![], vec![]);
    // Four columns, of which two are built up.
    call.context().charge(count as usize * 6 * size_of::<i64>())?;
    for n in 0..count {
        match call.interpreter.call(&function, vec![("n".into(), Value::Int(n))], None, call.span)? {
            Value::Int(v) => values.push(v),
            other => return Err(FluxError::run(format!("from: `fn` must return an int, found {}", other.type_name())).at(call.span)),
        }
        times.push(start + n * step);
    }
    let all = |t: i64| Arc::new(TimestampNanosecondArray::from_value(t, times.len())) as ArrayRef;
    let columns: Vec<ArrayRef> =
        vec![all(start), all(stop), Arc::new(TimestampNanosecondArray::from(times.clone())), Arc::new(Int64Array::from(values))];
    let field = |name, t: DataType| Field::new(name, t, true);
    let schema =
        vec![field("_start", time_type()), field("_stop", time_type()), field("_time", time_type()), field("_value", DataType::Int64)];
    let frame = Frame::of(RecordBatch::try_new(Arc::new(Schema::new(schema)), columns)?, vec!["_start".into(), "_stop".into()])?;
    Ok(Value::Stream(Arc::new(TableStream::new(vec![frame], Some(TimeRange { start, stop })))))
}
