//! Scripts and their results, over tables in memory.

use super::compile;
use crate::{
    model::{FieldType, MeasurementSchema, duration::SECOND},
    plan::{Context, WriteRows, memory::MemoryContext},
};
use arrow::{
    array::{ArrayRef, Float64Array, StringArray, TimestampNanosecondArray},
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches,
};
use expect_test::{Expect, expect};
use std::sync::Arc;

/// A bucket `b` with measurement `cpu`, tag `host`, field `idle`: three rows of host b, two of host a; now is 100 s.
fn context() -> MemoryContext {
    let context = MemoryContext::new(100 * SECOND);
    let bucket = context.add_bucket("b");
    let mut schema = MeasurementSchema::new("cpu");
    schema.add_tag("host");
    schema.fields.insert("idle".into(), FieldType::Float);
    let layout = schema.arrow_schema();
    let host: ArrayRef = Arc::new(StringArray::from(vec!["b", "b", "b", "a", "a"]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampNanosecondArray::from_iter_values([1, 2, 3, 1, 2].map(|s| s * SECOND))),
        arrow::compute::cast(&host, layout.field(1).data_type()).expect("tags are strings"),
        Arc::new(Float64Array::from(vec![1.0, 2.0, 6.0, 10.0, 20.0])),
    ];
    let batch = RecordBatch::try_new(layout, columns).expect("valid");
    context.write(&bucket, vec![WriteRows { measurement: "cpu".to_string(), batch }]).expect("stored");
    context
}

fn check(script: &str, expected: Expect) {
    let context = context();
    let mut text = String::new();
    match compile(script, &context, vec![]) {
        Err(e) => text = format!("error: {e}\n"),
        Ok(program) => {
            for result in program.results {
                text += &format!("{}\n", result.name);
                for frame in result.frames {
                    match context.collect(frame.plan) {
                        Ok(rows) => text += &format!("{}\n", pretty_format_batches(&rows).expect("prints")),
                        Err(e) => text += &format!("error: {e}\n"),
                    }
                }
            }
        }
    }
    expected.assert_eq(&text);
}

/// One row with what an expression gives.
fn value(expression: &str, expected: Expect) {
    let script = format!(
        "import \"array\"\nimport \"strings\"\nimport \"math\"\nimport \"date\"\nimport \"dict\"\nimport \"regexp\"\nx = {expression}\narray.from(rows: [{{x: display(v: x)}}])"
    );
    let context = context();
    let text = match compile(&script, &context, vec![]) {
        Err(e) => format!("error: {e}"),
        Ok(program) => {
            let rows = context.collect(program.results[0].frames[0].plan.clone()).expect("runs");
            let column = arrow::compute::cast(rows[0].column(0), &arrow::datatypes::DataType::Utf8).expect("strings");
            arrow::array::AsArray::as_string::<i32>(&column).value(0).to_string()
        }
    };
    expected.assert_eq(&text);
}

