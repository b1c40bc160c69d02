//! A TSM file (InfluxDB 1.x and 2.x; numbers big-endian).
//!
//! ```text
//! header    magic 16 D1 16 D1, version u8 = 1
//! blocks    CRC32 u32 of the rest, and the rest: a block as `tsm::block` draws it
//! index     per key, in key order:
//!             key length u16, key, type u8, number of blocks u16,
//!             per block, in time order: first time i64, last time i64, place u64, length with the CRC u32
//! footer    place of the index u64
//! ```
//! The index is read from front to back, once, and never held; blocks are read by their places.

use super::{
    Damage, Timed, Unreadable, block,
    bytes::{Bytes, read_at},
    key, settle,
    tombstone::{self, Deleted},
};
use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    rc::Rc,
};

const MAGIC: u32 = 0x16d1_16d1;
const HEADER_BYTES: u64 = 5;
const FOOTER_BYTES: u64 = 8;
const ENTRY_BYTES: usize = 28;

/// Where a block is, and what stretch of time its values lie in, both ends included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub first: i64,
    pub last: i64,
    pub offset: u64,
    pub bytes: u32,
}

/// One key of a file, and its blocks in time order.
pub struct Indexed {
    pub key: Vec<u8>,
    pub entries: Vec<Entry>,
}

/// The file as a place to read blocks from.
pub struct Blocks {
    path: PathBuf,
    file: File,
}

/// A file whose index is read key by key.
pub struct TsmFile {
    index: BufReader<File>,
    /// Of the next key.
    offset: u64,
    index_start: u64,
    index_end: u64,
    last_key: Vec<u8>,
    blocks: Rc<Blocks>,
    deleted: Deleted,
}

impl TsmFile {
    /// Opens a file and reads the tombstones beside it.
    pub fn open(path: &Path) -> Result<TsmFile, Unreadable> {
        let file = File::open(path).map_err(Unreadable::io(path))?;
        let length = file.metadata().map_err(Unreadable::io(path))?.len();
        let damaged = |offset, what: &str| Unreadable::Damaged { path: path.into(), offset, what: what.into() };
        if length < HEADER_BYTES + FOOTER_BYTES {
            return Err(damaged(length, "it is too short for a TSM file"));
        }
        let blocks = Rc::new(Blocks { path: path.into(), file });
        let header = blocks.bytes(0, HEADER_BYTES as usize)?;
        let mut bytes = Bytes::new(&header);
        let (magic, version) = (bytes.u32("the magic number"), bytes.u8("the version"));
        match (magic, version) {
            (Ok(MAGIC), Ok(1)) => {}
            (Ok(MAGIC), Ok(version)) => return Err(damaged(4, &format!("version {version} of TSM files is unknown, 1 is known"))),
            _ => return Err(damaged(0, "it does not begin as a TSM file does (16 D1 16 D1)")),
        }
        let index_end = length - FOOTER_BYTES;
        let footer = blocks.bytes(index_end, FOOTER_BYTES as usize)?;
        let index_start = Bytes::new(&footer).u64("the place of the index").map_err(|d| d.in_file(path, index_end))?;
        if !(HEADER_BYTES..=index_end).contains(&index_start) {
            return Err(damaged(index_end, &format!("the index cannot be at byte {index_start}")));
        }
        let mut index = File::open(path).map_err(Unreadable::io(path))?;
        index.seek(SeekFrom::Start(index_start)).map_err(Unreadable::io(path))?;
        let deleted = tombstone::beside(path)?;
        Ok(TsmFile { index: BufReader::new(index), offset: index_start, index_start, index_end, last_key: vec![], blocks, deleted })
    }

    pub fn blocks(&self) -> Rc<Blocks> {
        self.blocks.clone()
    }

    /// Stretches of time, both ends included, whose values of `key` are deleted.
    pub fn deleted(&mut self, key: &[u8]) -> Vec<(i64, i64)> {
        self.deleted.remove(key).unwrap_or_default()
    }

