//! Rows as tables for people. Widths need the rows first, so a page of them is held; each page is a table of its own.

use super::Encoder;
use crate::model::Result;
use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, SchemaRef},
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches_with_schema,
};
use std::io::Write;

/// Rows that are shown with one header, at least, where they are not too wide for that.
const PAGE_ROWS: usize = 10_000;
/// Bytes of a page: every cell of a column is as wide as the widest.
const PAGE_BYTES: usize = 8 << 20;

pub struct Pages {
    schema: SchemaRef,
    page: Vec<RecordBatch>,
    rows: usize,
    /// About the characters of a row.
    width: usize,
    shown: bool,
}

impl Pages {
    pub fn new(schema: &SchemaRef) -> Pages {
        Pages { schema: schema.clone(), page: vec![], rows: 0, width: 0, shown: false }
    }

    fn show(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let page = std::mem::take(&mut self.page);
        let table = pretty_format_batches_with_schema(self.schema.clone(), &page)?;
        (self.rows, self.width, self.shown) = (0, 0, true);
        Ok(writeln!(out, "{table}")?)
    }
}

/// About the characters of the widest cell.
fn width(column: &ArrayRef) -> usize {
    const NUMBER: usize = 32;
    let longest = |offsets: &[i32]| offsets.windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0);
    match column.data_type() {
        DataType::Utf8 => longest(column.as_string::<i32>().value_offsets()),
        // The length is the lower half of a view.
        DataType::Utf8View => column.as_string_view().views().iter().map(|view| *view as u32 as usize).max().unwrap_or(0),
        DataType::Dictionary(..) => width(column.as_any_dictionary().values()),
        other if other.is_primitive() || *other == DataType::Boolean => NUMBER,
        // No cell is longer than all of them, written out.
        _ => column.to_data().get_slice_memory_size().unwrap_or(0),
    }
}

impl Encoder for Pages {
    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        let width = batch.columns().iter().map(width).sum::<usize>().max(1);
        let fitting = (PAGE_BYTES / width).max(1);
        for from in (0..batch.num_rows()).step_by(fitting) {
            let rows = batch.slice(from, fitting.min(batch.num_rows() - from));
            if self.rows > 0 && (self.rows + rows.num_rows()) * self.width.max(width) > PAGE_BYTES {
                self.show(out)?;
            }
            self.width = self.width.max(width);
            self.rows += rows.num_rows();
            self.page.push(rows);
        }
        if self.rows >= PAGE_ROWS { self.show(out) } else { Ok(()) }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.rows > 0 || !self.shown { self.show(out) } else { Ok(()) }
    }
}
