use super::*;
use crate::format::annotated_csv::decode;
use arrow::datatypes::{Field, Schema};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use expect_test::{Expect, expect};
use std::sync::Arc;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> = columns.iter().map(|(n, a)| Field::new(*n, a.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, a)| a).collect()).expect("equal lengths")
}

fn frame(key: &[&str], absent_keys: bool, batches: Vec<Result<RecordBatch, Failure>>) -> FrameStream {
    let schema = batches.iter().flatten().next().map_or_else(|| Arc::new(Schema::empty()), |b| b.schema());
    let batches = stream::iter(batches.into_iter().map(|b| b.map_err(Into::into)));
    FrameStream {
        key: key.iter().map(|k| k.to_string()).collect(),
        absent_keys,
        batches: Box::pin(RecordBatchStreamAdapter::new(schema, batches)),
    }
}

fn tags(values: Vec<Option<&str>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<DictionaryArray<Int32Type>>())
}

fn result(name: &str, frames: Vec<FrameStream>) -> ResultTables {
    ResultTables { name: name.into(), frames }
}

fn text(results: Vec<ResultTables>, dialect: Dialect) -> Result<String, Failure> {
    let chunks: Vec<Result<Bytes, Failure>> = futures::executor::block_on(encode(results, dialect).collect());
    let mut out = vec![];
    for chunk in chunks {
        out.extend_from_slice(&chunk?);
    }
    Ok(String::from_utf8(out).expect("UTF-8"))
}

fn check(results: Vec<ResultTables>, dialect: Dialect, expected: Expect) {
    // Line ends are shown, since they are part of the format.
    expected.assert_eq(&text(results, dialect).expect("encodes").replace("\r\n", "$\n"));
}

fn two_hosts() -> RecordBatch {
    batch(vec![
        ("_time", Arc::new(TimestampNanosecondArray::from(vec![0, 1_500_000_000, 0]))),
        ("_value", Arc::new(Float64Array::from(vec![Some(1.0), None, Some(0.25)]))),
        ("host", tags(vec![Some("a"), Some("a"), Some("b, c")])),
    ])
}

