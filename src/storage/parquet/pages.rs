//! Pages of one row group, unpacked by a decompressor that the thread keeps.
//!
//! The library's reader (parquet 59) makes a compressor and a decompressor for every column of every row group, which takes a tenth of
//! the time of reading through many files. Here it is shown columns without compression, and what it hands on is unpacked.

use super::file::Fetched;
use bytes::Bytes;
use parquet::{
    arrow::arrow_reader::RowGroups,
    basic::Compression,
    column::page::{Page, PageIterator, PageMetadata, PageReader},
    errors::{ParquetError, Result},
    file::{
        metadata::{ParquetMetaData, RowGroupMetaData},
        serialized_reader::SerializedPageReader,
    },
};
use std::{cell::RefCell, sync::Arc};
use zstd::{bulk::Decompressor, zstd_safe::get_frame_content_size};

thread_local! {
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The fetched columns of a row group.
pub struct GroupPages<'a> {
    pub metadata: &'a ParquetMetaData,
    pub group: usize,
    pub bytes: Arc<Fetched>,
}

impl GroupPages<'_> {
    fn row_group(&self) -> &RowGroupMetaData {
        self.metadata.row_group(self.group)
    }
}

impl RowGroups for GroupPages<'_> {
    fn num_rows(&self) -> usize {
        self.row_group().num_rows() as usize
    }

    fn column_chunks(&self, at: usize) -> Result<Box<dyn PageIterator>> {
        let column = self.row_group().column(at);
        let is_zstd = matches!(column.compression(), Compression::ZSTD(_));
        let size_max = column.uncompressed_size().max(0) as usize;
        let plain;
        let shown = match is_zstd {
            true => {
                plain = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED).build()?;
                &plain
            }
            false => column,
        };
        let pages = SerializedPageReader::new(self.bytes.clone(), shown, self.num_rows(), None)?;
        let pages: Box<dyn PageReader> = if is_zstd { Box::new(Unpacked { pages, size_max }) } else { Box::new(pages) };
        Ok(Box::new(OneColumn(Some(pages))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(std::iter::once(self.row_group()))
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.metadata
    }
}

struct OneColumn(Option<Box<dyn PageReader>>);

impl Iterator for OneColumn {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneColumn {}

/// The pages as they were before they were packed.
struct Unpacked {
    pages: SerializedPageReader<Fetched>,
    /// No page is longer than its column.
    size_max: usize,
}

impl Unpacked {
    fn unpack(&self, mut page: Page) -> Result<Page> {
        match &mut page {
            Page::DataPageV2 { is_compressed: false, .. } => {}
            Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, is_compressed, .. } => {
                // Levels stand before the values, and are not packed.
                let levels = *def_levels_byte_len as usize + *rep_levels_byte_len as usize;
                *buf = unpacked(buf, levels, self.size_max)?;
                *is_compressed = false;
            }
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = unpacked(buf, 0, self.size_max)?,
        }
        Ok(page)
    }
}

impl Iterator for Unpacked {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Unpacked {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        page.map(|page| self.unpack(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.pages.at_record_boundary()
    }
}

/// The bytes with what comes behind the first `plain` of them unpacked. A page without values has nothing there.
fn unpacked(bytes: &Bytes, plain: usize, size_max: usize) -> Result<Bytes> {
    let wrong = |what: &str| ParquetError::General(format!("a page {what}"));
    let packed = bytes.get(plain..).ok_or_else(|| wrong("is shorter than its levels"))?;
    if packed.is_empty() {
        return Ok(bytes.clone());
    }
    let size = get_frame_content_size(packed).ok().flatten().ok_or_else(|| wrong("does not say how long it is"))?;
    let size = usize::try_from(size).ok().filter(|size| *size <= size_max).ok_or_else(|| wrong("is longer than its column"))?;
    let mut out = Vec::with_capacity(plain + size);
    out.extend_from_slice(&bytes[..plain]);
    DECOMPRESSOR.with_borrow_mut(|kept| -> Result<()> {
        let decompressor = match kept {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new()?),
        };
        let mut end = std::io::Cursor::new(&mut out);
        end.set_position(plain as u64);
        decompressor.decompress_to_buffer(packed, &mut end)?;
        Ok(())
    })?;
    if out.len() == plain + size { Ok(out.into()) } else { Err(wrong("is not as long as it says")) }
}
