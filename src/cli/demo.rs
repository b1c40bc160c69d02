//! `tidegauge demo`: the sample data of `data/` in an embedded database, and a question in each language.

use super::render::sparkline;
use crate::{
    clock::{Clock, Randomness, SystemClock},
    format::{annotated_csv, json_v1, v1::AnswerOptions},
    influxql::Defaults,
    model::{ErrorKind, Failure, Precision, Result},
    query::{
        run,
        session::{SessionSettings, Sessions},
        tables::{QueryContext, SingleBucket},
    },
    storage::{BadLines, Storage, StorageOptions, WriteRequest, fs::LocalFolder, object::Store},
};
use arrow::{
    array::{Array, AsArray},
    datatypes::Float64Type,
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches,
};
use bytes::Bytes;
use futures::TryStreamExt;
use indicatif::{ProgressBar, ProgressStyle};
use std::{io::Read, path::PathBuf, sync::Arc};

/// 75 minutes of a real machine; see `data/README.md`.
const SAMPLE: &[u8] = include_bytes!("../../data/machine.lp.gz");
const DATABASE: &str = "demo";
const LINES_PER_REQUEST: usize = 500;

#[derive(clap::Args)]
pub struct DemoArguments {
    /// Where the database lives; a second run finds its data there.
    #[arg(long, default_value = "tidegauge-data")]
    data_dir: PathBuf,
}

pub async fn run(arguments: DemoArguments) -> Result<()> {
    let clock = Arc::new(SystemClock);
    let place = &arguments.data_dir;
    let unusable = |e: std::io::Error| Failure::new(ErrorKind::Unavailable, format!("{} cannot be used: {e}", place.display()));
    let log = Arc::new(LocalFolder::open(place.join("wal")).map_err(unusable)?);
    let store = Store::open(&place.join("store").to_string_lossy()).map_err(|e| Failure::internal(e.to_string()))?;
    let storage = Storage::open(store, log, StorageOptions::default(), clock.clone(), Randomness::from_os()).await?;
    let bucket = SingleBucket::new(DATABASE);

    if storage.schemas(bucket.0.id).is_empty() {
        load(&storage, &bucket, clock.as_ref()).await?;
    } else {
        println!("{} has the sample data already", place.display());
    }

    let sessions = Sessions::new(&SessionSettings::default(), vec![])?;
    let now = clock.now();
    let context = || QueryContext::new(Arc::new(bucket.clone()), storage.clone(), sessions.session(now), now);

    let question = "SELECT host, cpu, max(usage_user) AS user_max, avg(usage_idle) AS idle_mean, count(*) AS samples FROM cpu GROUP BY host, cpu ORDER BY cpu";
    println!("\nSQL> {question}");
    println!("{}", pretty_format_batches(&sql(context(), question).await?)?);

    let question = "SELECT mean(usage_idle) FROM cpu WHERE cpu = 'cpu-total' AND time >= '2026-11-24T11:13:00Z' AND time < '2026-11-24T12:28:00Z' GROUP BY time(15m)";
    println!("\nInfluxQL> {question}");
    let defaults = Defaults { database: Some(DATABASE.into()), ..Defaults::default() };
    let answers = run::influxql(context(), question.into(), None, defaults).await?;
    let pieces: Vec<Bytes> = json_v1::encode(answers, AnswerOptions { pretty: true, ..AnswerOptions::default() }).try_collect().await?;
    println!("{}", String::from_utf8_lossy(&pieces.concat()));

    let question = r#"from(bucket: "demo") |> range(start: 2026-11-24T11:13:00Z, stop: 2026-11-24T12:28:00Z)
  |> filter(fn: (r) => r._measurement == "cpu" and r._field == "usage_user" and r.cpu != "cpu-total")
  |> mean()"#;
    println!("Flux> {question}");
    let results = run::flux(context(), question.into(), vec![]).await?;
    let pieces: Vec<Bytes> = annotated_csv::encode(results, annotated_csv::Dialect::default()).try_collect().await?;
    println!("{}", String::from_utf8_lossy(&pieces.concat()).replace('\r', ""));

    let question = "SELECT date_bin(INTERVAL '1 minute', time) AS minute, 100 - avg(usage_idle) AS busy FROM cpu WHERE cpu = 'cpu-total' GROUP BY 1 ORDER BY 1";
    println!("SQL> {question}");
    println!("  busy, one character per minute: {}\n", sparkline(&column(&sql(context(), question).await?, "busy")));

    storage.close().await?;
    println!("The data is plain Parquet below {}: open it with DuckDB, Polars or Spark.", place.join("store").display());
    Ok(())
}

/// Writes the sample data; every request is durable before the next one begins.
async fn load(storage: &Storage, bucket: &SingleBucket, clock: &dyn Clock) -> Result<()> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(SAMPLE).read_to_string(&mut text)?;
    let lines: Vec<&str> = text.lines().collect();
    let style =
        ProgressStyle::with_template("loading sample data {bar:40} {pos}/{len} lines, {per_sec}").expect("the template is well formed");
    let bar = ProgressBar::new(lines.len() as u64).with_style(style);
    for lines in lines.chunks(LINES_PER_REQUEST) {
        let request = WriteRequest {
            bucket: bucket.0.id,
            body: Bytes::from(lines.join("\n")),
            precision: Precision::Nanosecond,
            now: clock.now(),
            bad_lines: BadLines::RefuseAll,
            retention_floor: None,
        };
        let report = storage.write(request).await?;
        if let Some(line) = report.rejected.first() {
            return Err(Failure::internal(format!("the sample data has a bad line: {}: {}", line.text, line.reason)));
        }
        bar.inc(lines.len() as u64);
    }
    bar.finish();
    storage.flush().await
}

async fn sql(context: QueryContext, text: &str) -> Result<Vec<RecordBatch>> {
    Ok(run::sql(context, text.into(), vec![], DATABASE.into()).await?.try_collect().await?)
}

fn column(batches: &[RecordBatch], name: &str) -> Vec<Option<f64>> {
    let mut out = vec![];
    for column in batches.iter().filter_map(|b| b.column_by_name(name)) {
        if let Some(values) = column.as_primitive_opt::<Float64Type>() {
            out.extend((0..values.len()).map(|i| values.is_valid(i).then(|| values.value(i))));
        }
    }
    out
}
