use super::*;
use expect_test::{Expect, expect};

fn check(text: &str, expected: Expect) {
    let shown = match Converter::new(false).convert(text, 1) {
        Ok((lines, places)) => lines.lines().zip(places).map(|(line, place)| format!("{place}: {line}\n")).collect(),
        Err(failure) => format!("error: {failure}\n"),
    };
    expected.assert_eq(&shown);
}

#[test]
fn the_answer_of_a_query_can_be_written_again() {
    check(
        "#group,false,false,true,true,false,false,true,true,true,true\r
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string,string\r
#default,_result,,,,,,,,,\r
,result,table,_start,_stop,_time,_value,_field,_measurement,cpu,host\r
,,0,2020-02-25T22:17:54Z,2020-02-25T22:22:54Z,2020-02-25T22:17:57Z,0,time_steal,cpu,cpu1,a b\r
\r
#group,false,false,true,true,false,false,true,true,true,true\r
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,string,string,string,string,string\r
#default,_result,,,,,,,,,\r
,result,table,_start,_stop,_time,_value,_field,_measurement,cpu,host\r
,,1,2020-02-25T22:17:54Z,2020-02-25T22:22:54Z,2020-02-25T22:18:01Z,\"say \"\"hi\"\"\",note,cpu,cpu-total,\r\n",
        expect![[r#"
            5: cpu,cpu=cpu1,host=a\ b time_steal=0 1582669077000000000
            11: cpu,cpu=cpu-total note="say \"hi\"" 1582669081000000000
        "#]],
    );
}

#[test]
fn types_in_annotations_or_in_the_header() {
    check(
        "#datatype measurement,tag,tag,double,double,ignored,dateTime:number
m,cpu,host,time_steal,usage_user,nothing,time
cpu,cpu1,rsavage.prod,0,2.7,a,1482669077000000000
cpu,cpu1,rsavage.prod,,2.2,b,1482669087000000000
",
        expect![[r#"
            3: cpu,cpu=cpu1,host=rsavage.prod time_steal=0,usage_user=2.7 1482669077000000000
            4: cpu,cpu=cpu1,host=rsavage.prod usage_user=2.2 1482669087000000000
        "#]],
    );
    check(
        "m|measurement|test,name|tag|annotatedDatatypes,s|string,d|double,b|boolean,l|long,ul|unsignedLong,dur|duration,time|dateTime
,,str1,1.0,true,1,1,1ms,1
,,str2,2.0,false,2,2,2us,2020-01-11T10:10:10Z
",
        expect![[r#"
            2: test,name=annotatedDatatypes s="str1",d=1.0,b=true,l=1i,ul=1u,dur=1000000i 1
            3: test,name=annotatedDatatypes s="str2",d=2.0,b=false,l=2i,ul=2u,dur=2000i 1578737410000000000
        "#]],
    );
}

#[test]
fn constants_formats_zones_and_other_separators() {
    check(
        "#constant measurement,test
#constant tag,name,datetypeFormats
#timezone -0500
t|dateTime:2006-01-02|1970-01-02,\"d|double:,. \",\"b|boolean:y,Y:n,N|y\"
1970-01-01,\"123.456,78\",
,\"123 456,78\",Y
",
        expect![[r#"
            5: test,name=datetypeFormats d=123456.78,b=true 18000000000000
            6: test,name=datetypeFormats d=123456.78,b=true 104400000000000
        "#]],
    );
    check(
        "sep=;\nm|measurement;available|boolean:y,Y:|n;dt|dateTime:number\ntest;nil;1\ntest;\";\";3\ntest;;4\ntest;Y;5\n",
        expect![[r#"
            3: test available=false 1
            4: test available=false 3
            5: test available=false 4
            6: test available=true 5
        "#]],
    );
    check(
        "#constant,measurement,people\n#concat,string,fullName,${first} ${last}!\nfirst|tag,last|tag,time|dateTime:number\nAda,Lovelace,1\n",
        expect![[r#"
            4: people,first=Ada,last=Lovelace fullName="Ada Lovelace!" 1
        "#]],
    );
}

#[test]
fn what_is_wrong_names_line_and_column() {
    check(
        "a,b\n1,2\n",
        expect![[r#"
        error: line 1: no measurement column; mark one with the datatype `measurement`, or add `#constant measurement,NAME`
    "#]],
    );
    check(
        "m|measurement,v|long\nx,1\nx,1.5\n",
        expect![[r#"
        error: line 3: column `v`: `1.5` is not a long
    "#]],
    );
    check(
        "m|measurement,v|decimal\nx,1\n",
        expect![[r#"
        error: line 1: unknown datatype `decimal`; known are measurement, tag, time, dateTime, double, long, unsignedLong, boolean, string, duration, field and ignored
    "#]],
    );
    let text = "m|measurement,v|long\nx,bad\nx,2\nx,1,2\n";
    let (lines, places) = Converter::new(true).convert(text, 1).expect("bad rows are skipped");
    assert_eq!((lines.as_str(), places), ("x v=2i\n", vec![3]));
}

#[test]
fn a_table_goes_on_in_the_next_piece() {
    let mut converter = Converter::new(false);
    let text = "m|measurement,v|string\nx,\"a\nb\"\nx,c\n";
    let whole = whole_records(b"m|measurement,v|string\nx,\"a\nb");
    assert_eq!(&text[..whole], "m|measurement,v|string\n");
    assert_eq!(converter.convert(&text[..whole], 1).expect("a header").0, "");
    let (lines, places) = converter.convert(&text[whole..], 2).expect("rows");
    assert_eq!((lines.as_str(), places), ("x v=\"a\nb\"\nx v=\"c\"\n", vec![2, 2, 4]));
}
