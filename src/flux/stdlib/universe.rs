//! Package `universe`: what every script sees without an import.

mod aggregates;
mod columns;
mod filter;
mod find;
pub mod from;
mod group;
mod histogram;
mod holt_winters;
mod hour_selection;
mod join;
mod key_values;
mod keys;
mod map;
mod pick;
mod pivot;
mod range;
mod reduce;
mod reductions;
mod rows;
mod sample;
mod scalar;
mod select_wide;
mod selectors;
pub(super) mod sort;
mod state_tracking;
mod time_shift;
mod to;
mod truncate_time_column;
mod union;
mod wide_to;
pub(super) mod window;

use super::Function;
use crate::{
    flux::eval::{Record, Value},
    model::Duration,
};
use std::sync::Arc;

/// Built-ins of the package.
pub fn functions() -> Vec<&'static Function> {
    [
        aggregates::FUNCTIONS,
        columns::FUNCTIONS,
        find::FUNCTIONS,
        &[
            &filter::FUNCTION,
            &from::FROM,
            &from::BUCKETS,
            &group::FUNCTION,
            &histogram::HISTOGRAM,
            &histogram::HISTOGRAM_QUANTILE,
            &holt_winters::FUNCTION,
            &hour_selection::FUNCTION,
            &join::FUNCTION,
            &key_values::FUNCTION,
            &map::FUNCTION,
            &pivot::FUNCTION,
            &range::FUNCTION,
            &reduce::FUNCTION,
            &sample::FUNCTION,
            &state_tracking::FUNCTION,
            &time_shift::FUNCTION,
            &to::FUNCTION,
            &truncate_time_column::FUNCTION,
            &union::UNION,
            &wide_to::FUNCTION,
        ],
        keys::FUNCTIONS,
        reductions::FUNCTIONS,
        rows::FUNCTIONS,
        scalar::FUNCTIONS,
        selectors::FUNCTIONS,
        sort::FUNCTIONS,
        window::FUNCTIONS,
    ]
    .concat()
}

/// Constants of the package, and `option location` before a script sets it.
pub fn values() -> Vec<(&'static str, Value)> {
    let utc: Record = [("zone".into(), Value::string("UTC")), ("offset".into(), Value::Duration(Duration::ZERO))].into_iter().collect();
    let infinite = Duration::from_nanoseconds(window::INFINITE);
    vec![
        ("true", Value::Bool(true)),
        ("false", Value::Bool(false)),
        ("inf", Value::Duration(infinite)),
        ("location", Value::Record(Arc::new(utc))),
    ]
}

#[cfg(test)]
mod tests;
