//! Texts and what they read as: normal form, or the error.

use super::query;

/// `text -> normal form` or the error, one case a line.
fn read(text: &str) -> String {
    match query(text, None) {
        Ok(query) => query.to_string(),
        Err(failure) => failure.message.trim_start_matches("error parsing query: ").to_string(),
    }
}

/// Answers recorded from InfluxDB 1.6.7: pairs of lines, the query and its error.
#[test]
fn errors_are_those_of_influxdb() {
    let mut wrong = Vec::new();
    for case in include_str!("error_cases.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (text, expected) = case.split_once(" => ").expect("a case is `query => error`");
        let text = text.strip_suffix('|').unwrap_or(text);
        let got = read(text);
        if got != expected {
            wrong.push(format!("{text}|\n  want {expected}\n  got  {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
