//! Queries from text to the last row: the 15 classes of TSBS' cpu set in SQL, InfluxQL and Flux (the texts stand in
//! `tests/cases/plans/tsbs.txt`), over 100 hosts with a row of ten integers every ten seconds for 13 hours: 468,000 rows, one
//! file, decoded columns cached after the first run. `plan` is the time until the plan could start.
//!
//! `cargo bench --bench query -- double-groupby` runs one group.

#[allow(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/support.rs"]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use futures::{StreamExt, TryStreamExt};
use std::{fmt::Write, hint::black_box, path::Path};
use support::{DATABASE, Database};
use tidegauge::{
    influxql::Defaults,
    model::Result,
    query::{explain::Question, run},
};

const HOSTS: usize = 100;
const HOURS: usize = 13;
const START: i64 = 1_451_606_400;
const FIELDS: [&str; 10] = ["user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"];

/// Lines of all hosts for an hour; values are whole percentages.
fn hour(hour: usize) -> String {
    let mut out = String::new();
    for second in (0..3600).step_by(10) {
        for host in 0..HOSTS {
            let _ = write!(out, "cpu,hostname=host_{host},region=eu-central-1,datacenter=eu-central-1{},rack={}", host % 3, host % 64);
            let _ = write!(
                out,
                ",os=Ubuntu16.04LTS,arch=x{},team=SF,service={},service_version=1,service_environment=test ",
                host % 2,
                host % 9
            );
            for (i, field) in FIELDS.iter().enumerate() {
                let value = (host * 31 + second * 7 + hour * 11 + i * 13) % 101;
                let _ = write!(out, "{}usage_{field}={value}i", if i > 0 { "," } else { "" });
            }
            let _ = writeln!(out, " {}000000000", START + (hour * 3600 + second) as i64);
        }
    }
    out
}

/// Title, language and text.
fn questions() -> Vec<(String, String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/plans/tsbs.txt");
    let cases = std::fs::read_to_string(file).expect("the cases are there");
    let (mut title, mut out) = (String::new(), vec![]);
    for line in cases.lines().filter(|l| !l.starts_with("  ")) {
        if let Some(name) = line.strip_prefix("# ") {
            title = name.to_string();
        } else if let Some((language @ ("sql" | "influxql" | "flux"), text)) = line.split_once(": ") {
            out.push((title.clone(), language.to_string(), text.to_string()));
        }
    }
    out
}

fn defaults() -> Defaults {
    Defaults { database: Some(DATABASE.into()), ..Defaults::default() }
}

/// The number of rows, all of them read.
async fn rows(database: &Database, language: &str, text: &str) -> Result<usize> {
    let mut streams = vec![];
    match language {
        "sql" => streams.push(run::sql(database.context(), text.into(), vec![], DATABASE.into()).await?),
        "flux" => {
            let results = run::flux(database.context(), text.into(), vec![]).await?;
            streams.extend(results.into_iter().flat_map(|r| r.frames).map(|f| f.batches));
        }
        _ => {
            let mut answers = run::influxql(database.context(), text.into(), None, defaults()).await?;
            while let Some(answer) = answers.next().await {
                streams.extend(answer.series.into_iter().map(|s| s.batches));
            }
        }
    }
    let mut count = 0;
    for mut stream in streams {
        while let Some(batch) = stream.try_next().await? {
            count += black_box(batch).num_rows();
        }
    }
    Ok(count)
}

fn query(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let _guard = runtime.enter();
    let folder = tempfile::tempdir().expect("a folder");
    let database = runtime.block_on(async {
        let database = Database::open(folder.path(), (START + 3 * 86_400) * 1_000_000_000).await;
        for h in 0..HOURS {
            assert!(database.write(&hour(h)).await.rejected.is_empty());
            database.storage.flush().await.expect("a flush");
        }
        database
    });
    for (title, language, text) in questions() {
        let mut group = c.benchmark_group(&title);
        group.sample_size(10);
        match runtime.block_on(rows(&database, &language, &text)) {
            Ok(count) => println!("{title}, {language}: {count} rows"),
            Err(failure) => {
                println!("{title}, {language}: {failure}");
                continue;
            }
        }
        group.bench_function(&language, |b| {
            b.iter(|| runtime.block_on(rows(&database, &language, &text)).expect("it ran before"));
        });
        if title == "single-groupby-1-1-1" {
            let question = || match language.as_str() {
                "sql" => Question::Sql { text: text.clone(), database: DATABASE.into() },
                "flux" => Question::Flux { text: text.clone() },
                _ => Question::Influxql { text: text.clone(), defaults: defaults() },
            };
            group.bench_function(format!("plan {language}"), |b| {
                b.iter(|| runtime.block_on(database.explain(question())).expect("it plans"));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, query);
criterion_main!(benches);
