//! `union`: the tables of several streams; equal keys become one table.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{Call, Function},
    },
    plan::{TableStream, stream::regroup_frames},
};
use std::sync::Arc;

pub static UNION: Function = Function {
    name: "union",
    signature: "(tables: [stream[A]]) => stream[A]",
    summary: "Puts streams together; rows of equal keys follow each other in the order of the arguments.",
    examples: &[],
    call: union,
};

fn union(call: &mut Call<'_>) -> FluxResult<Value> {
    let list = call.required::<Arc<Vec<Value>>>("tables")?;
    if list.len() < 2 {
        return Err(FluxError::invalid("union must have at least two streams as input").at(call.span));
    }
    let mut frames = vec![];
    let mut bounds = None;
    for item in list.iter() {
        let Some(stream) = item.tables()? else {
            return Err(FluxError::invalid(format!("union: expected a stream but found {}", item.type_name())).at(call.span));
        };
        stream.check_bounded()?;
        bounds = bounds.or(stream.bounds);
        frames.extend(stream.to_long()?.frames);
    }
    Ok(Value::Stream(Arc::new(TableStream::new(regroup_frames(frames, call.context())?, bounds))))
}
