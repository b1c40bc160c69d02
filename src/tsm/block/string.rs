//! Strings: a Snappy block of lengths (varint), each with its bytes behind it.

use super::{uneven, unknown};
use crate::tsm::{
    Damage,
    bytes::{Bytes, unpack},
};

pub fn decode(mut bytes: Bytes<'_>, count: usize) -> Result<Vec<Box<[u8]>>, Damage> {
    let at = bytes.at();
    let head = bytes.u8("the encoding of strings")?;
    if head >> 4 != 1 {
        return Err(unknown(at, "strings", head >> 4));
    }
    let unpacked = unpack(bytes.take_rest(), at + 1)?;
    let mut strings = Bytes::new(&unpacked);
    // A string takes a byte at least.
    let mut values = Vec::with_capacity(count.min(unpacked.len()));
    while !strings.is_empty() {
        let inside = |d: Damage| Damage::new(at, format!("in the unpacked strings at {}: {}", d.at, d.what));
        let length = strings.count("the length of a string").map_err(inside)?;
        values.push(strings.take(length, "a string").map_err(inside)?.into());
    }
    if values.len() == count { Ok(values) } else { Err(uneven(at, values.len(), count)) }
}
