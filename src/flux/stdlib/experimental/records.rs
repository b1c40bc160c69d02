//! `experimental.objectKeys` and `experimental.chain`.

use crate::flux::{
    eval::{Record, Value},
    stdlib::function::functions,
};
use std::sync::Arc;

functions! {
    "objectKeys" "(o: A) => [string]" "The names of a record's properties." |c| {
        let record = c.required::<Arc<Record>>("o")?;
        Ok(Value::array(record.keys().map(|k| Value::String(k.clone())).collect()))
    };
    "chain" "(first: stream[A], second: stream[B]) => stream[B]" "Runs `first` to its end for what it does, then gives `second`." |c| {
        let (first, second) = (c.stream("first")?, c.stream("second")?);
        for frame in &first.frames {
            c.context().collect(frame.plan.clone())?;
        }
        Ok(Value::Stream(second))
    };
}
