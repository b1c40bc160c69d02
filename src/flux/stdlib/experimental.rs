//! Package `experimental` and packages below it. What is only a composition is in the prelude.

mod catch;
mod diff;
pub mod dynamic;
mod group;
mod join;
pub mod polyline;
mod preview;
pub mod record;
mod records;
mod set;
pub mod table;
mod unpivot;

use super::Function;

pub fn functions() -> Vec<&'static Function> {
    let of_tables =
        [&catch::FUNCTION, &diff::FUNCTION, &group::FUNCTION, &join::FUNCTION, &preview::FUNCTION, &set::FUNCTION, &unpivot::FUNCTION];
    [of_tables.as_slice(), records::FUNCTIONS].concat()
}
