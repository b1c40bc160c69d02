//! Reading the log back: every good record in order of sequence, and an account of what was not good.

use super::frame::{self, MAGIC, Record};
use crate::storage::fs::FileSystem;
use std::{io, ops::Range};

/// Bytes of a segment that are no record, with good records behind them (a torn end is no damage).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub segment: String,
    pub bytes: Range<usize>,
}

/// What a replay found besides the records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Old segments and the highest sequence in each (its first one, when it holds no record).
    pub segments: Vec<(String, u64)>,
    /// The highest sequence that was ever given out, as far as the disk knows.
    pub last_sequence: u64,
    pub records: usize,
    pub damage: Vec<Damage>,
}

/// Gives every good record to `each`, segment by segment. Only reading can fail; damage is told, not raised.
pub fn replay(files: &dyn FileSystem, mut each: impl FnMut(Record)) -> io::Result<Replayed> {
    let mut found = Replayed::default();
    for name in files.list()? {
        let Some(first) = name.strip_suffix(".wal").and_then(|hex| u64::from_str_radix(hex, 16).ok()) else { continue };
        let bytes = files.read(&name)?;
        let mut last = first;
        let (mut at, mut bad_from) = (0, None);
        while at < bytes.len() {
            match frame::decode(&bytes[at..]) {
                Some((record, length)) => {
                    if let Some(from) = bad_from.take() {
                        found.damage.push(Damage { segment: name.clone(), bytes: from..at });
                    }
                    last = last.max(record.sequence);
                    found.records += 1;
                    each(record);
                    at += length;
                }
                None => {
                    bad_from.get_or_insert(at);
                    at = memchr::memmem::find(&bytes[at + 1..], MAGIC).map_or(bytes.len(), |next| at + 1 + next);
                }
            }
        }
        found.last_sequence = found.last_sequence.max(last);
        found.segments.push((name, last));
    }
    Ok(found)
}
