//! What was deleted of a TSM file: `NAME.tombstone` beside `NAME.tsm`, applied when the file is read.
//!
//! ```text
//! version 1    a key per line; all of its values (before 0.13)
//! version 2    00 00 15 02, then records
//! version 3    00 00 15 03, then records packed with gzip
//! version 4    00 00 15 04, then any number of such gzip streams
//! a record     key length u32, key, first time i64, last time i64 (included)
//! ```

use super::{Damage, Unreadable, bytes::Bytes};
use flate2::read::MultiGzDecoder;
use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Read},
    path::Path,
};

/// Stretches of time, both ends included, by key.
pub type Deleted = HashMap<Vec<u8>, Vec<(i64, i64)>>;

/// The longest key of a TSM file.
const KEY_BYTES_MAX: usize = 65_535;

/// The tombstones of a TSM file; none where there is no such file.
pub fn beside(tsm: &Path) -> Result<Deleted, Unreadable> {
    let path = tsm.with_extension("tombstone");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Deleted::new()),
        Err(e) => return Err(Unreadable::io(&path)(e)),
    };
    let mut file = BufReader::new(file);
    let head = file.fill_buf().map_err(Unreadable::io(&path))?;
    match head.get(..4) {
        Some([0, 0, 0x15, version @ 2..=4]) => {
            let packed = *version > 2;
            file.consume(4);
            let empty = file.fill_buf().map_err(Unreadable::io(&path))?.is_empty();
            if packed && !empty { records(&mut BufReader::new(MultiGzDecoder::new(file)), &path) } else { records(&mut file, &path) }
        }
        _ => lines(&mut file, &path),
    }
}

fn lines(file: &mut impl BufRead, path: &Path) -> Result<Deleted, Unreadable> {
    let mut deleted = Deleted::new();
    loop {
        let mut line = vec![];
        // A line that is longer than any key is cut, and is no key then.
        let read = file.by_ref().take(KEY_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line);
        if read.map_err(Unreadable::io(path))? == 0 {
            return Ok(deleted);
        }
        let key = line.strip_suffix(b"\n").unwrap_or(&line);
        if !key.is_empty() {
            deleted.insert(key.into(), vec![(i64::MIN, i64::MAX)]);
        }
    }
}

fn records(file: &mut impl BufRead, path: &Path) -> Result<Deleted, Unreadable> {
    let mut deleted = Deleted::new();
    let mut at = 0;
    loop {
        // InfluxDB takes a file that breaks off here for a whole one. Written anew each time, it only does when it is
        // damaged, and what was deleted must not come back.
        if file.fill_buf().map_err(|e| unpackable(path, at, &e))?.is_empty() {
            return Ok(deleted);
        }
        let mut head = [0; 4];
        file.read_exact(&mut head).map_err(|e| unpackable(path, at, &e))?;
        let length = u32::from_be_bytes(head) as usize;
        if length > KEY_BYTES_MAX {
            let damage = Damage::new(at, format!("a deleted key of {length} bytes (counted in the unpacked file)"));
            return Err(damage.in_file(path, 4));
        }
        let mut record = vec![0; length + 16];
        file.read_exact(&mut record).map_err(|e| unpackable(path, at, &e))?;
        let mut bytes = Bytes::new(&record);
        let mut read = || Ok((bytes.take(length, "a key")?.to_vec(), bytes.i64("a first time")?, bytes.i64("a last time")?));
        let (key, first, last) = read().map_err(|d: Damage| d.in_file(path, at as u64))?;
        deleted.entry(key).or_default().push((first, last));
        at += 4 + record.len();
    }
}

fn unpackable(path: &Path, at: usize, e: &std::io::Error) -> Unreadable {
    Damage::new(at, format!("a deletion cannot be read (counted in the unpacked file): {e}")).in_file(path, 4)
}
