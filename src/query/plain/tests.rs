use super::*;
use crate::{
    clock::{ManualClock, Randomness},
    influxql::Defaults,
    query::{
        explain::{Question, plans},
        session::{self, SessionSettings, Sessions},
        tables::{QueryContext, SingleBucket},
    },
    storage::{BadLines, Storage, StorageOptions, WriteRequest, fs::LocalFolder, object::Store},
};
use arrow::util::pretty::pretty_format_batches;
use datafusion::physical_plan::{collect, displayable};

/// Rows of three hosts, some in a file and some not.
async fn context() -> (QueryContext, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Arc::new(LocalFolder::open(folder.path().join("wal")).expect("a log"));
    let storage = Storage::open(Store::memory(), log, StorageOptions::default(), ManualClock::at(0), Randomness::seeded(1)).await;
    let storage = storage.expect("opens");
    let bucket = SingleBucket::new("db");
    for (at, times) in [0..60_i64, 60..100].into_iter().enumerate() {
        let line = |time: i64| {
            let host = ["a", "b", "c"][time as usize % 3];
            let second = if time % 4 == 0 { String::new() } else { format!(",w={}i", time * 7 % 5) };
            format!("m,host={host},rack=r{} v={}{second} {}\n", time % 2, time * 37 % 11, time * 1_000_000_000)
        };
        let request = WriteRequest {
            bucket: bucket.0.id,
            body: times.map(line).collect::<String>().into(),
            precision: crate::model::Precision::Nanosecond,
            now: 0,
            bad_lines: BadLines::Skip,
            retention_floor: None,
        };
        storage.write(request).await.expect("stored");
        if at == 0 {
            storage.flush().await.expect("flushed");
        }
    }
    let sessions = Sessions::new(&SessionSettings { partitions: 1, ..SessionSettings::default() }, vec![]).expect("sessions");
    (QueryContext::new(Arc::new(bucket), storage, sessions.session(0), 0), folder)
}

