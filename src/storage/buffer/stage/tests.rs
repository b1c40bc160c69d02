use super::*;
use arrow::{array::Array, util::display::array_value_to_string};
use expect_test::{Expect, expect};

/// `m` has the tag `h`, floats in `f` and integers in `i`.
fn schema(measurement: &str) -> Option<Arc<MeasurementSchema>> {
    (measurement == "m").then(|| {
        let mut schema = MeasurementSchema::new("m");
        schema.add_tag("h");
        schema.fields.extend([("f".into(), FieldType::Float), ("i".into(), FieldType::Integer)]);
        Arc::new(schema)
    })
}

const NOW: Timestamp = 1_700_000_000_123_456_789;

fn quarantine(write: u64) -> Conflicts {
    Conflicts::Quarantine { write, memory: Share::new("requests", usize::MAX) }
}

/// What is staged, what the log has of it, and what is refused. What the log has is read as a replay does that knows no schema, after
/// the bucket was set to refuse clashes: it must bring the same.
fn staged(body: &str, precision: Precision, conflicts: Conflicts) -> String {
    let staged = stage(body.as_bytes(), precision, NOW, None, conflicts, schema);
    let logged = staged.log_text(body.as_bytes());
    let again = stage(&logged, precision, NOW, None, Conflicts::Reject, |_| None);
    assert_eq!((again.rejected.count(), rows(&again)), (0, rows(&staged)), "{}", String::from_utf8_lossy(&logged));
    assert_eq!(again.row_count, staged.row_count + staged.quarantined);
    let refused = staged.rejected.named().into_iter().map(|line| format!("refused {}: {}\n", line.number, line.reason));
    let logged = logged.split_inclusive(|b| *b == b'\n').map(|line| format!("log: {}", String::from_utf8_lossy(line)));
    let counts = format!("{} stored, {} in quarantine\n", staged.row_count, staged.quarantined);
    [counts].into_iter().chain(rows(&staged)).chain(logged).chain(refused).collect()
}

fn rows(staged: &Staged) -> Vec<String> {
    let mut rows = vec![];
    for table in &staged.tables {
        for (row, (series, time)) in table.rows.iter().zip(&table.times).enumerate() {
            let values = table.columns.iter().filter(|(_, _, column)| column.is_valid(row));
            let values = values.map(|(name, t, column)| format!("{name}={} ({t})", array_value_to_string(column, row).expect("it prints")));
            let values = values.collect::<Vec<_>>().join(", ");
            rows.push(format!("{},{} {values} {time}\n", table.measurement, table.series.get(*series as usize).expect("a series")));
        }
    }
    rows.sort();
    rows
}

#[track_caller]
fn check(body: &str, conflicts: Conflicts, expected: Expect) {
    expected.assert_eq(&staged(body, Precision::Nanosecond, conflicts));
}

/// Each kind of clash, and a line that fits.
const CLASHES: &str = "m f=1i 1\nm f=2u,i=2i 2\nm i=3.5 3\nm f=\"x\" 4\nm i=5u 5\nm,h=a f=t 6\nm,f=x g=1 7\nm h=8 8\nm f=9 9";

