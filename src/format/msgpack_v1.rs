//! Answers of the 1.x `/query` endpoint as MessagePack: the tree of the JSON answer, with times as extension 5 (seconds as
//! `i64`, nanoseconds as `i32`) unless `epoch` makes integers of them (InfluxDB 1.x).
//!
//! MessagePack counts before it lists, so a document that is not chunked is held until its last row is known, and a
//! chunk until it is full.

use super::{
    series::{SeriesLayout, StatementAnswer},
    v1::{AnswerOptions, body, parts, text},
};
use crate::model::{Failure, Result};
use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Float64Type, Int64Type, TimestampNanosecondType, UInt64Type},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use rmp::encode;

const TIME_EXTENSION: i8 = 5;

/// Encodes the statements' answers, in order. Without `chunk_rows` there is one document, with it one per chunk of a series.
pub fn encode(mut answers: BoxStream<'static, StatementAnswer>, options: AnswerOptions) -> BoxStream<'static, Result<Bytes>> {
    body(move |mut sink| async move {
        let mut results = vec![];
        while let Some(answer) = answers.next().await {
            let mut result = ResultText { id: answer.statement_id, messages: answer.messages, ..ResultText::default() };
            let mut error = answer.error;
            let mut said = false;
            'series: for mut stream in answer.series {
                let mut open: Option<Series> = None;
                while let Some(batch) = stream.batches.next().await {
                    let cut = batch.map_err(Failure::from).and_then(|b| Ok((parts(&stream.layout, &b)?, b)));
                    let (parts, batch) = match cut {
                        Ok(cut) => cut,
                        Err(failure) => {
                            error = Some(failure.message);
                            break 'series;
                        }
                    };
                    for (tags, range) in parts {
                        if open.as_ref().is_some_and(|s| s.tags != tags) {
                            result.series.extend(open.take().map(|s| s.finish(&stream.layout, false)));
                        }
                        if options.chunk_rows.is_some() && !result.series.is_empty() {
                            (result.partial, said) = (true, true);
                            sink.send(document(&[result.next().text()])).await?;
                        }
                        for row in range {
                            if let (Some(max), Some(full)) = (options.chunk_rows, open.as_ref())
                                && full.row_count >= max.max(1)
                            {
                                result.series.extend(open.take().map(|s| s.finish(&stream.layout, true)));
                                (result.partial, said) = (true, true);
                                sink.send(document(&[result.next().text()])).await?;
                            }
                            let series = open.get_or_insert_with(|| Series { tags: tags.clone(), row_count: 0, rows: vec![] });
                            series.row_count += 1;
                            values(&mut series.rows, &stream.layout, &batch, row, options);
                        }
                    }
                }
                match open {
                    Some(series) => result.series.push(series.finish(&stream.layout, false)),
                    None if stream.layout.even_empty => {
                        result.series.push(Series { tags: vec![], row_count: 0, rows: vec![] }.finish(&stream.layout, false));
                    }
                    None => {}
                }
            }
            result.error = error;
            match options.chunk_rows {
                Some(_) if said && result.series.is_empty() && result.error.is_none() => {}
                Some(_) => sink.send(document(&[result.text()])).await?,
                None => results.push(result.text()),
            }
        }
        match options.chunk_rows {
            Some(_) => Ok(()),
            None => sink.send(document(&results)).await,
        }
    })
}

/// Writing into memory does not fail.
fn write(out: std::result::Result<impl Sized, impl std::fmt::Debug>) {
    debug_assert!(out.is_ok(), "{:?}", out.err());
}

fn string(out: &mut Vec<u8>, text: &str) {
    write(encode::write_str(out, text));
}

fn document(results: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![];
    write(encode::write_map_len(&mut out, 1));
    string(&mut out, "results");
    write(encode::write_array_len(&mut out, results.len() as u32));
    results.iter().for_each(|r| out.extend(r));
    out
}

