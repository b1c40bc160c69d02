//! SQL text and what it answers, over a bucket in memory.

use super::*;
use crate::{
    model::{ErrorKind, FieldType, MeasurementSchema},
    plan::{WriteRows, memory::MemoryContext},
};
use arrow::{
    array::{DictionaryArray, Float64Array, TimestampNanosecondArray, types::Int32Type},
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches,
};
use expect_test::{Expect, expect};
use std::sync::Arc;

fn database() -> MemoryContext {
    let context = MemoryContext::new(3_600_000_000_000);
    let bucket = context.add_bucket("my.db");
    let mut schema = MeasurementSchema::new("Cpu load");
    schema.add_tag("host");
    schema.fields.insert("Usage".into(), FieldType::Float);
    let minute = 60_000_000_000;
    let batch = RecordBatch::try_new(
        schema.arrow_schema(),
        vec![
            Arc::new(TimestampNanosecondArray::from_iter_values([0, 30 * minute, 70 * minute])),
            Arc::new(["a", "a", "b"].into_iter().collect::<DictionaryArray<Int32Type>>()),
            Arc::new(Float64Array::from(vec![1.0, 3.0, 5.0])),
        ],
    )
    .expect("rows");
    context.write(&bucket, vec![WriteRows { measurement: "Cpu load".into(), batch }]).expect("stored");
    context
}

fn check(text: &str, params: Vec<(String, ScalarValue)>, expected: Expect) {
    let context = database();
    let answer = plan(text, params, &context, "my.db").and_then(|plan| context.collect(plan));
    let answer = match answer {
        Ok(batches) => pretty_format_batches(&batches).expect("text").to_string(),
        Err(failure) => format!("{:?}: {failure}", failure.kind),
    };
    expected.assert_eq(&answer);
}

