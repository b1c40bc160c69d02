//! Batches in, bytes out, and back where there is a reader.

use super::*;
use crate::format::{
    series::{SeriesLayout, SeriesStream, StatementAnswer},
    table::{FrameStream, ResultTables},
};
use arrow::array::{ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, StringArray, TimestampNanosecondArray};
use arrow::datatypes::Int32Type;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use expect_test::{Expect, expect};
use futures::{TryStreamExt, executor::block_on};

fn rows(from: i64, tags: &[Option<&str>]) -> RecordBatch {
    let count = tags.len() as i64;
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("time", Arc::new(TimestampNanosecondArray::from_iter_values(from..from + count)), true),
        ("host", Arc::new(tags.iter().copied().collect::<DictionaryArray<Int32Type>>()), true),
        ("value", Arc::new(Float64Array::from_iter((0..count).map(|i| (i != 1).then_some(i as f64 / 2.0)))), true),
        ("ok", Arc::new(BooleanArray::from(vec![true; tags.len()])), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns fit")
}

fn stream(batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    let schema = batches[0].schema();
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter(batches.into_iter().map(Ok))))
}

fn two_batches() -> Vec<RecordBatch> {
    vec![rows(0, &[Some("a\"b"), None, Some("a,c")]), rows(3, &[Some("z")])]
}

fn bytes(batches: SendableRecordBatchStream, format: RelationFormat) -> Result<Vec<u8>> {
    block_on(encode(batches, format).try_collect::<Vec<_>>()).map(|pieces| pieces.concat())
}

fn check(batches: SendableRecordBatchStream, format: RelationFormat, expected: Expect) {
    let text = bytes(batches, format).map(|b| String::from_utf8(b).expect("UTF-8"));
    expected.assert_eq(&text.unwrap_or_else(|failure| failure.message));
}

