//! The answer that is one relation (rows of one schema) as the body of a response: the formats of InfluxDB 3's
//! `/api/v3/query_sql` and `query_influxql`, and the columnar ones that `/api/v2/query` offers by `Accept`.
//!
//! [`encode`] streams batches out as they come. [`of_tables`] and [`of_series`] make one relation of what Flux and
//! InfluxQL answer with.

mod arrow_ipc;
mod csv;
mod json;
mod parquet;
mod pretty;
mod unite;

pub use unite::{of_series, of_tables};

use crate::model::{Failure, Result};
use arrow::{
    datatypes::{Schema, SchemaRef},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use bytes::Bytes;
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, stream::BoxStream};
use std::sync::Arc;

/// A piece of the body is handed on as soon as it is this long.
const PIECE_BYTES: usize = 64 << 10;

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationFormat {
    /// One array of objects; a null is a key left out; times are `2020-01-01T00:00:00` (UTC), as InfluxDB 3 has them.
    Json,
    /// An object per line.
    JsonLines,
    /// Comma separated with a header; null is an empty cell.
    Csv,
    /// Tables for people, in pages of at least 10,000 rows (fewer where rows are wide) that each have a header.
    Pretty,
    /// The Arrow IPC stream format.
    ArrowStream,
    /// A Parquet file with zstd, written row group by row group.
    Parquet,
}

impl RelationFormat {
    pub const ALL: [RelationFormat; 6] = [
        RelationFormat::Json,
        RelationFormat::JsonLines,
        RelationFormat::Csv,
        RelationFormat::Pretty,
        RelationFormat::ArrowStream,
        RelationFormat::Parquet,
    ];

    /// The `format` parameter of `/api/v3`; `arrow` is ours.
    pub fn name(self) -> &'static str {
        match self {
            RelationFormat::Json => "json",
            RelationFormat::JsonLines => "jsonl",
            RelationFormat::Csv => "csv",
            RelationFormat::Pretty => "pretty",
            RelationFormat::ArrowStream => "arrow",
            RelationFormat::Parquet => "parquet",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            RelationFormat::Json => "application/json",
            RelationFormat::JsonLines => "application/jsonl",
            RelationFormat::Csv => "text/csv",
            RelationFormat::Pretty => "text/plain; charset=utf-8",
            RelationFormat::ArrowStream => "application/vnd.apache.arrow.stream",
            RelationFormat::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// By name, or a failure that lists the names.
    pub fn parse(name: &str) -> Result<RelationFormat> {
        RelationFormat::ALL.into_iter().find(|f| f.name() == name).ok_or_else(|| {
            let names = RelationFormat::ALL.map(RelationFormat::name).join(", ");
            Failure::invalid(format!("unknown format \"{name}\"; known are {names}"))
        })
    }

    /// The first format that an `Accept` header names; `None` when it names none of ours (or only wildcards).
    pub fn accepted(header: &str) -> Option<RelationFormat> {
        let types = header.split(',').map(|t| t.split(';').next().unwrap_or_default().trim());
        types.into_iter().find_map(|wanted| {
            let offered = |f: &RelationFormat| f.content_type().split(';').next() == Some(wanted);
            RelationFormat::ALL.into_iter().find(offered)
        })
    }
}

/// Encodes rows as they come; nothing is held but a page, a batch or a row group. A failure is the last item: as the
/// first one it can still become a status, later the body has to be broken off.
pub fn encode(batches: SendableRecordBatchStream, format: RelationFormat) -> BoxStream<'static, Result<Bytes>> {
    let schema = open_schema(&batches.schema());
    let encoder: Result<Box<dyn Encoder>> = match format {
        RelationFormat::Json => Ok(Box::new(json::Rows::array())),
        RelationFormat::JsonLines => Ok(Box::new(json::Rows::lines())),
        RelationFormat::Csv => Ok(Box::new(csv::Rows::new(&schema))),
        RelationFormat::Pretty => Ok(Box::new(pretty::Pages::new(&schema))),
        RelationFormat::ArrowStream => arrow_ipc::Messages::new(&schema).map(|m| Box::new(m) as Box<dyn Encoder>),
        RelationFormat::Parquet => parquet::RowGroups::new(&schema).map(|g| Box::new(g) as Box<dyn Encoder>),
    };
    let encoder = match encoder {
        Ok(encoder) => encoder,
        Err(failure) => return futures::stream::once(async { Err(failure) }).boxed(),
    };
    let body = Body { batches, schema, encoder };
    futures::stream::unfold(Some(body), |body| async move {
        let mut body = body?;
        match body.fill().await {
            Ok((piece, more)) if more || !piece.is_empty() => Some((Ok(Bytes::from(piece)), more.then_some(body))),
            Ok(_) => None,
            Err(failure) => Some((Err(failure), None)),
        }
    })
    .boxed()
}

/// One way to write batches. What it has ready is taken after every call.
trait Encoder: Send {
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()>;

    /// The rows have ended.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()>;
}

struct Body {
    batches: SendableRecordBatchStream,
    schema: SchemaRef,
    encoder: Box<dyn Encoder>,
}

impl Body {
    /// The next piece, and whether there is more.
    async fn fill(&mut self) -> Result<(Vec<u8>, bool)> {
        let mut out = vec![];
        while let Some(batch) = self.batches.next().await {
            let batch = batch?;
            // Batches may call a column nullable that the stream's schema does not, or the other way round.
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(self.schema.clone(), batch.columns().to_vec(), &options)?;
            self.encoder.batch(&batch, &mut out)?;
            if out.len() >= PIECE_BYTES {
                return Ok((out, true));
            }
        }
        self.encoder.finish(&mut out)?;
        Ok((out, false))
    }
}

/// The schema with every column nullable.
fn open_schema(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new_with_metadata(fields.collect::<Vec<_>>(), schema.metadata().clone()))
}

#[cfg(test)]
mod tests;
