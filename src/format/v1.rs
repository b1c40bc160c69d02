//! What the encoders of the 1.x `/query` endpoint share: options, and cutting record batches into series.

use super::series::SeriesLayout;
use crate::model::{Precision, Result};
use arrow::{
    array::{Array, AsArray},
    compute::partition,
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
    let ranges = if keys.is_empty() { std::iter::once(0..batch.num_rows()).collect() } else { partition(&keys)?.ranges() };
    Ok(ranges.into_iter().map(|range| (tags(layout, batch, range.start), range)).collect())
}
