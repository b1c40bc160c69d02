//! Booleans: their number as varint, then a bit each, the highest of each byte first.

use super::{checked, uneven, unknown};
use crate::tsm::{Damage, bytes::Bytes};

pub fn decode(mut bytes: Bytes<'_>, count: usize) -> Result<Vec<bool>, Damage> {
    let at = bytes.at();
    let head = bytes.u8("the encoding of booleans")?;
    if head >> 4 != 1 {
        return Err(unknown(at, "booleans", head >> 4));
    }
    let claimed = checked(bytes.count("the number of booleans")?, at)?;
    if claimed != count {
        return Err(uneven(at, claimed, count));
    }
    let bits = bytes.take(count.div_ceil(8), "booleans")?;
    Ok((0..count).map(|i| bits[i / 8] & (0x80 >> (i % 8)) != 0).collect())
}
