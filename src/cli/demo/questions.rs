//! A question in each language, its answer as a table, and one answer as a chart.

use super::NAME;
use crate::{
    cli::{
        output::say,
        plot::chart,
        question::{Language, Question},
        server::Server,
    },
    model::{ErrorKind, Failure, Result},
};

const SQL: &str =
    "SELECT cpu, max(usage_user) AS user_max, avg(usage_idle) AS idle_mean, count(*) AS samples FROM cpu GROUP BY cpu ORDER BY cpu";
const INFLUXQL: &str = "SELECT mean(usage_idle) AS idle, max(usage_user) AS user_max FROM cpu WHERE cpu = 'cpu-total' AND time >= '2026-11-24T11:13:00Z' AND time < '2026-11-24T12:28:00Z' GROUP BY time(15m)";
const FLUX: &str = r#"from(bucket: "demo")
  |> range(start: 2026-11-24T11:13:00Z, stop: 2026-11-24T12:28:00Z)
  |> filter(fn: (r) => r._measurement == "cpu" and r._field == "usage_user" and r.cpu != "cpu-total")
  |> group(columns: ["cpu"])
  |> mean()"#;
const FLUX_CHART: &str = r#"from(bucket: "demo")
  |> range(start: 2026-11-24T11:13:00Z, stop: 2026-11-24T12:28:00Z)
  |> filter(fn: (r) => r._measurement == "cpu" and r._field == "usage_idle" and r.cpu == "cpu-total")
  |> aggregateWindow(every: 1m, fn: mean)
  |> map(fn: (r) => ({r with _value: 100.0 - r._value}))"#;

pub fn ask_all(server: &Server) -> Result<()> {
    for (language, text) in [(Language::Flux, FLUX), (Language::InfluxQl, INFLUXQL), (Language::Sql, SQL)] {
        let answer = ask(server, language, text)?;
        say(&format!("\n{}> {text}\n\n{}", language.name(), answer.text()?))?;
    }
    let answer = ask(server, Language::Flux, FLUX_CHART)?;
    say(&format!("\nFlux> {FLUX_CHART}\n\n"))?;
    for series in answer.series() {
        say(&format!("busy, percent, over 75 minutes\n{}\n", chart(&series.values, 75, 8)))?;
    }
    Ok(())
}

fn ask(server: &Server, language: Language, text: &str) -> Result<crate::cli::answer::Answer> {
    let org = vec![("org", NAME.to_string())];
    let question = Question { language, text: text.into(), org, database: Some(NAME.into()), profilers: vec![] };
    let answer = question.answer(server)?;
    match answer.failure() {
        Some(failure) => Err(failure),
        None if answer.row_count() == 0 => Err(Failure::new(ErrorKind::Internal, format!("no rows answer {text}"))),
        None => Ok(answer),
    }
}
