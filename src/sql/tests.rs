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
    for text in [
        "create table t (a int)",
        "insert into t values (1)",
        "set x = 1",
        "copy t to 'f'",
        "drop table t",
        "explain drop table t",
        "explain delete from t",
    ] {
        let failure = plan(text, vec![], &database(), "my.db").expect_err("it writes");
        assert!(failure.kind == ErrorKind::Invalid && failure.message.contains("SQL only reads and deletes here"), "{failure}");
    }
    check(
        "insert into t values (1)",
        vec![],
        expect![
            "Invalid: INSERT is not possible: SQL only reads and deletes here (SELECT, WITH, VALUES, SHOW TABLES, SHOW COLUMNS, DESCRIBE, EXPLAIN, DELETE); write with line protocol"
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

/// What a DELETE says of time and tags, what is left to be asked of rows, and how many rows it is; or why it is refused.
#[test]
fn rows_are_deleted() {
    let cases = [
        (r#"DELETE FROM "Cpu load""#, "3"),
        (r#"DELETE FROM "my.db"."Cpu load" WHERE host = 'a'"#, "2"),
        (r#"DELETE FROM "Cpu load" WHERE host != 'a'"#, "1"),
        (r#"DELETE FROM "Cpu load" WHERE host IN ('a', 'b', 'c') AND time < '1970-01-01T00:30:00Z'"#, "1"),
        (r#"DELETE FROM "Cpu load" WHERE time >= now() - interval '30 minutes'"#, "2"),
        (r#"DELETE FROM "Cpu load" WHERE time BETWEEN '1970-01-01T00:00:00Z' AND '1970-01-01T00:30:00Z'"#, "2"),
        (r#"DELETE FROM "Cpu load" WHERE "Usage" > 2 AND host = 'a'"#, "1"),
        (r#"DELETE FROM "Cpu load" WHERE "Usage" = 1 OR host LIKE 'b%'"#, "2"),
        (r#"DELETE FROM "Cpu load" WHERE "Usage" IS NULL"#, "0"),
        (r#"DELETE FROM "Cpu load" WHERE host IS NULL"#, "0"),
        (r#"DELETE FROM "Cpu load" WHERE 1 = 2"#, "0"),
        (r#"DELETE FROM "Cpu load" WHERE "Usage" > $least"#, "1"),
        (r#"DELETE FROM nope"#, "NotFound: table 'my.db.nope' not found"),
        (r#"DELETE FROM "Cpu load" WHERE nope = 1"#, "Invalid"),
        (r#"DELETE FROM "Cpu load" WHERE "Usage""#, "Invalid"),
        (r#"DELETE FROM "Cpu load" WHERE random() < 2"#, "Invalid: "),
        (r#"DELETE FROM "Cpu load" LIMIT 1"#, "Invalid: DELETE takes one table"),
        (r#"DELETE FROM "Cpu load" WHERE "Usage" > (SELECT 1)"#, "Invalid: DELETE takes one table"),
        (r#"DELETE FROM "Cpu load" whre"#, "Invalid: DELETE takes the plain name of one table, not `\"Cpu load\" whre`"),
        (r#"DELETE FROM "Cpu load" AS c"#, "Invalid: DELETE takes the plain name"),
        (r#"DELETE FROM "Cpu load" c WHERE c.host = 'a'"#, "Invalid: DELETE takes the plain name"),
        (r#"DELETE FROM "Cpu load" TABLESAMPLE BERNOULLI (1)"#, "Invalid: DELETE takes the plain name"),
        (r#"DELETE FROM "Cpu load" PARTITION (p)"#, "Invalid: DELETE takes the plain name"),
        (r#"DELETE FROM "Cpu load" WITH (x = 1)"#, "Invalid: DELETE takes the plain name"),
        (r#"DELETE FROM "Cpu load" ()"#, "Invalid: "),
        (r#"DELETE FROM "Cpu load", nope"#, "Invalid: "),
        (r#"DELETE FROM "Cpu load" CROSS JOIN "Cpu load""#, "Invalid: "),
        (r#"DELETE "Cpu load" WHERE host = 'a'"#, "2"),
        (r#"DELETE FROM "Cpu load" USING t"#, "Invalid: "),
        (r#"DELETE FROM "Cpu load" RETURNING *"#, "Invalid: "),
        (r#"DELETE FROM "Cpu load" WHERE "Usage" > $other"#, "Invalid: the value of $other is missing"),
    ];
    let count = |context: &MemoryContext, text: &str| -> Result<String> {
        let params = vec![("least".to_string(), ScalarValue::from(3.5))];
        let batches = context.collect(plan(text, params, context, "my.db")?)?;
        Ok(arrow::util::display::array_value_to_string(batches[0].column(0), 0)?)
    };
    for (text, expected) in cases {
        let context = database();
        let answer = count(&context, text).unwrap_or_else(|failure| format!("{:?}: {failure}", failure.kind));
        assert!(answer.starts_with(expected), "{text}: {answer}");
        let gone: i64 = expected.parse().unwrap_or(0);
        let left = count(&context, r#"SELECT count(*) FROM "Cpu load""#).expect("a count");
        assert_eq!(left, (3 - gone).to_string(), "{text}");
    }
}

/// Time and single tags name stretches of series; only what else there is is asked of rows.
#[test]
fn what_of_a_delete_is_asked_of_rows() {
    let context = database();
    let schema = context.table(context.bucket(crate::plan::BucketRef::NameOrId("my.db")).expect("there").id, "Cpu load");
    let schema = schema.expect("a table").expect("a table").schema;
    let shown = |condition: &str| {
        let tables = Tables { context: &context, database: "my.db" };
        let text = format!(r#"SELECT * FROM "Cpu load" WHERE {condition}"#);
        let statement =
            DFParserBuilder::new(text.as_str()).build().expect("a parser").parse_statements().expect("statements").remove(0).expect("one");
        let plan = shapes::plan(statement, text.len(), &tables).expect("a plan");
        let plan = context.session().optimize(&plan).expect("optimized");
        let Some(conditions) = delete::conditions(&plan).expect("conditions") else { return "nothing".to_string() };
        let one = |rows: crate::plan::DeleteRows| {
            let tags = rows.spec.tags.iter().map(|t| format!("{}{}{:?} ", t.tag, if t.equal { "=" } else { "!=" }, t.value));
            let range = match (rows.spec.range.start, rows.spec.range.stop) {
                (i64::MIN, i64::MAX) => String::new(),
                (start, stop) => format!("{start}..{stop} "),
            };
            let parts = rows.parts.iter().filter_map(|p| p.condition.as_ref()).map(|c| format!("where {c}"));
            format!("[{}]", (range + &tags.chain(parts).collect::<String>()).trim())
        };
        delete::rows(&conditions, &TableReference::bare("Cpu load"), &schema).into_iter().map(one).collect()
    };
    let cases = [
        ("host = 'a' AND time >= '1970-01-01T00:00:01Z'", r#"[1000000000..9223372036854775807 host="a"]"#),
        ("'a' != host", r#"[host!="a" host!=""]"#),
        ("host IS NOT NULL", r#"[host!=""]"#),
        ("host IS NULL", r#"[host=""]"#),
        ("host = ''", r#"[where Cpu load.host = Dictionary(Int32, Utf8(""))]"#),
        ("host IN ('b', 'a', 'b')", r#"[host="a"][host="b"]"#),
        ("host = 'a' OR host = 'b' OR host = 'c' OR host = 'd' OR host = 'e'", r#"[host="a"][host="b"][host="c"][host="d"][host="e"]"#),
        ("time < '1970-01-01' AND time > '1971-01-01'", "[31536000000000001..0]"),
        ("host = 'a' AND 1 = 2", "nothing"),
        (
            r#"host IN ('a', 'b') AND "Usage" > 2"#,
            r#"[where Cpu load.Usage > Float64(2) AND (Cpu load.host = Dictionary(Int32, Utf8("a")) OR Cpu load.host = Dictionary(Int32, Utf8("b")))]"#,
        ),
    ];
    for (condition, expected) in cases {
        assert_eq!(shown(condition), expected, "{condition}");
    }
}

/// The newest row of each group by its number, as a reduction, and beside another condition as a window over all rows.
#[test]
fn the_first_by_row_number_is_the_newest() {
    let numbered = |columns: &str, over: &str, from: &str, condition: &str| {
        format!(r#"SELECT * FROM (SELECT {columns}, row_number() OVER ({over}) AS n FROM {from}) x WHERE {condition} ORDER BY 1, 2"#)
    };
    let by_host = "PARTITION BY host ORDER BY time DESC";
    let cases = [
        ("*", by_host, r#""Cpu load""#, "n = 1", true),
        ("*", by_host, r#""Cpu load""#, "x.n <= 1", true),
        (r#"time t, host h, "Usage" * 2 AS u"#, by_host, r#""Cpu load" c WHERE c."Usage" < 3"#, "n < 2", true),
        ("*", "ORDER BY time DESC", r#""Cpu load""#, "n = 1", true),
        ("*", by_host, "(SELECT host, time FROM \"Cpu load\")", "n = 1", true),
        ("*", "PARTITION BY host ORDER BY time", r#""Cpu load""#, "n = 1", false),
        ("*", r#"PARTITION BY "Usage" ORDER BY time DESC"#, r#""Cpu load""#, "n = 1", false),
        ("*", r#"PARTITION BY host ORDER BY "Usage" DESC"#, r#""Cpu load""#, "n = 1", false),
        ("*", by_host, r#""Cpu load""#, "n = 2", false),
        ("time, host", "PARTITION BY host ORDER BY time DESC", "(SELECT time, coalesce(host, '') host FROM \"Cpu load\")", "n = 1", false),
    ];
    for (columns, over, from, condition, is_reduced) in cases {
        let context = database();
        let run = |condition: &str| {
            let plan = plan(&numbered(columns, over, from, condition), vec![], &context, "my.db").expect("plans");
            let shown = plan.display_indent().to_string();
            let rows = context.collect(plan).expect("rows");
            (shown, pretty_format_batches(&rows).expect("text").to_string())
        };
        let ((shown, rows), (long, expected)) = (run(condition), run(&format!("{condition} AND length(CAST(x.n AS VARCHAR)) < 9")));
        assert_eq!(rows, expected, "{condition} of {columns} over {over} from {from}");
        assert!(shown.contains("Reduce") == is_reduced && !long.contains("Reduce"), "{condition} over {over} from {from}:\n{shown}");
    }
}
