//! A database in process for tests: storage on a folder, one bucket that everybody may read and write.

use datafusion::arrow::{array::*, datatypes::*, record_batch::RecordBatch};
use futures::TryStreamExt;
use std::{collections::BTreeMap, path::Path, sync::Arc};
use tidegauge::{
    clock::{ManualClock, Randomness},
    format::{json_v1, v1::AnswerOptions},
    influxql::Defaults,
    model::{Failure, Precision, Result},
    query::{
        explain::{Question, explain},
        run,
        session::{SessionSettings, Sessions},
        tables::{QueryContext, SingleBucket},
    },
    storage::{BadLines, Storage, StorageOptions, WriteReport, WriteRequest, compaction::CompactionPolicy, fs::LocalFolder, object::Store},
};
use tokio_util::sync::CancellationToken;

pub const DATABASE: &str = "db";

pub struct Database {
    pub storage: Storage,
    sessions: Sessions,
    now: i64,
}

/// One row of an answer: column names and printed values; nulls are left out.
pub type Row = BTreeMap<String, String>;

impl Database {
    pub async fn open(folder: &Path, now: i64) -> Database {
        let store = Store::open(&folder.join("store").to_string_lossy()).expect("a store in the folder");
        Database::over(store, &folder.join("wal"), now).await
    }

    /// Files in `store`, the log in a folder.
    pub async fn over(store: Store, log: &Path, now: i64) -> Database {
        let log = Arc::new(LocalFolder::open(log).expect("a folder for the log"));
        let (clock, randomness) = (ManualClock::at(now), Randomness::seeded(now as u64));
        let storage = Storage::open(store, log, StorageOptions::default(), clock, randomness).await.expect("the store opens");
        let sessions = Sessions::new(&SessionSettings::default(), vec![]).expect("a session");
        Database { storage, sessions, now }
    }

    pub async fn write(&self, lines: &str) -> WriteReport {
        let request = WriteRequest {
            bucket: SingleBucket::new(DATABASE).0.id,
            body: bytes::Bytes::copy_from_slice(lines.as_bytes()),
            precision: Precision::Nanosecond,
            now: self.now,
            bad_lines: BadLines::Skip,
            retention_floor: None,
        };
        self.storage.write(request).await.expect("the write is stored")
    }

    /// Merges all that lies in several files; the number of merges.
    pub async fn compact(&self) -> usize {
        let policy = CompactionPolicy { rest_ns: 0, ..CompactionPolicy::default() };
        let specs = self.storage.files().compactions(&policy);
        for spec in &specs {
            self.storage.files().compact(spec.clone(), i64::MIN, CancellationToken::new()).await.expect("a merge");
        }
        specs.len()
    }

    pub fn context(&self) -> QueryContext {
        let session = self.sessions.session(self.now);
        QueryContext::new(Arc::new(SingleBucket::new(DATABASE)), self.storage.clone(), session, self.now)
    }

    /// The plans of a question.
    pub async fn explain(&self, question: Question) -> Result<String> {
        explain(self.context(), question).await
    }

    pub async fn sql(&self, text: &str) -> Result<Vec<Row>> {
        let stream = run::sql(self.context(), text.into(), vec![], DATABASE.into()).await?;
        Ok(rows_of(&stream.try_collect::<Vec<_>>().await?))
    }

    pub async fn flux(&self, text: &str) -> Result<Vec<Row>> {
        let mut rows = vec![];
        for result in run::flux(self.context(), text.into(), vec![]).await? {
            for frame in result.frames {
                rows.extend(rows_of(&frame.batches.try_collect::<Vec<_>>().await?));
            }
        }
        Ok(rows)
    }

    /// The body of `/query`, without its last newline.
    pub async fn influxql_text(&self, text: &str) -> Result<String> {
        let defaults = Defaults { database: Some(DATABASE.into()), ..Defaults::default() };
        let answers = run::influxql(self.context(), text.into(), None, defaults).await?;
        let pieces: Vec<bytes::Bytes> = json_v1::encode(answers, AnswerOptions::default()).try_collect().await?;
        Ok(String::from_utf8(pieces.concat()).expect("JSON is text").trim_end().to_string())
    }

    /// The answer of `/query` with `epoch=ns`.
    pub async fn influxql_json(&self, text: &str) -> Result<serde_json::Value> {
        let defaults = Defaults { database: Some(DATABASE.into()), ..Defaults::default() };
        let answers = run::influxql(self.context(), text.into(), None, defaults).await?;
        let options = AnswerOptions { epoch: Some(Precision::Nanosecond), ..AnswerOptions::default() };
        let pieces: Vec<bytes::Bytes> = json_v1::encode(answers, options).try_collect().await?;
        Ok(serde_json::from_slice(&pieces.concat()).expect("the answer is JSON"))
    }

    pub async fn influxql(&self, text: &str) -> Result<Vec<Row>> {
        let answer = self.influxql_json(text).await?;
        let mut rows = vec![];
        for result in answer["results"].as_array().into_iter().flatten() {
            if let Some(error) = result["error"].as_str() {
                return Err(Failure::invalid(error));
            }
            for series in result["series"].as_array().into_iter().flatten() {
                for values in series["values"].as_array().into_iter().flatten() {
                    let tags = series["tags"].as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), v));
                    let columns = series["columns"].as_array().into_iter().flatten().filter_map(|c| c.as_str());
                    let cells = columns.zip(values.as_array().into_iter().flatten()).chain(tags);
                    rows.push(cells.filter_map(|(k, v)| Some((k.to_string(), printed(v)?))).collect());
                }
            }
        }
        Ok(rows)
    }
}

fn printed(value: &serde_json::Value) -> Option<String> {
    use serde_json::Value::*;
    match value {
        Null => None,
        String(text) if text.is_empty() => None,
        String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Times as nanoseconds, whole floats without decimals (as JSON prints them), nulls left out.
fn rows_of(batches: &[RecordBatch]) -> Vec<Row> {
    let mut rows = vec![];
    for batch in batches {
        for row in 0..batch.num_rows() {
            let schema = batch.schema();
            let cells = schema.fields().iter().zip(batch.columns()).filter(|(_, c)| c.is_valid(row)).map(|(field, column)| {
                let text = match column.data_type() {
                    DataType::Timestamp(..) => {
                        let nanoseconds = datafusion::arrow::compute::cast(column, &DataType::Int64).expect("a time is a number");
                        nanoseconds.as_primitive::<Int64Type>().value(row).to_string()
                    }
                    _ => datafusion::arrow::util::display::array_value_to_string(column, row).expect("a value prints"),
                };
                (field.name().clone(), text.strip_suffix(".0").map(str::to_string).unwrap_or(text))
            });
            rows.push(cells.collect());
        }
    }
    rows
}
