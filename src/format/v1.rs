//! What the encoders of the 1.x `/query` endpoint share: options, and cutting record batches into series.

use crate::model::Precision;

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
