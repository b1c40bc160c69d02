//! The physical plans of common questions, so that a lost pushdown or a needless sort shows in review.
//!
//! A case file has questions: `# title`, then per language `language: text` and the plan's lines, indented by two. With
//! `UPDATE_EXPECT=1` the plans are written anew. The data are a few rows of the shape that the texts ask for.

use crate::support::{DATABASE, Database};
use std::{fmt::Write, path::Path};
use tidegauge::{influxql::Defaults, query::explain::Question};

const FIELDS: [&str; 10] = ["user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"];

/// Two hosts, two days, an hour apart: two files once flushed.
fn lines() -> String {
    let mut out = String::new();
    for hour in 0..48 {
        for host in 0..2 {
            let fields: Vec<String> = FIELDS.iter().map(|f| format!("usage_{f}={}i", hour + host)).collect();
            let time = 1_451_606_400 + hour * 3600;
            let _ = writeln!(out, "cpu,arch=x86,hostname=host_{host},region=eu {} {time}000000000", fields.join(","));
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_are_the_known_ones() {
    let place = tempfile::tempdir().expect("a folder for the test");
    let database = Database::open(place.path(), 1_451_606_400_000_000_000 + 3 * 86_400_000_000_000).await;
    database.write(&lines()).await;
    database.storage.flush().await.expect("a flush");
    let mut wrong = String::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/plans");
    for file in std::fs::read_dir(folder).expect("the cases are there") {
        let path = file.expect("the cases are there").path();
        let known = std::fs::read_to_string(&path).expect("a case is text");
        let mut found = String::new();
        for line in known.lines().filter(|l| !l.starts_with("  ")) {
            let _ = writeln!(found, "{line}");
            let question = match line.split_once(": ") {
                Some(("sql", text)) => Question::Sql { text: text.into(), database: DATABASE.into() },
                Some(("flux", text)) => Question::Flux { text: text.into() },
                Some(("influxql", text)) => {
                    let defaults = Defaults { database: Some(DATABASE.into()), ..Defaults::default() };
                    Question::Influxql { text: text.into(), defaults }
                }
                _ => continue,
            };
            let plan = database.explain(question).await.unwrap_or_else(|failure| format!("{failure}\n"));
            for line in plan.lines() {
                let _ = writeln!(found, "  {line}");
            }
        }
        if found != known {
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                std::fs::write(&path, &found).expect("the case can be written");
            }
            let difference = found.lines().zip(known.lines()).find(|(a, b)| a != b);
            let _ = writeln!(wrong, "{}: first difference {difference:#?}", path.display());
        }
    }
    assert!(wrong.is_empty() || std::env::var_os("UPDATE_EXPECT").is_some(), "{wrong}");
}
