//! Reading the log back: every good record, and an account of what was not good.

use super::frame::{self, Frame, MAGIC, Record};
use crate::storage::fs::FileSystem;
use std::{
    io,
    ops::{Range, RangeInclusive},
};

/// Where files are lost that may carry unknown sequences, new ones begin this far beyond the known ones.
pub const SEQUENCE_JUMP: u64 = 1 << 40;

/// Bytes of a segment that are no record, with good records behind them (a torn end is no damage).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub segment: String,
    pub bytes: Range<usize>,
}

/// Records that were synced once and are not to be found, all of these or some: `segment` lost its end, or the segment after it is
/// gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub segment: String,
    pub sequences: RangeInclusive<u64>,
}

/// What a replay found besides the records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Old segments and the highest sequence in each (that of its name, when it holds no record).
    pub segments: Vec<(String, u64)>,
    /// The highest sequence that was ever given out, as far as the disk knows.
    pub last_sequence: u64,
    /// The greatest sequence of a record that is there.
    pub last_record: Option<u64>,
    /// The first segment and the record that was durable before it, which was trimmed since.
    pub trimmed: Option<(String, u64)>,
    pub records: usize,
    pub bytes: u64,
    pub damage: Vec<Damage>,
    pub missing: Vec<Missing>,
    /// Sequences of what was refused to its writer, as a segment says: its process had given them out before, and had not made them durable.
    pub(super) refused: Vec<Range<u64>>,
    /// Segments with records from before the sequence of their names: copies, or under another's name.
    pub misnamed: Vec<String>,
}

/// The sequence in a segment's name; `None`: the file is no segment.
pub fn named_sequence(name: &str) -> Option<u64> {
    name.strip_suffix(".wal").filter(|hex| hex.len() == 16).and_then(|hex| u64::from_str_radix(hex, 16).ok())
}

impl Replayed {
    /// The name of the first segment, when records before it are gone that no file can have: all that are in files have sequences
    /// up to `in_files`.
    pub fn lacks_before(&self, in_files: u64) -> Option<&str> {
        self.trimmed.as_ref().filter(|(_, durable)| *durable > in_files).map(|(name, _)| name.as_str())
    }

    /// Whether the record of that sequence was refused to its writer. It may be there all the same; what came after it was stored as though
    /// it were not.
    pub fn was_refused(&self, sequence: u64) -> bool {
        self.refused.iter().any(|sequences| sequences.contains(&sequence))
    }
}

/// Gives every good record to `each`, segment by segment in order of their names; a record may come twice when a segment is
/// there twice. Only reading can fail; damage is told, not raised. A segment that a running log trims meanwhile is left out.
pub fn replay(files: &dyn FileSystem, mut each: impl FnMut(Record)) -> io::Result<Replayed> {
    let mut found = Replayed::default();
    // Of each segment: its first record's sequence (else that of its name), its last record's, and what it says was durable before.
    let mut spans: Vec<(u64, Option<u64>, Option<u64>, String)> = vec![];
    for name in files.list()? {
        let Some(named) = named_sequence(&name) else { continue };
        let bytes = match files.read(&name) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                spans.clear();
                continue;
            }
            Err(e) => return Err(io::Error::new(e.kind(), format!("log segment {name}: {e}"))),
        };
        let mut sequences: Option<(u64, u64)> = None;
        let mut beginning: Option<(u64, u64)> = None;
        let (mut at, mut bad_from) = (0, None);
        while at < bytes.len() {
            match frame::decode(&bytes[at..]) {
                Some((frame, length)) => {
                    if let Some(from) = bad_from.take() {
                        found.damage.push(Damage { segment: name.clone(), bytes: from..at });
                    }
                    at += length;
                    let record = match frame {
                        Frame::Lines(record) => record,
                        Frame::Beginning { durable, began } => {
                            beginning = Some((durable, began));
                            continue;
                        }
                    };
                    let sequence = record.sequence;
                    sequences = Some(sequences.map_or((sequence, sequence), |(min, max)| (min.min(sequence), max.max(sequence))));
                    found.records += 1;
                    each(record);
                }
                None => {
                    bad_from.get_or_insert(at);
                    at = memchr::memmem::find(&bytes[at + 1..], MAGIC).map_or(bytes.len(), |next| at + 1 + next);
                }
            }
        }
        let (first, last) = sequences.unwrap_or((named, named));
        if first < named {
            found.misnamed.push(name.clone());
        }
        if let (Some((durable, began @ 1..)), Some(_)) = (beginning, sequences) {
            let refused = began.max(durable.saturating_add(1))..first.min(named);
            found.refused.extend(Some(refused).filter(|sequences| !sequences.is_empty()));
        }
        found.bytes += bytes.len() as u64;
        found.last_sequence = found.last_sequence.max(last).max(named);
        found.last_record = found.last_record.max(sequences.map(|s| s.1));
        found.segments.push((name.clone(), last));
        spans.push((first, sequences.map(|s| s.1), beginning.map(|(durable, _)| durable), name));
    }
    spans.sort();
    found.trimmed = spans.first().and_then(|(_, _, durable, name)| Some((name.clone(), (*durable)?)));
    let mut reached = spans.first().map_or(0, |(first, ..)| first.saturating_sub(1));
    for (at, (_, last, durable, _)) in spans.iter().enumerate() {
        if let Some(durable) = durable.filter(|durable| at > 0 && *durable > reached) {
            found.missing.push(Missing { segment: spans[at - 1].3.clone(), sequences: reached + 1..=durable });
        }
        reached = reached.max(last.unwrap_or(0)).max(durable.unwrap_or(0));
    }
    Ok(found)
}
