use super::*;
use crate::clock::{ManualClock, Randomness};
use crate::model::{BucketId, DeleteSpec, FieldType, MeasurementSchema, TimeRange};
use crate::storage::{
    chunk::Chunk,
    files::{FileOptions, FileStore, Flushing},
    object::Store,
};
use arrow::{
    array::{ArrayRef, DictionaryArray, Float64Array, TimestampNanosecondArray},
    datatypes::Int32Type,
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches,
};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;

fn chunk(sequence: u64, rows: &[(Option<&str>, i64, Option<f64>)]) -> Chunk {
    let mut schema = MeasurementSchema::new("m");
    schema.add_tag("host");
    schema.fields.insert("v".into(), FieldType::Float);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampNanosecondArray::from_iter_values(rows.iter().map(|r| r.1))),
        Arc::new(rows.iter().map(|r| r.0).collect::<DictionaryArray<Int32Type>>()),
        Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.2))),
    ];
    let batch = RecordBatch::try_new(schema.arrow_schema(), columns).expect("columns fit");
    let times = || rows.iter().map(|r| r.1);
    let (time_min, time_max) = (times().min().expect("rows"), times().max().expect("rows"));
    Chunk::of(Arc::new(schema), &batch, sequence, time_min, time_max)
}

async fn ask(files: &FileStore, chunks: Vec<Chunk>, floor: i64, sql: &str) -> String {
    let bucket = BucketId::new(1).expect("not zero");
    let snapshot = files.snapshot(bucket, "m", None, chunks, floor).expect("flushed before");
    let context = SessionContext::new();
    context.register_table("m", Arc::new(SnapshotTable::new(snapshot))).expect("new name");
    let batches = context.sql(sql).await.expect("plans").collect().await.expect("runs");
    let text = pretty_format_batches(&batches).expect("prints").to_string();
    let rows = text.lines().skip(3).filter(|l| l.starts_with('|'));
    rows.map(|l| l.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join(",")).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn files_and_buffer_merge_filter_and_survive_reopening() {
    let bucket = BucketId::new(1).expect("not zero");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = || async {
        let store = Store::open(folder.path().to_str().expect("UTF-8")).expect("opens");
        FileStore::open(store, FileOptions::default(), ManualClock::at(0), Randomness::seeded(1)).await.expect("opens")
    };
    let (files, _) = open().await;
    let day = 86_400_000_000_000;
    let first = chunk(1, &[(None, 5, Some(0.5)), (Some("a"), 1, Some(1.0)), (Some("a"), day + 1, Some(2.0)), (Some("b"), 1, Some(3.0))]);
    for (sequence, chunk) in [(1, first), (2, chunk(2, &[(Some("a"), 1, None), (Some("a"), 2, Some(7.0))]))] {
        let flushing = Flushing::new(&chunk, &BTreeMap::new(), FileOptions::default().partition_ns).expect("rows");
        files.flush(bucket, vec![flushing], sequence).await.expect("flushes");
    }
    let (files, recovered) = open().await;
    assert_eq!((recovered.buckets[0].flushed_through, recovered.buckets[0].sequence_max), (2, 2));
    assert_eq!(files.version(bucket).expect("there").files.len(), 3, "two partitions, then one");
    let newest = || vec![chunk(3, &[(Some("b"), 1, Some(9.0))])];
    let rows = "select host, cast(time as bigint), v from m";
    assert_eq!(ask(&files, newest(), i64::MIN, rows).await, format!(",5,0.5 a,1,1.0 a,2,7.0 a,{},2.0 b,1,9.0", day + 1));
    assert_eq!(ask(&files, newest(), i64::MIN, &format!("{rows} where host = 'a' and time < '1970-01-02'")).await, "a,1,1.0 a,2,7.0");
    assert_eq!(ask(&files, newest(), i64::MIN, &format!("{rows} where host is null or host = 'b'")).await, ",5,0.5 b,1,9.0");
    assert_eq!(ask(&files, newest(), i64::MIN, &format!("{rows} where host != 'a'")).await, "b,1,9.0");
    assert_eq!(ask(&files, newest(), i64::MIN, &format!("{rows} where v > 5 and host in ('a')")).await, "a,2,7.0");
    assert_eq!(ask(&files, newest(), 2, &format!("{rows} limit 2")).await, ",5,0.5 a,2,7.0", "retention hides times before 2");
    assert_eq!(ask(&files, newest(), i64::MIN, "select count(*) from m").await, "5");
    let range = TimeRange::new(0, 3);
    files.delete(bucket, vec![DeleteSpec { range, measurement: None, tags: vec![] }], 2).await.expect("deletes");
    assert_eq!(ask(&files, newest(), i64::MIN, rows).await, format!(",5,0.5 a,{},2.0 b,1,9.0", day + 1), "newer rows stay");
}

/// Two threads read it, and rows written twice are seen once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_scan_under_an_aggregate_is_split_by_time() {
    use crate::query::session::{SessionSettings, Sessions};
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path().to_str().expect("UTF-8")).expect("opens");
    let (files, _) = FileStore::open(store, FileOptions::default(), ManualClock::at(0), Randomness::seeded(1)).await.expect("opens");
    let rows = |host, from: i64, to: i64, value| (from..to).map(move |t| (host, t, Some(value))).collect::<Vec<_>>();
    let old = chunk(1, &[rows(Some("a"), 0, 60_000, 1.0), rows(Some("b"), 0, 40_000, 1.0)].concat());
    let new = chunk(2, &rows(Some("a"), 29_000, 31_000, 3.0));
    let snapshot = files.snapshot(BucketId::new(1).expect("not zero"), "m", Some(new.schema.clone()), vec![old, new], i64::MIN);
    let settings = SessionSettings { partitions: 2, ..SessionSettings::default() };
    let context = SessionContext::new_with_state(Sessions::new(&settings, vec![]).expect("a session").session(0).names().clone());
    context.register_table("m", Arc::new(SnapshotTable::new(snapshot.expect("it has rows")))).expect("new name");
    let answer = |text: &'static str| async { context.sql(text).await.expect("plans").collect().await.expect("runs") };
    let rows = answer("select host, count(*) n, sum(v) s, max(cast(time as bigint)) t from m group by host order by host").await;
    expect_test::expect![[r#"
        +------+-------+---------+-------+
        | host | n     | s       | t     |
        +------+-------+---------+-------+
        | a    | 60000 | 64000.0 | 59999 |
        | b    | 40000 | 40000.0 | 39999 |
        +------+-------+---------+-------+"#]]
    .assert_eq(&pretty_format_batches(&rows).expect("prints").to_string());
    let plan = |rows: Vec<RecordBatch>| pretty_format_batches(&rows).expect("prints").to_string();
    assert!(plan(answer("explain select max(v) from m where v > 0").await).contains("in 2 parts"));
    assert!(
        !plan(answer("explain select max(v) from m where time < '1970-01-01T00:00:00.000010'").await).contains("parts"),
        "too few rows"
    );
    assert!(!plan(answer("explain select * from m where v > 0").await).contains("parts"), "rows in order");
}