#[test]
fn a_pipe_from_storage_gives_one_result() {
    check(
        r#"from(bucket: "b") |> range(start: -100s) |> filter(fn: (r) => r.host == "b") |> mean() |> drop(columns: ["_start", "_stop"])"#,
        expect![[r#"
            _result
            +--------+--------+--------------+------+
            | _value | _field | _measurement | host |
            +--------+--------+--------------+------+
            | 3.0    | idle   | cpu          | b    |
            +--------+--------+--------------+------+
        "#]],
    );
}

#[test]
fn results_are_named_by_yield() {
    check(
        r#"
        data = () => from(bucket: "b") |> range(start: 0) |> group() |> keep(columns: ["_value"])
        data() |> max() |> yield(name: "most")
        data() |> median()
        "#,
        expect![[r#"
            most
            +--------+
            | _value |
            +--------+
            | 20.0   |
            +--------+
            _result
            +--------+
            | _value |
            +--------+
            | 6.0    |
            +--------+
        "#]],
    );
    check(
        r#"import "array" array.from(rows: [{a: 1}]) array.from(rows: [{a: 1}])"#,
        expect![[r#"
        error: found more than one call to yield() with the name "_result"
    "#]],
    );
}

#[test]
fn preludes_and_options() {
    check(
        r#"
        import "array"
        option now = () => 2020-01-01T00:00:00Z
        array.from(rows: [{n: now(), y: today()}])
        "#,
        expect![[r#"
            _result
            +---------------------+---------------------+
            | n                   | y                   |
            +---------------------+---------------------+
            | 2020-01-01T00:00:00 | 2020-01-01T00:00:00 |
            +---------------------+---------------------+
        "#]],
    );
}

#[test]
fn expressions() {
    value("1 + 2 * 3", expect!["7"]);
    value("7 / 2", expect!["3"]);
    value("2 ^ 3", expect!["8"]);
    value("-2 ^ 2", expect!["4"]);
    value("1 < 2.5 and not (1 == 2)", expect!["true"]);
    value("1 + 2.0", expect!["error: error @7:9-7:12: expected int but found float: convert with int(v: ...)"]);
    value("1 / 0", expect!["error: cannot divide by zero"]);
    value("\"a${1 + 1}b\"", expect!["a2b"]);
    value("{date with b: 3}", expect!["error: cannot extend a value of type package with `with`"]);
    value("(() => { a = {b: 1, c: 2} return {a with b: 3} })()", expect!["{b: 3, c: 2}"]);
    value("if 1 > 2 then \"x\" else \"y\"", expect!["y"]);
    value("[1, 2, 3][1]", expect!["2"]);
    value("[\"b\": 2, \"a\": 1]", expect!["[a: 1, b: 2]"]);
    value("((a, b=2) => a * b)(a: 21)", expect!["42"]);
    value("((x=<-, by) => x / by)(by: 2)", expect!["error: error @7:5-7:34: missing required pipe argument x"]);
    value("nothing", expect!["error: error @7:5-7:12: undefined identifier nothing"]);
    value(
        "int(v: \"1.5\")",
        expect![[r#"error: error calling function "int" @7:5-7:18: cannot convert string "1.5" to int due to invalid syntax"#]],
    );
    value("string(v: 1e3)", expect!["error: error @7:15-7:18: expected an expression, found 1e3"]);
    value("duration(v: \"1h30m\")", expect!["1h30m"]);
    value("strings.title(v: \"hello big world\")", expect!["Hello Big World"]);
    value("math.floor(x: 2.7)", expect!["2"]);
    value(
        "math.floor(y: 2.7)",
        expect![[r#"
        error: error @7:16-7:17: found unexpected argument y

        error @7:5-7:23: missing required argument x"#]],
    );
    value("date.year(t: 2021-05-06T00:00:00Z)", expect!["2021"]);
    value("date.add(d: 1mo, to: 2021-01-31T00:00:00Z)", expect!["2021-02-28T00:00:00.000000000Z"]);
    value("date.truncate(t: 2021-05-06T07:08:09Z, unit: 1h)", expect!["2021-05-06T07:00:00.000000000Z"]);
    value("dict.get(dict: [\"a\": 1], key: \"b\", default: 9)", expect!["9"]);
    value("regexp.findString(r: /o+/, v: \"foo\")", expect!["oo"]);
    value("\"abc\" =~ /b/", expect!["true"]);
}

#[test]
fn reduce_and_time_shift() {
    check(
        r#"
        from(bucket: "b")
            |> range(start: 0)
            |> keep(columns: ["host", "_time", "_value"])
            |> timeShift(duration: 1h)
            |> reduce(fn: (r, accumulator) => ({sum: accumulator.sum + r._value, last: r._time}), identity: {sum: 0.0, last: now()})
        "#,
        expect![[r#"
            _result
            +------+------+---------------------+
            | host | sum  | last                |
            +------+------+---------------------+
            | a    | 30.0 | 1970-01-01T01:00:02 |
            | b    | 9.0  | 1970-01-01T01:00:03 |
            +------+------+---------------------+
        "#]],
    );
}

#[test]
fn compositions_of_the_prelude() {
    check(
        r#"from(bucket: "b") |> range(start: 0) |> keep(columns: ["host", "_value"]) |> highestMax(n: 1, groupColumns: ["host"])"#,
        expect![[r#"
            _result
            +--------+------+
            | _value | host |
            +--------+------+
            | 20.0   | a    |
            +--------+------+
        "#]],
    );
    check(
        r#"import "influxdata/influxdb/schema" schema.tagValues(bucket: "b", tag: "host", start: 0)"#,
        expect![[r#"
        _result
        +--------+
        | _value |
        +--------+
        | a      |
        | b      |
        +--------+
    "#]],
    );
    check(
        r#"from(bucket: "b") |> range(start: 0, stop: 4) |> group() |> keep(columns: ["_time", "_value"]) |> range(start: 0, stop: 4) |> aggregateWindow(every: 2s, fn: (tables=<-, column) => tables |> sum(column: column))"#,
        expect![[r#"
            _result
            +---------------------+---------------------+--------+---------------------+
            | _start              | _stop               | _value | _time               |
            +---------------------+---------------------+--------+---------------------+
            | 1970-01-01T00:00:00 | 1970-01-01T00:00:04 | 11.0   | 1970-01-01T00:00:02 |
            | 1970-01-01T00:00:00 | 1970-01-01T00:00:04 | 28.0   | 1970-01-01T00:00:04 |
            +---------------------+---------------------+--------+---------------------+
        "#]],
    );
}

#[test]
fn states_are_counted_and_timed() {
    check(
        r#"
        from(bucket: "b")
            |> range(start: 0)
            |> keep(columns: ["host", "_time", "_value"])
            |> stateCount(fn: (r) => r._value > 1.5)
            |> stateDuration(fn: (r) => r._value > 1.5)
            |> drop(columns: ["_time"])
        "#,
        expect![[r#"
            _result
            +--------+------+------------+---------------+
            | _value | host | stateCount | stateDuration |
            +--------+------+------------+---------------+
            | 10.0   | a    | 1          | 0             |
            | 20.0   | a    | 2          | 1             |
            | 1.0    | b    | -1         | -1            |
            | 2.0    | b    | 1          | 0             |
            | 6.0    | b    | 2          | 1             |
            +--------+------+------------+---------------+
        "#]],
    );
}

#[test]
fn what_to_writes_can_be_read() {
    let context = context();
    context.add_bucket("copy");
    let script = r#"from(bucket: "b") |> range(start: 0) |> map(fn: (r) => ({r with _measurement: "double", _value: r._value * 2.0})) |> to(bucket: "copy")"#;
    for result in compile(script, &context, vec![]).expect("compiles").results {
        for frame in result.frames {
            context.collect(frame.plan).expect("writes");
        }
    }
    let script = r#"from(bucket: "copy") |> range(start: 0) |> sum() |> drop(columns: ["_start", "_stop"])"#;
    let program = compile(script, &context, vec![]).expect("compiles");
    let rows = context.collect(program.results[0].frames[0].plan.clone()).expect("reads");
    expect![[r#"
        +--------+--------+--------------+------+
        | _value | _field | _measurement | host |
        +--------+--------+--------------+------+
        | 60.0   | idle   | double       | a    |
        | 18.0   | idle   | double       | b    |
        +--------+--------+--------------+------+"#]]
    .assert_eq(&pretty_format_batches(&rows).expect("prints").to_string());
}

#[test]
fn keys_of_a_bucket() {
    check(
        r#"import "influxdata/influxdb/schema" schema.tagKeys(bucket: "b", start: 0)"#,
        expect![[r#"
        _result
        +--------------+
        | _value       |
        +--------------+
        | _field       |
        | _measurement |
        | _start       |
        | _stop        |
        | host         |
        +--------------+
    "#]],
    );
    check(
        r#"from(bucket: "b") |> range(start: 0) |> keep(columns: ["_time", "_value", "host"]) |> columns()"#,
        expect![[r#"
            _result
            +------+--------+
            | host | _value |
            +------+--------+
            | a    | _time  |
            | a    | _value |
            | a    | host   |
            | b    | _time  |
            | b    | _value |
            | b    | host   |
            +------+--------+
        "#]],
    );
}

#[test]
fn packages_of_values() {
    let with = |import: &str, expression: &str| {
        let script = format!("import \"array\"\n{import}\narray.from(rows: [{{x: display(v: {expression})}}])");
        let context = context();
        match compile(&script, &context, vec![]) {
            Err(e) => format!("error: {e}"),
            Ok(program) => {
                let rows = context.collect(program.results[0].frames[0].plan.clone()).expect("runs");
                let column = arrow::compute::cast(rows[0].column(0), &arrow::datatypes::DataType::Utf8).expect("strings");
                arrow::array::AsArray::as_string::<i32>(&column).value(0).to_string()
            }
        }
    };
    let cases = [
        ("import \"bitwise\"", "bitwise.srshift(a: -8, b: 70)", "-1"),
        ("import \"bitwise\"", "bitwise.slshift(a: 1, b: -1)", "negative shift amount -1"),
        ("import \"experimental/bitwise\"", "bitwise.uxor(a: uint(v: 6), b: uint(v: 3))", "5"),
        ("import \"contrib/bonitoo-io/hex\"", "[hex.int(v: \"-0x1F\"), hex.int(v: \"ff\")]", "[-31, 255]"),
        ("import \"contrib/bonitoo-io/hex\"", "hex.string(v: hex.bytes(v: \"00ff\"))", "00ff"),
        ("import \"json\"", "string(v: json.encode(v: {b: [1.0, 2.5], a: -1s}))", "{\"a\":\"-1s\",\"b\":[1,2.5]}"),
        ("import \"http\"", "http.pathEscape(inputString: \"./random$^%\")", ".%2Frandom$%5E%25"),
        ("import \"experimental/record\"", "record.get(r: {a: 1}, key: \"b\", default: 2)", "2"),
        ("import \"experimental/json\"", "json.parse(data: bytes(v: \"{\\\"a\\\": [1, null]}\"))", "{a: [1, <null>]}"),
        ("import \"math\"", "math.frexp(f: 8.0)", "{exp: 4, frac: 0.5}"),
        ("import \"math\"", "[math.mInf(sign: -1), math.pow10(n: -2), math.remainder(x: 5.0, y: 3.0)]", "[-Inf, 0.01, -1]"),
        ("import \"date\"", "date.scale(d: 1mo2h, n: -3)", "-3mo6h"),
        (
            "import \"timezone\"\nimport \"date\"\noption location = timezone.location(name: \"America/Los_Angeles\")",
            "date.add(d: 1d, to: 2022-11-06T07:00:00Z)",
            "2022-11-07T08:00:00.000000000Z",
        ),
        (
            "import \"experimental/date/boundaries\"\noption now = () => 2022-06-08T14:20:11Z",
            "boundaries.week(week_offset: 1)",
            "{start: 2022-06-13T00:00:00.000000000Z, stop: 2022-06-20T00:00:00.000000000Z}",
        ),
        (
            "import \"experimental/date/boundaries\"\noption now = () => 2022-01-21T12:10:11Z\noption location = {zone: \"Africa/Algiers\", offset: 0h}",
            "boundaries.thursday()",
            "{start: 2022-01-19T23:00:00.000000000Z, stop: 2022-01-20T23:00:00.000000000Z}",
        ),
        ("import \"slack\"", "slack.validateColorString(color: \"#12\")", "a hexadecimal colour such as #336699"),
        ("", "[1, 2] |> array.concat(v: [3]) |> array.filter(fn: (x) => x != 2) |> array.map(fn: (x) => x * 10)", "[10, 30]"),
    ];
    for (import, expression, expected) in cases {
        let found = with(import, expression);
        assert!(found == expected || found.starts_with("error") && found.ends_with(expected), "{expression}: {found}");
    }
}

#[test]
fn every_package_loads() {
    for package in super::stdlib::packages() {
        let script = format!("import p \"{}\"\nimport \"array\"\narray.from(rows: [{{x: 1}}])", package.path);
        if let Err(e) = compile(&script, &context(), vec![]) {
            panic!("{}: {e}", package.path);
        }
    }
}

#[test]
fn joins_by_columns() {
    let tables = r#"
        import "array"
        import "join"
        left = array.from(rows: [{k: "a", id: 1, v: 1.5}, {k: "a", id: 2, v: 2.5}, {k: "b", id: 1, v: 3.5}]) |> group(columns: ["k"])
        right = array.from(rows: [{k: "a", id: 2, w: "x"}, {k: "a", id: 2, w: "y"}, {k: "c", id: 1, w: "z"}]) |> group(columns: ["k"])
    "#;
    check(
        &format!("{tables} join.inner(left: left, right: right, on: (l, r) => l.id == r.id, as: (l, r) => ({{l with w: r.w}}))"),
        expect![[r#"
            _result
            +---+----+-----+---+
            | k | id | v   | w |
            +---+----+-----+---+
            | a | 2  | 2.5 | x |
            | a | 2  | 2.5 | y |
            +---+----+-----+---+
        "#]],
    );
    check(
        &format!(
            "{tables} join.full(left: left, right: right, on: (l, r) => l.id == r.id, as: (l, r) => ({{k: if exists l.k then l.k else r.k, id: if exists l.id then l.id else r.id, v: l.v, w: r.w}}))"
        ),
        expect![[r#"
            _result
            +---+----+-----+---+
            | k | id | v   | w |
            +---+----+-----+---+
            | a | 1  | 1.5 |   |
            | a | 2  | 2.5 | x |
            | a | 2  | 2.5 | y |
            | b | 1  | 3.5 |   |
            | c | 1  |     | z |
            +---+----+-----+---+
        "#]],
    );
    check(
        &format!("{tables} join.left(left: left, right: right, on: (l, r) => l.id > r.id, as: (l, r) => l)"),
        expect![[r#"
            error: error calling function "left" @6:6-6:85: error calling function "tables" @9:36-9:100: error in join function - some expressions are not yet supported in the `on` parameter: only `==` and `and` can be used in a join predicate
        "#]],
    );
}

#[test]
fn experimental_functions_on_tables() {
    let tables = r#"
        import "array"
        import "experimental"
        t = array.from(rows: [{k: "a", _time: 1970-01-01T00:00:01Z, x: 1, y: 1.5}, {k: "b", _time: 1970-01-01T00:00:02Z, x: 2, y: 2.5}]) |> group(columns: ["k"])
    "#;
    check(
        &format!(
            "{tables} t |> experimental.unpivot() |> yield(name: \"long\") t |> experimental.group(mode: \"extend\", columns: [\"x\"]) |> experimental.set(o: {{k: \"c\", z: 1}}) |> count(column: \"y\")"
        ),
        expect![[r#"
            long
            +---+--------+---------------------+--------+
            | k | _field | _time               | _value |
            +---+--------+---------------------+--------+
            | a | x      | 1970-01-01T00:00:01 | 1      |
            | b | x      | 1970-01-01T00:00:02 | 2      |
            +---+--------+---------------------+--------+
            +---+--------+---------------------+--------+
            | k | _field | _time               | _value |
            +---+--------+---------------------+--------+
            | a | y      | 1970-01-01T00:00:01 | 1.5    |
            | b | y      | 1970-01-01T00:00:02 | 2.5    |
            +---+--------+---------------------+--------+
            _result
            +---+---+---+
            | k | x | y |
            +---+---+---+
            | c | 1 | 1 |
            | c | 2 | 1 |
            +---+---+---+
        "#]],
    );
    check(
        &format!(
            "{tables} experimental.join(left: t, right: t, fn: (left, right) => ({{left with y: left.y + right.y}})) |> experimental.preview(ntables: 1)"
        ),
        expect![[r#"
            _result
            +---+---------------------+---+-----+
            | k | _time               | x | y   |
            +---+---------------------+---+-----+
            | a | 1970-01-01T00:00:01 | 1 | 3.0 |
            +---+---------------------+---+-----+
        "#]],
    );
}

#[test]
fn examples_of_functions_run() {
    let universe = (super::stdlib::UNIVERSE.functions)();
    let functions = super::stdlib::packages().iter().flat_map(|p| (p.functions)()).chain(universe);
    let mut count = 0;
    for function in functions {
        for example in function.examples {
            let context = context();
            let program = compile(example, &context, vec![]).unwrap_or_else(|e| panic!("{}: {e}", function.name));
            assert!(!program.results.is_empty(), "{}: the example gives no result", function.name);
            for frame in program.results.into_iter().flat_map(|r| r.frames) {
                context.collect(frame.plan).unwrap_or_else(|e| panic!("{}: {e}", function.name));
            }
            count += 1;
        }
    }
    assert!(count > 0);
}

#[test]
fn pivoted_rows_are_written_and_read() {
    let context = context();
    context.add_bucket("wide");
    let script = r#"
        import "array"
        import "experimental"
        array.from(rows: [{_measurement: "m", host: "a", _time: 1970-01-01T00:00:01Z, x: 1, y: "on"}])
            |> group(columns: ["_measurement", "host"])
            |> experimental.to(bucket: "wide")
    "#;
    for frame in compile(script, &context, vec![]).expect("compiles").results.into_iter().flat_map(|r| r.frames) {
        context.collect(frame.plan).expect("writes");
    }
    let script = r#"
        import "influxdata/influxdb/schema"
        from(bucket: "wide") |> range(start: 0) |> schema.fieldsAsCols() |> drop(columns: ["_start", "_stop"])
    "#;
    let program = compile(script, &context, vec![]).expect("compiles");
    let rows = context.collect(program.results[0].frames[0].plan.clone()).expect("reads");
    expect![[r#"
        +---------------------+--------------+------+---+----+
        | _time               | _measurement | host | x | y  |
        +---------------------+--------------+------+---+----+
        | 1970-01-01T00:00:01 | m            | a    | 1 | on |
        +---------------------+--------------+------+---+----+"#]]
    .assert_eq(&pretty_format_batches(&rows).expect("prints").to_string());
}

#[test]
fn notification_endpoints_send_each_row() {
    check(
        r#"
        import "array"
        import "internal/notify"
        endpoint = notify.endpoint(send: (given) => if given.text == "a" then 204 else 500)
        array.from(rows: [{k: "a"}, {k: "b"}]) |> endpoint(mapFn: (r) => ({text: r.k}))()
        "#,
        expect![[r#"
            _result
            +---+---------+-------+
            | k | _status | _sent |
            +---+---------+-------+
            | a | 204     | true  |
            | b | 500     | false |
            +---+---------+-------+
        "#]],
    );
    let script = r#"
        import "array"
        import "slack"
        array.from(rows: [{k: "a"}]) |> slack.endpoint()(mapFn: (r) => ({channel: "c", text: r.k, color: "good"}))()
    "#;
    let error = compile(script, &context(), vec![]).expect_err("nothing is sent yet").message;
    assert!(error.contains("post: scripts cannot reach other servers yet"), "{error}");
}

#[test]
fn a_filter_may_look_at_a_record_that_extends_its_row() {
    check(
        r#"from(bucket: "b") |> range(start: 0, stop: 10) |> filter(fn: (r) => ({r with x: 1.0})._value > 5.0) |> keep(columns: ["host", "_value"]) |> sum()"#,
        expect![[r#"
            _result
            +------+--------+
            | host | _value |
            +------+--------+
            | a    | 30.0   |
            | b    | 6.0    |
            +------+--------+
        "#]],
    );
}

#[test]
fn library_functions_on_stored_rows() {
    check(
        r#"
        import "experimental"
        import "influxdata/influxdb/schema"
        from(bucket: "b") |> range(start: 0, stop: 10) |> schema.fieldsAsCols() |> drop(columns: ["_start", "_stop"]) |> experimental.unpivot() |> sum()
        "#,
        expect![[r#"
            _result
            +--------------+------+--------+--------+
            | _measurement | host | _field | _value |
            +--------------+------+--------+--------+
            | cpu          | a    | idle   | 30.0   |
            | cpu          | b    | idle   | 9.0    |
            +--------------+------+--------+--------+
        "#]],
    );
    check(
        r#"
        import "join"
        data = from(bucket: "b") |> range(start: 0, stop: 10) |> keep(columns: ["_time", "_value", "host"])
        join.time(
            left: data |> filter(fn: (r) => r.host == "a") |> group(),
            right: data |> filter(fn: (r) => r.host == "b") |> group(),
            as: (l, r) => ({_time: r._time, a: l._value, b: r._value}),
            method: "right",
        )
        "#,
        expect![[r#"
            _result
            +---------------------+------+-----+
            | _time               | a    | b   |
            +---------------------+------+-----+
            | 1970-01-01T00:00:01 | 10.0 | 1.0 |
            | 1970-01-01T00:00:02 | 20.0 | 2.0 |
            | 1970-01-01T00:00:03 |      | 6.0 |
            +---------------------+------+-----+
        "#]],
    );
    check(
        r#"
        import "interpolate"
        import "experimental"
        from(bucket: "b") |> range(start: 0, stop: 10) |> filter(fn: (r) => r.host == "a")
            |> experimental.alignTime(alignTo: 1970-01-02T00:00:00Z)
            |> interpolate.linear(every: 500ms)
            |> keep(columns: ["_time", "_value"])
        "#,
        expect![[r#"
            _result
            +-------------------------+--------+
            | _time                   | _value |
            +-------------------------+--------+
            | 1970-01-02T00:00:00     | 10.0   |
            | 1970-01-02T00:00:00.500 | 15.0   |
            | 1970-01-02T00:00:01     | 20.0   |
            +-------------------------+--------+
        "#]],
    );
    check(
        r#"
        import "influxdata/influxdb/monitor"
        import "influxdata/influxdb/schema"
        option monitor.write = (tables=<-) => tables
        from(bucket: "b")
            |> range(start: 0, stop: 10)
            |> schema.fieldsAsCols()
            |> monitor.check(
                data: {_check_id: "1", _check_name: "idle", _type: "threshold", tags: {team: "x"}},
                crit: (r) => r.idle < 2.0,
                messageFn: (r) => "${r._check_name} is ${r.idle}",
            )
            |> keep(columns: ["host", "_level", "_message", "team", "_source_measurement"])
        "#,
        expect![[r#"
            _result
            +------+------+---------------------+--------+------------+
            | host | team | _source_measurement | _level | _message   |
            +------+------+---------------------+--------+------------+
            | a    | x    | cpu                 | ok     | idle is 10 |
            | a    | x    | cpu                 | ok     | idle is 20 |
            | b    | x    | cpu                 | crit   | idle is 1  |
            | b    | x    | cpu                 | ok     | idle is 2  |
            | b    | x    | cpu                 | ok     | idle is 6  |
            +------+------+---------------------+--------+------------+
        "#]],
    );
    check(
        r#"
        import "internal/promql"
        from(bucket: "b") |> range(start: 0, stop: 4) |> promql.extrapolatedRate(isCounter: true, isRate: true) |> keep(columns: ["host", "_value"])
        "#,
        expect![[r#"
            _result
            +------+--------+
            | host | _value |
            +------+--------+
            | a    | 6.25   |
            | b    | 2.125  |
            +------+--------+
        "#]],
    );
    check(
        r#"
        import "pagerduty"
        import "date"
        from(bucket: "b") |> range(start: 0, stop: 4)
            |> pagerduty.dedupKey()
            |> map(fn: (r) => ({host: r.host, key: r._pagerdutyDedupKey, second: date.second(t: r._time)}))
            |> first(column: "second")
        "#,
        expect![[r#"
            _result
            +------+------------------------------------------------------------------+--------+
            | host | key                                                              | second |
            +------+------------------------------------------------------------------+--------+
            | a    | ec384c084b4ea7dab6e456b092620c060cb5db591a737d47445f12b953fb3722 | 1      |
            | b    | 5ec6c390596e008811fbb5ac54c2231ab5a1b31ecbf2974cd8f0e5d4ecada4c8 | 1      |
            +------+------------------------------------------------------------------+--------+
        "#]],
    );
}

#[test]
fn a_bucket_is_not_read_from_its_first_row_to_its_last() {
    let refused = |script: &str| compile(script, &context(), vec![]).expect_err(script).message;
    let unbounded =
        "error in building plan while starting program: cannot submit unbounded read to \"b\"; try bounding 'from' with a call to 'range'";
    for script in [
        r#"from(bucket: "b")"#,
        r#"from(bucket: "b") |> yield(name: "all")"#,
        r#"from(bucket: "b") |> filter(fn: (r) => r.host == "a")"#,
        r#"from(bucket: "b") |> limit(n: 1) |> range(start: 0)"#,
        r#"from(bucket: "b") |> tableFind(fn: (key) => true)"#,
        r#"union(tables: [from(bucket: "b"), from(bucket: "b") |> range(start: 0)])"#,
        r#"join(tables: {l: from(bucket: "b"), r: from(bucket: "b") |> range(start: 0)}, on: ["host"])"#,
        r#"import "experimental" experimental.chain(first: from(bucket: "b"), second: from(bucket: "b") |> range(start: 0))"#,
    ] {
        assert_eq!(refused(script), unbounded, "{script}");
    }
    let by_id = refused(r#"from(bucketID: "0000000000000001") |> count()"#);
    assert!(by_id.contains("unbounded read to \"0000000000000001\""), "{by_id}");
    for script in [
        r#"from(bucket: "b") |> filter(fn: (r) => r.host == "a") |> filter(fn: (r) => r._value > 1.0) |> range(start: 0)"#,
        r#"all = from(bucket: "b") all |> range(start: 0, stop: 2) |> yield(name: "x") all |> range(start: 1)"#,
        r#"buckets()"#,
        r#"import "internal/testing" testing.everything(bucket: "b") |> count()"#,
    ] {
        compile(script, &context(), vec![]).unwrap_or_else(|e| panic!("{script}: {e}"));
    }
}

#[test]
fn a_script_that_gives_nothing_says_so() {
    for script in ["x = 1", "1 + 1", r#"data = from(bucket: "b") |> range(start: 0)"#, "option now = () => 2020-01-01T00:00:00Z"] {
        let message = compile(script, &context(), vec![]).expect_err(script).message;
        let start = "error in query specification while starting program: this Flux script returns no streaming data. Consider adding";
        assert!(message.starts_with(start) && message.ends_with("functions directly, without performing an assignment"), "{message}");
    }
}
