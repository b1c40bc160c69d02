//! What a bucket makes of values that one field of one row was given more than once.

use super::{Failure, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Rows of equal tags and time are one row, field by field; this says which value a field then has. Writes are ordered as they
/// were acknowledged, lines of one write as they stand in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// The value that was written last, as InfluxDB has it.
    #[default]
    Last,
    First,
    /// Of numbers; integers wrap around. Strings and booleans cannot be added: the last.
    Sum,
    /// Strings by their bytes; true is more than false.
    Max,
    Min,
}

impl Duplicates {
    pub const ALL: [Duplicates; 5] = [Duplicates::Last, Duplicates::First, Duplicates::Sum, Duplicates::Max, Duplicates::Min];
    pub const NAMES: [&str; 5] = ["last", "first", "sum", "max", "min"];
}

impl fmt::Display for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Duplicates::NAMES[*self as usize])
    }
}

impl FromStr for Duplicates {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Duplicates> {
        let at = Duplicates::NAMES.iter().position(|name| *name == text);
        at.map(|at| Duplicates::ALL[at])
            .ok_or_else(|| Failure::invalid(format!("duplicates are last, first, sum, max or min, not `{text}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_printed() {
        for policy in Duplicates::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
            assert_eq!(serde_json::to_string(&policy).expect("JSON"), format!("\"{policy}\""));
        }
        assert!("Sum".parse::<Duplicates>().expect_err("no such policy").message.contains("not `Sum`"));
    }
}
