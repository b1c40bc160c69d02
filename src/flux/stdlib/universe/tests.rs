//! Table functions called as the interpreter calls them, over tables in memory.

use super::*;
use crate::{
    flux::{
        ast::Span,
        eval::{Interpreter, Value},
        stdlib::Call,
    },
    model::{FieldType, MeasurementSchema, duration::SECOND},
    plan::{Context, Frame, TableStream, WriteRows, memory::MemoryContext},
};
use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampNanosecondArray},
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches,
};
use expect_test::{Expect, expect};
use std::sync::Arc;

/// A bucket `b` with measurement `cpu`: tag `host`, fields `idle` (float) and `n` (int, missing for host a).
fn context() -> MemoryContext {
    let context = MemoryContext::new(100 * SECOND);
    let bucket = context.add_bucket("b");
    let mut schema = MeasurementSchema::new("cpu");
    schema.add_tag("host");
    schema.fields.insert("idle".into(), FieldType::Float);
    schema.fields.insert("n".into(), FieldType::Integer);
    let layout = schema.arrow_schema();
    let seconds = [1, 2, 3, 1, 2, 9];
    let host: ArrayRef = Arc::new(StringArray::from(vec!["b", "b", "b", "a", "a", "a"]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampNanosecondArray::from_iter_values(seconds.map(|s| s * SECOND))),
        arrow::compute::cast(&host, layout.field(1).data_type()).expect("tags are strings"),
        Arc::new(Float64Array::from(vec![Some(1.0), None, Some(3.0), Some(10.0), Some(20.0), Some(30.0)])),
        Arc::new(Int64Array::from(vec![Some(5), Some(6), Some(7), None, None, None])),
    ];
    let batch = RecordBatch::try_new(layout, columns).expect("valid");
    let rows = vec![WriteRows { measurement: "cpu".to_string(), batch }];
    context.write(&bucket, rows).expect("stored");
    context
}

fn call(context: &MemoryContext, name: &str, arguments: Vec<(&str, Value)>) -> crate::flux::diagnostic::FluxResult<Value> {
    let function = functions().into_iter().find(|f| f.name == name).expect("registered");
    let interpreter = Interpreter::in_session(context, Default::default());
    let arguments = arguments.into_iter().map(|(n, v)| (Arc::from(n), v)).collect();
    (function.call)(&mut Call { function, interpreter: &interpreter, arguments, span: Span::default() })
}

fn print(context: &MemoryContext, value: &Value) -> String {
    let Value::Stream(stream) = value else { panic!("not a stream") };
    let mut text = String::new();
    for frame in &stream.to_long().expect("long").frames {
        let batches = match context.collect(frame.without_empty_tables().expect("plan").plan) {
            Ok(batches) => batches,
            Err(e) => return format!("error: {e}\n"),
        };
        if batches.iter().any(|b| b.num_rows() > 0) {
            text += &format!("key {:?}\n{}\n", frame.key, pretty_format_batches(&batches).expect("prints"));
        }
    }
    text
}

fn check(context: &MemoryContext, steps: Vec<(&str, Vec<(&str, Value)>)>, expected: Expect) {
    expected.assert_eq(&answer(context, steps));
}

/// The tables that the steps make of the bucket, printed.
fn answer(context: &MemoryContext, steps: Vec<(&str, Vec<(&str, Value)>)>) -> String {
    let mut value = call(context, "from", vec![("bucket", Value::string("b"))]).expect("from");
    let range = vec![("tables", value), ("start", Value::Time(0)), ("stop", Value::Time(9 * SECOND))];
    value = call(context, "range", range).expect("range");
    let shown = ("drop", vec![("columns", strings(&["_start", "_stop", "_measurement"]))]);
    for (name, mut arguments) in steps.into_iter().chain([shown]) {
        arguments.push(("tables", value));
        value = match call(context, name, arguments) {
            Ok(value) => value,
            Err(e) => return format!("error: {e}\n"),
        };
    }
    print(context, &value)
}

fn strings(items: &[&str]) -> Value {
    Value::Array(Arc::new(items.iter().map(|s| Value::string(*s)).collect()))
}

