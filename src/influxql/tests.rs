//! Queries over tables in memory; their JSON was recorded from InfluxDB 1.6.7 (`cases.txt`: query, then answer).

use super::{Defaults, Output, parse, plan_statement};
use crate::format::{
    json_v1,
    series::{SeriesStream, StatementAnswer},
    v1::AnswerOptions,
};
use crate::model::{FieldType, MeasurementSchema};
use crate::plan::{Context, WriteRows, memory::MemoryContext};
use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampNanosecondArray},
    compute::cast,
    record_batch::RecordBatch,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::StreamExt;
use std::sync::Arc;

const M: i64 = 60_000_000_000;

fn database() -> MemoryContext {
    let context = MemoryContext::new(1_600_000_000_000_000_000);
    let bucket = context.add_bucket("t");
    let write = |name: &str, fields: &[(&str, FieldType)], columns: Vec<ArrayRef>| {
        let mut schema = MeasurementSchema::new(name);
        schema.add_tag("h");
        schema.fields.extend(fields.iter().map(|(n, t)| (Arc::from(*n), *t)));
        let layout = schema.arrow_schema();
        let columns = columns.iter().zip(layout.fields()).map(|(c, f)| cast(c, f.data_type()).expect("casts")).collect();
        let batch = RecordBatch::try_new(layout, columns).expect("fits");
        context.write(&bucket, vec![WriteRows { measurement: name.into(), batch }]).expect("writes");
    };
    write(
        "m",
        &[("v", FieldType::Float), ("i", FieldType::Integer), ("s", FieldType::String)],
        vec![
            Arc::new(TimestampNanosecondArray::from(vec![0, M, M, 4 * M])),
            Arc::new(StringArray::from(vec!["a", "a", "b", "b"])),
            Arc::new(Int64Array::from(vec![Some(10), Some(20), Some(30), None])),
            Arc::new(StringArray::from(vec![Some("x"), None, Some("y"), None])),
            Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 5.0])),
        ],
    );
    write(
        "n",
        &[("v", FieldType::Float)],
        vec![
            Arc::new(TimestampNanosecondArray::from(vec![0])),
            Arc::new(StringArray::from(vec!["a"])),
            Arc::new(Float64Array::from(vec![7.0])),
        ],
    );
    context
}

fn answer(context: &MemoryContext, text: &str) -> String {
    let query = match parse(text, None) {
        Ok(query) => query,
        Err(failure) => return failure.message,
    };
    let defaults = Defaults { database: Some("t".into()), ..Default::default() };
    let mut answers = Vec::new();
    for (statement_id, statement) in query.statements.iter().enumerate() {
        let mut answer = StatementAnswer { statement_id, ..Default::default() };
        let stream = |layout, batches: Vec<RecordBatch>| -> Option<SeriesStream> {
            let schema = batches.first()?.schema();
            let stream = futures::stream::iter(batches.into_iter().map(Ok));
            Some(SeriesStream { layout, batches: Box::pin(RecordBatchStreamAdapter::new(schema, stream)) })
        };
        match plan_statement(statement, context, &defaults).map(|p| p.output) {
            Ok(Output::Plans(plans)) => {
                for plan in plans {
                    match context.collect(plan.plan) {
                        Ok(batches) => answer.series.extend(stream(plan.layout, batches)),
                        Err(e) => answer.error = Some(e.message),
                    }
                }
            }
            Ok(Output::Rows(rows)) => answer.series.extend(rows.into_iter().filter_map(|r| stream(r.layout, vec![r.batch]))),
            Ok(Output::Effect(_)) => {}
            Err(e) => answer.error = Some(e.message),
        }
        answers.push(answer);
    }
    let body = json_v1::encode(futures::stream::iter(answers).boxed(), AnswerOptions::default());
    let bytes: Vec<_> = futures::executor::block_on(body.collect());
    String::from_utf8(bytes.into_iter().flat_map(|b| b.expect("encodes").to_vec()).collect()).expect("is text").trim().to_string()
}

#[test]
fn answers_are_those_of_influxdb() {
    let context = database();
    let mut lines = include_str!("cases.txt").lines();
    let mut wrong = Vec::new();
    while let (Some(text), Some(expected)) = (lines.next(), lines.next()) {
        let got = answer(&context, text);
        if got != expected.trim() {
            wrong.push(format!("{text}\n  want {}\n  got  {got}", expected.trim()));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
