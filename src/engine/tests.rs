use super::*;
use crate::{
    catalog::{Action, Permission, Resource, ResourceKind, SetupRequest, authorizations::NewAuthorization},
    format::{annotated_csv, json_v1, v1::AnswerOptions},
    influxql::Defaults,
    model::{ErrorKind, OrgId, Precision},
    plan::BucketRef,
    storage::{BadLines, WriteReport},
};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};

const OPTIONS: WriteOptions = WriteOptions { precision: Precision::Nanosecond, bad_lines: BadLines::Skip, create: false };

/// An engine with the organisation `lab`, its bucket `gpu`, and who set it up.
async fn lab(folder: &std::path::Path) -> (Engine, Caller) {
    let engine = Engine::open(EngineSettings::at(folder)).await.expect("an engine");
    let request =
        SetupRequest { username: "ana".into(), org: "lab".into(), bucket: "gpu".into(), token: Some("t".into()), ..Default::default() };
    engine.catalog().set_up(request).expect("set up");
    let operator = engine.authenticate(&Credential::Token("t".into())).expect("recognised");
    (engine, operator)
}

async fn write(engine: &Engine, caller: &Caller, bucket: &str, lines: &'static str) -> Result<WriteReport> {
    let target = Target { org: Some("lab"), bucket: BucketRef::NameOrId(bucket) };
    Ok(engine.write(caller, target, Bytes::from_static(lines.as_bytes()), OPTIONS).await?.report)
}

async fn flux(engine: &Engine, caller: &Caller, text: &str) -> Result<String> {
    let request = FluxRequest { text: text.into(), ..FluxRequest::default() };
    let results = engine.flux(caller, Some("lab"), request).await?;
    let pieces: Vec<Bytes> = annotated_csv::encode(results, annotated_csv::Dialect::default()).try_collect().await?;
    Ok(String::from_utf8_lossy(&pieces.concat()).into_owned())
}

async fn count(engine: &Engine, caller: &Caller) -> Result<usize> {
    let text = r#"SELECT count(*) AS n FROM "gpu"."m""#;
    let rows = engine.sql(caller, None, text.into(), vec![], "gpu".into()).await?;
    let batches: Vec<_> = rows.try_collect().await?;
    Ok(arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(batches[0].column(0)).value(0) as usize)
}

fn token(engine: &Engine, operator: &Caller, org: OrgId, permissions: Vec<Permission>) -> Caller {
    let new = NewAuthorization { permissions, ..Default::default() };
    let (_, token) = engine.catalog().create_authorization(operator, org, new).expect("a token");
    engine.authenticate(&Credential::Token(token)).expect("recognised")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_engine_serves_three_languages_and_keeps_rows_and_people_over_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = || EngineSettings::at(folder.path());
    let engine = Engine::open(settings()).await.expect("an engine");
    let taken = Engine::open(settings()).await.err().expect("the directory is taken");
    assert_eq!(taken.kind, ErrorKind::Conflict);

    let request =
        SetupRequest { username: "ana".into(), org: "lab".into(), bucket: "gpu".into(), token: Some("t".into()), ..Default::default() };
    let set_up = engine.catalog().set_up(request).expect("set up");
    let operator = engine.authenticate(&Credential::Token("t".into())).expect("recognised");
    let report = write(&engine, &operator, "gpu", "m,host=a v=1 10\nm,host=a v=x 20\nm,host=b v=3 30").await.expect("stored");
    assert_eq!((report.row_count, report.rejected.count()), (2, 1));

    let on = |action| Permission::new(action, Resource::one(ResourceKind::Buckets, set_up.bucket.id.0, set_up.org.id));
    let reader = token(&engine, &operator, set_up.org.id, vec![on(Action::Read)]);
    let writer = token(&engine, &operator, set_up.org.id, vec![on(Action::Write)]);
    let refused = write(&engine, &reader, "gpu", "m v=1 40").await.expect_err("it may only read");
    assert_eq!((refused.kind, refused.message.as_str()), (ErrorKind::Forbidden, "insufficient permissions for write"));
    let foreign = write(&engine, &writer, "_tasks", "m v=1 40").await.expect_err("not its bucket");
    assert_eq!((foreign.kind, foreign.message), (refused.kind, refused.message));
    let missing = write(&engine, &writer, "none", "m v=1 40").await.expect_err("no bucket");
    assert_eq!(missing.kind, ErrorKind::NotFound);
    write(&engine, &writer, "gpu", "m,host=b v=4 40").await.expect("it may write");
    let script = r#"from(bucket: "gpu") |> range(start: 0) |> group() |> count() |> keep(columns: ["_value"])"#;
    let unseen = flux(&engine, &writer, script).await.expect_err("it may only write");
    assert_eq!(unseen.kind, ErrorKind::NotFound);
    assert!(unseen.message.contains("could not find bucket \"gpu\""), "{unseen}");

    all_languages_count(&engine, script).await;
    engine.close().await.expect("closed");
    drop(engine);
    let engine = Engine::open(settings()).await.expect("opened again");
    all_languages_count(&engine, script).await;
    engine.close().await.expect("closed");
}

