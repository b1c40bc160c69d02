//! Package `internal/debug`: what tests of the language need to force a shape or a type.

use super::{
    Call, Function,
    tables::{each, stream},
};
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        lower::operators::type_from_signature,
    },
    plan::{TableStream, stream::materialise},
};
use arrow::array::RecordBatch;
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&PASS, &OPAQUE, &SLURP, &SINK, &NULL, &GET_OPTION];

static PASS: Function = Function {
    name: "pass",
    signature: "(<-tables: stream[A]) => stream[A]",
    summary: "The same tables.",
    examples: &[],
    call: |call| Ok(Value::Stream(Arc::new(call.tables()?))),
};

static OPAQUE: Function = Function {
    name: "opaque",
    signature: "(<-tables: stream[A]) => stream[B]",
    summary: "The same tables, their types hidden from inference.",
    examples: &[],
    call: |call| Ok(Value::Stream(Arc::new(call.tables()?))),
};

static SLURP: Function = Function {
    name: "slurp",
    signature: "(<-tables: stream[A]) => stream[A]",
    summary: "Runs the stream now and keeps its rows in memory.",
    examples: &[],
    call: slurp,
};

fn slurp(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables: TableStream = call.long_tables()?;
    let frames = tables.frames.iter().map(|f| materialise(f, call.context())).collect::<crate::model::Result<Vec<_>>>()?;
    Ok(stream(frames, &tables))
}

static SINK: Function = Function {
    name: "sink",
    signature: "(<-tables: stream[A]) => stream[A]",
    summary: "Runs the stream and drops all of its tables.",
    examples: &[],
    call: |call| {
        each(call, |frame| {
            frame.whole_tables("sink", frame.schema(), frame.key.clone(), false, |_, rows| Ok(RecordBatch::new_empty(rows.schema())))
        })
    },
};

static NULL: Function = Function {
    name: "null",
    signature: "(?type: string) => A",
    summary: "A null of the named type.",
    examples: &[],
    call: |call| {
        let Some(name) = call.optional::<Arc<str>>("type")? else { return Ok(Value::Null) };
        let unknown = || FluxError::invalid(format!("debug.null: {name} is not a type of columns")).at(call.span);
        type_from_signature(&name).map(Value::NullOf).ok_or_else(unknown)
    },
};

static GET_OPTION: Function = Function {
    name: "getOption",
    signature: "(pkg: string, name: string) => A",
    summary: "The value of a package's option.",
    examples: &[],
    call: |call| {
        let (path, name) = (call.required::<Arc<str>>("pkg")?, call.required::<Arc<str>>("name")?);
        let package = call.interpreter.package(&path, call.span)?;
        let missing = || FluxError::invalid(format!("package {path} has no option {name}")).at(call.span);
        package.scope.own(&name).ok_or_else(missing)
    },
};
