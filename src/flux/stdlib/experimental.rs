//! Package `experimental` and packages below it. What is only a composition is in the prelude.

mod catch;
mod diff;
pub mod dynamic;
pub mod geo;
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
    // `fill` is told apart by which argument is there, so it cannot be a composition.
    let fill = super::universe::functions().into_iter().filter(|f| f.name == "fill");
    of_tables.into_iter().chain(records::FUNCTIONS.iter().copied()).chain(fill).collect()
}
