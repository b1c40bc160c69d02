//! Times. The low four bits of the first byte are the power of ten that differences were divided by.
//!
//! ```text
//! 0 raw      the first time and each difference to the time before, 8 bytes each
//! 1 packed   the first time in 8 bytes, then differences as simple8b
//! 2 run      the first time in 8 bytes, one difference as varint, how many times as varint
//! ```

use super::{VALUES_MAX, checked, simple8b, unknown};
use crate::tsm::{Damage, bytes::Bytes};

/// At least one time. Sums wrap as they do in InfluxDB, which keeps differences without a sign.
pub fn decode(mut bytes: Bytes<'_>) -> Result<Vec<i64>, Damage> {
    let at = bytes.at();
    let head = bytes.u8("the encoding of times")?;
    let unit = 10_u64.pow(u32::from(head & 0xf));
    let mut times = vec![bytes.u64("the first time")?];
    match head >> 4 {
        0 => {
            checked(bytes.len() / 8, at)?;
            while !bytes.is_empty() {
                times.push(bytes.u64("a difference of times")?);
            }
            accumulate(&mut times, 1);
        }
        1 => {
            simple8b::decode(&mut bytes, &mut times, VALUES_MAX)?;
            accumulate(&mut times, unit);
        }
        2 => {
            let step = bytes.varint("the difference of times")?.wrapping_mul(unit);
            let at = bytes.at();
            let count = checked(bytes.count("the number of times")?, at)?;
            let first = times[0];
            times = (0..count as u64).map(|i| first.wrapping_add(step.wrapping_mul(i))).collect();
        }
        other => return Err(unknown(at, "times", other)),
    }
    Ok(times.into_iter().map(|time| time as i64).collect())
}

fn accumulate(times: &mut [u64], unit: u64) {
    for i in 1..times.len() {
        times[i] = times[i - 1].wrapping_add(times[i].wrapping_mul(unit));
    }
}
