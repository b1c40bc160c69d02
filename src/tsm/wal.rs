//! The log of a shard: `_NNNNN.wal` segments, read in the order of their numbers.
//!
//! ```text
//! entry           kind u8, length u32, Snappy block of that length
//! 1 write         per key: type u8 (1 float, 2 integer, 3 boolean, 4 string, 5 unsigned), key length u16, key,
//!                 number of values u32, per value: time i64, then 8 bytes, a byte (boolean), or length u32 and bytes
//! 2 delete        keys with a newline between them; all of their values
//! 3 delete range  first time i64, last time i64 (included), per key: length u32, key
//! ```
//! A delete takes what the log has before it; what TSM files had was marked in their tombstones before it was logged.
//! A segment that breaks off, or is damaged, counts up to there, and the next one is read: so does InfluxDB when it
//! starts. The log of one shard is held in memory, as InfluxDB holds it.

use super::{
    Damage, Timed, Unreadable, Value,
    bytes::{Bytes, unpack},
    key, settle,
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

/// What a log holds.
#[derive(Default)]
pub struct Wal {
    /// By key, in time order.
    pub values: BTreeMap<Vec<u8>, Vec<Timed>>,
    /// Segments that were not read to their ends, and why.
    pub broken: Vec<Unreadable>,
}

impl Wal {
    /// Fails when a segment cannot be opened or read at all.
    pub fn read(segments: &[PathBuf]) -> Result<Wal, Unreadable> {
        let mut wal = Wal::default();
        for segment in segments {
            match wal.segment(segment) {
                Err(damaged @ Unreadable::Damaged { .. }) => wal.broken.push(damaged),
                read => read?,
            }
        }
        wal.values.values_mut().for_each(settle);
        wal.values.retain(|_, values| !values.is_empty());
        Ok(wal)
    }

    fn segment(&mut self, path: &Path) -> Result<(), Unreadable> {
        let file = File::open(path).map_err(Unreadable::io(path))?;
        let mut left = file.metadata().map_err(Unreadable::io(path))?.len();
        let mut file = BufReader::new(file);
        let mut offset = 0;
        while left > 0 {
            let torn = |length| Damage::new(0, format!("the log breaks off: an entry of {length} bytes where {left} are left"));
            let mut head = [0; 5];
            if left < head.len() as u64 {
                return Err(torn(head.len() as u64).in_file(path, offset));
            }
            file.read_exact(&mut head).map_err(Unreadable::io(path))?;
            let [kind, length @ ..] = head;
            let length = u32::from_be_bytes(length);
            let whole = head.len() as u64 + u64::from(length);
            if left < whole {
                return Err(torn(whole).in_file(path, offset));
            }
            let mut packed = vec![0; length as usize];
            file.read_exact(&mut packed).map_err(Unreadable::io(path))?;
            let unpacked = unpack(&packed, head.len()).map_err(|d| d.in_file(path, offset))?;
            self.entry(kind, &unpacked).map_err(|d| {
                let what = format!("in the unpacked entry at {}: {}", d.at, d.what);
                Damage::new(0, what).in_file(path, offset)
            })?;
            left -= whole;
            offset += whole;
        }
        Ok(())
    }

    fn entry(&mut self, kind: u8, entry: &[u8]) -> Result<(), Damage> {
        let mut bytes = Bytes::new(entry);
        match kind {
            1 => self.write(&mut bytes),
            2 => {
                for key in entry.split(|byte| *byte == b'\n') {
                    self.values.remove(key);
                }
                Ok(())
            }
            3 => {
                let (first, last) = (bytes.i64("a first time")?, bytes.i64("a last time")?);
                while !bytes.is_empty() {
                    let length = bytes.u32("the length of a key")?;
                    let key = bytes.take(length as usize, "a key")?;
                    if let Some(values) = self.values.get_mut(key) {
                        values.retain(|v| !(first..=last).contains(&v.time));
                    }
                }
                Ok(())
            }
            other => Err(Damage::new(0, format!("an entry of the unknown kind {other}"))),
        }
    }

    fn write(&mut self, bytes: &mut Bytes<'_>) -> Result<(), Damage> {
        while !bytes.is_empty() {
            let at = bytes.at();
            let kind = bytes.u8("the type of values")?;
            let length = bytes.u16("the length of a key")?;
            let key = bytes.take(length.into(), "a key")?;
            if key::split(key).is_none() {
                return Err(Damage::new(at, "a key without a field"));
            }
            let count = bytes.u32("the number of values")?;
            let values = self.values.entry(key.into()).or_default();
            for _ in 0..count {
                let time = bytes.i64("a time")?;
                let value = match kind {
                    1 => Value::Float(f64::from_bits(bytes.u64("a float")?)),
                    2 => Value::Integer(bytes.i64("an integer")?),
                    3 => Value::Boolean(bytes.u8("a boolean")? == 1),
                    4 => {
                        let length = bytes.u32("the length of a string")?;
                        Value::String(bytes.take(length as usize, "a string")?.into())
                    }
                    5 => Value::Unsigned(bytes.u64("an unsigned integer")?),
                    other => return Err(Damage::new(at, format!("values of the unknown type {other}"))),
                };
                values.push(Timed { time, value });
            }
        }
        Ok(())
    }
}
