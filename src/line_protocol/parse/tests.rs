use super::*;
use crate::line_protocol::{parse_series, write::push_series_tags, write_point};
use expect_test::{Expect, expect};
use proptest::prelude::*;

/// Each line as understood, or why it was refused.
fn show(body: &[u8], precision: Precision) -> String {
    let mut parser = Parser::new(body, precision, 1_234_567_890_123_456_789);
    let (mut fields, mut out) = (vec![], String::new());
    while let Some(line) = parser.next(&mut fields) {
        match line {
            Ok(line) => match parse_series(line.series) {
                Ok(series) => {
                    let tags: Vec<String> = series.tags.iter().map(|(k, v)| format!("{k}={v}")).collect();
                    let fields: Vec<String> = fields.iter().map(|f| format!("{}={:?}", escape::key(f.key), f.value)).collect();
                    out += &format!("{}: {} [{}] {} @{}\n", line.number, series.measurement, tags.join(","), fields.join(" "), line.time);
                }
                Err(reason) => out += &format!("{}: unable to parse '{}': {reason}\n", line.number, line.text),
            },
            Err(bad) => out += &format!("{}: {bad}\n", bad.number),
        }
    }
    out
}

fn check(body: &str, expected: Expect) {
    expected.assert_eq(&show(body.as_bytes(), Precision::Nanosecond));
}

