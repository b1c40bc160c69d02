//! Regular expressions that users write: RE2 syntax, bounded in size.

use regex::{Regex, RegexBuilder};

/// Bytes that a compiled expression may take; `(\w{1000}){1000}` would take gigabytes.
const SIZE_MAX: usize = 2 << 20;

/// Compiles an expression, or says what is wrong with it.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).size_limit(SIZE_MAX).dfa_size_limit(SIZE_MAX).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "regular expression is too large; repeat fewer times or use smaller classes".to_string(),
        // The crate shows the expression and points into it; its last line is the reason.
        error => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("invalid regular expression `{pattern}`: {reason}")
        }
    })
}
