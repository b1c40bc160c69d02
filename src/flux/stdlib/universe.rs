//! Package `universe`: what every script sees without an import.

mod aggregates;
mod columns;
mod filter;
mod find;
mod from;
mod group;
mod join;
mod map;
mod pivot;
mod range;
mod reductions;
mod rows;
mod selectors;
mod sort;
mod union;
mod window;

use super::Function;

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
            &join::FUNCTION,
            &map::FUNCTION,
            &pivot::FUNCTION,
            &range::FUNCTION,
            &union::UNION,
        ],
        reductions::FUNCTIONS,
        rows::FUNCTIONS,
        selectors::FUNCTIONS,
        sort::FUNCTIONS,
        window::FUNCTIONS,
    ]
    .concat()
}

#[cfg(test)]
mod tests;