#[test]
fn every_field_type() {
    check(
        "m,b=2,a=1 f=1.5,g=-3,h=1e3,i=7i,n=-9223372036854775808i,u=18446744073709551615u,t=t,x=FALSE,s=\"a b\" 42",
        expect![[r#"
            1: m [a=1,b=2] f=Float(1.5) g=Float(-3.0) h=Float(1000.0) i=Integer(7) n=Integer(-9223372036854775808) u=Unsigned(18446744073709551615) t=Boolean(true) x=Boolean(false) s=String("a b") @42
        "#]],
    );
}

#[test]
fn escapes_quotes_comments_and_blank_lines() {
    check(
        "# a comment with \"a quote\n\n  my\\ mea\\,sure,t\\=ag=a\\ b\\,c fi\\ eld=\"q \\\" \\\\ , = \n next\" 1\r\nm f=1 2\n",
        expect![[r#"
            3: my mea,sure [t=ag=a b,c] fi eld=String("q \" \\ , = \n next") @1
            5: m [] f=Float(1.0) @2
        "#]],
    );
}

#[test]
fn reasons_are_influxdbs_words() {
    check(
        ",a=1 f=1\nm\nm \nm, f=1\nm,=1 f=1\nm,a f=1\nm,a= f=1\nm,a=1=2 f=1\nm,a=1\nm f\nm =1\nm f=\nm f=1,\nm f=1,g\nm f=abc\nm f=1x\nm f=1i2\nm f=9223372036854775808i\nm f=-1u\nm f=nan\nm f=1e999",
        expect![[r#"
            1: unable to parse ',a=1 f=1': missing measurement
            2: unable to parse 'm': missing fields
            3: unable to parse 'm ': missing fields
            4: unable to parse 'm, f=1': missing tag key
            5: unable to parse 'm,=1 f=1': missing tag key
            6: unable to parse 'm,a f=1': missing tag value
            7: unable to parse 'm,a= f=1': missing tag value
            8: unable to parse 'm,a=1=2 f=1': invalid tag format
            9: unable to parse 'm,a=1': missing fields
            10: unable to parse 'm f': invalid field format
            11: unable to parse 'm =1': missing field key
            12: unable to parse 'm f=': missing field value
            13: unable to parse 'm f=1,': missing field key
            14: unable to parse 'm f=1,g': invalid field format
            15: unable to parse 'm f=abc': invalid boolean
            16: unable to parse 'm f=1x': invalid number
            17: unable to parse 'm f=1i2': invalid number
            18: unable to parse 'm f=9223372036854775808i': unable to parse integer 9223372036854775808: strconv.ParseInt: parsing "9223372036854775808": value out of range
            19: unable to parse 'm f=-1u': invalid number
            20: unable to parse 'm f=nan': NaN is an unsupported value for field f
            21: unable to parse 'm f=1e999': invalid float
        "#]],
    );
}

#[test]
fn an_open_quote_spoils_only_its_own_line_when_it_is_never_closed() {
    check(
        "m f=\"x\nm g=1 5",
        expect![[r#"
            1: unable to parse 'm f="x': unbalanced quotes
            2: m [] g=Float(1.0) @5
        "#]],
    );
}

#[test]
fn rules_on_names_and_times() {
    check(
        "m f=1 x\nm f=1 9223372036854775807\nm,a=1,a=2 f=1\nm,_field=1 f=1\nm f=\"a\"b\nm ok=1 1",
        expect![[r#"
            1: unable to parse 'm f=1 x': bad timestamp
            2: unable to parse 'm f=1 9223372036854775807': time outside range -9223372036854775806 - 9223372036854775806
            3: unable to parse 'm,a=1,a=2 f=1': duplicate tags
            4: unable to parse 'm,_field=1 f=1': cannot use reserved tag key "_field"
            5: unable to parse 'm f="a"b': invalid field format
            6: m [] ok=Float(1.0) @1
        "#]],
    );
}

#[test]
fn precisions_scale_times_and_cut_now() {
    expect![[r#"
        1: m [] f=Float(1.0) @1000000000
        2: m [] f=Float(1.0) @1234567890000000000
        3: unable to parse 'm f=1 9223372036854': time outside range -9223372036854775806 - 9223372036854775806
    "#]]
    .assert_eq(&show(b"m f=1 1\nm f=1\nm f=1 9223372036854", Precision::Second));
}

#[test]
fn bytes_that_are_no_text_spoil_one_line() {
    expect![[r#"
        1: unable to parse 'm f="�"': invalid UTF-8
        2: m [] f=Float(1.0) @1
    "#]]
    .assert_eq(&show(b"m f=\"\xff\"\nm f=1 1", Precision::Nanosecond));
}

proptest! {
    #[test]
    fn any_bytes_end_without_a_panic(body in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b','), Just(b'='), Just(b'"'), Just(b'\\'), Just(b'1'), Just(b'i'), any::<u8>()], 0..200)) {
        show(&body, Precision::Nanosecond);
    }

    /// The slow path of Rust's own parser is the judge of the fast one.
    #[test]
    fn decimals_are_rounded_as_the_standard_library_does(mantissa in -999_999_999_999_999i64..999_999_999_999_999, scale in 0usize..12) {
        let digits = format!("{:0>width$}", mantissa.unsigned_abs(), width = scale + 1);
        let (whole, part) = digits.split_at(digits.len() - scale);
        let text = format!("{}{whole}.{part}", if mantissa < 0 { "-" } else { "" });
        prop_assert_eq!(float(&text), Ok(text.parse::<f64>().expect("a decimal")), "{}", text);
    }

    #[test]
    fn what_is_written_is_read_back(measurement in "[a-z ,=é]{1,5}", key in "[a-z ,=]{1,4}", value in "[a-zA-Z ,=ö]{1,6}", text in "[ -~\n]{0,12}", number in any::<f64>(), integer in any::<i64>(), time in -1_000_000_000i64..1_000_000_000) {
        prop_assume!(number.is_finite() && !matches!(key.as_str(), "time"));
        let mut out = String::new();
        let fields = [("s", FieldValue::String(text.clone().into())), ("n", FieldValue::Float(number)), ("i", FieldValue::Integer(integer))];
        prop_assert!(write_point(&mut out, &measurement, [(key.as_str(), value.as_str())], fields.clone(), Some(time)));
        let mut parser = Parser::new(out.as_bytes(), Precision::Nanosecond, 0);
        let mut read = vec![];
        let first = out.trim_start().chars().next();
        prop_assume!(first == out.chars().next() && first != Some('#'));
        let line = parser.next(&mut read).expect("one line").map_err(|e| TestCaseError::fail(e.to_string()))?;
        let series = parse_series(line.series).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(series.measurement.as_ref(), measurement.as_str());
        prop_assert_eq!(series.tags, vec![(key.into(), value.into())]);
        prop_assert_eq!(read.into_iter().map(|f| f.value).collect::<Vec<_>>(), fields.into_iter().map(|f| f.1).collect::<Vec<_>>());
        prop_assert_eq!(line.time, time);
    }
}

/// However tags were written, in order or not, with or without escapes, they have one text.
#[test]
fn tags_have_one_text() {
    for (raw, expected) in [
        ("m", ""),
        ("m,a=1,b=2", "a=1,b=2"),
        ("m,b=2,a=1", "a=1,b=2"),
        (r"m\,x,b=2,a=1\ 3", r"a=1\ 3,b=2"),
        (r"m,a=1\ 3,b=2", r"a=1\ 3,b=2"),
        (r"m,a=b\c,b=\=", r"a=b\c,b=\="),
    ] {
        let (series, mut text) = (parse_series(raw).expect("a series"), String::new());
        series.push_tags(&mut text);
        assert_eq!(text, expected, "{raw}");
        let mut general = String::new();
        push_series_tags(&mut general, series.tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref())));
        assert_eq!(text, general, "{raw}");
    }
}
