//! Answers of the 1.x `/query` endpoint as JSON, in the form that Go's encoder gives them (InfluxDB 1.x).

use super::{
    series::SeriesLayout,
    series::StatementAnswer,
    v1::{AnswerOptions, Gone, Sink, body, text},
};
use crate::model::{Failure, Result, time};
use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt64Type},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use std::fmt::Write;

/// Encodes the statements' answers, in order, as they come; a document ends in a newline. Without `chunk_rows` there is
/// one document, with it one per chunk of a series. A failure while rows flow becomes the statement's `error`.
pub fn encode(answers: BoxStream<'static, StatementAnswer>, options: AnswerOptions) -> BoxStream<'static, Result<Bytes>> {
    body(move |sink| async move {
        let mut out = Output { sink, text: String::new(), indent: options.pretty.then(Indent::default) };
        match options.chunk_rows {
            Some(rows) => chunks(answers, options, rows.max(1), &mut out).await,
            None => document(answers, options, &mut out).await,
        }
    })
}

struct Output {
    sink: Sink,
    text: String,
    indent: Option<Indent>,
}

impl Output {
    async fn flush(&mut self, at_least: usize) -> std::result::Result<(), Gone> {
        if self.text.is_empty() || self.text.len() < at_least {
            return Ok(());
        }
        let text = std::mem::take(&mut self.text);
        let text = match &mut self.indent {
            Some(indent) => indent.apply(&text),
            None => text,
        };
        self.sink.send(text).await
    }
}

async fn document(
    mut answers: BoxStream<'static, StatementAnswer>,
    options: AnswerOptions,
    out: &mut Output,
) -> std::result::Result<(), Gone> {
    let mut first = true;
    while let Some(answer) = answers.next().await {
        out.text.push_str(if first { "{\"results\":[" } else { "," });
        first = false;
        let _ = write!(out.text, "{{\"statement_id\":{}", answer.statement_id);
        messages(&mut out.text, &answer.messages);
        let mut error = answer.error;
        let mut any = false;
        'series: for mut series in answer.series {
            let mut last: Option<Vec<Option<String>>> = None;
            while let Some(batch) = series.batches.next().await {
                let batch = match batch {
                    Ok(batch) => batch,
                    Err(e) => {
                        error = Some(Failure::from(e).message);
                        if last.is_some() {
                            out.text.push_str("]}");
                        }
                        break 'series;
                    }
                };
                for row in 0..batch.num_rows() {
                    let new = last.as_ref().is_none_or(|tags| !same_tags(&series.layout, &batch, row, tags));
                    if new {
                        out.text.push_str(match (last.is_some(), any) {
                            (true, _) => "]},",
                            (false, true) => ",",
                            (false, false) => ",\"series\":[",
                        });
                        any = true;
                        last = Some(head(&mut out.text, &series.layout, &batch, row));
                        out.text.push_str(",\"values\":[");
                    } else {
                        out.text.push(',');
                    }
                    values(&mut out.text, &series.layout, &batch, row, options);
                }
                out.flush(32 << 10).await?;
            }
            if last.is_some() {
                out.text.push_str("]}");
            } else if series.layout.even_empty {
                out.text.push_str(if any { "," } else { ",\"series\":[" });
                any = true;
                name_and_columns(&mut out.text, &series.layout, "");
                out.text.push('}');
            }
        }
        if any {
            out.text.push(']');
        }
        if let Some(error) = error {
            out.text.push_str(",\"error\":");
            string(&mut out.text, &error);
        }
        out.text.push('}');
    }
    out.text.push_str(if first { "{}\n" } else { "]}\n" });
    out.flush(0).await
}

