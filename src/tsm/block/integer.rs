//! Integers. All encodings hold differences to the value before (the first to zero), signed ones as zigzag: 0, -1, 1, -2
//! become 0, 1, 2, 3.
//!
//! ```text
//! 0 raw      8 bytes each
//! 1 packed   the first in 8 bytes, then simple8b
//! 2 run      the first in 8 bytes, one difference as varint, how many follow the first as varint
//! ```

use super::{VALUES_MAX, checked, simple8b, uneven, unknown};
use crate::tsm::{Damage, bytes::Bytes};

pub fn decode(mut bytes: Bytes<'_>, count: usize) -> Result<Vec<i64>, Damage> {
    let at = bytes.at();
    let head = bytes.u8("the encoding of integers")?;
    let mut values = vec![bytes.u64("the first integer")?];
    match head >> 4 {
        0 => {
            checked(bytes.len() / 8, at)?;
            while !bytes.is_empty() {
                values.push(bytes.u64("an integer")?);
            }
        }
        1 => simple8b::decode(&mut bytes, &mut values, VALUES_MAX)?,
        2 => {
            let step = bytes.varint("the difference of integers")?;
            let at = bytes.at();
            let following = checked(bytes.count("the number of integers")?, at)?;
            values.extend(std::iter::repeat_n(step, following));
        }
        other => return Err(unknown(at, "integers", other)),
    }
    if values.len() != count {
        return Err(uneven(at, values.len(), count));
    }
    let mut last = 0_i64;
    let sums = values.into_iter().map(|difference| {
        last = last.wrapping_add((difference >> 1) as i64 ^ -((difference & 1) as i64));
        last
    });
    Ok(sums.collect())
}
