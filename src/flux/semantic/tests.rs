//! Scripts and what is wrong with them before they run.

use super::check;
use crate::flux::{joined, parse_file};
use expect_test::{Expect, expect};

fn errors(script: &str) -> String {
    match parse_file(script) {
        Ok(file) => joined(script, check(&file, ["params"].into_iter())).message,
        Err(error) => panic!("does not parse: {error}"),
    }
}

fn wrong(script: &str, expected: Expect) {
    expected.assert_eq(&errors(script));
}

#[test]
fn names() {
    wrong(
        "x = fromm(bucket: \"b\")\ny = x |> rang(start: -1h)",
        expect![[r#"
        error @1:5-1:10: undefined identifier fromm; did you mean from?

        error @2:10-2:14: undefined identifier rang; did you mean range?"#]],
    );
    wrong("f = () => g()\ng = () => 1", expect!["error @1:11-1:12: undefined identifier g"]);
    wrong("strings.title(v: \"a\")", expect![[r#"error @1:1-1:8: undefined identifier strings; it is a package: import "strings""#]]);
    wrong(
        "import \"strings\"\nstrings.tittle(v: \"a\")\nstrings.zzz",
        expect![[r#"
        error @2:9-2:15: record is missing label tittle: package strings has no tittle; did you mean title?

        error @3:9-3:12: record is missing label zzz: package strings has no zzz"#]],
    );
    wrong(
        "import \"string\"\nimport \"influxdata/influxdb/schemas\"\nschemas.x()",
        expect![[r#"
        error @1:1-1:16: invalid import path string; did you mean strings?

        error @2:1-2:37: invalid import path influxdata/influxdb/schemas; did you mean influxdata/influxdb/schema?"#]],
    );
    wrong(
        "{q with a: 1}\noption nowhere.x = 1",
        expect![[r#"
        error @1:2-1:3: undefined identifier q

        error @2:8-2:15: undefined identifier nowhere"#]],
    );
    wrong(
        "import \"internal/debug\" option debug.vectorise = true",
        expect!["error @1:38-1:47: package debug has no option vectorise; did you mean vectorize?"],
    );
    wrong("x = 1\nx = 2", expect!["error @2:1-2:2: variable x is already defined; a name is given once in a block"]);
}

#[test]
fn arguments() {
    wrong(
        "from(buckets: \"b\") |> range()",
        expect![[r#"
        error @1:6-1:13: found unexpected argument buckets; did you mean bucket?

        error @1:23-1:30: missing required argument start"#]],
    );
    wrong(
        "from(bucket: \"b\") |> range(start: -1h) |> limit(n: \"5\") |> mean(column: 1)",
        expect![[r#"
        error @1:52-1:55: expected int but found string (argument n)

        error @1:73-1:74: expected string but found int (argument column)"#]],
    );
    wrong(
        "from(bucket: \"b\") |> range(start: -1h) |> drop(columns: \"a\") |> keep(columns: [1])",
        expect![[r#"
        error @1:57-1:60: expected [string] but found string (argument columns)

        error @1:79-1:82: expected string but found int (argument columns)"#]],
    );
    wrong("mean()", expect!["error @1:1-1:7: missing required pipe argument tables"]);
    wrong(
        "1 |> mean() |> now()",
        expect![[r#"
        error @1:6-1:12: expected stream[A] but found int (pipe argument)

        error @1:16-1:21: function does not take a pipe argument"#]],
    );
    wrong(
        "f = (a, b=1, t=<-) => t\nf(a: 1, c: 2)\n1 |> f()",
        expect![[r#"
        error @2:9-2:10: found unexpected argument c

        error @2:1-2:14: missing required pipe argument t

        error @3:6-3:9: missing required argument a"#]],
    );
    wrong(
        "from(bucket: \"b\") |> filter(fn: (x) => true) |> filter(fn: 1) |> reduce(fn: (r) => r, identity: {})",
        expect![[r#"
        error @1:33-1:44: the function is given an argument r, which it does not take (argument fn)

        error @1:60-1:61: expected (r: A) => bool but found int (argument fn)

        error @1:77-1:85: the function is given an argument accumulator, which it does not take (argument fn)"#]],
    );
    wrong(
        "from(bucket: \"b\") |> range(start: -1h) |> aggregateWindow(every: 1m, fn: (tables=<-) => tables)",
        expect!["error @1:74-1:95: the function is given an argument column, which it does not take (argument fn)"],
    );
    wrong("x = 1 x(a: 2)", expect!["error @1:7-1:8: expected a function but found int"]);
}

#[test]
fn operators_on_literals() {
    wrong(
        "a = 1 + 2.0\nb = \"a\" + 1\nc = true + true\nd = 1h + 1h\ne = 1 == \"a\"\nf = \"a\" =~ \"b\"",
        expect![[r#"
        error @1:9-1:12: expected int but found float: convert with int(v: ...)

        error @2:11-2:12: expected string but found int

        error @3:5-3:9: bool is not Addable

        error @4:5-4:7: duration is not Addable

        error @5:10-5:13: expected int but found string

        error @6:12-6:15: expected regexp but found string; a regular expression stands between slashes"#]],
    );
    wrong(
        "a = not 1\nb = -\"a\"\nc = 1 and true\nd = if 1 then 2 else 3\ne = if true then 2 else \"x\"",
        expect![[r#"
        error @1:9-1:10: expected bool but found int

        error @2:6-2:9: string is not Negatable

        error @3:5-3:6: expected bool but found int

        error @4:8-4:9: expected bool but found int

        error @5:25-5:28: expected int but found string: both branches of `if` have one type"#]],
    );
    wrong(
        "a = [1, \"x\"]\nb = [1, 2][\"1\" + \"2\"]",
        expect![[r#"
        error @1:9-1:12: expected int but found string: the elements of an array have one type

        error @2:12-2:21: expected int but found string: an array is indexed by a number"#]],
    );
    wrong("x = 1\ny = \"a\"\nz = () => { w = x + y return w }", expect!["error @3:21-3:22: expected int but found string"]);
}

/// Every error of one script comes in one answer, and what is right stays silent.
#[test]
fn no_false_alarm() {
    let right = r#"
        import "strings"
        import d "date"
        option now = () => 2020-01-01T00:00:00Z
        data = (b, start=-1h) => from(bucket: b) |> range(start: start, stop: now())
        mine = (tables=<-, column="_value") => tables |> mean(column: column)
        data(b: params.bucket, start: 2020-01-01)
            |> filter(fn: (r) => r._field == "x" and r._value > 5 and exists r.host)
            |> aggregateWindow(every: 1m, fn: mine, createEmpty: false)
            |> map(fn: (r) => ({r with y: strings.toUpper(v: r.host), h: d.hour(t: r._time), z: if r._value > 1.0 then 1 else 2}))
            |> reduce(fn: (r, accumulator) => ({s: accumulator.s + r._value}), identity: {s: 0.0})
        f = (x) => (y) => x + y
        f(x: 1)(y: 2)
        from = "shadowed"
        a = 1 < 2.5 and "${from}" != "b"
        data2 = from + "x"
        n = [1, 2, 3][0] + 4
        rows = [{a: 1}, {a: 2}]
        p = 2 ^ 3 + 1.0
    "#;
    assert_eq!(errors(right), "");
}