async fn chunks(
    mut answers: BoxStream<'static, StatementAnswer>,
    options: AnswerOptions,
    chunk_rows: usize,
    out: &mut Output,
) -> std::result::Result<(), Gone> {
    while let Some(answer) = answers.next().await {
        let id = answer.statement_id;
        let mut error = answer.error;
        let mut said = false;
        // A series is partial when more of it follows, a result when anything of its statement follows (InfluxDB 1.6.7).
        let mut open = false;
        let end = |out: &mut Output, series: bool, result: bool| {
            out.text.push_str(if series { "],\"partial\":true}]" } else { "]}]" });
            out.text.push_str(if result { ",\"partial\":true}]}\n" } else { "}]}\n" });
        };
        'series: for mut series in answer.series {
            let (mut last, mut rows) = (None::<Vec<Option<String>>>, 0);
            while let Some(batch) = series.batches.next().await {
                let batch = match batch {
                    Ok(batch) => batch,
                    Err(e) => {
                        error = Some(Failure::from(e).message);
                        break 'series;
                    }
                };
                for row in 0..batch.num_rows() {
                    let same = last.as_ref().is_some_and(|tags| same_tags(&series.layout, &batch, row, tags));
                    if same && rows < chunk_rows {
                        out.text.push(',');
                    } else {
                        if open {
                            end(out, same, true);
                            out.flush(0).await?;
                        }
                        open = true;
                        let _ = write!(out.text, "{{\"results\":[{{\"statement_id\":{id}");
                        if !said {
                            messages(&mut out.text, &answer.messages);
                        }
                        out.text.push_str(",\"series\":[");
                        last = Some(head(&mut out.text, &series.layout, &batch, row));
                        out.text.push_str(",\"values\":[");
                        (said, rows) = (true, 0);
                    }
                    values(&mut out.text, &series.layout, &batch, row, options);
                    rows += 1;
                }
            }
        }
        if open {
            end(out, false, false);
            out.flush(0).await?;
        }
        if !said || error.is_some() {
            let _ = write!(out.text, "{{\"results\":[{{\"statement_id\":{id}");
            if !said {
                messages(&mut out.text, &answer.messages);
            }
            if let Some(error) = error {
                out.text.push_str(",\"error\":");
                string(&mut out.text, &error);
            }
            out.text.push_str("}]}\n");
            out.flush(0).await?;
        }
    }
    Ok(())
}

fn messages(out: &mut String, messages: &[(String, String)]) {
    for (i, (level, text)) in messages.iter().enumerate() {
        out.push_str(if i == 0 { ",\"messages\":[{\"level\":" } else { ",{\"level\":" });
        string(out, level);
        out.push_str(",\"text\":");
        string(out, text);
        out.push('}');
    }
    if !messages.is_empty() {
        out.push(']');
    }
}

fn same_tags(layout: &SeriesLayout, batch: &RecordBatch, row: usize, tags: &[Option<String>]) -> bool {
    layout
        .tags
        .iter()
        .zip(tags)
        .all(|((_, column), tag)| text(batch.column(*column), row).unwrap_or_default() == tag.as_deref().unwrap_or_default())
}

/// Opens a series: name, tags, columns. Returns its tag values.
fn head(out: &mut String, layout: &SeriesLayout, batch: &RecordBatch, row: usize) -> Vec<Option<String>> {
    let tags: Vec<_> = layout.tags.iter().map(|(_, column)| text(batch.column(*column), row).map(str::to_string)).collect();
    let mut printed = String::new();
    for (i, ((key, _), value)) in layout.tags.iter().zip(&tags).enumerate() {
        printed.push_str(if i == 0 { "\"tags\":{" } else { "," });
        string(&mut printed, key);
        printed.push(':');
        string(&mut printed, value.as_deref().unwrap_or_default());
    }
    if !tags.is_empty() {
        printed.push_str("},");
    }
    name_and_columns(out, layout, &printed);
    tags
}

fn name_and_columns(out: &mut String, layout: &SeriesLayout, tags: &str) {
    out.push('{');
    if let Some(name) = &layout.name {
        out.push_str("\"name\":");
        string(out, name);
        out.push(',');
    }
    out.push_str(tags);
    out.push_str("\"columns\":[");
    for (i, (header, _)) in layout.values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        string(out, header);
    }
    out.push(']');
}

fn values(out: &mut String, layout: &SeriesLayout, batch: &RecordBatch, row: usize, options: AnswerOptions) {
    out.push('[');
    for (i, (_, column)) in layout.values.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        value(out, layout, batch.column(*column), row, options);
    }
    out.push(']');
}