#[test]
fn clashes_are_refused() {
    check(
        CLASHES,
        Conflicts::Reject,
        expect![[r#"
            1 stored, 0 in quarantine
            m, f=9.0 (float) 9
            log: m f=9 9
            refused 1: field type conflict: input field "f" on measurement "m" is type integer, already exists as type float
            refused 2: field type conflict: input field "f" on measurement "m" is type unsigned, already exists as type float
            refused 3: field type conflict: input field "i" on measurement "m" is type float, already exists as type integer
            refused 4: field type conflict: input field "f" on measurement "m" is type string, already exists as type float
            refused 5: field type conflict: input field "i" on measurement "m" is type unsigned, already exists as type integer
            refused 6: field type conflict: input field "f" on measurement "m" is type boolean, already exists as type float
            refused 7: name conflict: "f" is a field of measurement "m" and cannot be a tag too: rename one
            refused 8: name conflict: "h" is a tag of measurement "m" and cannot be a field too: rename one
        "#]],
    );
}

#[test]
fn integers_become_floats_where_the_field_has_these_and_nothing_else_changes() {
    check(
        CLASHES,
        Conflicts::Coerce,
        expect![[r#"
            3 stored, 0 in quarantine
            m, f=1.0 (float) 1
            m, f=2.0 (float), i=2 (integer) 2
            m, f=9.0 (float) 9
            log: m f=1 1
            log: m f=2,i=2i 2
            log: m f=9 9
            refused 3: field type conflict: input field "i" on measurement "m" is type float, already exists as type integer
            refused 4: field type conflict: input field "f" on measurement "m" is type string, already exists as type float
            refused 5: field type conflict: input field "i" on measurement "m" is type unsigned, already exists as type integer
            refused 6: field type conflict: input field "f" on measurement "m" is type boolean, already exists as type float
            refused 7: name conflict: "f" is a field of measurement "m" and cannot be a tag too: rename one
            refused 8: name conflict: "h" is a tag of measurement "m" and cannot be a field too: rename one
        "#]],
    );
    // The nearest float, as the log has it; a field that is written twice in a line has its first value; a zero has no sign.
    check(
        "m f=9007199254740993i 1\nm f=-9223372036854775808i 2\nm f=18446744073709551615u 3\nm f=-0i 4\nm f=1i,f=2 5\nm f=1,f=2i 6",
        Conflicts::Coerce,
        expect![[r#"
            6 stored, 0 in quarantine
            m, f=-9.223372036854776e18 (float) 2
            m, f=0.0 (float) 4
            m, f=1.0 (float) 5
            m, f=1.0 (float) 6
            m, f=1.8446744073709552e19 (float) 3
            m, f=9007199254740992.0 (float) 1
            log: m f=9007199254740992 1
            log: m f=-9223372036854776000 2
            log: m f=18446744073709552000 3
            log: m f=0 4
            log: m f=1,f=2 5
            log: m f=1,f=2 6
        "#]],
    );
    // The rest of the line is what it was, whatever is in it.
    check(
        "m,h=a\\ b,g\\=h=\u{e9} f=1i,s=\"a\\\"b\\\\c, f=2i\nd\",t\\,u=t,time=5i,k=-7i 5 \nm f=2i",
        Conflicts::Coerce,
        expect![[r#"
            2 stored, 0 in quarantine
            m, f=2.0 (float) 1700000000123456789
            m,g\=h=é,h=a\ b f=1.0 (float), s=a"b\c, f=2i
            d (string), t,u=true (boolean), k=-7 (integer) 5
            log: m,h=a\ b,g\=h=é f=1,s="a\"b\\c, f=2i
            log: d",t\,u=true,k=-7i 5
            log: m f=2 1700000000123456789
        "#]],
    );
}

#[test]
fn a_type_that_is_known_from_the_same_request_counts() {
    let body = "n a=1.5 1\nn a=2i 2\no b=1i 1\no b=2.5 2\no b=3i 3";
    check(
        body,
        Conflicts::Coerce,
        expect![[r#"
            4 stored, 0 in quarantine
            n, a=1.5 (float) 1
            n, a=2.0 (float) 2
            o, b=1 (integer) 1
            o, b=3 (integer) 3
            log: n a=1.5 1
            log: n a=2 2
            log: o b=1i 1
            log: o b=3i 3
            refused 4: field type conflict: input field "b" on measurement "o" is type float, already exists as type integer
        "#]],
    );
    check(
        body,
        quarantine(0xabc),
        expect![[r#"
            3 stored, 2 in quarantine
            _quarantine,field=a,id=0000000000000abc-2,measurement=n line=n a=2i 2 (string), line_number=2 (integer), reason=field type conflict: input field "a" on measurement "n" is type integer, already exists as type float (string) 2
            _quarantine,field=b,id=0000000000000abc-4,measurement=o line=o b=2.5 2 (string), line_number=4 (integer), reason=field type conflict: input field "b" on measurement "o" is type float, already exists as type integer (string) 2
            n, a=1.5 (float) 1
            o, b=1 (integer) 1
            o, b=3 (integer) 3
            log: n a=1.5 1
            log: _quarantine,field=a,id=0000000000000abc-2,measurement=n line="n a=2i 2",line_number=2i,reason="field type conflict: input field \"a\" on measurement \"n\" is type integer, already exists as type float" 2
            log: o b=1i 1
            log: _quarantine,field=b,id=0000000000000abc-4,measurement=o line="o b=2.5 2",line_number=4i,reason="field type conflict: input field \"b\" on measurement \"o\" is type float, already exists as type integer" 2
            log: o b=3i 3
        "#]],
    );
}

#[test]
fn clashes_are_kept_in_quarantine() {
    check(
        CLASHES,
        quarantine(u64::MAX),
        expect![[r#"
            1 stored, 8 in quarantine
            _quarantine,field=f,id=ffffffffffffffff-1,measurement=m line=m f=1i 1 (string), line_number=1 (integer), reason=field type conflict: input field "f" on measurement "m" is type integer, already exists as type float (string) 1
            _quarantine,field=f,id=ffffffffffffffff-2,measurement=m line=m f=2u,i=2i 2 (string), line_number=2 (integer), reason=field type conflict: input field "f" on measurement "m" is type unsigned, already exists as type float (string) 2
            _quarantine,field=f,id=ffffffffffffffff-4,measurement=m line=m f="x" 4 (string), line_number=4 (integer), reason=field type conflict: input field "f" on measurement "m" is type string, already exists as type float (string) 4
            _quarantine,field=f,id=ffffffffffffffff-6,measurement=m line=m,h=a f=t 6 (string), line_number=6 (integer), reason=field type conflict: input field "f" on measurement "m" is type boolean, already exists as type float (string) 6
            _quarantine,field=f,id=ffffffffffffffff-7,measurement=m line=m,f=x g=1 7 (string), line_number=7 (integer), reason=name conflict: "f" is a field of measurement "m" and cannot be a tag too: rename one (string) 7
            _quarantine,field=h,id=ffffffffffffffff-8,measurement=m line=m h=8 8 (string), line_number=8 (integer), reason=name conflict: "h" is a tag of measurement "m" and cannot be a field too: rename one (string) 8
            _quarantine,field=i,id=ffffffffffffffff-3,measurement=m line=m i=3.5 3 (string), line_number=3 (integer), reason=field type conflict: input field "i" on measurement "m" is type float, already exists as type integer (string) 3
            _quarantine,field=i,id=ffffffffffffffff-5,measurement=m line=m i=5u 5 (string), line_number=5 (integer), reason=field type conflict: input field "i" on measurement "m" is type unsigned, already exists as type integer (string) 5
            m, f=9.0 (float) 9
            log: _quarantine,field=f,id=ffffffffffffffff-1,measurement=m line="m f=1i 1",line_number=1i,reason="field type conflict: input field \"f\" on measurement \"m\" is type integer, already exists as type float" 1
            log: _quarantine,field=f,id=ffffffffffffffff-2,measurement=m line="m f=2u,i=2i 2",line_number=2i,reason="field type conflict: input field \"f\" on measurement \"m\" is type unsigned, already exists as type float" 2
            log: _quarantine,field=i,id=ffffffffffffffff-3,measurement=m line="m i=3.5 3",line_number=3i,reason="field type conflict: input field \"i\" on measurement \"m\" is type float, already exists as type integer" 3
            log: _quarantine,field=f,id=ffffffffffffffff-4,measurement=m line="m f=\"x\" 4",line_number=4i,reason="field type conflict: input field \"f\" on measurement \"m\" is type string, already exists as type float" 4
            log: _quarantine,field=i,id=ffffffffffffffff-5,measurement=m line="m i=5u 5",line_number=5i,reason="field type conflict: input field \"i\" on measurement \"m\" is type unsigned, already exists as type integer" 5
            log: _quarantine,field=f,id=ffffffffffffffff-6,measurement=m line="m,h=a f=t 6",line_number=6i,reason="field type conflict: input field \"f\" on measurement \"m\" is type boolean, already exists as type float" 6
            log: _quarantine,field=f,id=ffffffffffffffff-7,measurement=m line="m,f=x g=1 7",line_number=7i,reason="name conflict: \"f\" is a field of measurement \"m\" and cannot be a tag too: rename one" 7
            log: _quarantine,field=h,id=ffffffffffffffff-8,measurement=m line="m h=8 8",line_number=8i,reason="name conflict: \"h\" is a tag of measurement \"m\" and cannot be a field too: rename one" 8
            log: m f=9 9
        "#]],
    );
}

#[test]
fn lines_in_quarantine_say_their_time_and_keep_their_text() {
    let body = "m f=\"a 5\"\nm f=\"b\" 7\n\n# one\nm\\,n,h=a\\ b x=\"c\\\"d\\\\\ne\"  -3\t\nm\\,n x=1i\t+4 \r\nm f=t\nm  f=\"last 8\"";
    expect![[r#"
        1 stored, 5 in quarantine
        _quarantine,field=f,id=0000000000000001-1,measurement=m line=m f="a 5" 1700000000000000000 (string), line_number=1 (integer), reason=field type conflict: input field "f" on measurement "m" is type string, already exists as type float (string) 1700000000000000000
        _quarantine,field=f,id=0000000000000001-2,measurement=m line=m f="b" 7000000000 (string), line_number=2 (integer), reason=field type conflict: input field "f" on measurement "m" is type string, already exists as type float (string) 7000000000
        _quarantine,field=f,id=0000000000000001-8,measurement=m line=m f=t 1700000000000000000 (string), line_number=8 (integer), reason=field type conflict: input field "f" on measurement "m" is type boolean, already exists as type float (string) 1700000000000000000
        _quarantine,field=f,id=0000000000000001-9,measurement=m line=m  f="last 8" 1700000000000000000 (string), line_number=9 (integer), reason=field type conflict: input field "f" on measurement "m" is type string, already exists as type float (string) 1700000000000000000
        _quarantine,field=x,id=0000000000000001-7,measurement=m\,n line=m\,n x=1i 4000000000 (string), line_number=7 (integer), reason=field type conflict: input field "x" on measurement "m,n" is type integer, already exists as type string (string) 4000000000
        m,n,h=a\ b x=c"d\
        e (string) -3000000000
        log: _quarantine,field=f,id=0000000000000001-1,measurement=m line="m f=\"a 5\" 1700000000000000000",line_number=1i,reason="field type conflict: input field \"f\" on measurement \"m\" is type string, already exists as type float" 1700000000
        log: _quarantine,field=f,id=0000000000000001-2,measurement=m line="m f=\"b\" 7000000000",line_number=2i,reason="field type conflict: input field \"f\" on measurement \"m\" is type string, already exists as type float" 7
        log: m\,n,h=a\ b x="c\"d\\
        log: e"  -3	
        log: _quarantine,field=x,id=0000000000000001-7,measurement=m\,n line="m\\,n x=1i 4000000000",line_number=7i,reason="field type conflict: input field \"x\" on measurement \"m,n\" is type integer, already exists as type string" 4
        log: _quarantine,field=f,id=0000000000000001-8,measurement=m line="m f=t 1700000000000000000",line_number=8i,reason="field type conflict: input field \"f\" on measurement \"m\" is type boolean, already exists as type float" 1700000000
        log: _quarantine,field=f,id=0000000000000001-9,measurement=m line="m  f=\"last 8\" 1700000000000000000",line_number=9i,reason="field type conflict: input field \"f\" on measurement \"m\" is type string, already exists as type float" 1700000000
    "#]].assert_eq(&staged(body, Precision::Second, quarantine(1)));
}

#[test]
fn what_can_not_be_kept_is_refused() {
    // A row of the quarantine that somebody wrote; one of another type; a text that no line can have.
    let long = "x".repeat(700_000);
    for (body, refused) in [
        ("_quarantine,id=1 line=\"kept\" 1\nm f=t 2", None),
        ("_quarantine line=5i 1\nm f=t 2\nm f=3 3\nnonsense", Some(2)),
        ("m f=t 1\n_quarantine line=5i 1", Some(1)),
        ("_quarantine,line=x a=1 1\nm f=t 2", Some(2)),
        (&format!("m a=\"{long}\",b=\"{long}\",f=t 1"), Some(1)),
        (&format!("m a=\"{long}\",f=t 1"), None),
        // More than one request may have kept.
        (&format!("m f=t,a=\"{long}\" 1\n").repeat(3), None),
        (&format!("m f=t,a=\"{long}\" 1\n").repeat(25), Some(25)),
        (&format!("{} x=1 1\n{} x=t 2", &long[..65_500], &long[..65_500]), Some(2)),
    ] {
        let staged = stage(body.as_bytes(), Precision::Nanosecond, NOW, None, quarantine(1), schema);
        let clashes = staged.rejected.of_kind(Rejected::TypeConflict).iter();
        let found: Vec<usize> = clashes.map(|line| line.number).filter(|number| *number != 4).collect();
        let shown = &body[..body.len().min(80)];
        assert_eq!(found, refused.into_iter().collect::<Vec<_>>(), "{shown}");
        let clashing = body.matches("f=t").count() + body.matches("x=t").count();
        assert_eq!(staged.quarantined, clashing - found.len(), "{shown}");
        let again = stage(&staged.log_text(body.as_bytes()), Precision::Nanosecond, NOW, None, Conflicts::Reject, |_| None);
        assert_eq!((again.rejected.count(), rows(&again)), (0, rows(&staged)), "{shown}");
    }
}

#[test]
fn a_line_that_is_refused_leaves_no_name_and_no_type_behind() {
    check(
        "n a=1i,b=1,x=t 1\nm new=1i,f=t 2\nm,tag=a new=1i,f=t 3\nm new=1.5,tag=2 4\nm,tag=b f=5 5\nm,late=c f=6 6\nm,late=c f=t 7",
        Conflicts::Reject,
        expect![[r#"
            3 stored, 0 in quarantine
            m, new=1.5 (float), tag=2.0 (float) 4
            m,late=c f=6.0 (float) 6
            n, a=1 (integer), b=1.0 (float), x=true (boolean) 1
            log: n a=1i,b=1,x=t 1
            log: m new=1.5,tag=2 4
            log: m,late=c f=6 6
            refused 2: field type conflict: input field "f" on measurement "m" is type boolean, already exists as type float
            refused 3: field type conflict: input field "f" on measurement "m" is type boolean, already exists as type float
            refused 5: name conflict: "tag" is a field of measurement "m" and cannot be a tag too: rename one
            refused 7: field type conflict: input field "f" on measurement "m" is type boolean, already exists as type float
        "#]],
    );
}

#[test]
fn a_request_that_fits_is_logged_as_it_came() {
    for conflicts in [Conflicts::Reject, Conflicts::Coerce, quarantine(1)] {
        let body = b"m f=1,i=2i 1\r\n# note\n\nm,h=a f=2";
        let staged = stage(body, Precision::Nanosecond, NOW, None, conflicts, schema);
        assert!(matches!(staged.log_text(body), Cow::Borrowed(text) if text == body));
        assert_eq!((staged.row_count, staged.quarantined), (2, 0));
    }
}
