//! What the encoders of the 1.x `/query` endpoint share: options, and cutting record batches into series.

use super::series::SeriesLayout;
use crate::model::{Precision, Result, runs::runs};
use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Int32Type},
    record_batch::RecordBatch,
};
use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt, channel::mpsc, stream::BoxStream};
use std::{future::Future, ops::Range};

/// How a client wants the answer printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerOptions {
    /// `epoch`: times as integers of this unit; `None`: RFC 3339 strings (CSV: nanoseconds).
    pub epoch: Option<Precision>,
    /// `chunked` and `chunk_size`: rows per document.
    pub chunk_rows: Option<usize>,
    /// `pretty`: four spaces of indentation (InfluxDB 1.x).
    pub pretty: bool,
}

/// The rows per document when a chunked request names no size.
pub const CHUNK_ROWS_DEFAULT: usize = 10_000;

/// Where an encoder puts its text, piece by piece.
pub struct Sink(mpsc::Sender<Bytes>);

/// The client went away.
pub struct Gone;

impl Sink {
    pub async fn send(&mut self, bytes: impl Into<Bytes>) -> std::result::Result<(), Gone> {
        self.0.send(bytes.into()).await.map_err(|_| Gone)
    }
}

/// The body that `encode` sends. The work runs only while the body is polled, and one piece ahead at most.
pub fn body<F>(encode: impl FnOnce(Sink) -> F) -> BoxStream<'static, Result<Bytes>>
where
    F: Future<Output = std::result::Result<(), Gone>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(1);
    let work = encode(Sink(sender)).map(|_| None);
    futures::stream::select(receiver.map(Some), work.into_stream()).filter_map(std::future::ready).map(Ok).boxed()
}

/// A text column's value; dictionaries are looked through.
pub fn text(column: &dyn Array, row: usize) -> Option<&str> {
    if column.is_null(row) {
        return None;
    }
    match column.data_type() {
        DataType::Dictionary(..) => {
            let keys = column.as_dictionary::<Int32Type>();
            let values = keys.values().as_string::<i32>();
            Some(values.value(keys.keys().value(row) as usize))
        }
        DataType::Utf8View => Some(column.as_string_view().value(row)),
        _ => Some(column.as_string::<i32>().value(row)),
    }
}

/// The tag values of a row's series; a missing tag is `""`.
pub fn tags(layout: &SeriesLayout, batch: &RecordBatch, row: usize) -> Vec<String> {
    layout.tags.iter().map(|(_, column)| text(batch.column(*column), row).unwrap_or_default().to_string()).collect()
}

/// The rows of a batch, cut where the series changes, each part with its tag values.
pub fn parts(layout: &SeriesLayout, batch: &RecordBatch) -> Result<Vec<(Vec<String>, Range<usize>)>> {
    if batch.num_rows() == 0 {
        return Ok(vec![]);
    }
    let keys: Vec<_> = layout.tags.iter().map(|(_, column)| batch.column(*column).clone()).collect();
    Ok(runs(&keys, batch.num_rows())?.into_iter().map(|range| (tags(layout, batch, range.start), range)).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::format::series::{SeriesStream, StatementAnswer};
    use arrow::{
        array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampNanosecondArray},
        record_batch::RecordBatch,
    };
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use std::sync::Arc;

    fn answer(statement_id: usize, batches: Vec<RecordBatch>, layout: SeriesLayout) -> StatementAnswer {
        let schema = batches[0].schema();
        let batches = futures::stream::iter(batches.into_iter().map(Ok));
        let series = vec![SeriesStream { layout, batches: Box::pin(RecordBatchStreamAdapter::new(schema, batches)) }];
        StatementAnswer { statement_id, series, ..StatementAnswer::default() }
    }

    /// `SELECT v FROM m GROUP BY h`, in batches that do not end where series do; then one row of every type.
    pub fn answers() -> BoxStream<'static, StatementAnswer> {
        let h: ArrayRef = Arc::new(StringArray::from(vec!["a", "a", "b", "b"]));
        let time: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![0, 60_000_000_000, 60_000_000_000, 240_000_000_000]));
        let v: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 5.0]));
        let by_tag = RecordBatch::try_from_iter([("h", h), ("time", time), ("v", v)]).expect("valid");
        let parts = vec![by_tag.slice(0, 1), by_tag.slice(1, 2), by_tag.slice(3, 1)];
        let layout = SeriesLayout {
            name: Some("m".into()),
            tags: vec![("h".into(), 0)],
            values: vec![("time".into(), 1), ("v".into(), 2)],
            ..SeriesLayout::default()
        };
        let time: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_500_000_000_000_000_001]));
        let columns: [(&str, ArrayRef); 7] = [
            ("time", time),
            ("b", Arc::new(StringArray::from(vec!["\"z\""]))),
            ("f", Arc::new(Float64Array::from(vec![1e21]))),
            ("i", Arc::new(Int64Array::from(vec![None]))),
            ("k", Arc::new(BooleanArray::from(vec![true]))),
            ("s", Arc::new(StringArray::from(vec!["a,b \"q\""]))),
            ("u", Arc::new(Float64Array::from(vec![0.0000001]))),
        ];
        let values = columns.iter().enumerate().map(|(at, (name, _))| (name.to_string(), at)).collect();
        let one = RecordBatch::try_from_iter(columns).expect("valid");
        let types = SeriesLayout { name: Some("q".into()), values, ..SeriesLayout::default() };
        let nothing = StatementAnswer { statement_id: 1, ..StatementAnswer::default() };
        let failed = StatementAnswer { statement_id: 3, error: Some("undefined function foo()".into()), ..StatementAnswer::default() };
        futures::stream::iter([answer(0, parts, layout), nothing, answer(2, vec![one], types), failed]).boxed()
    }

    pub fn whole(body: BoxStream<'static, Result<Bytes>>) -> Vec<u8> {
        let pieces: Vec<_> = futures::executor::block_on(body.collect());
        pieces.into_iter().flat_map(|p| p.expect("encodes").to_vec()).collect()
    }

    /// As InfluxDB 1.6.7 cuts the same rows.
    #[test]
    fn json_in_chunks() {
        let options = AnswerOptions { chunk_rows: Some(1), epoch: Some(Precision::Second), ..AnswerOptions::default() };
        let all = whole(crate::format::json_v1::encode(answers(), options));
        let document = |tag: &str, row: &str, ends: &str| {
            let series = format!(r#"{{"name":"m","tags":{{"h":"{tag}"}},"columns":["time","v"],"values":[[{row}]]"#);
            format!(r#"{{"results":[{{"statement_id":0,"series":[{series}{ends}}}]}}"#)
        };
        let both = r#","partial":true}],"partial":true"#;
        let expected = [
            document("a", "0,1", both),
            document("a", "60,2", r#"}],"partial":true"#),
            document("b", "60,3", both),
            document("b", "240,5", "}]"),
        ];
        let all = String::from_utf8_lossy(&all);
        assert_eq!(all.lines().take(4).collect::<Vec<_>>(), expected);
    }
}
