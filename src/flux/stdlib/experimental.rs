//! Package `experimental`.

mod catch;
mod diff;

use super::Function;

pub const FUNCTIONS: &[&Function] = &[&catch::FUNCTION, &diff::FUNCTION];
