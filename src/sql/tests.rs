//! SQL text and what it answers, over a bucket in memory.

use super::*;
use crate::{
    model::{FieldType, MeasurementSchema},
    plan::{WriteRows, memory::MemoryContext},
};
use arrow::{
    array::{DictionaryArray, Float64Array, TimestampNanosecondArray, types::Int32Type},
    util::pretty::pretty_format_batches,
};
use expect_test::{Expect, expect};

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
        | public        | my.db        | Cpu load   | BASE TABLE |
        +---------------+--------------+------------+------------+"#]],
    );
}

#[test]
fn what_writes_is_refused() {
    for text in ["create table t (a int)", "insert into t values (1)", "set x = 1", "copy t to 'f'", "drop table t", "explain drop table t"]
    {
        check(text, vec![], expect!["Invalid: only queries are allowed in SQL: SELECT, WITH, VALUES, SHOW TABLES, SHOW COLUMNS, EXPLAIN"]);
    }
    check("select 1; select 2", vec![], expect!["Invalid: expected one SQL statement"]);
    check("select * from nope", vec![], expect!["NotFound: table 'my.db.nope' not found"]);
}

#[test]
fn nesting_is_bounded() {
    let failure = plan(&format!("select {}1{}", "(".repeat(500), ")".repeat(500)), vec![], &database(), "my.db");
    assert_eq!(failure.map_err(|e| e.kind).map(|_| ()), Err(ErrorKind::Invalid));
}
