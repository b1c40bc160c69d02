//! Text to syntax, printed with a parenthesis around every operator; and text to errors.

use super::parse;
use crate::flux::joined;
use expect_test::{Expect, expect};
use std::time::Instant;

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&match parse(text) {
        Ok(file) => file.to_string().trim_end().to_string(),
        Err(errors) => joined(text, errors).message,
    });
}

#[test]
fn precedence() {
    check("a - b - c * d ^ e ^ f", expect!["((a - b) - (c * ((d ^ e) ^ f)))"]);
    check("-x |> f() ^ 2", expect!["(((-x) |> f()) ^ 2)"]);
    check("a or b and not c == d or exists r.x and y", expect!["((a or (b and (not (c == d)))) or ((exists r.x) and y))"]);
    check("exists a == b", expect!["(exists (a == b))"]);
    check("not not a", expect!["(not (not a))"]);
    check("a < b < c =~ /x/", expect!["(((a < b) < c) =~ /x/)"]);
    check("- - 1 - -1", expect!["((-(-1)) - (-1))"]);
    check("(a + b) * c", expect!["((a + b) * c)"]);
    check("if a or b then c else if d then e else f + g", expect!["(if (a or b) then c else (if d then e else (f + g)))"]);
    check("t |> a.f(x: 1) |> g()() |> h", expect!["error @1:28-1:29: pipe destination must be a function call"]);
    check("f(a: 1)(b: 2)[3].c[\"d e\"][\"g\"].h", expect![[r#"f(a: 1)(b: 2)[3].c["d e"].g.h"#]]);
}

#[test]
fn lines_do_not_end_statements() {
    check(
        "a = b\n(c: d)\nx = 1\n-1\ny = x\n[0]",
        expect![[r#"
        a = b(c: d)
        x = (1 - 1)
        y = x[0]"#]],
    );
    check(
        "a = 1 // one\n// two = 2\nb = a /* no */ c",
        expect!["error @3:7-3:15: invalid regular expression `* no *`: repetition operator missing expression"],
    );
    check(
        "order = 1 notify = 2 iffy = order / notify options = iffy",
        expect![[r#"
        order = 1
        notify = 2
        iffy = (order / notify)
        options = iffy"#]],
    );
}

#[test]
fn literals() {
    check(
        r#"[1, 1.5, .5, 1., 1h30m, 1mo2w, 5µs, 2020-01-01, 2020-01-01T10:00:00.5+02:00, true]"#,
        expect!["[1, 1.5, 0.5, 1.0, 1h30m, 1mo2w, 5us, 2020-01-01T00:00:00Z, 2020-01-01T08:00:00.5Z, true]"],
    );
    check(
        r#"["a\n\"\\\$\x41\xc3\xa9", "$x $${1}", "${"in ${a + "x"}"}b", "日本"]"#,
        expect![[r#"["a\n\"\\\$Aé", "\$x \$${1}", "${"in ${(a + "x")}"}b", "日本"]"#]],
    );
    check(r#"[/a\/b/, /\d+\xe6\x97\xa5/, a / b / c, [/x/]]"#, expect![[r#"[/a\/b/, /\d+日/, ((a / b) / c), [/x/]]"#]]);
    check(
        "[[:], [], [\"a\": 1, b: 2,], {}, {a, \"b c\": 1, d: {r with e: 1,}}, .name]",
        expect![[r#"[[:], [], ["a": 1, b: 2], {}, {a: a, "b c": 1, d: {r with e: 1}}, .name]"#]],
    );
    check(
        "{with: 1, where: with} extends = 1",
        expect![[r#"
        {with: 1, where: with}
        extends = 1"#]],
    );
}

#[test]
fn functions() {
    check("f = (tables=<-, n=5, fn,) => tables |> limit(n: n)", expect!["f = (tables=<-, n=5, fn) => (tables |> limit(n: n))"]);
    check("() => { a = 1 return a + 1 }", expect!["() => { a = 1 return (a + 1) }"]);
    check("(r) => ({r with a: (1)})", expect!["(r) => {r with a: 1}"]);
    check("((a))", expect!["a"]);
    check("(a) => (b) => a", expect!["(a) => (b) => a"]);
    check("(a == b)", expect!["(a == b)"]);
}

#[test]
fn statements() {
    check(
        "@edition(\"2022.1\") package p import \"a/b\" import c \"d\" @feature option now = () => 2020-01-01 option task.x = {a: 1}\n\
         builtin f : (<-t: stream[A], ?n: int, fn: (r: {A with x: [string]}) => bool) => [A: B] where A: Addable + Record, B: Divisible\n\
         builtin g : A x = 1 testcase t extends \"x/y\" { want = 1 super() }",
        expect![[r#"
            package p
            import "a/b"
            import c "d"
            option now = () => 2020-01-01T00:00:00Z
            option task.x = {a: 1}
            builtin f : (<-t: stream[A], ?n: int, fn: (r: {A with x: [string]}) => bool) => [A: B] where A: Addable + Record, B: Divisible
            builtin g : A
            x = 1
            testcase t extends "x/y" { want = 1 super() }"#]],
    );
}

#[test]
fn errors_say_what_was_found_and_expected() {
    check("a = ", expect!["error @1:5-1:5: expected an expression, found the end of the script"]);
    check("from(bucket: \"b\"", expect!["error @1:17-1:17: expected `,` or `)`, found the end of the script"]);
    check("f(1)", expect!["error @1:3-1:4: expected `name: value` or `)`, found 1; arguments and properties are named"]);
    check("f(a 1)", expect!["error @1:5-1:6: expected `:`, `,` or `)`, found 1"]);
    check("[1 2]", expect!["error @1:4-1:5: expected `:`, `,` or `]`, found 2"]);
    check("a = (1 + 2", expect!["error @1:11-1:11: expected `)`, found the end of the script"]);
    check("if a b", expect!["error @1:6-1:7: expected `then`, found b"]);
    check("x = 'a'", expect!["error @1:5-1:6: expected an expression, found '; strings are written with double quotes"]);
    check("a && b", expect!["error @1:3-1:5: expected an expression, found &&; write `and`"]);
    check("a |> b |> c()", expect!["error @1:6-1:7: pipe destination must be a function call"]);
    check("a = \"never closed", expect![[r#"error @1:18-1:18: expected the closing quote " of a string, found the end of the script"#]]);
    check("r.option", expect![[r#"error @1:3-1:9: expected a name, found option; a reserved word is written ["option"]"#]]);
    check("{a: 1, a: 2, \"b\"}", expect!["error @1:17-1:18: expected `:`, found }"]);
    check("(a) => { b = 1 }", expect!["error @1:16-1:17: missing return statement in block"]);
    check("() => { return 1 return 2 }", expect!["error @1:18-1:26: a statement after `return` is never reached"]);
    check("import strings", expect!["error @1:15-1:15: expected a string, found the end of the script"]);
    check("x = 1 )", expect!["error @1:7-1:8: expected an expression, found )"]);
    check("x = 5hours", expect!["error @1:5-1:11: expected an expression, found 5hours"]);
    check("x = 1;", expect!["error @1:6-1:7: expected an expression, found ;; statements need no separator"]);
}

#[test]
fn every_error_in_one_answer() {
    check(
        "a = 012\nb = /(/\nc = \"\\q\"\nd = 2020-13-01\ne = 99999999999999999999\nf = {a: 1, a: 2}\ng = 9999999999999999w",
        expect![[r#"
        error @1:5-1:8: invalid integer literal 012: leading zeros are not allowed

        error @2:5-2:8: invalid regular expression `(`: unclosed group

        error @3:6-3:8: invalid escape sequence \q in a string; known are \n \r \t \" \\ \$ and \x41

        error @4:5-4:15: invalid date time literal 2020-13-01: a time is written 2006-01-02T15:04:05Z, with an offset such as +02:00, or as a date

        error @5:5-5:25: integer literal 99999999999999999999 is out of range; an unsigned one is written uint(v: "99999999999999999999")

        error @6:12-6:13: duplicate property a

        error @7:5-7:22: duration literal 9999999999999999w is too long"#]],
    );
    check(
        "a = (1 +\nb = 2\n  c = )\nimport \"x\"\nd = f(\n",
        expect![[r#"
            error @2:3-2:4: expected `)`, found =

            error @6:1-6:1: expected `name: value` or `)`, found the end of the script"#]],
    );
    check("/(\\pL{1000}){1000}/", expect!["error @1:1-1:20: regular expression is too large; repeat fewer times or use smaller classes"]);
}

/// A hostile text is refused quickly, whatever it nests.
#[test]
fn depth_is_bounded() {
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{a: ", "}"),
        ("-", ""),
        ("not ", ""),
        ("() => ", ""),
        ("if a then b else ", ""),
        ("f(a: ", ")"),
        ("\"${", "}\""),
    ] {
        let text = format!("x = {}1{}", open.repeat(10_000), close.repeat(10_000));
        let start = Instant::now();
        let errors = parse(&text).expect_err("too deep");
        let took = start.elapsed();
        assert!(errors[0].message.contains("nested too deeply"), "{open}: {}", errors[0].message);
        assert!(took.as_secs() < 2, "{open} took {took:?}");
        let fits = format!("x = {}1{}", open.repeat(100), close.repeat(100));
        assert!(parse(&fits).is_ok(), "{open} is not too deep: {:?}", parse(&fits));
    }
    for chain in [" + 1", ".a", "()", " |> f()", "[0]"] {
        let text = format!("x = a{}", chain.repeat(10_000));
        assert!(parse(&text).is_err(), "{chain}");
        assert!(parse(&format!("x = a{}", chain.repeat(400))).is_ok(), "{chain}");
    }
    // Conditions in a row are common, and do not nest.
    assert!(parse(&format!("x = a{}", " or r.host == \"a\" and b".repeat(5_000))).is_ok());
    // What is tried twice at every level would take twice as long with each.
    for unfinished in ["f(a: (b) => {c = [d: (e", "(a) => ({b: (", "[[", "(((", "{a: {b: "] {
        let start = Instant::now();
        assert!(parse(&unfinished.repeat(40)).is_err(), "{unfinished}");
        assert!(start.elapsed().as_secs() < 2, "{unfinished} took {:?}", start.elapsed());
    }
}
