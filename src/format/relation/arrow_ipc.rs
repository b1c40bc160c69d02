//! The Arrow IPC stream: a schema message, batches with the dictionaries they need, an end marker.

use super::Encoder;
use crate::model::Result;
use arrow::{datatypes::SchemaRef, ipc::writer::StreamWriter, record_batch::RecordBatch};

pub struct Messages(StreamWriter<Vec<u8>>);

impl Messages {
    pub fn new(schema: &SchemaRef) -> Result<Messages> {
        Ok(Messages(StreamWriter::try_new(vec![], schema)?))
    }
}

impl Encoder for Messages {
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
