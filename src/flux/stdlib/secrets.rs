//! Package `influxdata/influxdb/secrets`.

use super::Function;
use crate::{
    flux::{diagnostic::FluxError, eval::Value},
    model::ErrorKind,
};
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&GET];

static GET: Function = Function {
    name: "get",
    signature: "(key: string) => string",
    summary: "A secret of the caller's organization.",
    examples: &[],
    call: |call| {
        let key = call.required::<Arc<str>>("key")?;
        let found = call.context().secret(&key)?;
        let missing = || FluxError { code: ErrorKind::NotFound, ..FluxError::invalid(format!("failed to find secret \"{key}\"")) };
        found.map(Value::string).ok_or_else(|| missing().at(call.span))
    },
};
