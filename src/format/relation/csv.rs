//! Plain comma separated values: a header, rows, `\n` line ends, as InfluxDB 3 writes them.

use super::Encoder;
use crate::model::Result;
use arrow::{csv::WriterBuilder, datatypes::SchemaRef, record_batch::RecordBatch};

pub struct Rows {
    /// A batch without rows that brings out the header when no other one did.
    header: Option<RecordBatch>,
}

impl Rows {
    pub fn new(schema: &SchemaRef) -> Rows {
        Rows { header: Some(RecordBatch::new_empty(schema.clone())) }
    }
}

impl Encoder for Rows {
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        // Without columns there is nothing to write; the csv writer would print `""` lines.
        if batch.num_columns() > 0 {
            WriterBuilder::new().with_header(self.header.take().is_some()).build(out).write(batch)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        match self.header.take() {
            Some(empty) if empty.num_columns() > 0 => Ok(WriterBuilder::new().with_header(true).build(out).write(&empty)?),
            _ => Ok(()),
        }
    }
}