fn value(out: &mut String, layout: &SeriesLayout, column: &dyn Array, row: usize, options: AnswerOptions) {
    if column.is_null(row) {
        return out.push_str("null");
    }
    let _ = match column.data_type() {
        DataType::Float64 => return float(out, column.as_primitive::<Float64Type>().value(row)),
        DataType::Int64 => write!(out, "{}", column.as_primitive::<Int64Type>().value(row)),
        DataType::UInt64 => write!(out, "{}", column.as_primitive::<UInt64Type>().value(row)),
        DataType::Boolean => write!(out, "{}", column.as_boolean().value(row)),
        DataType::Timestamp(..) => {
            let at = column.as_primitive::<TimestampNanosecondType>().value(row);
            match (options.epoch, layout.zone) {
                (Some(unit), _) => write!(out, "{}", at / unit.nanoseconds()),
                (None, None) => write!(out, "\"{}\"", time::rfc3339(at)),
                (None, Some(zone)) => write!(out, "\"{}\"", local(at, zone)),
            }
        }
        _ => return string(out, text(column, row).unwrap_or_default()),
    };
}

/// RFC 3339 with a zone's offset and as many decimals as needed.
fn local(at: i64, zone: chrono_tz::Tz) -> String {
    let full = chrono::DateTime::from_timestamp_nanos(at).with_timezone(&zone);
    let text = full.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
    let (head, tail) = text.split_at(19);
    let digits = tail.find(['Z', '+', '-']).unwrap_or(tail.len());
    format!("{head}{}{}", tail[..digits].trim_end_matches('0').trim_end_matches('.'), &tail[digits..])
}

/// As Go's `encoding/json`: shortest digits, exponent form below 1e-6 and from 1e21. NaN and infinities are null
/// (1.x breaks off with an error text on infinities).
pub fn float(out: &mut String, value: f64) {
    if !value.is_finite() {
        return out.push_str("null");
    }
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = format!("{value:e}");
        match text.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                let _ = write!(out, "{digits}e+{exponent}");
            }
            _ => out.push_str(&text),
        }
    } else {
        let _ = write!(out, "{value}");
    }
}

/// As Go's `encoding/json`, which also escapes what HTML would read.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Four spaces a level, over text that comes in pieces.
#[derive(Default)]
struct Indent {
    depth: usize,
    quoted: bool,
    escaped: bool,
    opened: bool,
}

impl Indent {
    fn apply(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() * 2);
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n("    ", depth));
        };
        for c in text.chars() {
            if self.quoted {
                out.push(c);
                self.quoted = self.escaped || c != '"';
                self.escaped = !self.escaped && c == '\\';
                continue;
            }
            let closes = matches!(c, ']' | '}');
            if closes {
                self.depth = self.depth.saturating_sub(1);
            }
            if std::mem::take(&mut self.opened) != closes {
                line(&mut out, self.depth);
            }
            out.push(c);
            match c {
                '[' | '{' => {
                    self.depth += 1;
                    self.opened = true;
                }
                ',' => line(&mut out, self.depth),
                ':' => out.push(' '),
                '"' => self.quoted = true,
                _ => {}
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_look_as_go_prints_them() {
        let print = |v: f64| {
            let mut out = String::new();
            float(&mut out, v);
            out
        };
        for (v, text) in [(1.0, "1"), (1e21, "1e+21"), (1e20, "100000000000000000000"), (1.5e-7, "1.5e-7"), (f64::NAN, "null")] {
            assert_eq!(print(v), text);
        }
    }

    #[test]
    fn pretty_breaks_lines_as_go_does() {
        assert_eq!(
            Indent::default().apply(r#"{"a":[1,"x\"]"],"b":{}}"#),
            "{\n    \"a\": [\n        1,\n        \"x\\\"]\"\n    ],\n    \"b\": {}\n}"
        );
    }

    #[test]
    fn an_answer_without_rows_has_only_its_id() {
        let answers = futures::stream::iter([StatementAnswer::default()]).boxed();
        let bytes: Vec<_> = futures::executor::block_on(encode(answers, AnswerOptions::default()).collect());
        let text: Vec<u8> = bytes.into_iter().flat_map(|b| b.expect("encodes").to_vec()).collect();
        assert_eq!(String::from_utf8_lossy(&text), "{\"results\":[{\"statement_id\":0}]}\n");
    }
}
