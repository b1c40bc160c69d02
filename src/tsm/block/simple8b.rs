//! Simple8b: words of 64 bits whose high four bits say how many numbers of how many bits each are in the rest, the first
//! in the lowest bits. Two selectors stand for runs of ones (Anh and Moffat 2010, in the variant of InfluxDB's Go library).

use crate::tsm::{Damage, bytes::Bytes};

/// Numbers in a word and bits of each, by selector.
const PACKINGS: [(usize, u32); 16] = [
    (240, 0),
    (120, 0),
    (60, 1),
    (30, 2),
    (20, 3),
    (15, 4),
    (12, 5),
    (10, 6),
    (8, 7),
    (7, 8),
    (6, 10),
    (5, 12),
    (4, 15),
    (3, 20),
    (2, 30),
    (1, 60),
];

/// Appends the numbers of all words that are left; a failure when `out` would become longer than `max`.
pub fn decode(bytes: &mut Bytes<'_>, out: &mut Vec<u64>, max: usize) -> Result<(), Damage> {
    while !bytes.is_empty() {
        let at = bytes.at();
        let word = bytes.u64("a simple8b word")?;
        let (count, bits) = PACKINGS[(word >> 60) as usize];
        if out.len() + count > max {
            return Err(Damage::new(at, format!("more than {max} packed values")));
        }
        match bits {
            0 => out.extend(std::iter::repeat_n(1, count)),
            _ => out.extend((0..count as u32).map(|i| (word >> (i * bits)) & ((1 << bits) - 1))),
        }
    }
    Ok(())
}