#[test]
fn text_formats() {
    check(
        stream(two_batches()),
        RelationFormat::Json,
        expect![[
            r#"[{"time":"1970-01-01T00:00:00","host":"a\"b","value":0.0,"ok":true},{"time":"1970-01-01T00:00:00.000000001","ok":true},{"time":"1970-01-01T00:00:00.000000002","host":"a,c","value":1.0,"ok":true},{"time":"1970-01-01T00:00:00.000000003","host":"z","value":0.0,"ok":true}]"#
        ]],
    );
    check(
        stream(vec![rows(0, &[Some("a"), None])]),
        RelationFormat::JsonLines,
        expect![[r#"
            {"time":"1970-01-01T00:00:00","host":"a","value":0.0,"ok":true}
            {"time":"1970-01-01T00:00:00.000000001","ok":true}
        "#]],
    );
    check(
        stream(two_batches()),
        RelationFormat::Csv,
        expect![[r#"
            time,host,value,ok
            1970-01-01T00:00:00,"a""b",0.0,true
            1970-01-01T00:00:00.000000001,,,true
            1970-01-01T00:00:00.000000002,"a,c",1.0,true
            1970-01-01T00:00:00.000000003,z,0.0,true
        "#]],
    );
    check(
        stream(vec![rows(0, &[Some("a"), None])]),
        RelationFormat::Pretty,
        expect![[r#"
            +-------------------------------+------+-------+------+
            | time                          | host | value | ok   |
            +-------------------------------+------+-------+------+
            | 1970-01-01T00:00:00           | a    | 0.0   | true |
            | 1970-01-01T00:00:00.000000001 |      |       | true |
            +-------------------------------+------+-------+------+
        "#]],
    );
}

#[test]
fn no_rows() {
    let none = || stream(vec![rows(0, &[])]);
    check(none(), RelationFormat::Json, expect!["[]"]);
    check(none(), RelationFormat::JsonLines, expect![""]);
    check(
        none(),
        RelationFormat::Csv,
        expect![[r#"
        time,host,value,ok
    "#]],
    );
}

#[test]
fn columnar_formats_read_back() {
    // The second batch has a dictionary of its own; times past a row group come in a second one.
    let batches = two_batches();
    let ipc = bytes(stream(batches.clone()), RelationFormat::ArrowStream).expect("encodes");
    let read: Vec<RecordBatch> =
        arrow::ipc::reader::StreamReader::try_new(ipc.as_slice(), None).expect("a stream").collect::<Result<_, _>>().expect("batches");
    assert_eq!(read, batches);
    let file = Bytes::from(bytes(stream(batches.clone()), RelationFormat::Parquet).expect("encodes"));
    let reader = ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).expect("a file");
    let read: Vec<RecordBatch> = reader.build().expect("a reader").collect::<Result<_, _>>().expect("batches");
    let all = |b: &[RecordBatch]| arrow::util::pretty::pretty_format_batches(b).expect("text").to_string();
    assert_eq!(all(&read), all(&batches));
}

#[test]
fn a_parquet_body_leaves_in_row_groups() {
    // Numbers that do not compress.
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state as i64
    };
    let batches: Vec<RecordBatch> = (0..3)
        .map(|_| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values((0..600_000).map(|_| next())));
            RecordBatch::try_from_iter([("v", column)]).expect("a column")
        })
        .collect();
    let pieces: Vec<Bytes> = block_on(encode(stream(batches), RelationFormat::Parquet).try_collect()).expect("encodes");
    assert!(pieces.len() > 1, "the first row group does not wait for the end");
    let file = Bytes::from(pieces.concat());
    let reader = ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).expect("a file");
    assert!(reader.metadata().num_row_groups() > 1);
    assert_eq!(reader.metadata().file_metadata().num_rows(), 1_800_000);
}

#[test]
fn a_failure_ends_the_body() {
    let batch = rows(0, &[Some("a")]);
    let items = vec![Ok(batch.clone()), Err(Failure::invalid("no more").into())];
    let batches = Box::pin(RecordBatchStreamAdapter::new(batch.schema(), futures::stream::iter(items)));
    check(batches, RelationFormat::JsonLines, expect!["no more"]);
}

#[test]
fn flux_tables_as_one_relation() {
    let frame = |batches: Vec<RecordBatch>, key: &[&str]| FrameStream {
        key: key.iter().map(|k| k.to_string()).collect(),
        absent_keys: false,
        batches: stream(batches),
    };
    let long = |field: &str, value: ArrayRef| {
        let field: ArrayRef = Arc::new(StringArray::from(vec![field; value.len()]));
        RecordBatch::try_from_iter([("_field", field), ("_value", value)]).expect("columns fit")
    };
    let floats = long("f", Arc::new(Float64Array::from(vec![1.5, 2.5])));
    let integers = long("i", Arc::new(Int64Array::from(vec![7])));
    let results = vec![
        ResultTables {
            name: "one".into(),
            frames: vec![
                frame(vec![floats.clone(), floats.clone(), long("g", Arc::new(Float64Array::from(vec![0.0])))], &["_field"]),
                frame(vec![integers], &["_field"]),
            ],
        },
        ResultTables { name: "two".into(), frames: vec![frame(vec![rows(0, &[Some("a"), Some("b")])], &["host"])] },
    ];
    check(
        of_tables(results).expect("they fit"),
        RelationFormat::Csv,
        expect![[r#"
        result,table,_field,_value,time,host,value,ok
        one,0,f,1.5,,,,
        one,0,f,2.5,,,,
        one,0,f,1.5,,,,
        one,0,f,2.5,,,,
        one,1,g,0.0,,,,
        one,2,i,7.0,,,,
        two,0,,,1970-01-01T00:00:00,a,0.0,true
        two,1,,,1970-01-01T00:00:00.000000001,b,,true
    "#]],
    );
    let text = long("s", Arc::new(StringArray::from(vec!["x"])));
    let results = vec![ResultTables { name: "r".into(), frames: vec![frame(vec![floats], &[]), frame(vec![text], &[])] }];
    let failure = of_tables(results).map(|_| ()).expect_err("text is no number");
    expect![[r#"column "_value" is Float64 in one part of the answer and Utf8 in another, and this format has one type per column: ask for one of them only, convert it, or pivot the fields into columns of their own"#]].assert_eq(&failure.message);
}

#[test]
fn influxql_series_as_one_relation() {
    let series = |name: &str, batch: RecordBatch| SeriesStream {
        layout: SeriesLayout {
            name: Some(name.into()),
            tags: vec![("host".into(), 1)],
            values: vec![("time".into(), 0), ("v".into(), 2)],
            ..Default::default()
        },
        batches: stream(vec![batch]),
    };
    let answer = StatementAnswer { series: vec![series("m", rows(0, &[Some("a")])), series("n", rows(5, &[None]))], ..Default::default() };
    check(
        of_series(answer).expect("they fit"),
        RelationFormat::Csv,
        expect![[r#"
        iox::measurement,time,host,v
        m,1970-01-01T00:00:00,a,0.0
        n,1970-01-01T00:00:00.000000005,,0.0
    "#]],
    );
    let failed = StatementAnswer { error: Some("database not found: x".into()), ..Default::default() };
    assert_eq!(of_series(failed).map(|_| ()).map_err(|e| e.message), Err("database not found: x".into()));
    check(of_series(StatementAnswer::default()).expect("nothing"), RelationFormat::Json, expect!["[]"]);
}

#[test]
fn names() {
    assert_eq!(RelationFormat::parse("parquet"), Ok(RelationFormat::Parquet));
    expect![[r#"unknown format "xml"; known are json, jsonl, csv, pretty, arrow, parquet"#]]
        .assert_eq(&RelationFormat::parse("xml").expect_err("none").message);
    assert_eq!(RelationFormat::accepted("text/html, application/vnd.apache.arrow.stream;q=0.9"), Some(RelationFormat::ArrowStream));
    assert_eq!(RelationFormat::accepted("*/*"), None);
}