    /// The next key of the index; `None` at its end.
    pub fn next_key(&mut self) -> Result<Option<Indexed>, Unreadable> {
        if self.offset == self.index_end {
            return Ok(None);
        }
        let start = self.offset;
        let blocks = self.blocks.clone();
        let damage = |d: Damage| d.in_file(&blocks.path, start);
        let head = self.read(2)?;
        let length = Bytes::new(&head).u16("the length of a key").map_err(damage)?;
        let key = self.read(length.into())?;
        if key::split(&key).is_none() {
            return Err(damage(Damage::new(2, "a key without a field")));
        }
        if self.last_key >= key {
            return Err(damage(Damage::new(2, "a key that is not behind the one before it")));
        }
        let head = self.read(3)?;
        let mut bytes = Bytes::new(&head);
        // The type stands in each block too.
        let _ = bytes.u8("the type of the blocks").map_err(damage)?;
        let count = usize::from(bytes.u16("the number of blocks").map_err(damage)?);
        let entries_start = self.offset;
        let entries = self.read(count * ENTRY_BYTES)?;
        let mut bytes = Bytes::new(&entries);
        let mut out = Vec::with_capacity(count);
        while !bytes.is_empty() {
            out.push(self.entry(&mut bytes).map_err(|d| d.in_file(&blocks.path, entries_start))?);
        }
        out.sort_by_key(|entry| entry.first);
        self.last_key.clone_from(&key);
        Ok(Some(Indexed { key, entries: out }))
    }

    fn entry(&self, bytes: &mut Bytes<'_>) -> Result<Entry, Damage> {
        let at = bytes.at();
        let (first, last) = (bytes.i64("a first time")?, bytes.i64("a last time")?);
        let (offset, length) = (bytes.u64("the place of a block")?, bytes.u32("the length of a block")?);
        let end = offset.checked_add(length.into());
        if first > last || length < 4 || offset < HEADER_BYTES || end.is_none_or(|end| end > self.index_start) {
            let what = format!("no block can be at byte {offset}, {length} long, with times from {first} to {last}");
            return Err(Damage::new(at, what));
        }
        Ok(Entry { first, last, offset, bytes: length })
    }

    /// The next bytes of the index.
    fn read(&mut self, length: usize) -> Result<Vec<u8>, Unreadable> {
        if self.index_end - self.offset < length as u64 {
            let what = format!("{length} bytes of the index where {} are left", self.index_end - self.offset);
            return Err(Unreadable::Damaged { path: self.blocks.path.clone(), offset: self.offset, what });
        }
        let mut out = vec![0; length];
        self.index.read_exact(&mut out).map_err(Unreadable::io(&self.blocks.path))?;
        self.offset += length as u64;
        Ok(out)
    }
}

impl Blocks {
    fn bytes(&self, offset: u64, length: usize) -> Result<Vec<u8>, Unreadable> {
        read_at(&self.file, &self.path, offset, length)
    }

    /// The values of a block in time order; of values with one time the last one.
    pub fn read(&self, entry: &Entry) -> Result<Vec<Timed>, Unreadable> {
        let bytes = self.bytes(entry.offset, entry.bytes as usize)?;
        let damaged = |d: Damage| d.in_file(&self.path, entry.offset);
        let mut block = Bytes::new(&bytes);
        let written = block.u32("the checksum of a block").map_err(damaged)?;
        let block = block.take_rest();
        if crc32fast::hash(block) != written {
            return Err(damaged(Damage::new(0, format!("a block of {} bytes does not have its checksum", entry.bytes))));
        }
        let mut values = block::decode(block).map_err(|d| Damage { at: d.at + 4, ..d }).map_err(damaged)?;
        settle(&mut values);
        let inside = |value: Option<&Timed>| value.is_none_or(|v| (entry.first..=entry.last).contains(&v.time));
        if !inside(values.first()) || !inside(values.last()) {
            return Err(damaged(Damage::new(0, "a block with times outside of those that the index says")));
        }
        Ok(values)
    }
}
