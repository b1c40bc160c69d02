//! Bytes taken from the front, every length checked. Numbers are big-endian, as in all of InfluxDB's files but bolt's.

use super::{Damage, Unreadable};
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

/// `length` bytes of the file from `offset` on.
pub fn read_at(mut file: &File, path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, Unreadable> {
    let mut out = vec![0; length];
    let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.read_exact(&mut out));
    read.map_err(Unreadable::io(path))?;
    Ok(out)
}

pub struct Bytes<'a> {
    rest: &'a [u8],
    /// Where `rest` begins in what was given at first.
    at: usize,
}

impl<'a> Bytes<'a> {
    pub fn new(all: &'a [u8]) -> Bytes<'a> {
        Bytes { rest: all, at: 0 }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn len(&self) -> usize {
        self.rest.len()
    }

    pub fn damage(&self, what: impl Into<String>) -> Damage {
        Damage::new(self.at, what)
    }

    /// The next `length` bytes; `what` they are says the failure when there are fewer.
    pub fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], Damage> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.damage(format!("{what} of {length} bytes where {} are left", self.rest.len())));
        };
        self.rest = rest;
        self.at += length;
        Ok(taken)
    }

    /// The next `length` bytes, to be read by themselves.
    pub fn part(&mut self, length: usize, what: &str) -> Result<Bytes<'a>, Damage> {
        let at = self.at;
        Ok(Bytes { rest: self.take(length, what)?, at })
    }

    /// All that is left.
    pub fn take_rest(&mut self) -> &'a [u8] {
        self.at += self.rest.len();
        std::mem::take(&mut self.rest)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Damage> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N, what)?);
        Ok(out)
    }

    pub fn u8(&mut self, what: &str) -> Result<u8, Damage> {
        Ok(u8::from_be_bytes(self.array(what)?))
    }

    pub fn u16(&mut self, what: &str) -> Result<u16, Damage> {
        Ok(u16::from_be_bytes(self.array(what)?))
    }

    pub fn u32(&mut self, what: &str) -> Result<u32, Damage> {
        Ok(u32::from_be_bytes(self.array(what)?))
    }

    pub fn u64(&mut self, what: &str) -> Result<u64, Damage> {
        Ok(u64::from_be_bytes(self.array(what)?))
    }

    pub fn i64(&mut self, what: &str) -> Result<i64, Damage> {
        Ok(i64::from_be_bytes(self.array(what)?))
    }

    /// An unsigned number in groups of seven bits, the lowest first.
    pub fn varint(&mut self, what: &str) -> Result<u64, Damage> {
        let start = self.at;
        let mut value = 0_u64;
        for group in 0..10 {
            let byte = self.u8(what)?;
            if group == 9 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * group);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Damage::new(start, format!("{what} is no number of 64 bits")))
    }

    /// A [`varint`](Self::varint) that counts things in memory.
    pub fn count(&mut self, what: &str) -> Result<usize, Damage> {
        let start = self.at;
        let count = self.varint(what)?;
        usize::try_from(count).map_err(|_| Damage::new(start, format!("{what} is {count}")))
    }
}

/// The bytes of a Snappy block. Its longest copy makes 64 bytes of 3, so a block that claims much more is not unpacked.
pub fn unpack(packed: &[u8], at: usize) -> Result<Vec<u8>, Damage> {
    let damage = |e: snap::Error| Damage::new(at, format!("no Snappy block: {e}"));
    let length = snap::raw::decompress_len(packed).map_err(damage)?;
    if length > packed.len().saturating_mul(32) {
        return Err(Damage::new(at, format!("a Snappy block of {} bytes that claims to hold {length}", packed.len())));
    }
    snap::raw::Decoder::new().decompress_vec(packed).map_err(damage)
}