/// One entry of `results`.
#[derive(Default)]
struct ResultText {
    id: usize,
    messages: Vec<(String, String)>,
    series: Vec<Vec<u8>>,
    partial: bool,
    error: Option<String>,
}

impl ResultText {
    /// What is there so far; the rest of the statement goes on behind it.
    fn next(&mut self) -> ResultText {
        let rest = ResultText { id: self.id, ..ResultText::default() };
        std::mem::replace(self, rest)
    }

    fn text(self) -> Vec<u8> {
        let mut out = vec![];
        if let Some(error) = self.error.filter(|_| self.series.is_empty()) {
            write(encode::write_map_len(&mut out, 1));
            string(&mut out, "error");
            string(&mut out, &error);
            return out;
        }
        write(encode::write_map_len(&mut out, 2 + u32::from(!self.messages.is_empty()) + u32::from(self.partial)));
        string(&mut out, "statement_id");
        write(encode::write_uint(&mut out, self.id as u64));
        if !self.messages.is_empty() {
            string(&mut out, "messages");
            write(encode::write_array_len(&mut out, self.messages.len() as u32));
            for (level, text) in &self.messages {
                write(encode::write_map_len(&mut out, 2));
                string(&mut out, "level");
                string(&mut out, level);
                string(&mut out, "text");
                string(&mut out, text);
            }
        }
        string(&mut out, "series");
        write(encode::write_array_len(&mut out, self.series.len() as u32));
        self.series.iter().for_each(|s| out.extend(s));
        if self.partial {
            string(&mut out, "partial");
            write(encode::write_bool(&mut out, true));
        }
        out
    }
}

/// A series whose rows are not all known yet.
struct Series {
    tags: Vec<String>,
    row_count: usize,
    rows: Vec<u8>,
}

impl Series {
    fn finish(self, layout: &SeriesLayout, partial: bool) -> Vec<u8> {
        let mut out = vec![];
        let size = 2 + u32::from(layout.name.is_some()) + u32::from(!self.tags.is_empty()) + u32::from(partial);
        write(encode::write_map_len(&mut out, size));
        if let Some(name) = &layout.name {
            string(&mut out, "name");
            string(&mut out, name);
        }
        if !self.tags.is_empty() {
            string(&mut out, "tags");
            write(encode::write_map_len(&mut out, self.tags.len() as u32));
            for ((key, _), value) in layout.tags.iter().zip(&self.tags) {
                string(&mut out, key);
                string(&mut out, value);
            }
        }
        string(&mut out, "columns");
        write(encode::write_array_len(&mut out, layout.values.len() as u32));
        layout.values.iter().for_each(|(header, _)| string(&mut out, header));
        string(&mut out, "values");
        write(encode::write_array_len(&mut out, self.row_count as u32));
        out.extend(self.rows);
        if partial {
            string(&mut out, "partial");
            write(encode::write_bool(&mut out, true));
        }
        out
    }
}

fn values(out: &mut Vec<u8>, layout: &SeriesLayout, batch: &RecordBatch, row: usize, options: AnswerOptions) {
    write(encode::write_array_len(out, layout.values.len() as u32));
    for (_, column) in &layout.values {
        value(out, batch.column(*column), row, options);
    }
}

