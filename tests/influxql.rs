//! InfluxQL's answers, as InfluxDB 1.6.7 gave them for the same lines (`tests/cases/influxql`), before a flush and after it.
//!
//! A case file begins with lines to write (`> line`); then each query stands above its answer, which is indented. `#` begins
//! a comment. Where we differ on purpose, the comment above says why and the answer is ours.

use crate::support::Database;
use serde_json::Value;
use std::{fmt::Write, path::Path};

struct Cases {
    lines: String,
    questions: Vec<(String, String)>,
}

fn read(text: &str) -> Cases {
    let mut cases = Cases { lines: String::new(), questions: vec![] };
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        if let Some(written) = line.strip_prefix("> ") {
            let _ = writeln!(cases.lines, "{written}");
        } else if let Some(answer) = line.strip_prefix("  ") {
            cases.questions.last_mut().expect("an answer stands below its query").1 = answer.to_string();
        } else {
            cases.questions.push((line.to_string(), String::new()));
        }
    }
    cases
}

/// Equal but for the last digits of floats, which depend on the order of a sum and on the machine's `atan`.
fn same(a: &str, b: &str) -> bool {
    fn close(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => {
                a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| (a - b).abs() <= 1e-13 * a.abs().max(b.abs()))
            }
            (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b)),
            (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && close(a, b)),
            (a, b) => a == b,
        }
    }
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    a == b || read(a).zip(read(b)).is_some_and(|(a, b)| close(&a, &b))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_influxdb() {
    let mut wrong = String::new();
    let (mut asked, mut differ) = (0, 0);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/influxql");
    for file in std::fs::read_dir(folder).expect("the cases are there") {
        let text = std::fs::read_to_string(file.expect("the cases are there").path()).expect("a case is text");
        let cases = read(&text);
        for phase in ["before a flush", "after it"] {
            let place = tempfile::tempdir().expect("a folder for the test");
            let database = Database::open(place.path(), 1_600_000_000_000_000_000).await;
            let report = database.write(&cases.lines).await;
            assert_eq!(report.rejected, Default::default(), "every line of a case is good");
            if phase == "after it" {
                database.storage.flush().await.expect("a flush");
            }
            for (query, expected) in &cases.questions {
                asked += 1;
                let answer = database.influxql_text(query).await.unwrap_or_else(|failure| failure.message);
                if !same(&answer, expected) {
                    differ += 1;
                    let _ = writeln!(wrong, "{phase}: {query}\n  got    {answer}\n  wanted {expected}");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}{differ} of {asked} answers differ");
}