#[test]
fn tables_of_one_shape_share_a_block() {
    check(
        vec![result("_result", vec![frame(&["host"], true, vec![Ok(two_hosts())])])],
        Dialect::annotated(),
        expect![[r#"
            #datatype,string,long,dateTime:RFC3339,double,string$
            #group,false,false,false,false,true$
            #default,_result,,,,$
            ,result,table,_time,_value,host$
            ,,0,1970-01-01T00:00:00Z,1,a$
            ,,0,1970-01-01T00:00:01.5Z,,a$
            ,,1,1970-01-01T00:00:00Z,0.25,"b, c"$
            $
        "#]],
    );
}

#[test]
fn without_annotations_the_result_stands_in_each_row() {
    let dialect = Dialect { delimiter: b';', ..Dialect::default() };
    check(
        vec![result("a", vec![frame(&["host"], true, vec![Ok(two_hosts())])]), result("b", vec![])],
        dialect,
        expect![[r#"
            ;result;table;_time;_value;host$
            ;a;0;1970-01-01T00:00:00Z;1;a$
            ;a;0;1970-01-01T00:00:01.5Z;;a$
            ;a;1;1970-01-01T00:00:00Z;0.25;b, c$
            $
            $
        "#]],
    );
}

#[test]
fn an_absent_key_column_opens_another_block() {
    let rows = || {
        batch(vec![
            ("a", tags(vec![Some("x"), None, None])),
            ("b", tags(vec![Some("y"), Some("y"), None])),
            ("v", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ])
    };
    let dialect = Dialect { annotations: vec![Annotation::Group, Annotation::Datatype, Annotation::Default], ..Dialect::default() };
    check(
        vec![result("_result", vec![frame(&["a", "b"], true, vec![Ok(rows())])])],
        dialect,
        expect![[r#"
            #group,false,false,true,true,false$
            #datatype,string,long,string,string,long$
            #default,_result,,,,$
            ,result,table,a,b,v$
            ,,0,x,y,1$
            $
            #group,false,false,true,false$
            #datatype,string,long,string,long$
            #default,_result,,,$
            ,result,table,b,v$
            ,,1,y,2$
            $
            #group,false,false,false$
            #datatype,string,long,long$
            #default,_result,,$
            ,result,table,v$
            ,,2,3$
            $
        "#]],
    );
    // Where a null key is a value, all three are tables of one shape.
    check(
        vec![result("_result", vec![frame(&["a", "b"], false, vec![Ok(rows())])])],
        Dialect { header: false, ..Dialect::default() },
        expect![[r#"
            ,_result,0,x,y,1$
            ,_result,1,,y,2$
            ,_result,2,,,3$
            $
        "#]],
    );
}

#[test]
fn a_table_goes_on_in_the_next_batch_but_not_in_the_next_frame() {
    let b = || batch(vec![("k", Arc::new(Int64Array::from(vec![7])) as ArrayRef), ("v", Arc::new(BooleanArray::from(vec![true])))]);
    let frames = vec![frame(&["k"], false, vec![Ok(b()), Ok(b().slice(0, 0)), Ok(b())]), frame(&["k"], false, vec![Ok(b())])];
    check(
        vec![result("r", frames), result("s", vec![frame(&[], false, vec![Ok(b())])])],
        Dialect::default(),
        expect![[r#"
            ,result,table,k,v$
            ,r,0,7,true$
            ,r,0,7,true$
            ,r,1,7,true$
            $
            ,result,table,k,v$
            ,s,0,7,true$
            $
        "#]],
    );
}

#[test]
fn no_tables_is_one_empty_line() {
    assert_eq!(text(vec![result("_result", vec![])], Dialect::annotated()).as_deref(), Ok("\r\n"));
    let empty = frame(&[], false, vec![Ok(two_hosts().slice(0, 0))]);
    assert_eq!(text(vec![result("_result", vec![empty])], Dialect::annotated()).as_deref(), Ok("\r\n"));
}

#[test]
fn a_failure_before_the_first_byte_is_an_error_and_later_a_table() {
    let failing = |before: Vec<Result<RecordBatch, Failure>>| {
        let batches = before.into_iter().chain([Err(Failure::not_found("no, \"such\" thing"))]).collect();
        vec![result("_result", vec![frame(&["host"], true, batches)])]
    };
    assert_eq!(text(failing(vec![Ok(two_hosts())]), Dialect::annotated()), Err(Failure::not_found("no, \"such\" thing")));
    let many: Vec<_> = (0..3000).map(|_| Ok(two_hosts())).collect();
    let out = text(failing(many), Dialect::annotated()).expect("the status was sent");
    let tail = "\r\n\r\n#datatype,string,string\r\n#group,true,true\r\n#default,,\r\n,error,reference\r\n,\"no, \"\"such\"\" thing\",\r\n";
    assert!(out.ends_with(tail), "{}", &out[out.len() - 200..]);
    assert_eq!(decode(&out).expect_err("an error table").message, "no, \"such\" thing");
}

#[test]
fn other_arrow_types_find_a_column_type() {
    use arrow::array::*;
    let b = batch(vec![
        ("small", Arc::new(Int16Array::from(vec![-3])) as ArrayRef),
        ("f", Arc::new(Float32Array::from(vec![0.5]))),
        ("us", Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC"))),
        ("day", Arc::new(Date32Array::from(vec![1]))),
        ("view", Arc::new(StringViewArray::from(vec!["x"]))),
        ("list", Arc::new(ListArray::from_iter_primitive::<arrow::datatypes::Int64Type, _, _>([Some([Some(1), None])]))),
        ("none", Arc::new(NullArray::new(1))),
    ]);
    check(
        vec![result("_result", vec![frame(&[], false, vec![Ok(b)])])],
        Dialect { annotations: vec![Annotation::Datatype], ..Dialect::default() },
        expect![[r##"
            #datatype,string,long,long,double,dateTime:RFC3339,dateTime:RFC3339,string,string,string$
            ,result,table,small,f,us,day,view,list,none$
            ,_result,0,-3,0.5,1970-01-01T00:00:00.000001Z,1970-01-02T00:00:00Z,x,"[1, ]",$
            $
        "##]],
    );
}

#[test]
fn what_is_decoded_encodes_to_the_same_text() {
    let original = "#datatype,string,long,dateTime:RFC3339,double,string\r\n#group,false,false,false,false,true\r\n#default,_result,0,,,x\r\n\
        ,result,table,_time,_value,host\r\n\r\n\
        #datatype,string,long,dateTime:RFC3339,double,string\r\n#group,false,false,false,false,true\r\n#default,_result,,,,\r\n\
        ,result,table,_time,_value,host\r\n,,1,2020-01-01T00:00:00Z,1.5,a\r\n,,2,2020-01-01T00:00:00Z,,\" b\"\r\n\r\n\
        #datatype,string,long,unsignedLong\r\n#group,false,false,false\r\n#default,other,,\r\n,result,table,u\r\n,,0,1\r\n\r\n";
    let tables = decode(original).expect("readable");
    assert_eq!(tables.len(), 4);
    assert_eq!(String::from_utf8(encode_tables(&tables, Dialect::annotated()).expect("encodes")).expect("UTF-8"), original);
}
