//! What a Flux query answers with.

use datafusion::execution::SendableRecordBatchStream;

/// One named result (`yield`): its frames, one after the other.
pub struct ResultTables {
    pub name: String,
    pub frames: Vec<FrameStream>,
}

/// Rows in order: one table's rows stand together. A table ends where a key column changes its value.
pub struct FrameStream {
    /// Names of the group-key columns, all of them columns of the batches.
    pub key: Vec<String>,
    /// A null in a key column means that the table does not have the column at all (see `plan::Frame`).
    pub absent_keys: bool,
    pub batches: SendableRecordBatchStream,
}
