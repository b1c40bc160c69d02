//! A failure under the place in the text that it is about.

use regex::Regex;
use std::sync::LazyLock;

/// How the languages say where: Flux `@1:5-1:9`, SQL `Line: 1, Column: 8`, InfluxQL `at line 1, char 15`.
static PLACES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let patterns = [r"@(\d+):(\d+)", r"(?i)line:? (\d+),? (?:column|col|char):? (\d+)", r"\bline (\d+):(\d+)"];
    patterns.map(|p| Regex::new(p).expect("the pattern is well formed")).into()
});

/// `Error: ...`, with the line of `text` and a caret in front where the message says where.
pub fn pointing(text: &str, message: &str) -> String {
    let place = PLACES.iter().find_map(|pattern| {
        let found = pattern.captures(message)?;
        Some((found[1].parse::<usize>().ok()?, found[2].parse::<usize>().ok()?))
    });
    let shown = place.and_then(|(line, column)| {
        let line = text.lines().nth(line.checked_sub(1)?)?;
        let before: String = line.chars().take(column.checked_sub(1)?).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        Some(format!("  {line}\n  {before}^\n"))
    });
    format!("{}Error: {message}\n", shown.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        let flux = pointing("from(bucket: \"a\")\n  |> rang()", "compilation failed: error @2:6-2:10: undefined identifier rang");
        assert_eq!(flux, "    |> rang()\n       ^\nError: compilation failed: error @2:6-2:10: undefined identifier rang\n");
        assert!(pointing("SELEC 1", "sql parser error: Expected ... at Line: 1, Column: 1").starts_with("  SELEC 1\n  ^\n"));
        assert!(pointing("SELECT FROM", "error parsing query: found FROM at line 1, char 8").starts_with("  SELECT FROM\n         ^\n"));
        assert_eq!(pointing("x", "no place"), "Error: no place\n");
        assert_eq!(pointing("x", "error @9:1: beyond"), "Error: error @9:1: beyond\n");
    }
}
