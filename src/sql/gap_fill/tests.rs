//! Queries with gaps, over a bucket in memory whose query runs at 1970-01-01T05:00.

use crate::{
    model::{FieldType, MeasurementSchema},
    plan::{Context, WriteRows, memory::MemoryContext},
};
use arrow::{
    array::{DictionaryArray, Float64Array, Int64Array, TimestampNanosecondArray, types::Int32Type},
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches,
};
use expect_test::{Expect, expect};
use std::sync::Arc;

const HOUR: i64 = 3_600_000_000_000;

/// a has values at 0:10, 0:50 and 3:00, b at 1:00.
fn check(text: &str, expected: Expect) {
    let context = MemoryContext::new(5 * HOUR);
    let bucket = context.add_bucket("db");
    let mut schema = MeasurementSchema::new("m");
    schema.add_tag("host");
    schema.fields.insert("n".into(), FieldType::Integer);
    schema.fields.insert("v".into(), FieldType::Float);
    let batch = RecordBatch::try_new(
        schema.arrow_schema(),
        vec![
            Arc::new(TimestampNanosecondArray::from_iter_values([HOUR / 6, HOUR / 6 * 5, 3 * HOUR, HOUR])),
            Arc::new(["a", "a", "a", "b"].into_iter().collect::<DictionaryArray<Int32Type>>()),
            Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(8), None])),
            Arc::new(Float64Array::from(vec![1.0, 3.0, 8.0, 5.0])),
        ],
    )
    .expect("rows");
    context.write(&bucket, vec![WriteRows { measurement: "m".into(), batch }]).expect("stored");
    let answer = crate::sql::plan(text, vec![], &context, "db").and_then(|plan| context.collect(plan));
    let answer = match answer {
        Ok(batches) => pretty_format_batches(&batches).expect("text").to_string(),
        Err(failure) => format!("{:?}: {failure}", failure.kind),
    };
    expected.assert_eq(&answer);
}

#[test]
fn rows_for_every_window_of_every_group() {
    check(
        "SELECT date_bin_gapfill(INTERVAL '1 hour', time) AS t, host, avg(v) AS plain, locf(avg(v)) AS kept, interpolate(avg(v)) AS line, count(n) AS n
         FROM m WHERE time >= '1970-01-01T00:00:00Z' AND time < '1970-01-01T04:00:00Z' GROUP BY t, host ORDER BY host, t",
        expect![[r#"
            +---------------------+------+-------+------+------+---+
            | t                   | host | plain | kept | line | n |
            +---------------------+------+-------+------+------+---+
            | 1970-01-01T00:00:00 | a    | 2.0   | 2.0  | 2.0  | 2 |
            | 1970-01-01T01:00:00 | a    |       | 2.0  | 4.0  |   |
            | 1970-01-01T02:00:00 | a    |       | 2.0  | 6.0  |   |
            | 1970-01-01T03:00:00 | a    | 8.0   | 8.0  | 8.0  | 1 |
            | 1970-01-01T00:00:00 | b    |       |      |      |   |
            | 1970-01-01T01:00:00 | b    | 5.0   | 5.0  | 5.0  | 0 |
            | 1970-01-01T02:00:00 | b    |       | 5.0  |      |   |
            | 1970-01-01T03:00:00 | b    |       | 5.0  |      |   |
            +---------------------+------+-------+------+------+---+"#]],
    );
}

#[test]
fn without_an_upper_bound_the_range_ends_now() {
    check(
        "SELECT date_bin_gapfill(INTERVAL '2 hours', time, TIMESTAMP '1970-01-01T01:00:00') AS t, coalesce(locf(sum(n)), 0) AS s
         FROM m WHERE time > now() - INTERVAL '4 hours' AND host = 'a' GROUP BY 1 ORDER BY 1",
        expect![[r#"
            +---------------------+---+
            | t                   | s |
            +---------------------+---+
            | 1970-01-01T01:00:00 | 0 |
            | 1970-01-01T03:00:00 | 8 |
            | 1970-01-01T05:00:00 | 8 |
            +---------------------+---+"#]],
    );
}

#[test]
fn months_and_bounds_from_outside_of_a_sub_query() {
    check(
        "SELECT date_bin_gapfill(INTERVAL '1 month', at) AS t, max(v) AS v
         FROM (SELECT time AS at, v FROM m) AS s WHERE at BETWEEN '1969-11-15' AND '1970-02-01' GROUP BY 1 HAVING count(*) >= 0 OR count(*) IS NULL ORDER BY 1",
        expect![[r#"
            +---------------------+-----+
            | t                   | v   |
            +---------------------+-----+
            | 1969-11-01T00:00:00 |     |
            | 1969-12-01T00:00:00 |     |
            | 1970-01-01T00:00:00 | 8.0 |
            | 1970-02-01T00:00:00 |     |
            +---------------------+-----+"#]],
    );
}

#[test]
fn what_cannot_be_filled() {
    check(
        "SELECT date_bin_gapfill(INTERVAL '1 hour', time) AS t, avg(v) FROM m GROUP BY t",
        expect![
            "Invalid: date_bin_gapfill needs a range of time to fill: add a lower bound to WHERE, such as time >= now() - INTERVAL '1 hour' AND time < now()"
        ],
    );
    check(
        "SELECT date_bin_gapfill(INTERVAL '1 hour', time) FROM m",
        expect!["Invalid: date_bin_gapfill(interval, time[, origin]) belongs in GROUP BY, once in a query"],
    );
    check(
        "SELECT locf(v) FROM m",
        expect!["Invalid: locf(...) takes an aggregate of a query that groups by date_bin_gapfill: locf(avg(value))"],
    );
    check(
        "SELECT date_bin_gapfill(INTERVAL '1 hour', time) AS t, locf(v + 1) FROM m WHERE time > now() GROUP BY t, v",
        expect!["Invalid: locf(...) takes an aggregate of a query that groups by date_bin_gapfill: locf(avg(value))"],
    );
    check(
        "SELECT date_bin_gapfill(v, time) AS t FROM m WHERE time > now() GROUP BY t",
        expect![
            "Invalid: date_bin_gapfill expects a constant, positive interval of either months or shorter units, such as INTERVAL '1 hour'"
        ],
    );
    check(
        "SELECT date_bin_gapfill(INTERVAL '-1 hour', time) AS t FROM m WHERE time > now() GROUP BY t",
        expect![
            "Invalid: date_bin_gapfill expects a constant, positive interval of either months or shorter units, such as INTERVAL '1 hour'"
        ],
    );
    check(
        "SELECT date_bin_gapfill(INTERVAL '1 hour', v) AS t FROM m GROUP BY t",
        expect!["Invalid: date_bin_gapfill(interval, time[, origin]) belongs in GROUP BY, once in a query"],
    );
}
