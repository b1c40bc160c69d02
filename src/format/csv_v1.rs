//! Answers of the 1.x `/query` endpoint as CSV, in the form of Go's writer (InfluxDB 1.x): `name,tags,` and the columns;
//! times as integers (nanoseconds unless `epoch` says otherwise); a blank line and a header of its own before each further
//! statement, and where columns change.
//!
//! Statements without rows, and the errors of statements, print nothing, as in 1.x; the reader of a CSV file sees no
//! difference between the two.

use super::{
    series::{SeriesLayout, StatementAnswer},
    v1::{AnswerOptions, body, parts, text},
};
use crate::model::{Precision, Result};
use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt64Type},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use std::fmt::Write;

/// Text is sent once there is this much of it.
const PIECE_BYTES: usize = 32 << 10;

/// Encodes the statements' answers, in order, as they come. Nothing is held whole.
pub fn encode(mut answers: BoxStream<'static, StatementAnswer>, options: AnswerOptions) -> BoxStream<'static, Result<Bytes>> {
    body(move |mut sink| async move {
        let (mut out, mut first) = (String::new(), true);
        while let Some(answer) = answers.next().await {
            let mut columns: Option<Vec<String>> = None;
            for mut series in answer.series {
                let own: Vec<String> = series.layout.values.iter().map(|(header, _)| header.clone()).collect();
                // An answer that breaks off looks like one that ended: CSV has no place for the reason.
                while let Some(Ok(batch)) = series.batches.next().await {
                    if batch.num_rows() > 0 && columns.as_ref() != Some(&own) {
                        if !first {
                            out.push('\n');
                        }
                        first = false;
                        header(&mut out, &own);
                        columns = Some(own.clone());
                    }
                    rows(&mut out, &series.layout, &batch, options);
                    if out.len() >= PIECE_BYTES {
                        sink.send(std::mem::take(&mut out)).await?;
                    }
                }
            }
        }
        if out.is_empty() { Ok(()) } else { sink.send(out).await }
    })
}

fn header(out: &mut String, columns: &[String]) {
    out.push_str("name,tags");
    for column in columns {
        out.push(',');
        cell(out, column);
    }
    out.push('\n');
}

fn rows(out: &mut String, layout: &SeriesLayout, batch: &RecordBatch, options: AnswerOptions) {
    for (values, range) in parts(layout, batch).unwrap_or_default() {
        let mut beginning = String::new();
        cell(&mut beginning, layout.name.as_deref().unwrap_or_default());
        beginning.push(',');
        cell(&mut beginning, &tags(layout, &values));
        for row in range {
            out.push_str(&beginning);
            for (_, column) in &layout.values {
                out.push(',');
                value(out, batch.column(*column), row, options.epoch.unwrap_or_default());
            }
            out.push('\n');
        }
    }
}

/// `key=value,...`, escaped as in line protocol; tags that the series does not have are left out.
fn tags(layout: &SeriesLayout, values: &[String]) -> String {
    let mut text = String::new();
    for ((key, _), value) in layout.tags.iter().zip(values).filter(|(_, v)| !v.is_empty()) {
        if !text.is_empty() {
            text.push(',');
        }
        escape(&mut text, key);
        text.push('=');
        escape(&mut text, value);
    }
    text
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        if matches!(c, ',' | ' ' | '=') {
            out.push('\\');
        }
        out.push(c);
    }
}

fn value(out: &mut String, column: &dyn Array, row: usize, epoch: Precision) {
    if column.is_null(row) {
        return;
    }
    let _ = match column.data_type() {
        DataType::Float64 => match column.as_primitive::<Float64Type>().value(row) {
            // Never in exponent form.
            value if value.is_finite() => write!(out, "{value}"),
            _ => Ok(()),
        },
        DataType::Int64 => write!(out, "{}", column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => write!(out, "{}", column.as_primitive::<UInt64Type>().value(row)),
        DataType::Boolean => write!(out, "{}", column.as_boolean().value(row)),
        DataType::Timestamp(..) => write!(out, "{}", column.as_primitive::<TimestampNanosecondType>().value(row) / epoch.nanoseconds()),
        _ => return cell(out, text(column, row).unwrap_or_default()),
    };
}

/// Quoted where Go's writer quotes: separators, quotes, line ends, and a space at the beginning.
fn cell(out: &mut String, text: &str) {
    let quoted = text.contains([',', '"', '\n', '\r']) || text.starts_with([' ', '\t']) || text == "\\.";
    if !quoted {
        return out.push_str(text);
    }
    out.push('"');
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::v1::tests::{answers, whole};

    /// As InfluxDB 1.6.7 prints the same rows.
    #[test]
    fn rows_of_every_type() {
        let all = whole(encode(answers(), AnswerOptions::default()));
        let expected = "name,tags,time,v\nm,h=a,0,1\nm,h=a,60000000000,2\nm,h=b,60000000000,3\nm,h=b,240000000000,5\n\n\
                        name,tags,time,b,f,i,k,s,u\n\
                        q,,1500000000000000001,\"\"\"z\"\"\",1000000000000000000000,,true,\"a,b \"\"q\"\"\",0.0000001\n";
        assert_eq!(String::from_utf8_lossy(&all), expected);
        let milliseconds = AnswerOptions { epoch: Some(Precision::Millisecond), ..AnswerOptions::default() };
        let all = whole(encode(answers(), milliseconds));
        assert!(String::from_utf8_lossy(&all).starts_with("name,tags,time,v\nm,h=a,0,1\nm,h=a,60000,2\n"));
    }
}
