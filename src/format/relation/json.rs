//! Rows as JSON objects: one array, or one object per line.

use super::Encoder;
use crate::model::Result;
use arrow::{
    json::writer::{JsonArray, JsonFormat, LineDelimited, Writer, WriterBuilder},
    record_batch::RecordBatch,
};

pub struct Rows<F: JsonFormat>(Writer<Vec<u8>, F>);

impl Rows<JsonArray> {
    pub fn array() -> Self {
        Rows(WriterBuilder::new().build(vec![]))
    }
}

impl Rows<LineDelimited> {
    pub fn lines() -> Self {
        Rows(WriterBuilder::new().build(vec![]))
    }
}

impl<F: JsonFormat + Send> Encoder for Rows<F> {
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.0.write(batch)?;
        out.append(self.0.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.0.finish()?;
        out.append(self.0.get_mut());
        Ok(())
    }
}