/// Also when functions of a script are called row by row, hold what holds them, or fail: neither a turn nor memory stays behind.
#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_has_ended_holds_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let (engine, operator) = lab(folder.path()).await;
    write(&engine, &operator, "gpu", "m,host=a v=1,s=\"x\" 10\nm,host=b v=3,s=\"y\" 30").await.expect("stored");
    let from = r#"from(bucket: "gpu") |> range(start: 0) |> filter(fn: (r) => r._field == "s")"#;
    let scripts = [
        ("", "", "|> count()"),
        (r#"import "strings""#, "", "|> map(fn: (r) => ({r with _value: strings.toUpper(v: r._value)}))"),
        (r#"import "date""#, "", "|> map(fn: (r) => ({r with hour: date.hour(t: r._time)})) |> limit(n: 1)"),
        (r#"import "strings""#, "f = (v) => strings.title(v: v)", "|> map(fn: (r) => ({r with _value: f(v: r._value)}))"),
        ("", "n = () => { g = (v) => v + \"!\" h = (v) => g(v: v) return h }", "|> map(fn: (r) => ({r with _value: n()(v: r._value)}))"),
        (r#"import "strings""#, "", "|> map(fn: (r) => ({r with _value: strings.repeat(v: r._value, i: 1000000000)}))"),
        ("", "", "|> reduce(identity: {t: \"\"}, fn: (r, accumulator) => ({t: accumulator.t + r._value}))"),
        ("", "", "|> stateCount(fn: (r) => r._value == \"x\")"),
        (r#"import "strings""#, "", "|> map(fn: (r) => ({r with n: strings.strlen(v: r._value)})) |> tableFind(fn: (key) => true)"),
        (r#"import "strings""#, "x = strings.toUpper(v: \"a\")", "|> map(fn: (r) => ({r with n: r.none + 1}))"),
    ];
    for (imports, names, steps) in scripts {
        let script = format!("{imports}\n{names}\ndata = {from} {steps}\ndata");
        let answer = flux(&engine, &operator, &script).await;
        // What the query ran on other threads may end a moment later.
        let ended = async {
            while engine.admission().running() > 0 || engine.memory().queries.used() > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), ended).await;
        assert!(ended.is_ok(), "{script}: {answer:?}: {} run, {} B", engine.admission().running(), engine.memory().queries.used());
    }
    engine.close().await.expect("closed");
}

async fn all_languages_count(engine: &Engine, script: &str) {
    let operator = engine.authenticate(&Credential::Token("t".into())).expect("recognised");
    assert_eq!(count(engine, &operator).await.expect("SQL"), 3);
    assert!(flux(engine, &operator, script).await.expect("Flux").contains(",3\r\n"));
    let defaults = Defaults { database: Some("gpu".into()), ..Defaults::default() };
    let answers = engine.influxql(&operator, None, "SELECT count(v) FROM m".into(), None, defaults).await.expect("InfluxQL");
    let answers: Vec<_> = answers.collect().await;
    assert_eq!((answers.len(), &answers[0].error), (1, &None));
    assert_eq!(engine.admission().running(), 1, "an answer that was not read holds its ticket");
    drop(answers);
    assert_eq!(engine.admission().running(), 0, "every ticket was given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_merges_files_and_a_shorter_retention_acts_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let day = 86_400_000_000_000;
    let clock = crate::clock::ManualClock::at(100 * day);
    let maintenance = MaintenanceSettings { interval: None, ..MaintenanceSettings::default() };
    let settings = EngineSettings { clock: clock.clone(), maintenance, ..EngineSettings::at(folder.path()) };
    let engine = Engine::open(settings).await.expect("an engine");
    let request =
        SetupRequest { username: "ana".into(), org: "lab".into(), bucket: "gpu".into(), token: Some("t".into()), ..Default::default() };
    let set_up = engine.catalog().set_up(request).expect("set up");
    let operator = engine.authenticate(&Credential::Token("t".into())).expect("recognised");
    let target = Target { org: Some("lab"), bucket: BucketRef::NameOrId("gpu") };
    for i in 0..8 {
        let lines = format!("m v={i} {}\nm v={i} {}", 10 * day + i, 99 * day + i);
        engine.write(&operator, target, lines.into(), OPTIONS).await.expect("stored");
        engine.storage().flush().await.expect("flushed");
    }
    let figures = engine.maintain().await.expect("maintained");
    assert!(figures.files < 8 && figures.compactions > 0 && figures.compaction_bytes_in > figures.compaction_bytes_out, "{figures:?}");
    assert_eq!(count(&engine, &operator).await.expect("SQL"), 16);
    let changes = crate::catalog::buckets::BucketChanges { retention_ns: Some(Some(7 * day)), ..Default::default() };
    engine.catalog().update_bucket(&operator, set_up.bucket.id, changes).expect("updated");
    let figures = engine.maintain().await.expect("maintained");
    assert_eq!((figures.expired_rows, figures.failures, figures.last_error), (8, 0, None));
    clock.advance(day / 24);
    let figures = engine.maintain().await.expect("maintained");
    assert!(figures.garbage_files >= 8 && figures.files >= 1, "{figures:?}");
    assert_eq!(count(&engine, &operator).await.expect("SQL"), 8);
    engine.close().await.expect("closed");
}

/// The rows of one InfluxQL statement, or its error.
async fn influxql(engine: &Engine, caller: &Caller, text: &str) -> String {
    let answers = engine.influxql(caller, None, text.into(), None, Defaults::default()).await.expect("parses");
    let pieces: Vec<Bytes> = json_v1::encode(answers, AnswerOptions::default()).try_collect().await.expect("encodes");
    let answer: serde_json::Value = serde_json::from_slice(&pieces.concat()).expect("JSON");
    let result = &answer["results"][0];
    if result["error"].is_null() { result["series"][0]["values"].to_string() } else { result["error"].to_string() }
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_policies_are_buckets() {
    let folder = tempfile::tempdir().expect("a folder");
    let (engine, caller) = lab(folder.path()).await;
    let steps = [
        ("CREATE RETENTION POLICY rp ON db DURATION 2h REPLICATION 1", r#""database not found: db""#),
        ("CREATE DATABASE db", "null"),
        ("CREATE RETENTION POLICY rp ON db DURATION 1m REPLICATION 1", r#""retention policy duration must be at least 1h0m0s""#),
        ("CREATE RETENTION POLICY rp ON db DURATION 2h REPLICATION 1", "null"),
        ("CREATE RETENTION POLICY rp ON db DURATION 2h REPLICATION 1", "null"),
        ("CREATE RETENTION POLICY rp ON db DURATION 3h REPLICATION 1", r#""retention policy already exists""#),
        ("SHOW RETENTION POLICIES ON db", r#"[["autogen","0s","168h0m0s",1,true],["rp","2h0m0s","1h0m0s",1,false]]"#),
        ("ALTER RETENTION POLICY rp ON db DURATION 3h DEFAULT", "null"),
        ("ALTER RETENTION POLICY nope ON db DURATION 3h", r#""retention policy not found: nope""#),
        ("SHOW RETENTION POLICIES ON db", r#"[["autogen","0s","168h0m0s",1,false],["rp","3h0m0s","1h0m0s",1,true]]"#),
        ("DROP RETENTION POLICY rp ON db", "null"),
        ("DROP RETENTION POLICY nope ON db", "null"),
        ("SHOW RETENTION POLICIES ON db", r#"[["autogen","0s","168h0m0s",1,true]]"#),
    ];
    for (statement, expected) in steps {
        assert_eq!(influxql(&engine, &caller, statement).await, expected, "{statement}");
    }
    engine.close().await.expect("closed");
}