#[test]
fn names_keep_their_case_and_buckets_are_schemas() {
    check(
        r#"SELECT host, AVG("Usage") AS m FROM "my.db"."Cpu load" GROUP BY host ORDER BY host"#,
        vec![],
        expect![[r#"
        +------+-----+
        | host | m   |
        +------+-----+
        | a    | 2.0 |
        | b    | 5.0 |
        +------+-----+"#]],
    );
}

#[test]
fn parameters() {
    let host = vec![("h".to_string(), ScalarValue::from("b"))];
    check(
        r#"select "Usage" from "Cpu load" where host = $h"#,
        host,
        expect![[r#"
        +-------+
        | Usage |
        +-------+
        | 5.0   |
        +-------+"#]],
    );
}

#[test]
fn schema_tables() {
    check(
        "select column_name, data_type from information_schema.columns",
        vec![],
        expect![[r#"
        +-------------+-------------------------+
        | column_name | data_type               |
        +-------------+-------------------------+
        | time        | Timestamp(ns)           |
        | host        | Dictionary(Int32, Utf8) |
        | Usage       | Float64                 |
        +-------------+-------------------------+"#]],
    );
    check(
        "SHOW TABLES",
        vec![],
        expect![[r#"
            +---------------+--------------+------------+------------+
            | table_catalog | table_schema | table_name | table_type |
            +---------------+--------------+------------+------------+
            | public        | iox          | Cpu load   | BASE TABLE |
            +---------------+--------------+------------+------------+"#]],
    );
}

#[test]
fn what_writes_is_refused() {
    for text in ["create table t (a int)", "insert into t values (1)", "set x = 1", "copy t to 'f'", "drop table t", "explain drop table t"]
    {
        let failure = plan(text, vec![], &database(), "my.db").expect_err("it writes");
        assert!(failure.kind == ErrorKind::Invalid && failure.message.contains("SQL only reads here"), "{failure}");
    }
    check(
        "insert into t values (1)",
        vec![],
        expect![
            "Invalid: INSERT is not possible: SQL only reads here (SELECT, WITH, VALUES, SHOW TABLES, SHOW COLUMNS, DESCRIBE, EXPLAIN); write with line protocol, delete with /api/v2/delete or InfluxQL"
        ],
    );
    check(r#"select * into t from "Cpu load""#, vec![], expect!["Invalid: Error during planning: DDL not supported: CreateMemoryTable"]);
    check("select 1; select 2", vec![], expect!["Invalid: expected one SQL statement"]);
    check("select * from nope", vec![], expect!["NotFound: table 'my.db.nope' not found"]);
}

#[test]
fn columns_of_a_table() {
    check(
        r#"SHOW COLUMNS FROM "Cpu load""#,
        vec![],
        expect![[r#"
        +---------------+--------------+------------+-------------+-------------------------+-------------+
        | table_catalog | table_schema | table_name | column_name | data_type               | is_nullable |
        +---------------+--------------+------------+-------------+-------------------------+-------------+
        | public        | iox          | Cpu load   | time        | Timestamp(ns)           | NO          |
        | public        | iox          | Cpu load   | host        | Dictionary(Int32, Utf8) | YES         |
        | public        | iox          | Cpu load   | Usage       | Float64                 | YES         |
        +---------------+--------------+------------+-------------+-------------------------+-------------+"#]],
    );
    check(
        r#"DESCRIBE public.iox."Cpu load""#,
        vec![],
        expect![[r#"
        +---------------+--------------+------------+-------------+-------------------------+-------------+
        | table_catalog | table_schema | table_name | column_name | data_type               | is_nullable |
        +---------------+--------------+------------+-------------+-------------------------+-------------+
        | public        | iox          | Cpu load   | time        | Timestamp(ns)           | NO          |
        | public        | iox          | Cpu load   | host        | Dictionary(Int32, Utf8) | YES         |
        | public        | iox          | Cpu load   | Usage       | Float64                 | YES         |
        +---------------+--------------+------------+-------------+-------------------------+-------------+"#]],
    );
    check(
        "SELECT * FROM information_schema.schemata",
        vec![],
        expect![[r#"
        +--------------+--------------------+
        | catalog_name | schema_name        |
        +--------------+--------------------+
        | public       | iox                |
        | public       | information_schema |
        +--------------+--------------------+"#]],
    );
    check(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'iox'",
        vec![],
        expect![[r#"
        +------------+
        | table_name |
        +------------+
        | Cpu load   |
        +------------+"#]],
    );
}

#[test]
fn a_policy_may_stand_in_the_name() {
    for table in [r#""my.db"."Cpu load""#, r#"iox."Cpu load""#, r#"public."my.db"."Cpu load""#] {
        let plan = plan(&format!("SELECT * FROM {table}"), vec![], &database(), "my.db").expect("the same table");
        assert_eq!(database().collect(plan).expect("runs").iter().map(RecordBatch::num_rows).sum::<usize>(), 3);
    }
    check(r#"SELECT 1 FROM "other.autogen".m"#, vec![], expect!["NotFound: database not found: other.autogen"]);
}

#[test]
fn explained() {
    check(
        r#"EXPLAIN SELECT host FROM "Cpu load" WHERE time > now() - INTERVAL '1 hour' AND host = $h"#,
        vec![("h".into(), ScalarValue::from("a"))],
        expect![[r#"
        +---------------+---------------------------------------------------------------------------------------------------------+
        | plan_type     | plan                                                                                                    |
        +---------------+---------------------------------------------------------------------------------------------------------+
        | logical_plan  | Projection: Cpu load.host                                                                               |
        |               |   Filter: Cpu load.time > TimestampNanosecond(0, None) AND Cpu load.host = Dictionary(Int32, Utf8("a")) |
        |               |     TableScan: Cpu load projection=[time, host]                                                         |
        | physical_plan | FilterExec: time@0 > 0 AND host@1 = a, projection=[host@1]                                              |
        |               |   DataSourceExec: partitions=1, partition_sizes=[1]                                                     |
        |               |                                                                                                         |
        +---------------+---------------------------------------------------------------------------------------------------------+"#]],
    );
    let failure = plan(r#"SELECT 1 FROM "Cpu load" WHERE host = $h"#, vec![], &database(), "my.db").expect_err("no value");
    assert_eq!(failure.message, "the value of $h is missing: give it in the request's params");
    let analysed = plan(r#"EXPLAIN ANALYZE SELECT host FROM "Cpu load" WHERE "Usage" > 2"#, vec![], &database(), "my.db").expect("plans");
    let text = pretty_format_batches(&database().collect(analysed).expect("runs")).expect("text").to_string();
    assert!(text.contains("FilterExec") && text.contains("output_rows=2"), "{text}");
}

#[test]
fn values_of_json_parameters() {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let value = |text: &str| parameter("p", &json(text)).map_err(|f| f.message);
    assert_eq!(value("1"), Ok(ScalarValue::Int64(Some(1))));
    assert_eq!(value("1.0"), Ok(ScalarValue::Float64(Some(1.0))));
    assert_eq!(value("18446744073709551615"), Ok(ScalarValue::UInt64(Some(u64::MAX))));
    assert_eq!(value("[1]"), Err("the value of $p must be a string, a number, a boolean or null".to_string()));
}

#[test]
fn nesting_is_bounded() {
    let failure = plan(&format!("select {}1{}", "(".repeat(500), ")".repeat(500)), vec![], &database(), "my.db");
    assert_eq!(failure.map_err(|e| e.kind).map(|_| ()), Err(ErrorKind::Invalid));
}