#[test]
fn stored_rows_become_one_table_per_series_and_field() {
    check(
        &context(),
        vec![],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:01 | 10.0   | idle   | a    |
            | 1970-01-01T00:00:02 | 20.0   | idle   | a    |
            | 1970-01-01T00:00:01 | 1.0    | idle   | b    |
            | 1970-01-01T00:00:03 | 3.0    | idle   | b    |
            +---------------------+--------+--------+------+
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:01 | 5      | n      | b    |
            | 1970-01-01T00:00:02 | 6      | n      | b    |
            | 1970-01-01T00:00:03 | 7      | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
}

#[test]
fn aggregates_run_on_all_fields_at_once() {
    check(
        &context(),
        vec![("mean", vec![])],
        expect![[r#"
            key ["host", "_field"]
            +--------+--------+------+
            | _value | _field | host |
            +--------+--------+------+
            | 15.0   | idle   | a    |
            | 2.0    | idle   | b    |
            | 6.0    | n      | b    |
            +--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("count", vec![])],
        expect![[r#"
            key ["host", "_field"]
            +--------+--------+------+
            | _value | _field | host |
            +--------+--------+------+
            | 2      | idle   | a    |
            | 2      | idle   | b    |
            | 3      | n      | b    |
            +--------+--------+------+
        "#]],
    );
}

#[test]
fn selectors_keep_the_row() {
    check(
        &context(),
        vec![("max", vec![])],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:02 | 20.0   | idle   | a    |
            | 1970-01-01T00:00:03 | 3.0    | idle   | b    |
            +---------------------+--------+--------+------+
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:03 | 7      | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("last", vec![])],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:02 | 20.0   | idle   | a    |
            | 1970-01-01T00:00:03 | 3.0    | idle   | b    |
            +---------------------+--------+--------+------+
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:03 | 7      | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
}

#[test]
fn tables_of_two_types_collide_only_on_one_key() {
    check(
        &context(),
        vec![("group", vec![])],
        expect![[r#"
        error: schema collision detected: column "_value" is both of type float and int
    "#]],
    );
    check(
        &context(),
        vec![("group", vec![("columns", strings(&["_field"]))]), ("sort", vec![("desc", Value::Bool(true))])],
        expect![[r#"
            key ["_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:02 | 20.0   | idle   | a    |
            | 1970-01-01T00:00:01 | 10.0   | idle   | a    |
            | 1970-01-01T00:00:03 | 3.0    | idle   | b    |
            | 1970-01-01T00:00:01 | 1.0    | idle   | b    |
            +---------------------+--------+--------+------+
            key ["_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:03 | 7      | n      | b    |
            | 1970-01-01T00:00:02 | 6      | n      | b    |
            | 1970-01-01T00:00:01 | 5      | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
}

#[test]
fn limit_and_tail() {
    check(
        &context(),
        vec![("limit", vec![("n", Value::Int(1)), ("offset", Value::Int(1))])],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:02 | 20.0   | idle   | a    |
            | 1970-01-01T00:00:03 | 3.0    | idle   | b    |
            +---------------------+--------+--------+------+
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:02 | 6      | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("tail", vec![("n", Value::Int(1))])],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:02 | 20.0   | idle   | a    |
            | 1970-01-01T00:00:03 | 3.0    | idle   | b    |
            +---------------------+--------+--------+------+
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:03 | 7      | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("limit", vec![("n", Value::Int(0))]), ("count", vec![])],
        expect![[r#"
        key ["host", "_field"]
        +------+--------+--------+
        | host | _field | _value |
        +------+--------+--------+
        | a    | idle   | 0      |
        | b    | idle   | 0      |
        | b    | n      | 0      |
        +------+--------+--------+
    "#]],
    );
}

#[test]
fn a_missing_column_is_an_error_where_there_is_a_table() {
    check(
        &context(),
        vec![("sum", vec![("column", Value::string("x"))])],
        expect![[r#"
        error: sum: column "x" does not exist
    "#]],
    );
}

#[test]
fn union_concatenates_equal_keys_in_order_of_arguments() {
    let context = context();
    let frame = |values: Vec<i64>| {
        let k: ArrayRef = Arc::new(StringArray::from(vec!["k"; values.len()]));
        let v: ArrayRef = Arc::new(Int64Array::from(values));
        let frame = Frame::of(RecordBatch::try_from_iter([("k", k), ("v", v)]).expect("valid"), vec!["k".to_string()]).expect("frame");
        Value::Stream(Arc::new(TableStream::new(vec![frame], None)))
    };
    let both = Value::Array(Arc::new(vec![frame(vec![3, 1]), frame(vec![2])]));
    let value = call(&context, "union", vec![("tables", both)]).expect("union");
    expect![[r#"
        key ["k"]
        +---+---+
        | k | v |
        +---+---+
        | k | 3 |
        | k | 1 |
        | k | 2 |
        +---+---+
    "#]]
    .assert_eq(&print(&context, &value));
}

#[test]
fn row_wise_functions_run_within_each_table() {
    check(
        &context(),
        vec![("derivative", vec![])],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:02 | 10.0   | idle   | a    |
            | 1970-01-01T00:00:03 | 1.0    | idle   | b    |
            | 1970-01-01T00:00:02 | 1.0    | n      | b    |
            | 1970-01-01T00:00:03 | 1.0    | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("difference", vec![("keepFirst", Value::Bool(true))])],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:01 |        | idle   | a    |
            | 1970-01-01T00:00:02 | 10.0   | idle   | a    |
            | 1970-01-01T00:00:01 |        | idle   | b    |
            | 1970-01-01T00:00:03 | 2.0    | idle   | b    |
            +---------------------+--------+--------+------+
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:01 |        | n      | b    |
            | 1970-01-01T00:00:02 | 1      | n      | b    |
            | 1970-01-01T00:00:03 | 1      | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("cumulativeSum", vec![])],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:01 | 10.0   | idle   | a    |
            | 1970-01-01T00:00:02 | 30.0   | idle   | a    |
            | 1970-01-01T00:00:01 | 1.0    | idle   | b    |
            | 1970-01-01T00:00:03 | 4.0    | idle   | b    |
            +---------------------+--------+--------+------+
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:01 | 5      | n      | b    |
            | 1970-01-01T00:00:02 | 11     | n      | b    |
            | 1970-01-01T00:00:03 | 18     | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("movingAverage", vec![("n", Value::Int(3))])],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:02 | 15.0   | idle   | a    |
            | 1970-01-01T00:00:03 | 2.0    | idle   | b    |
            | 1970-01-01T00:00:03 | 6.0    | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("elapsed", vec![])],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+---------+
            | _time               | _value | _field | host | elapsed |
            +---------------------+--------+--------+------+---------+
            | 1970-01-01T00:00:02 | 20.0   | idle   | a    | 1       |
            | 1970-01-01T00:00:03 | 3.0    | idle   | b    | 2       |
            +---------------------+--------+--------+------+---------+
            key ["host", "_field"]
            +---------------------+--------+--------+------+---------+
            | _time               | _value | _field | host | elapsed |
            +---------------------+--------+--------+------+---------+
            | 1970-01-01T00:00:02 | 6      | n      | b    | 1       |
            | 1970-01-01T00:00:03 | 7      | n      | b    | 1       |
            +---------------------+--------+--------+------+---------+
        "#]],
    );
    check(
        &context(),
        vec![("fill", vec![("value", Value::Float(0.0))])],
        expect![[r#"
        error: fill: fill column type mismatch: int/float
    "#]],
    );
}

fn builtin(name: &str) -> Value {
    let function = functions().into_iter().find(|f| f.name == name).expect("registered");
    Value::Function(Arc::new(crate::flux::eval::FunctionValue::Builtin(function)))
}

#[test]
fn aggregate_window_fills_windows_of_tables_that_exist() {
    let every = |seconds: i64| Value::Duration(crate::model::Duration::from_nanoseconds(seconds * SECOND));
    let step = |name: &str, empty: bool| vec![("every", every(4)), ("fn", builtin(name)), ("createEmpty", Value::Bool(empty))];
    check(
        &context(),
        vec![("aggregateWindow", step("sum", true))],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:04 | 30.0   | idle   | a    |
            | 1970-01-01T00:00:08 |        | idle   | a    |
            | 1970-01-01T00:00:09 |        | idle   | a    |
            | 1970-01-01T00:00:04 | 4.0    | idle   | b    |
            | 1970-01-01T00:00:08 |        | idle   | b    |
            | 1970-01-01T00:00:09 |        | idle   | b    |
            +---------------------+--------+--------+------+
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:04 | 18     | n      | b    |
            | 1970-01-01T00:00:08 |        | n      | b    |
            | 1970-01-01T00:00:09 |        | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("aggregateWindow", step("count", true))],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:04 | 2      | idle   | a    |
            | 1970-01-01T00:00:08 | 0      | idle   | a    |
            | 1970-01-01T00:00:09 | 0      | idle   | a    |
            | 1970-01-01T00:00:04 | 2      | idle   | b    |
            | 1970-01-01T00:00:08 | 0      | idle   | b    |
            | 1970-01-01T00:00:09 | 0      | idle   | b    |
            | 1970-01-01T00:00:04 | 3      | n      | b    |
            | 1970-01-01T00:00:08 | 0      | n      | b    |
            | 1970-01-01T00:00:09 | 0      | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("aggregateWindow", step("mean", false))],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:04 | 15.0   | idle   | a    |
            | 1970-01-01T00:00:04 | 2.0    | idle   | b    |
            | 1970-01-01T00:00:04 | 6.0    | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
}

/// Host `a` has no `n`, so its windows of `n` are no rows of anybody's, whichever way tables are brought together.
#[test]
fn windows_of_a_missing_table_do_not_come_back_with_another_key() {
    let windows = |empty: bool| {
        let every = Value::Duration(crate::model::Duration::from_nanoseconds(8 * SECOND));
        ("aggregateWindow", vec![("every", every), ("fn", builtin("mean")), ("createEmpty", Value::Bool(empty))])
    };
    let group = || ("group", vec![("columns", strings(&["_field"]))]);
    let keep = || ("keep", vec![("columns", strings(&["_time", "_value", "_field"]))]);
    let host = || ("drop", vec![("columns", strings(&["host"]))]);
    check(
        &context(),
        vec![windows(true), group(), host()],
        expect![[r#"
        key ["_field"]
        +---------------------+--------+--------+
        | _time               | _value | _field |
        +---------------------+--------+--------+
        | 1970-01-01T00:00:08 | 15.0   | idle   |
        | 1970-01-01T00:00:09 |        | idle   |
        | 1970-01-01T00:00:08 | 2.0    | idle   |
        | 1970-01-01T00:00:09 |        | idle   |
        | 1970-01-01T00:00:08 | 6.0    | n      |
        | 1970-01-01T00:00:09 |        | n      |
        +---------------------+--------+--------+
    "#]],
    );
    assert_eq!(answer(&context(), vec![windows(true), keep()]), answer(&context(), vec![windows(true), group(), host()]));
    check(
        &context(),
        vec![windows(false), group(), host()],
        expect![[r#"
        key ["_field"]
        +---------------------+--------+--------+
        | _time               | _value | _field |
        +---------------------+--------+--------+
        | 1970-01-01T00:00:08 | 15.0   | idle   |
        | 1970-01-01T00:00:08 | 2.0    | idle   |
        | 1970-01-01T00:00:08 | 6.0    | n      |
        +---------------------+--------+--------+
    "#]],
    );
    assert_eq!(answer(&context(), vec![windows(false), keep()]), answer(&context(), vec![windows(false), group(), host()]));
    // Without its time a row is still one row of each field that has a value.
    check(
        &context(),
        vec![windows(false), ("drop", vec![("columns", strings(&["_time"]))])],
        expect![[r#"
        key ["host", "_field"]
        +--------+--------+------+
        | _value | _field | host |
        +--------+--------+------+
        | 15.0   | idle   | a    |
        | 2.0    | idle   | b    |
        | 6.0    | n      | b    |
        +--------+--------+------+
    "#]],
    );
}

#[test]
fn windows_are_clipped_and_empty_ones_are_tables() {
    let every = Value::Duration(crate::model::Duration::from_nanoseconds(4 * SECOND));
    let window = ("window", vec![("every", every), ("createEmpty", Value::Bool(true))]);
    let keep = ("drop", vec![("columns", strings(&["_measurement", "_time"]))]);
    let stop = ("duplicate", vec![("column", Value::string("_stop")), ("as", Value::string("end"))]);
    check(
        &context(),
        vec![window, ("count", vec![]), keep, stop],
        expect![[r#"
        key ["host", "_field"]
        +------+--------+--------+---------------------+
        | host | _field | _value | end                 |
        +------+--------+--------+---------------------+
        | a    | idle   | 2      | 1970-01-01T00:00:04 |
        | a    | idle   | 0      | 1970-01-01T00:00:08 |
        | a    | idle   | 0      | 1970-01-01T00:00:09 |
        | b    | idle   | 2      | 1970-01-01T00:00:04 |
        | b    | idle   | 0      | 1970-01-01T00:00:08 |
        | b    | idle   | 0      | 1970-01-01T00:00:09 |
        | b    | n      | 3      | 1970-01-01T00:00:04 |
        | b    | n      | 0      | 1970-01-01T00:00:08 |
        | b    | n      | 0      | 1970-01-01T00:00:09 |
        +------+--------+--------+---------------------+
    "#]],
    );
}

#[test]
fn quantiles_by_each_method() {
    let quantile = |method: &str| vec![("q", Value::Float(0.5)), ("method", Value::string(method))];
    check(
        &context(),
        vec![("quantile", quantile("estimate_tdigest"))],
        expect![[r#"
        key ["host", "_field"]
        +------+--------+--------+
        | host | _field | _value |
        +------+--------+--------+
        | a    | idle   | 15.0   |
        | b    | idle   | 2.0    |
        | b    | n      | 6.0    |
        +------+--------+--------+
    "#]],
    );
    check(
        &context(),
        vec![("quantile", quantile("interpolated"))],
        expect![[r#"
        key ["host", "_field"]
        +------+--------+--------+
        | host | _field | _value |
        +------+--------+--------+
        | a    | idle   | 15.0   |
        | b    | idle   | 2.0    |
        | b    | n      | 6.0    |
        +------+--------+--------+
    "#]],
    );
    check(
        &context(),
        vec![("quantile", quantile("exact_selector"))],
        expect![[r#"
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:01 | 10.0   | idle   | a    |
            | 1970-01-01T00:00:01 | 1.0    | idle   | b    |
            +---------------------+--------+--------+------+
            key ["host", "_field"]
            +---------------------+--------+--------+------+
            | _time               | _value | _field | host |
            +---------------------+--------+--------+------+
            | 1970-01-01T00:00:02 | 6      | n      | b    |
            +---------------------+--------+--------+------+
        "#]],
    );
    check(
        &context(),
        vec![("quantile", quantile("nearest"))],
        expect![[r#"
        error: unknown method nearest: the methods are estimate_tdigest, exact_mean, exact_selector and interpolated
    "#]],
    );
}

#[test]
fn integral_of_each_table() {
    check(
        &context(),
        vec![("integral", vec![])],
        expect![[r#"
        key ["host", "_field"]
        +------+--------+--------+
        | host | _field | _value |
        +------+--------+--------+
        | a    | idle   | 15.0   |
        | b    | idle   | 4.0    |
        | b    | n      | 12.0   |
        +------+--------+--------+
    "#]],
    );
}

#[test]
fn pivot_of_fields_is_the_wide_row_and_any_other_pivot_agrees() {
    let by_field = || vec![("rowKey", strings(&["_time"])), ("columnKey", strings(&["_field"])), ("valueColumn", Value::string("_value"))];
    check(
        &context(),
        vec![("pivot", by_field())],
        expect![[r#"
        key ["host"]
        +---------------------+------+------+---+
        | _time               | host | idle | n |
        +---------------------+------+------+---+
        | 1970-01-01T00:00:01 | a    | 10.0 |   |
        | 1970-01-01T00:00:02 | a    | 20.0 |   |
        | 1970-01-01T00:00:01 | b    | 1.0  | 5 |
        | 1970-01-01T00:00:02 | b    |      | 6 |
        | 1970-01-01T00:00:03 | b    | 3.0  | 7 |
        +---------------------+------+------+---+
    "#]],
    );
    check(
        &context(),
        vec![("sort", vec![("columns", strings(&["_time"]))]), ("pivot", by_field())],
        expect![[r#"
        key ["host"]
        +------+---------------------+------+---+
        | host | _time               | idle | n |
        +------+---------------------+------+---+
        | a    | 1970-01-01T00:00:01 | 10.0 |   |
        | a    | 1970-01-01T00:00:02 | 20.0 |   |
        | b    | 1970-01-01T00:00:01 | 1.0  | 5 |
        | b    | 1970-01-01T00:00:03 | 3.0  | 7 |
        | b    | 1970-01-01T00:00:02 |      | 6 |
        +------+---------------------+------+---+
    "#]],
    );
    let by_host =
        vec![("rowKey", strings(&["_time"])), ("columnKey", strings(&["host", "_field"])), ("valueColumn", Value::string("_value"))];
    check(
        &context(),
        vec![("pivot", by_host)],
        expect![[r#"
        key []
        +---------------------+--------+--------+-----+
        | _time               | a_idle | b_idle | b_n |
        +---------------------+--------+--------+-----+
        | 1970-01-01T00:00:01 | 10.0   | 1.0    | 5   |
        | 1970-01-01T00:00:02 | 20.0   |        | 6   |
        | 1970-01-01T00:00:03 |        | 3.0    | 7   |
        +---------------------+--------+--------+-----+
    "#]],
    );
}

#[test]
fn join_is_inner_and_renames_shared_columns() {
    let context = context();
    let frame = |values: Vec<(i64, &str)>| {
        let k: ArrayRef = Arc::new(Int64Array::from(values.iter().map(|v| v.0).collect::<Vec<_>>()));
        let v: ArrayRef = Arc::new(StringArray::from(values.iter().map(|v| v.1).collect::<Vec<_>>()));
        let frame = Frame::of(RecordBatch::try_from_iter([("k", k), ("v", v)]).expect("valid"), vec![]).expect("frame");
        Value::Stream(Arc::new(TableStream::new(vec![frame], None)))
    };
    let tables = [("a".into(), frame(vec![(2, "x"), (1, "y"), (3, "z")])), ("b".into(), frame(vec![(1, "p"), (2, "q"), (2, "r")]))];
    let tables = Value::Record(Arc::new(tables.into_iter().collect()));
    let value = call(&context, "join", vec![("tables", tables), ("on", strings(&["k"]))]).expect("join");
    expect![[r#"
        key []
        +---+-----+-----+
        | k | v_a | v_b |
        +---+-----+-----+
        | 1 | y   | p   |
        | 2 | x   | q   |
        | 2 | x   | r   |
        +---+-----+-----+
    "#]]
    .assert_eq(&print(&context, &value));
}

#[test]
fn values_out_of_a_found_table() {
    let context = context();
    let v: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
    let batch = RecordBatch::try_from_iter([("v", v)]).expect("valid");
    let table = || Value::Table(Arc::new(crate::flux::eval::value::FoundTable { key: vec![], batch: batch.clone() }));
    let get = |name: &str, argument: (&str, Value)| match call(&context, name, vec![("table", table()), argument]) {
        Ok(value) => format!("{value:?}"),
        Err(e) => e.to_string(),
    };
    assert_eq!(get("getColumn", ("column", Value::string("v"))), "Array([Int(7), Null])");
    assert_eq!(get("getRecord", ("idx", Value::Int(0))), r#"Record({"v": Int(7)})"#);
    assert_eq!(get("getRecord", ("idx", Value::Int(2))), "index out of bounds: 2");
    assert_eq!(get("getColumn", ("column", Value::string("x"))), "cannot find column x");
}