fn flux(rest: &str) -> Question {
    Question::Flux { text: format!(r#"from(bucket: "db") |> range(start: 1970-01-01T00:00:03Z, stop: 1970-01-01T00:01:30Z) |> {rest}"#) }
}

fn influxql(text: &str) -> Question {
    Question::Influxql { text: text.into(), defaults: Defaults { database: Some("db".into()), policy: None, read_only: true } }
}

fn sql(text: &str) -> Question {
    Question::Sql { text: text.into(), database: "db".into() }
}

/// Whether the plans go straight; their rows are those of the long way.
async fn go_straight(context: &QueryContext, question: Question) -> bool {
    let shown = format!("{question:?}");
    let found = tokio::task::block_in_place(|| plans(question, context)).expect("plans");
    assert!(!found.is_empty(), "{shown}");
    let mut straight = 0;
    for (_, plan) in &found {
        let state = context.session_for(plan);
        let long = state.create_physical_plan(plan).await.expect("a plan");
        let Some(plain) = physical(&state, plan).expect("planned") else { continue };
        straight += 1;
        assert_eq!(plain.schema().fields().len(), long.schema().fields().len(), "{shown}");
        let mut texts = vec![];
        for plan in [plain, long] {
            let indented = displayable(plan.as_ref()).indent(false).to_string();
            let scan = indented.lines().find(|line| line.contains("ScanExec")).expect("a scan").trim().to_string();
            let rows = collect(plan, session::task(&state, state.runtime_env(), 8)).await.expect("rows");
            texts.push((scan, pretty_format_batches(&rows).expect("a table").to_string()));
        }
        let [plain, long] = [&texts[0], &texts[1]];
        assert_eq!(plain.1, long.1, "{shown}");
        assert_eq!(plain.0, long.0, "what is read: {shown}");
    }
    straight == found.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_plans_read_and_answer_what_others_do() {
    let (context, _folder) = context().await;
    let one = r#"filter(fn: (r) => r._measurement == "m" and r._field == "v")"#;
    let cases = [
        (flux(&format!(r#"{one} |> filter(fn: (r) => r.host == "a") |> aggregateWindow(every: 10s, fn: max, createEmpty: false)"#)), true),
        (flux(&format!(r#"{one} |> filter(fn: (r) => r.host == "a" or r.host == "c") |> aggregateWindow(every: 7s, fn: mean)"#)), true),
        (flux(&format!("{one} |> last()")), true),
        (flux(&format!("{one} |> derivative(unit: 1s) |> limit(n: 3)")), true),
        (flux(r#"filter(fn: (r) => r._measurement == "m") |> keep(columns: ["_time", "_value", "_field"]) |> sum()"#), true),
        (flux(&format!(r#"{one} |> map(fn: (r) => ({{r with _value: r._value * 2.0}}))"#)), true),
        (flux(&format!(r#"{one} |> map(fn: (r) => ({{r with _value: {}r._value}}))"#, "r._value + ".repeat(70))), false),
        (influxql("SELECT max(v), mean(w) / 2 FROM m WHERE time >= 3s AND time < 90s GROUP BY time(10s), host"), true),
        (influxql("SELECT max(v) FROM m WHERE host = 'a' AND time >= 3s AND time < 90s GROUP BY time(10s)"), true),
        (influxql("SELECT mean(v), count(w) FROM m WHERE time >= 3s AND time < 90s GROUP BY time(10s), host fill(0)"), true),
        (influxql("SELECT last(v) FROM m GROUP BY host, rack"), true),
        (influxql("SELECT v, host FROM m WHERE v > 2 AND host != 'b' AND w = 3"), true),
        (influxql("SELECT v FROM m WHERE host =~ /^[ab]$/ ORDER BY time DESC LIMIT 5"), true),
        (influxql("SELECT v FROM m WHERE v > 2 AND nosuch = 1"), false),
        (sql("SELECT host, time, v FROM m WHERE v > 2 AND w IS NOT NULL AND host IN ('a', 'b')"), true),
        (sql("SELECT v FROM m WHERE host = (SELECT 'a')"), false),
        (sql("SELECT host, max(v) FROM m GROUP BY host ORDER BY host"), true),
        (sql("SELECT date_bin(INTERVAL '10 seconds', time) t, max(v) FROM m WHERE host = 'a' AND v > 1 GROUP BY t ORDER BY t"), true),
        (
            sql(
                "SELECT date_bin(INTERVAL '10 seconds', time) t, rack, avg(w), sum(w), count(w), count(*) FROM m GROUP BY 1, 2 ORDER BY 1, 2",
            ),
            true,
        ),
        (sql("SELECT date_bin(INTERVAL '10 seconds', time) t, max(v) FROM m GROUP BY t ORDER BY t DESC LIMIT 3"), true),
        (sql("SELECT date_bin(INTERVAL '10 seconds', time) t, max(v) FROM m GROUP BY t ORDER BY 2 DESC, t LIMIT 3 OFFSET 2"), true),
        (sql("SELECT max(v), min(time), count(*) FROM m WHERE w = 3"), true),
        (sql("SELECT count(*) FROM m"), true),
        (sql("SELECT x.host h, sum(x.v * 2) / count(x.v) FROM m x WHERE x.rack = 'r1' GROUP BY x.host ORDER BY h DESC"), true),
        (sql("SELECT max(CASE WHEN v > 3 THEN 1 ELSE 2.5 END) FROM m"), false),
        (sql("SELECT y FROM (SELECT CASE WHEN v > 3 THEN 1 ELSE 2.5 END y FROM m)"), false),
        (sql("SELECT host, max(v) FROM m GROUP BY host HAVING max(v) > 9 ORDER BY host"), false),
        (sql("SELECT count(DISTINCT host) FROM m"), false),
        (sql("SELECT max(v) FILTER (WHERE w = 3) FROM m"), false),
        (sql("SELECT first_value(v ORDER BY time DESC) FROM m"), false),
        (sql("SELECT host, max(v) FROM m GROUP BY ROLLUP(host) ORDER BY 1"), false),
        (sql("SELECT time, v FROM m ORDER BY v, time LIMIT 5"), true),
        (sql("SELECT host, v FROM m ORDER BY time"), true),
        (sql("SELECT v FROM m LIMIT 5"), false),
        (sql("SELECT v + 1 FROM m"), true),
        (sql("SELECT v + (SELECT 1) FROM m"), false),
    ];
    for (question, straight) in cases {
        let shown = format!("{question:?}");
        assert_eq!(go_straight(&context, question).await, straight, "{shown}");
    }
}
