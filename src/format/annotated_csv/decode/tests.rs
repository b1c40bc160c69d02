use super::*;
use expect_test::{Expect, expect};

/// Each table as `result key=value,...` and its rows.
fn check(text: &str, expected: Expect) {
    let shown = match decode(text) {
        Err(failure) => format!("error: {failure}\n"),
        Ok(tables) => tables.iter().map(show).collect(),
    };
    expected.assert_eq(&shown);
}

fn show(table: &CsvTable) -> String {
    let key: Vec<String> = table.key.iter().zip(&table.key_values).map(|(k, v)| format!("{k}={v:?}")).collect();
    let batch = arrow::util::pretty::pretty_format_batches(std::slice::from_ref(&table.batch)).expect("printable");
    format!("{} [{}]\n{batch}\n", table.result, key.join(", "))
}

#[test]
fn tables_end_where_the_number_changes_and_cells_take_defaults() {
    check(
        "#datatype,string,long,dateTime:RFC3339,double,string,long,unsignedLong,boolean\r\n#group,false,false,false,false,true,false,false,false\r\n\
         #default,_result,,,1.5,,,,\r\n,result,table,_time,_value,host,i,u,b\r\n,,0,2020-01-01T00:00:00Z,,a,-1,18446744073709551615,true\r\n\
         ,,0,2020-01-01T00:00:10.5Z,+Inf,a,,,false\r\n,,1,2020-01-01T00:00:00Z,NaN,\"b, \"\"c\"\"\",0,0,\r\n\r\n",
        expect![[r#"
            _result [host=Some("a")]
            +-------------------------+--------+------+----+----------------------+-------+
            | _time                   | _value | host | i  | u                    | b     |
            +-------------------------+--------+------+----+----------------------+-------+
            | 2020-01-01T00:00:00     | 1.5    | a    | -1 | 18446744073709551615 | true  |
            | 2020-01-01T00:00:10.500 | inf    | a    |    |                      | false |
            +-------------------------+--------+------+----+----------------------+-------+
            _result [host=Some("b, \"c\"")]
            +---------------------+--------+--------+---+---+---+
            | _time               | _value | host   | i | u | b |
            +---------------------+--------+--------+---+---+---+
            | 2020-01-01T00:00:00 | NaN    | b, "c" | 0 | 0 |   |
            +---------------------+--------+--------+---+---+---+
        "#]],
    );
}

#[test]
fn blocks_open_new_tables_and_may_be_empty() {
    check(
        "\u{feff}\n#group,false,false,true\n#default,first,,x\n#datatype,string,long,string\n,result,table,t\n\n\
         #datatype,string,long,dateTime:2006-01-02\n#group,false,false,false\n#default,second,,\n# a comment\n,result,table,d\n,,0,2021-02-03\n",
        expect![[r#"
            first [t=Some("x")]
            +---+
            | t |
            +---+
            +---+
            second []
            +---------------------+
            | d                   |
            +---------------------+
            | 2021-02-03T00:00:00 |
            +---------------------+
        "#]],
    );
}

#[test]
fn mistakes_are_named() {
    let head = "#datatype,string,long,long\n#group,false,false,false\n#default,_result,,\n,result,table,v\n";
    check(
        &format!("{head},,0,x\n"),
        expect![[r#"
        error: record on line 5: column "v": "x" is not a int
    "#]],
    );
    check(
        &format!("{head},,0\n"),
        expect![[r#"
        error: record on line 5: wrong number of fields: found 3, the header has 4
    "#]],
    );
    check(
        ",result,table,v\n,,0,1\n",
        expect![[r#"
        error: failed to read metadata: missing expected annotation datatype. consider using the mode: "raw" for csv that is not expected to have annotations.
    "#]],
    );
    check(
        &format!("{head},,0,\"1\n"),
        expect![[r#"
        error: record on line 5: a quoted cell is not closed
    "#]],
    );
    check(
        &head.replace("long,long", "long,duration"),
        expect![[r#"
        error: failed to read metadata: unsupported datatype "duration"
    "#]],
    );
}

#[test]
fn an_error_table_is_its_message() {
    let row = ",error,reference\r\n,\"it, broke\",\r\n";
    let annotated = format!("#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n{row}");
    let after_data =
        format!("#datatype,string,long,long\n#group,false,false,false\n#default,_result,,\n,result,table,v\n,,0,1\n\r\n{annotated}");
    for text in [row, &annotated, &after_data] {
        assert_eq!(decode(text).expect_err("an error").message, "it, broke");
    }
}

#[test]
fn raw_mode_is_text_only() {
    let table = decode_raw("a,b\n1,\"x\ny\"\n,\n").expect("readable");
    assert_eq!(table.batch.num_rows(), 2);
    let b = arrow::array::AsArray::as_string::<i32>(table.batch.column(1));
    assert_eq!((b.value(0), b.value(1)), ("x\ny", ""));
    assert!(decode_raw("a,b\n1\n").is_err());
}

#[test]
fn quotes_are_lenient() {
    let rows: Vec<_> = records("a\"b,\"c\"d\",\r\n\"\",\"e\r\nf\"\n", b',').map(|r| r.expect("readable")).collect();
    assert_eq!(rows, [(1, vec!["a\"b".into(), "c\"d".into(), "".into()]), (2, vec!["".into(), "e\r\nf".into()])]);
}
