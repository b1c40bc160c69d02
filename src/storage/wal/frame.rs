//! One record on disk (integers little-endian):
//!
//! ```text
//!  0  magic            "TGR1"
//!  4  version          u8 = 1
//!  5  kind             u8: 1 = lines, 2 = the beginning of a segment
//!  6  reserved         u16 = 0
//!  8  sequence         u64
//! 16  bucket           u64
//! 24  unit of times    i64, nanoseconds
//! 32  time of request  i64, nanoseconds: the time of lines without one
//! 40  text length      u32, before compression
//! 44  payload length   u32
//! 48  CRC32C           u32, of bytes 4..48 and the payload
//! 52  payload          LZ4 block of line protocol, only lines that were accepted
//! ```
//! The beginning of a segment has no payload. Its sequence is that of the last record that was durable before, and in the place of the unit
//! stands the first sequence that its process gave out (0 in segments of earlier builds); the bucket and the time are 0.
//!
//! A reader that meets damage looks for the next magic with a good CRC behind it: a flipped bit costs one record.

use crate::model::BucketId;

pub const MAGIC: &[u8; 4] = b"TGR1";
pub const HEADER_BYTES: usize = 52;
/// No LZ4 block becomes longer than this many times its length; what claims to asks for memory that it cannot fill.
const LZ4_FACTOR_MAX: usize = 256;
const VERSION: u8 = 1;
const KIND_LINES: u8 = 1;
const KIND_BEGINNING: u8 = 2;

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Lines(Record),
    /// The first one of a segment, as [`beginning`] has it.
    Beginning {
        durable: u64,
        began: u64,
    },
}

/// One accepted write request (or what was left of it after bad lines were refused).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub sequence: u64,
    pub bucket: BucketId,
    pub unit_ns: i64,
    pub now: i64,
    /// Line protocol.
    pub text: Vec<u8>,
}

/// The record without its sequence and checksum, which [`seal`] fills in when its turn is known.
pub fn encode(bucket: BucketId, unit_ns: i64, now: i64, text: &[u8]) -> Vec<u8> {
    let mut out = vec![0; HEADER_BYTES + lz4_flex::block::get_maximum_output_size(text.len())];
    let length = lz4_flex::block::compress_into(text, &mut out[HEADER_BYTES..]).expect("the buffer has LZ4's greatest output size");
    out.truncate(HEADER_BYTES + length);
    out[..4].copy_from_slice(MAGIC);
    out[4] = VERSION;
    out[5] = KIND_LINES;
    out[16..24].copy_from_slice(&bucket.get().to_le_bytes());
    out[24..32].copy_from_slice(&unit_ns.to_le_bytes());
    out[32..40].copy_from_slice(&now.to_le_bytes());
    out[40..44].copy_from_slice(&(text.len() as u32).to_le_bytes());
    out[44..48].copy_from_slice(&(length as u32).to_le_bytes());
    out
}

/// The first frame of a segment, sealed; `durable`: the last record that is durable in the segments before; `began`: the first sequence that
/// this process has given out, or will.
pub fn beginning(durable: u64, began: u64) -> Vec<u8> {
    let mut out = vec![0; HEADER_BYTES];
    out[..4].copy_from_slice(MAGIC);
    out[4] = VERSION;
    out[5] = KIND_BEGINNING;
    out[24..32].copy_from_slice(&began.to_le_bytes());
    seal(&mut out, durable);
    out
}

pub fn seal(frame: &mut [u8], sequence: u64) {
    frame[8..16].copy_from_slice(&sequence.to_le_bytes());
    let crc = checksum(frame);
    frame[48..52].copy_from_slice(&crc.to_le_bytes());
}

fn checksum(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[4..48]), &frame[HEADER_BYTES..])
}

/// The frame at the beginning of `bytes` and its length; `None` when there is none that is whole and good.
pub fn decode(bytes: &[u8]) -> Option<(Frame, usize)> {
    let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let half = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if bytes.get(..4)? != MAGIC || *bytes.get(4)? != VERSION {
        return None;
    }
    let length = HEADER_BYTES + half(44)? as usize;
    let frame = bytes.get(..length)?;
    if checksum(frame) != half(48)? {
        return None;
    }
    let sequence = word(8)?;
    let frame = match bytes[5] {
        KIND_LINES => {
            let (payload, text_bytes) = (&frame[HEADER_BYTES..], half(40)? as usize);
            if text_bytes > payload.len().saturating_mul(LZ4_FACTOR_MAX) {
                return None;
            }
            let text = lz4_flex::block::decompress(payload, text_bytes).ok()?;
            Frame::Lines(Record { sequence, bucket: BucketId::new(word(16)?)?, unit_ns: word(24)? as i64, now: word(32)? as i64, text })
        }
        KIND_BEGINNING => Frame::Beginning { durable: sequence, began: word(24)? },
        _ => return None,
    };
    Some((frame, length))
}
