//! Rows as tables for people. Widths need the rows first, so a page of them is held; each page is a table of its own.

use super::Encoder;
use crate::model::Result;
use arrow::{datatypes::SchemaRef, record_batch::RecordBatch, util::pretty::pretty_format_batches_with_schema};
use std::io::Write;

/// Rows that are shown with one header, at least.
const PAGE_ROWS: usize = 10_000;

pub struct Pages {
    schema: SchemaRef,
    page: Vec<RecordBatch>,
    rows: usize,
    shown: bool,
}

impl Pages {
    pub fn new(schema: &SchemaRef) -> Pages {
        Pages { schema: schema.clone(), page: vec![], rows: 0, shown: false }
    }

    fn show(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let page = std::mem::take(&mut self.page);
        let table = pretty_format_batches_with_schema(self.schema.clone(), &page)?;
        (self.rows, self.shown) = (0, true);
        Ok(writeln!(out, "{table}")?)
    }
}

impl Encoder for Pages {
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.rows += batch.num_rows();
        self.page.push(batch.clone());
        if self.rows >= PAGE_ROWS { self.show(out) } else { Ok(()) }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.rows > 0 || !self.shown { self.show(out) } else { Ok(()) }
    }
}
