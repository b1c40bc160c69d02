//! What an InfluxQL statement answers with.

use datafusion::execution::SendableRecordBatchStream;

/// Series of one statement. Rows of one series (equal name and tags) stand together, in answer order.
pub struct SeriesStream {
    pub layout: SeriesLayout,
    pub batches: SendableRecordBatchStream,
}

/// Which column of the batches plays which part in the answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeriesLayout {
    /// Column that holds the series' `name`; `None` prints no name.
    pub name: Option<usize>,
    /// `tags`: printed key and column, in answer order. Null prints as `""`.
    pub tags: Vec<(String, usize)>,
    /// `columns`: printed header and column. A timestamp column prints as RFC 3339 or by `epoch`.
    pub values: Vec<(String, usize)>,
}

/// One entry of `results`.
pub struct StatementAnswer {
    pub statement_id: usize,
    /// `None`: the statement answers with no series.
    pub series: Option<SeriesStream>,
    /// `messages`: level and text.
    pub messages: Vec<(String, String)>,
    /// A statement that failed: its error, in-band.
    pub error: Option<String>,
}
