//! What an InfluxQL statement answers with.

use datafusion::execution::SendableRecordBatchStream;

/// Series of one statement that share a layout (those of one measurement). Rows of one series (equal tags) stand
/// together, in answer order; a new series begins where a tag column changes its value.
pub struct SeriesStream {
    pub layout: SeriesLayout,
    pub batches: SendableRecordBatchStream,
}

/// Which column of the batches plays which part in the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeriesLayout {
    /// The series' `name`; `None` prints no name.
    pub name: Option<String>,
    /// `tags`: printed key and column, in answer order. Null prints as `""`.
    pub tags: Vec<(String, usize)>,
    /// `columns`: printed header and column. A timestamp column prints as RFC 3339 or by `epoch`.
    pub values: Vec<(String, usize)>,
    /// `tz()`: times print as RFC 3339 with this zone's offset; `None` is UTC.
    pub zone: Option<chrono_tz::Tz>,
    /// The one series of this layout is printed even when it has no row (`SHOW CONTINUOUS QUERIES`: a database without
    /// any is a series without `values`).
    pub even_empty: bool,
}

/// One entry of `results`.
#[derive(Default)]
pub struct StatementAnswer {
    pub statement_id: usize,
    /// One stream after the other, in answer order; empty: the statement answers with no series.
    pub series: Vec<SeriesStream>,
    /// `messages`: level and text.
    pub messages: Vec<(String, String)>,
    /// Rows that the statement has deleted, as far as that can be told. Bodies do not say it: clients know them as they are.
    pub deleted: Option<u64>,
    /// A statement that failed: its error, in-band.
    pub error: Option<String>,
}
