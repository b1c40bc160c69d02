//! Package `timezone`.

use super::Function;
use crate::{
    flux::eval::{Record, Value},
    kernel::time_window::Location,
    model::Duration,
};
use std::sync::Arc;

static LOCATION: Function = Function {
    name: "location",
    signature: "(name: string) => {zone: string, offset: duration}",
    summary: "A location of the IANA time zone database.",
    examples: &[],
    call: |call| {
        let name = call.required::<Arc<str>>("name")?;
        Location::named(&name)?;
        let record: Record =
            [("zone".into(), Value::String(name)), ("offset".into(), Value::Duration(Duration::ZERO))].into_iter().collect();
        Ok(Value::Record(Arc::new(record)))
    },
};

pub const FUNCTIONS: &[&Function] = &[&LOCATION];
