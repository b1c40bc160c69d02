//! One question in several languages has one answer: before a flush, after it, from a file and the buffer, from two
//! files, after compaction, after a restart, and after one without the log; from a folder, and from S3.
//!
//! A case file begins with lines to write (`> line`), then questions: `# title`, `columns: a,b` (what is compared),
//! one text per language, and the rows, indented, in any order.

use crate::support::{Database, Row};
use std::{fmt::Write, path::Path};
use tidegauge::storage::object::Store;

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

/// Every case in every phase, each over a store of its own. `open` gives the same store for the same name.
async fn all_cases(kind: &str, open: impl Fn(&str) -> Store) {
    let mut wrong = String::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/parity");
    for file in std::fs::read_dir(folder).expect("the cases are there") {
        let file = file.expect("the cases are there");
        let name = file.file_name().to_string_lossy().to_string();
        let text = std::fs::read_to_string(file.path()).expect("a case is text");
        phases(&text, kind, || open(&name), &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{wrong}");
}

async fn phases(text: &str, kind: &str, store: impl Fn() -> Store, wrong: &mut String) {
    let (lines, questions) = read(text);
    let (log, other_log) = (tempfile::tempdir().expect("a folder for the log"), tempfile::tempdir().expect("a folder for the log"));
    let mut ask = async |database: &Database, phase: &str| ask(database, &questions, &format!("{kind}, {phase}"), wrong).await;
    let first_line = lines.lines().next().expect("a case has lines");
    let database = Database::over(store(), log.path(), 1_000_000_000_000_000_000).await;
    for request in lines.lines().collect::<Vec<_>>().chunks(4) {
        let report = database.write(&request.join("\n")).await;
        assert_eq!(report.rejected, Default::default(), "every line of a case is good");
    }
    ask(&database, "before a flush").await;
    database.storage.flush().await.expect("a flush");
    ask(&database, "after a flush").await;
    database.write(first_line).await;
    ask(&database, "with a line written again").await;
    database.storage.flush().await.expect("a flush");
    ask(&database, "from two files").await;
    assert!(database.compact().await > 0, "two files are merged");
    ask(&database, "after compaction").await;
    drop(database);
    let database = Database::over(store(), log.path(), 1_000_000_000_000_000_001).await;
    ask(&database, "after a restart").await;
    drop(database);
    let database = Database::over(store(), other_log.path(), 1_000_000_000_000_000_002).await;
    ask(&database, "without the log").await;
    database.write(first_line).await;
    ask(&database, "in a new log").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_question_has_one_answer_in_every_language_and_phase() {
    let place = tempfile::tempdir().expect("a folder for the test");
    let open = |name: &str| Store::open(&place.path().join(name).to_string_lossy()).expect("a store in the folder");
    all_cases("folder", open).await;
}

/// One request in fifty fails, and one reply in fifty is lost.
#[cfg(feature = "s3")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_question_has_one_answer_from_s3_too() {
    let (address, server) = crate::s3_server::Server::start().await;
    server.plan(Some(Box::new(|number| match number % 50 {
        1 => Some(crate::s3_server::Fault::Busy),
        3 => Some(crate::s3_server::Fault::DoneThenError),
        _ => None,
    })));
    let keys = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "eu-west-1")];
    let keys = keys.map(|(name, value)| (name.to_string(), value.to_string()));
    let open = |name: &str| {
        let url = format!("s3://tides/parity/{name}?endpoint=http://{address}");
        Store::open_with(&url, keys.clone().into_iter()).expect("a store at the server")
    };
    all_cases("S3", open).await;
    assert_eq!(server.open_uploads(), 0, "no part of an upload is left");
}
