//! What a bucket does with a line that does not fit what its measurement has: a value of another type than its field's, or a name that
//! is a tag there and a field here.

use super::{Failure, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A field has the type it was first written with. This says what becomes of a line with a value of another one, whole, as its request
/// comes in; lines that were answered stay what they became when a bucket changes its mind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TypeConflicts {
    /// The line is refused, as InfluxDB has it.
    #[default]
    Reject,
    /// An integer for a field of floats is stored as a float, also an unsigned one: the nearest that there is, which beyond 2^53 may be
    /// another number. Anything else is refused: no float becomes an integer.
    Coerce,
    /// The line is kept in the bucket's measurement `_quarantine`.
    Quarantine,
}

impl TypeConflicts {
    pub const ALL: [TypeConflicts; 3] = [TypeConflicts::Reject, TypeConflicts::Coerce, TypeConflicts::Quarantine];
    pub const NAMES: [&str; 3] = ["reject", "coerce", "quarantine"];
}

impl fmt::Display for TypeConflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TypeConflicts::NAMES[*self as usize])
    }
}

impl FromStr for TypeConflicts {
    type Err = Failure;

    fn from_str(text: &str) -> Result<TypeConflicts> {
        let at = TypeConflicts::NAMES.iter().position(|name| *name == text);
        at.map(|at| TypeConflicts::ALL[at])
            .ok_or_else(|| Failure::invalid(format!("type conflicts are to reject, coerce or quarantine, not to `{text}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_printed() {
        for policy in TypeConflicts::ALL {
            assert_eq!(policy.to_string().parse(), Ok(policy));
            assert_eq!(serde_json::to_string(&policy).expect("JSON"), format!("\"{policy}\""));
        }
        assert!("Coerce".parse::<TypeConflicts>().expect_err("no such policy").message.contains("not to `Coerce`"));
    }
}
