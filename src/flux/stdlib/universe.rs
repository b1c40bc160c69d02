//! Package `universe`: what every script sees without an import.

mod aggregates;
mod columns;
mod filter;
mod from;
mod group;
mod map;
mod range;
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
        &[&filter::FUNCTION, &from::FROM, &from::BUCKETS, &group::FUNCTION, &map::FUNCTION, &range::FUNCTION, &union::UNION],
        rows::FUNCTIONS,
        selectors::FUNCTIONS,
        sort::FUNCTIONS,
        window::FUNCTIONS,
    ]
    .concat()
}

#[cfg(test)]
mod tests;