fn value(out: &mut Vec<u8>, column: &dyn Array, row: usize, options: AnswerOptions) {
    if column.is_null(row) {
        return write(encode::write_nil(out));
    }
    match column.data_type() {
        DataType::Float64 => match column.as_primitive::<Float64Type>().value(row) {
            value if value.is_finite() => write(encode::write_f64(out, value)),
            _ => write(encode::write_nil(out)),
        },
        DataType::Int64 => write(encode::write_sint(out, column.as_primitive::<Int64Type>().value(row))),
        DataType::UInt64 => write(encode::write_uint(out, column.as_primitive::<UInt64Type>().value(row))),
        DataType::Boolean => write(encode::write_bool(out, column.as_boolean().value(row))),
        DataType::Timestamp(..) => {
            let at = column.as_primitive::<TimestampNanosecondType>().value(row);
            match options.epoch {
                Some(unit) => write(encode::write_sint(out, at / unit.nanoseconds())),
                None => {
                    write(encode::write_ext_meta(out, 12, TIME_EXTENSION));
                    out.extend(at.div_euclid(1_000_000_000).to_be_bytes());
                    out.extend((at.rem_euclid(1_000_000_000) as i32).to_be_bytes());
                }
            }
        }
        _ => string(out, text(column, row).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::v1::tests::{answers, whole};
    use crate::model::Precision;

    fn find(all: &[u8], part: &[u8]) -> bool {
        all.windows(part.len()).any(|w| w == part)
    }

    /// The bytes of InfluxDB 1.6.7 for the same rows.
    #[test]
    fn one_document() {
        let all = whole(encode(answers(), AnswerOptions::default()));
        let first: &[u8] = b"\x81\xa7results\x94\x82\xacstatement_id\x00\xa6series\x92\x84\xa4name\xa1m\xa4tags\x81\xa1h\xa1a\
            \xa7columns\x92\xa4time\xa1v\xa6values\x92\x92\xc7\x0c\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\
            \xcb?\xf0\x00\x00\x00\x00\x00\x00\x92\xc7\x0c\x05\x00\x00\x00\x00\x00\x00\x00<\x00\x00\x00\x00\
            \xcb@\x00\x00\x00\x00\x00\x00\x00\x84\xa4name\xa1m\xa4tags\x81\xa1h\xa1b";
        assert!(all.starts_with(first), "{:?}", String::from_utf8_lossy(&all));
        let row: &[u8] = b"\x97\xc7\x0c\x05\x00\x00\x00\x00Yh/\x00\x00\x00\x00\x01\xa3\"z\"\xcbDK\x1a\xe4\xd6\xe2\xefP\
            \xc0\xc3\xa7a,b \"q\"\xcb>z\xd7\xf2\x9a\xbc\xafH";
        assert!(find(&all, row));
        assert!(find(&all, b"\x82\xacstatement_id\x01\xa6series\x90"));
        assert!(all.ends_with(b"\x81\xa5error\xb8undefined function foo()"));
        let seconds = AnswerOptions { epoch: Some(Precision::Second), ..AnswerOptions::default() };
        assert!(find(&whole(encode(answers(), seconds)), b"\xa6values\x92\x92\x00\xcb?\xf0\x00\x00\x00\x00\x00\x00\x92<\xcb@"));
    }

    #[test]
    fn a_document_per_chunk() {
        let options = AnswerOptions { chunk_rows: Some(1), ..AnswerOptions::default() };
        let all = whole(encode(answers(), options));
        let row: [&[u8]; 2] = [
            b"\x92\xc7\x0c\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xcb?\xf0\x00\x00\x00\x00\x00\x00",
            b"\x92\xc7\x0c\x05\x00\x00\x00\x00\x00\x00\x00<\x00\x00\x00\x00\xcb@\x00\x00\x00\x00\x00\x00\x00",
        ];
        let head: &[u8] = b"\xa4name\xa1m\xa4tags\x81\xa1h\xa1a\xa7columns\x92\xa4time\xa1v\xa6values\x91";
        let first =
            [&b"\x81\xa7results\x91\x83\xacstatement_id\x00\xa6series\x91\x85"[..], head, row[0], b"\xa7partial\xc3\xa7partial\xc3"]
                .concat();
        assert!(all.starts_with(&first), "{:?}", String::from_utf8_lossy(&all));
        // The result is partial as long as anything of its statement follows.
        let second =
            [&b"\x81\xa7results\x91\x83\xacstatement_id\x00\xa6series\x91\x84"[..], head, row[1], b"\xa7partial\xc3\x81\xa7results"]
                .concat();
        assert!(all[first.len()..].starts_with(&second), "{:?}", String::from_utf8_lossy(&all));
    }
}
