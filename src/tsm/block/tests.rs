use super::*;
use expect_test::{Expect, expect};
use proptest::prelude::*;

/// Times at 1, 2, 3: as many as are wanted, as a run.
fn times(count: u64) -> Vec<u8> {
    [&[0x20][..], &1_u64.to_be_bytes(), &[1], &varint(count)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = vec![];
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn block(kind: u8, times: &[u8], values: &[u8]) -> Vec<u8> {
    [&[kind][..], &varint(times.len() as u64), times, values].concat()
}

/// Bytes of `0` and `1`; spaces are left out, the last byte is filled up with zeros.
fn bits(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b' ').map(|b| b - b'0').collect();
    digits.chunks(8).map(|byte| byte.iter().enumerate().fold(0, |out, (i, bit)| out | bit << (7 - i))).collect()
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn show(block: &[u8]) -> String {
    match decode(block) {
        Err(damage) => format!("{}: {}", damage.at, damage.what),
        Ok(values) => values.iter().map(|v| format!("{}@{}", text(&v.value), v.time)).collect::<Vec<_>>().join(" "),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Float(v) => format!("{v:?}"),
        Value::Integer(v) => format!("{v}i"),
        Value::Unsigned(v) => format!("{v}u"),
        Value::Boolean(v) => v.to_string(),
        Value::String(v) => format!("{:?}", String::from_utf8_lossy(v)),
    }
}

fn check(block: &[u8], expected: Expect) {
    expected.assert_eq(&show(block));
}

/// Three integers that all encodings agree on: 0, -1, 1 (differences 0, -1, 2; zigzag 0, 1, 4).
fn integers() -> Vec<u8> {
    [vec![0x00], words(&[0, 1, 4])].concat()
}

#[test]
fn times_of_every_encoding() {
    let raw = [vec![0x00], words(&[-5_i64 as u64, 10, 1 << 62])].concat();
    check(&block(1, &raw, &integers()), expect!["0i@-5 -1i@5 1i@4611686018427387909"]);
    // Selector 14 holds two numbers of 30 bits, the first in the lowest bits. The unit is 10^3.
    let packed = [vec![0x13], words(&[1_600_000_000_000_000_000, (14 << 60) | (7 << 30) | 2])].concat();
    check(&block(1, &packed, &integers()), expect!["0i@1600000000000000000 -1i@1600000000000002000 1i@1600000000000009000"]);
    let run = [&[0x29][..], &1_600_000_000_000_000_000_u64.to_be_bytes(), &[10], &[3]].concat();
    check(&block(1, &run, &integers()), expect!["0i@1600000000000000000 -1i@1600000010000000000 1i@1600000020000000000"]);
}

#[test]
fn integers_of_every_encoding() {
    check(&block(1, &times(3), &integers()), expect!["0i@1 -1i@2 1i@3"]);
    // The first difference in a word of its own; selector 15 holds one number of 60 bits.
    let packed = [vec![0x10], words(&[9, (15 << 60) | 4, (15 << 60) | 1])].concat();
    check(&block(1, &times(3), &packed), expect!["-5i@1 -3i@2 -4i@3"]);
    let run = [&[0x20][..], &84_u64.to_be_bytes(), &[3, 2]].concat();
    check(&block(1, &times(3), &run), expect!["42i@1 40i@2 38i@3"]);
    let edges = [vec![0x00], words(&[u64::MAX, 1, 0])].concat();
    check(&block(1, &times(3), &edges), expect!["-9223372036854775808i@1 9223372036854775807i@2 9223372036854775807i@3"]);
    // Zigzag of -1: the unsigned integer of the same bits.
    check(&block(4, &times(1), &[vec![0x00], words(&[1])].concat()), expect!["18446744073709551615u@1"]);
}

#[test]
fn simple8b_of_every_selector() {
    let of = |selector: u64, value: u64| {
        let mut out = vec![];
        let word = (selector << 60) | value;
        simple8b::decode(&mut Bytes::new(&word.to_be_bytes()), &mut out, 1000).expect("a word");
        out
    };
    assert_eq!(of(0, 0), vec![1; 240]);
    assert_eq!(of(1, 0), vec![1; 120]);
    for (selector, count, bits) in [(2, 60, 1), (3, 30, 2), (4, 20, 3), (5, 15, 4), (6, 12, 5), (7, 10, 6), (8, 8, 7), (9, 7, 8)] {
        // The highest number in the first place, one in the second, none in the others.
        let found = of(selector, ((1 << bits) - 1) | (1 << bits));
        let expected: Vec<u64> = [(1 << bits) - 1, 1].into_iter().chain(std::iter::repeat_n(0, count - 2)).collect();
        assert_eq!(found, expected, "selector {selector}");
    }
    assert_eq!(of(10, 5 << 50), [0, 0, 0, 0, 0, 5]);
    assert_eq!(of(11, 5 << 48), [0, 0, 0, 0, 5]);
    assert_eq!(of(12, 5 << 45), [0, 0, 0, 5]);
    assert_eq!(of(13, 5 << 40), [0, 0, 5]);
    assert_eq!(of(14, 5 << 30), [0, 5]);
    assert_eq!(of(15, 5), [5]);
}

#[test]
fn floats_of_every_form() {
    let one = format!("{:064b}", 1.0_f64.to_bits());
    // 1 to 2 changes the 11 bits behind the sign: a window behind one zero. 2 to 1 uses it again.
    let stream = format!("{one} 0 11 00001 001011 11111111111 10 11111111111");
    check(&block(0, &times(4), &[&[0x10][..], &bits(&stream)].concat()), expect!["1.0@1 1.0@2 2.0@3 1.0@4"]);
    // A window of all 64 bits is written as one of none.
    let negative = format!("{one} 11 00000 000000 {:064b}", 1.0_f64.to_bits() ^ (-0.1_f64).to_bits());
    check(&block(0, &times(2), &[&[0x10][..], &bits(&negative)].concat()), expect!["1.0@1 -0.1@2"]);
    // The NaN that ends the stream, in front of what the times count.
    let ended = format!("{one} 11 00000 000000 {:064b}", 1.0_f64.to_bits() ^ 0x7ff8_0000_0000_0001);
    check(&block(0, &times(2), &[&[0x10][..], &bits(&ended)].concat()), expect!["13: 1 values for 2 times"]);
    let before_any_window = format!("{one} 10");
    check(&block(0, &times(2), &[&[0x10][..], &bits(&before_any_window)].concat()), expect!["22: a window of 0 bits behind 0 zeros"]);
    check(&block(0, &times(9), &[&[0x10][..], &bits(&one)].concat()), expect!["22: the floats break off"]);
}

#[test]
fn booleans_and_strings() {
    check(
        &block(2, &times(10), &[0x10, 10, 0b1010_0000, 0b0100_0000]),
        expect!["true@1 false@2 true@3 false@4 false@5 false@6 false@7 false@8 false@9 true@10"],
    );
    let plain = [&[0][..], &[3], b"abc", &[2], "é".as_bytes()].concat();
    let packed = snap::raw::Encoder::new().compress_vec(&plain).expect("memory");
    check(&block(3, &times(3), &[&[0x10][..], &packed].concat()), expect![[r#"""@1 "abc"@2 "é"@3"#]]);
}

#[test]
fn what_cannot_be_is_said_with_its_place() {
    check(&[], expect!["0: the type of a block of 1 bytes where 0 are left"]);
    check(&block(9, &times(1), &[]), expect!["0: a block of the unknown type 9"]);
    check(&block(1, &times(1), &[]), expect!["13: the encoding of integers of 1 bytes where 0 are left"]);
    check(&[1, 200, 1, 0], expect!["3: the times of 200 bytes where 1 are left"]);
    check(&[1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255], expect!["1: the length of the times is no number of 64 bits"]);
    check(&block(1, &[0x90; 9], &integers()), expect!["2: the unknown encoding 9 of times"]);
    check(&block(1, &times(2), &integers()), expect!["13: 3 values for 2 times"]);
    // A few bytes that claim any number of values get no memory for them.
    check(&block(1, &times(1 << 40), &integers()), expect!["12: a block that claims to hold 1099511627776 values"]);
    let run = [&[0x20][..], &84_u64.to_be_bytes(), &[0], &varint(1 << 40)].concat();
    check(&block(1, &times(3), &run), expect!["23: a block that claims to hold 1099511627776 values"]);
    check(&block(2, &times(3), &[0x10, 255, 255, 255, 255, 7]), expect!["13: a block that claims to hold 2147483647 values"]);
    // A Snappy block of three bytes that claims to hold gigabytes.
    check(&block(3, &times(1), &[0x10, 255, 255, 255, 255, 7, 0]), expect!["14: a Snappy block of 6 bytes that claims to hold 2147483647"]);
}

/// Good blocks of each type.
fn samples() -> Vec<Vec<u8>> {
    let one = format!("{:064b} 0 11 00001 001011 11111111111", 1.0_f64.to_bits());
    let strings = snap::raw::Encoder::new().compress_vec(&[&[3][..], b"abc", &[0, 0]].concat()).expect("memory");
    let packed = [vec![0x13], words(&[1_600_000_000_000_000_000, (14 << 60) | (7 << 30) | 2])].concat();
    vec![
        block(0, &times(3), &[&[0x10][..], &bits(&one)].concat()),
        block(1, &packed, &integers()),
        block(1, &times(3), &[vec![0x10], words(&[9, (14 << 60) | 7])].concat()),
        block(2, &times(3), &[0x10, 3, 0b1010_0000]),
        block(3, &times(3), &[&[0x10][..], &strings].concat()),
        block(4, &times(3), &[&[0x20][..], &84_u64.to_be_bytes(), &[3, 2]].concat()),
    ]
}

#[test]
fn the_samples_are_good() {
    for sample in samples() {
        assert_eq!(decode(&sample).map(|values| values.len()), Ok(3), "{}", show(&sample));
    }
}

proptest! {
    /// Checksums keep most damage away from the decoder; what passes them must not take the program down.
    #[test]
    fn damaged_blocks_are_read_or_refused(which in 0_usize..6, flips in prop::collection::vec((0_usize..64, any::<u8>()), 1..6), cut in 0_usize..64) {
        let mut block = samples()[which].clone();
        for (at, byte) in flips {
            let at = at % block.len();
            block[at] = byte;
        }
        for whole in [&block[..], &block[..cut.min(block.len())]] {
            if let Ok(values) = decode(whole) {
                prop_assert!(values.len() <= VALUES_MAX);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(values) = decode(&bytes) {
            prop_assert!(values.len() <= VALUES_MAX);
        }
    }
}
