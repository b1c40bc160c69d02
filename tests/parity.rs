//! One question in several languages has one answer: before a flush, after it, from a file and the buffer, from two
//! files, after compaction, and after a restart.
//!
//! A case file begins with lines to write (`> line`), then questions: `# title`, `columns: a,b` (what is compared),
//! one text per language, and the rows, indented, in any order.

use crate::support::{Database, Row};
use std::{fmt::Write, path::Path};

#[derive(Default)]
struct Question {
    title: String,
    columns: Vec<String>,
    texts: Vec<(String, String)>,
    rows: Vec<String>,
}

fn read(text: &str) -> (String, Vec<Question>) {
    let (mut lines, mut questions) = (String::new(), Vec::<Question>::new());
    for line in text.lines() {
        if let Some(written) = line.strip_prefix("> ") {
            let _ = writeln!(lines, "{written}");
        } else if let Some(title) = line.strip_prefix("# ") {
            questions.push(Question { title: title.into(), ..Question::default() });
        } else if let Some(question) = questions.last_mut() {
            if let Some(columns) = line.strip_prefix("columns: ") {
                question.columns = columns.split(',').map(str::to_string).collect();
            } else if let Some(row) = line.strip_prefix("  ") {
                question.rows.push(row.to_string());
            } else if let Some((language, query)) = line.split_once(": ") {
                question.texts.push((language.into(), query.into()));
            }
        }
    }
    (lines, questions)
}

fn print(rows: Vec<Row>, columns: &[String]) -> Vec<String> {
    let show = |row: Row| columns.iter().filter_map(|c| Some(format!("{c}={}", row.get(c)?))).collect::<Vec<_>>().join(" ");
    let mut rows: Vec<String> = rows.into_iter().map(show).collect();
    rows.sort();
    rows
}

async fn ask(database: &Database, questions: &[Question], phase: &str, wrong: &mut String) {
    for question in questions {
        assert!(question.texts.len() > 1, "`{}` asks in one language only", question.title);
        let mut expected = question.rows.clone();
        expected.sort();
        for (language, text) in &question.texts {
            let answer = match language.as_str() {
                "flux" => database.flux(text).await,
                "influxql" => database.influxql(text).await,
                "sql" => database.sql(text).await,
                other => panic!("`{other}` is no language"),
            };
            let answer = answer.map(|rows| print(rows, &question.columns)).unwrap_or_else(|failure| vec![failure.to_string()]);
            if answer != expected {
                let _ = writeln!(
                    wrong,
                    "{phase}, {}, {language}: {text}\n  {}\nwanted\n  {}",
                    question.title,
                    answer.join("\n  "),
                    expected.join("\n  ")
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_question_has_one_answer_in_every_language_and_phase() {
    let mut wrong = String::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/parity");
    for file in std::fs::read_dir(folder).expect("the cases are there") {
        let text = std::fs::read_to_string(file.expect("the cases are there").path()).expect("a case is text");
        let (lines, questions) = read(&text);
        let place = tempfile::tempdir().expect("a folder for the test");
        let database = Database::open(place.path(), 1_000_000_000_000_000_000).await;
        for request in lines.lines().collect::<Vec<_>>().chunks(4) {
            let report = database.write(&request.join("\n")).await;
            assert_eq!(report.rejected, vec![], "every line of a case is good");
        }
        ask(&database, &questions, "before a flush", &mut wrong).await;
        database.storage.flush().await.expect("a flush");
        ask(&database, &questions, "after a flush", &mut wrong).await;
        database.write(lines.lines().next().expect("a case has lines")).await;
        ask(&database, &questions, "with a line written again", &mut wrong).await;
        database.storage.flush().await.expect("a flush");
        ask(&database, &questions, "from two files", &mut wrong).await;
        assert!(database.compact().await > 0, "two files are merged");
        ask(&database, &questions, "after compaction", &mut wrong).await;
        drop(database);
        let database = Database::open(place.path(), 1_000_000_000_000_000_001).await;
        ask(&database, &questions, "after a restart", &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{wrong}");
}
