//! One block: times and values of one field of one series (up to 1000 of them, 10,000 in late 2.x).
//!
//! ```text
//! type       u8: 0 float, 1 integer, 2 boolean, 3 string, 4 unsigned
//! length     varint, of the times
//! times      u8 encoding in the high four bits, then as it says
//! values     u8 encoding in the high four bits, then as it says
//! ```

mod boolean;
mod float;
mod integer;
mod simple8b;
mod string;
mod time;

use super::{Damage, Timed, Value, bytes::Bytes};

/// A block that claims more values than this is damaged: a few bytes can claim any number of equal values.
pub const VALUES_MAX: usize = 1 << 20;

/// Values in the order in which the block has them.
pub fn decode(block: &[u8]) -> Result<Vec<Timed>, Damage> {
    let mut bytes = Bytes::new(block);
    let kind = bytes.u8("the type of a block")?;
    let length = bytes.count("the length of the times")?;
    let times = time::decode(bytes.part(length, "the times")?)?;
    let values = match kind {
        0 => zip(&times, float::decode(bytes, times.len())?, Value::Float),
        1 => zip(&times, integer::decode(bytes, times.len())?, Value::Integer),
        2 => zip(&times, boolean::decode(bytes, times.len())?, Value::Boolean),
        3 => zip(&times, string::decode(bytes, times.len())?, Value::String),
        // Stored as the integer of the same bits.
        4 => zip(&times, integer::decode(bytes, times.len())?, |v| Value::Unsigned(v as u64)),
        other => return Err(Damage::new(0, format!("a block of the unknown type {other}"))),
    };
    Ok(values)
}

fn zip<T>(times: &[i64], values: Vec<T>, value: impl Fn(T) -> Value) -> Vec<Timed> {
    times.iter().zip(values).map(|(time, v)| Timed { time: *time, value: value(v) }).collect()
}

/// A count that a block claims, when it is one that memory may be taken for.
fn checked(count: usize, at: usize) -> Result<usize, Damage> {
    if count <= VALUES_MAX { Ok(count) } else { Err(Damage::new(at, format!("a block that claims to hold {count} values"))) }
}

/// The failure of a block with another number of values than times.
fn uneven(at: usize, values: usize, times: usize) -> Damage {
    Damage::new(at, format!("{values} values for {times} times"))
}

fn unknown(at: usize, of: &str, encoding: u8) -> Damage {
    Damage::new(at, format!("the unknown encoding {encoding} of {of}"))
}

#[cfg(test)]
mod tests;
