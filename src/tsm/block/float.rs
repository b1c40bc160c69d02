//! Floats as in Facebook's Gorilla (Pelkonen and others 2015, section 4.1.2): each is written as what differs from the one
//! before. A NaN of InfluxDB's own ends the stream, behind what the times count.
//!
//! ```text
//! first value            64 bits
//! same as before         0
//! in the last window     1 0  significant bits
//! in a new window        1 1  leading zeros: 5 bits, width of the window: 6 bits (0 is 64), significant bits
//! ```

use super::{uneven, unknown};
use crate::tsm::{Damage, bytes::Bytes};

/// The bits of the NaN that Go makes.
const END: u64 = 0x7ff8_0000_0000_0001;

pub fn decode(mut bytes: Bytes<'_>, count: usize) -> Result<Vec<f64>, Damage> {
    let at = bytes.at();
    let head = bytes.u8("the encoding of floats")?;
    if head >> 4 != 1 {
        return Err(unknown(at, "floats", head >> 4));
    }
    let mut bits = Bits { at: bytes.at(), bytes: bytes.take_rest(), position: 0 };
    let mut value = bits.take(64)?;
    // Leading zeros and width.
    let mut window = (0_u32, 0_u32);
    // A float takes a bit at least.
    let mut values = Vec::with_capacity(count.min(bits.bytes.len().saturating_mul(8)));
    loop {
        if value == END {
            return Err(uneven(at, values.len(), count));
        }
        values.push(f64::from_bits(value));
        if values.len() == count {
            return Ok(values);
        }
        if bits.take(1)? == 0 {
            continue;
        }
        if bits.take(1)? == 1 {
            let (leading, width) = (bits.take(5)? as u32, bits.take(6)? as u32);
            window = (leading, if width == 0 { 64 } else { width });
        }
        let (leading, width) = window;
        let shift = 64_u32.checked_sub(leading + width).filter(|_| width > 0);
        let shift = shift.ok_or_else(|| Damage::new(bits.byte(), format!("a window of {width} bits behind {leading} zeros")))?;
        value ^= bits.take(width)? << shift;
    }
}

/// Bits, the highest of each byte first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// Where the bytes stand in the block.
    at: usize,
    position: usize,
}

impl Bits<'_> {
    fn byte(&self) -> usize {
        self.at + self.position / 8
    }

    /// The next `count` bits (at most 64) as a number.
    fn take(&mut self, count: u32) -> Result<u64, Damage> {
        let mut value = 0_u64;
        let mut wanted = count;
        while wanted > 0 {
            let byte = *self.bytes.get(self.position / 8).ok_or_else(|| Damage::new(self.byte(), "the floats break off"))?;
            let free = 8 - (self.position % 8) as u32;
            let taken = free.min(wanted);
            let piece = (byte >> (free - taken)) & (0xff >> (8 - taken));
            value = (value << taken) | u64::from(piece);
            self.position += taken as usize;
            wanted -= taken;
        }
        Ok(value)
    }
}
