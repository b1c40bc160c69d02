//! Whole shards: the directory that InfluxDB 1.6.7 wrote (`tests/cases/tsm/make.py`), and files made here where it takes
//! what that server does not write.

use super::{
    bolt,
    layout::{self, ShardFiles},
    shard::Shard,
    *,
};
use crate::line_protocol::write_row;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
};

const ALL: (i64, i64) = (i64::MIN, i64::MAX);

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/tsm")
}

fn unzipped(name: &str) -> Vec<u8> {
    let mut out = vec![];
    GzDecoder::new(fs::File::open(cases().join(name)).expect("the case is there")).read_to_end(&mut out).expect("gzip");
    out
}

/// The rows of a shard as line protocol, and what of its log could not be read.
fn rows(files: &ShardFiles, range: (i64, i64)) -> Result<(Vec<String>, Vec<String>), Unreadable> {
    let mut shard = Shard::open(files, range)?;
    let mut lines = vec![];
    let mut row = vec![];
    while let Some(mut series) = shard.next_series()? {
        let key = String::from_utf8_lossy(&series.key).into_owned();
        let names: Vec<String> = series.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        while let Some(time) = series.next_row(&mut row)? {
            let fields = row.iter().filter_map(|(number, value)| Some((names[*number].as_str(), value.field_value()?)));
            let mut line = String::new();
            if write_row(&mut line, &key, fields, Some(time)) {
                lines.push(line.trim_end_matches('\n').to_string());
            }
        }
    }
    Ok((lines, shard.broken.iter().map(Unreadable::to_string).collect()))
}

fn good(files: &ShardFiles) -> Vec<String> {
    let (lines, broken) = rows(files, ALL).expect("the shard is whole");
    assert_eq!(broken, Vec::<String>::new());
    lines
}

/// Each line read and written again, so that two programs' ways to print a number do not matter; in order.
fn settled(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    use crate::{
        line_protocol::{Parser, escape},
        model::Precision,
    };
    let text: String = lines.into_iter().map(|line| format!("{}\n", line.as_ref())).collect();
    let mut parser = Parser::new(text.as_bytes(), Precision::Nanosecond, 0);
    let (mut fields, mut out) = (vec![], vec![]);
    while let Some(line) = parser.next(&mut fields) {
        let line = line.expect("line protocol");
        let fields: BTreeMap<_, _> = fields.drain(..).map(|f| (escape::key(f.key), f.value)).collect();
        let mut text = String::new();
        write_row(&mut text, line.series, fields.iter().map(|(k, v)| (k.as_ref(), v.clone())), Some(line.time));
        out.push(text);
    }
    out.sort();
    out
}

#[test]
fn what_influxdb_wrote_is_what_it_answers() {
    let shards = layout::shards(&cases().join("v1/data"), &cases().join("v1/wal")).expect("a directory");
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, files) in &shards {
        found.entry(format!("{}/{}", name.database, name.policy)).or_default().extend(good(files));
    }
    let answer = String::from_utf8(unzipped("v1.lp.gz")).expect("text");
    let mut compared = 0;
    for part in answer.strip_prefix("# ").expect("a name").split("\n# ") {
        let (name, lines) = part.split_once('\n').expect("a name and lines");
        let (expected, found) = (settled([lines]), settled(&found[name]));
        compared += expected.len();
        let differing = expected.iter().zip(&found).find(|(expected, found)| expected != found);
        assert!(differing.is_none() && expected.len() == found.len(), "{name}: {} and {}: {differing:?}", expected.len(), found.len());
    }
    assert_eq!((found.len(), compared), (3, 2472));
}

#[test]
fn a_range_of_time_is_read_with_both_its_ends() {
    let shards = layout::shards(&cases().join("v1/data"), &cases().join("v1/wal")).expect("a directory");
    let (_, main) = shards.iter().find(|(name, _)| (name.policy.as_str(), name.id) == ("autogen", 1)).expect("the shard");
    let start = 1_600_000_000_000_000_000;
    let (lines, _) = rows(main, (start, start + 3)).expect("whole");
    let all = good(main);
    let inside = all.iter().filter(|line| {
        let time: i64 = line.rsplit(' ').next().expect("a time").parse().expect("a number");
        (start..=start + 3).contains(&time)
    });
    assert_eq!(lines, inside.cloned().collect::<Vec<_>>());
    assert!(lines.len() > 10 && lines.len() < all.len(), "{}", lines.len());
}

/// Time and value of each value of a block.
type Block<'a> = &'a [(i64, i64)];

/// A file of integer fields: keys in order, each with its blocks.
fn write_tsm(path: &Path, keys: &[(&str, &[Block<'_>])]) {
    let mut file = vec![0x16, 0xd1, 0x16, 0xd1, 1];
    let mut index = vec![];
    for (key, blocks) in keys {
        index.extend((key.len() as u16).to_be_bytes());
        index.extend(key.as_bytes());
        index.push(1);
        index.extend((blocks.len() as u16).to_be_bytes());
        for values in *blocks {
            let block = integers(values);
            let (first, last) = (values.iter().map(|v| v.0).min(), values.iter().map(|v| v.0).max());
            index.extend(first.expect("a value").to_be_bytes());
            index.extend(last.expect("a value").to_be_bytes());
            index.extend((file.len() as u64).to_be_bytes());
            index.extend((block.len() as u32 + 4).to_be_bytes());
            file.extend(crc32fast::hash(&block).to_be_bytes());
            file.extend(block);
        }
    }
    let index_start = file.len() as u64;
    file.extend(index);
    file.extend(index_start.to_be_bytes());
    fs::write(path, file).expect("a file");
}

/// Raw times and raw integers.
fn integers(values: &[(i64, i64)]) -> Vec<u8> {
    let mut block = vec![1];
    let length = 1 + values.len() * 8;
    // The length as a varint.
    block.extend(if length < 128 { vec![length as u8] } else { vec![length as u8 | 0x80, (length >> 7) as u8] });
    let differences = |of: &mut dyn FnMut(i64) -> u64, numbers: &mut dyn Iterator<Item = i64>| {
        let mut last = 0;
        let mut out = vec![0x00];
        for number in numbers {
            out.extend(of(number.wrapping_sub(last)).to_be_bytes());
            last = number;
        }
        out
    };
    block.extend(differences(&mut |d| d as u64, &mut values.iter().map(|v| v.0)));
    block.extend(differences(&mut |d| ((d << 1) ^ (d >> 63)) as u64, &mut values.iter().map(|v| v.1)));
    block
}

/// A log's entry.
fn entry(kind: u8, plain: &[u8]) -> Vec<u8> {
    let packed = snap::raw::Encoder::new().compress_vec(plain).expect("memory");
    [&[kind][..], &(packed.len() as u32).to_be_bytes(), &packed].concat()
}

fn written(key: &str, values: &[(i64, i64)]) -> Vec<u8> {
    let mut plain = vec![2];
    plain.extend((key.len() as u16).to_be_bytes());
    plain.extend(key.as_bytes());
    plain.extend((values.len() as u32).to_be_bytes());
    for (time, value) in values {
        plain.extend(time.to_be_bytes());
        plain.extend(value.to_be_bytes());
    }
    entry(1, &plain)
}

fn shard_in(folder: &Path) -> ShardFiles {
    let shards = layout::shards(&folder.join("data"), &folder.join("wal")).expect("a directory");
    shards.into_values().next().expect("a shard")
}

/// Folders of one shard.
fn folders() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, wal) = (folder.path().join("data/d/r/1"), folder.path().join("wal/d/r/1"));
    fs::create_dir_all(&data).expect("a folder");
    fs::create_dir_all(&wal).expect("a folder");
    (folder, data, wal)
}

#[test]
fn later_files_count_and_the_log_counts_most() {
    let (folder, data, wal) = folders();
    // By number, not by name: generation 10 is later than 9, sequence 10 later than 2.
    write_tsm(&data.join("9-000000001.tsm"), &[("a#!~#f", &[&[(1, 1), (2, 1), (3, 1), (9, 1)]]), ("b#!~#f", &[&[(1, 1)]])]);
    write_tsm(&data.join("10-2.tsm"), &[("a#!~#f", &[&[(2, 2), (3, 2), (4, 2)]]), ("a#!~#g", &[&[(2, 2), (8, 2)]])]);
    write_tsm(&data.join("10-10.tsm"), &[("a#!~#f", &[&[(3, 3), (4, 3)]])]);
    fs::write(wal.join("_00002.wal"), [written("a#!~#f", &[(6, 5), (4, 5)]), written("c#!~#f", &[(1, 5)])].concat()).expect("a file");
    fs::write(wal.join("_00001.wal"), written("a#!~#f", &[(4, 4), (5, 4), (5, 41)])).expect("a file");
    fs::write(data.join("11-1.tsm.tmp"), "of a merge").expect("a file");
    fs::write(data.join("fields.idx"), "").expect("a file");
    let expected =
        ["a f=1i 1", "a f=2i,g=2i 2", "a f=3i 3", "a f=5i 4", "a f=41i 5", "a f=5i 6", "a g=2i 8", "a f=1i 9", "b f=1i 1", "c f=5i 1"];
    assert_eq!(good(&shard_in(folder.path())), expected);
    fs::write(data.join("latest.tsm"), "").expect("a file");
    let refused = layout::shards(&folder.path().join("data"), &folder.path().join("wal")).expect_err("its place is not known");
    assert!(refused.to_string().contains("latest.tsm"), "{refused}");
}

#[test]
fn blocks_of_one_file_may_overlap() {
    let (folder, data, _) = folders();
    write_tsm(&data.join("1-1.tsm"), &[("a#!~#f", &[&[(5, 1), (9, 1)], &[(1, 2), (2, 2)], &[(2, 3), (4, 3)], &[(9, 4), (10, 4)]])]);
    assert_eq!(good(&shard_in(folder.path())), ["a f=2i 1", "a f=3i 2", "a f=3i 4", "a f=1i 5", "a f=4i 9", "a f=4i 10"]);
}

#[test]
fn deletes_of_the_log_take_what_it_has_before_them() {
    let (folder, data, wal) = folders();
    write_tsm(&data.join("1-1.tsm"), &[("a#!~#f", &[&[(1, 1)]])]);
    let range = [&2_i64.to_be_bytes()[..], &3_i64.to_be_bytes(), &6_u32.to_be_bytes(), b"a#!~#f"].concat();
    let log = [
        written("a#!~#f", &[(1, 2), (2, 2), (3, 2), (4, 2)]),
        written("b#!~#f", &[(1, 2)]),
        written("c#!~#f", &[(1, 2)]),
        entry(3, &range),
        entry(2, b"b#!~#f\nc#!~#f"),
        written("a#!~#f", &[(3, 3)]),
        written("c#!~#f", &[(2, 3)]),
    ];
    fs::write(wal.join("_1.wal"), log.concat()).expect("a file");
    assert_eq!(good(&shard_in(folder.path())), ["a f=2i 1", "a f=3i 3", "a f=2i 4", "c f=3i 2"]);
}

#[test]
fn a_log_that_breaks_off_counts_up_to_there_and_the_next_goes_on() {
    let (folder, _, wal) = folders();
    let torn = written("a#!~#f", &[(2, 2)]);
    fs::write(wal.join("_1.wal"), [written("a#!~#f", &[(1, 1)]), torn[..torn.len() - 1].to_vec()].concat()).expect("a file");
    fs::write(wal.join("_2.wal"), written("a#!~#f", &[(3, 3)])).expect("a file");
    fs::write(wal.join("_3.wal"), [entry(7, b""), written("a#!~#f", &[(4, 4)])].concat()).expect("a file");
    let (lines, broken) = rows(&shard_in(folder.path()), ALL).expect("readable");
    assert_eq!(lines, ["a f=1i 1", "a f=3i 3"]);
    let whole = written("a#!~#f", &[(1, 1)]).len();
    assert!(broken[0].contains(&format!("_1.wal is damaged at byte {whole}: the log breaks off")), "{broken:?}");
    assert!(broken[1].contains("_3.wal is damaged at byte 0") && broken[1].contains("unknown kind 7"), "{broken:?}");
}

#[test]
fn tombstones_of_every_version() {
    let record = |key: &str, first: i64, last: i64| {
        [&(key.len() as u32).to_be_bytes()[..], key.as_bytes(), &first.to_be_bytes(), &last.to_be_bytes()].concat()
    };
    let gzip = |plain: &[u8]| {
        let mut out = GzEncoder::new(vec![], Compression::fast());
        out.write_all(plain).expect("memory");
        out.finish().expect("memory")
    };
    let (one, two) = (record("a#!~#f", 2, 3), record("b#!~#f", i64::MIN, i64::MAX));
    let versions = [
        b"b#!~#f\na#!~#g\n".to_vec(),
        [&[0, 0, 0x15, 2][..], &one, &two].concat(),
        [&[0, 0, 0x15, 3][..], &gzip(&[one.clone(), two.clone()].concat())].concat(),
        [&[0, 0, 0x15, 4][..], &gzip(&one), &gzip(&two)].concat(),
    ];
    for (at, bytes) in versions.iter().enumerate() {
        let (folder, data, _) = folders();
        write_tsm(
            &data.join("1-1.tsm"),
            &[("a#!~#f", &[&[(1, 1), (2, 1)], &[(3, 1), (4, 1)]]), ("a#!~#g", &[&[(9, 1)]]), ("b#!~#f", &[&[(1, 1)]])],
        );
        // A later file is not touched by it.
        write_tsm(&data.join("2-1.tsm"), &[("b#!~#f", &[&[(7, 2)]])]);
        fs::write(data.join("1-1.tombstone"), bytes).expect("a file");
        let expected: &[&str] = match at {
            0 => &["a f=1i 1", "a f=1i 2", "a f=1i 3", "a f=1i 4", "b f=2i 7"],
            _ => &["a f=1i 1", "a f=1i 4", "a g=1i 9", "b f=2i 7"],
        };
        assert_eq!(good(&shard_in(folder.path())), expected, "version {}", at + 1);
        if at > 0 {
            fs::write(data.join("1-1.tombstone"), &bytes[..bytes.len() - 9]).expect("a file");
            let refused = rows(&shard_in(folder.path()), ALL).expect_err("it breaks off");
            assert!(refused.to_string().contains("1-1.tombstone is damaged"), "{refused}");
        }
    }
}

#[test]
fn damage_is_named_with_file_and_place() {
    let (folder, data, _) = folders();
    let path = data.join("1-1.tsm");
    let say = |bytes: &[u8]| {
        fs::write(&path, bytes).expect("a file");
        let refused = rows(&shard_in(folder.path()), ALL).expect_err("it is damaged").to_string();
        refused.replace(&path.display().to_string(), "FILE")
    };
    write_tsm(&path, &[("a#!~#f", &[&[(1, 1), (2, 1)]])]);
    let whole = fs::read(&path).expect("a file");
    let with = |at: usize, bytes: &[u8]| {
        let mut out = whole.clone();
        out[at..at + bytes.len()].copy_from_slice(bytes);
        out
    };
    let (index, entry) = (whole.len() - 8 - 39, whole.len() - 8 - 28);
    assert_eq!(say(b""), "FILE is damaged at byte 0: it is too short for a TSM file");
    assert_eq!(say(&with(0, b"TSM1")), "FILE is damaged at byte 0: it does not begin as a TSM file does (16 D1 16 D1)");
    assert_eq!(say(&with(4, &[2])), "FILE is damaged at byte 4: version 2 of TSM files is unknown, 1 is known");
    assert_eq!(say(&with(7, &[1])), "FILE is damaged at byte 5: a block of 40 bytes does not have its checksum");
    let last = format!("FILE is damaged at byte {}: the index cannot be at byte 18446744073709551615", whole.len() - 8);
    assert_eq!(say(&with(whole.len() - 8, &[0xff; 8])), last);
    let key = format!("FILE is damaged at byte {}: 65535 bytes of the index where 37 are left", index + 2);
    assert_eq!(say(&with(index, &[0xff, 0xff])), key);
    assert_eq!(say(&with(index + 2, b"a-----")), format!("FILE is damaged at byte {}: a key without a field", index + 2));
    let count = say(&with(entry - 2, &[0xff, 0xff]));
    assert!(count.contains("1834980 bytes of the index where 28 are left"), "{count}");
    let place = say(&with(entry + 16, &[0xff; 8]));
    assert!(place.starts_with(&format!("FILE is damaged at byte {entry}: no block can be at byte 18446744073709551615")), "{place}");
    let length = say(&with(entry + 24, &[0xff; 4]));
    assert!(length.starts_with(&format!("FILE is damaged at byte {entry}: no block can be at byte 5, 4294967295 long")), "{length}");
    let outside = say(&with(entry, &9_i64.to_be_bytes()));
    assert!(outside.contains("with times from 9 to 2"), "{outside}");
    let outside = say(&with(entry, &2_i64.to_be_bytes()));
    assert_eq!(outside, "FILE is damaged at byte 5: a block with times outside of those that the index says");
}

/// A copy of the shard of InfluxDB's that has tombstones and a log.
fn copy_of_the_shard(into: &Path) -> Vec<PathBuf> {
    let mut copies = vec![];
    for kind in ["data", "wal"] {
        let to = into.join(kind).join("d/r/1");
        fs::create_dir_all(&to).expect("a folder");
        for file in fs::read_dir(cases().join("v1").join(kind).join("plant/autogen/1")).expect("a folder") {
            let file = file.expect("a file");
            let copy = to.join(file.file_name());
            fs::copy(file.path(), &copy).expect("a copy");
            copies.push(copy);
        }
    }
    copies.sort();
    copies
}

#[test]
fn every_file_cut_short_is_read_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for copy in copy_of_the_shard(folder.path()) {
        let whole = fs::read(&copy).expect("a file");
        let (mut refused, mut tries) = (0, 0);
        for length in (0..whole.len()).step_by(whole.len() / 40 + 1) {
            fs::write(&copy, &whole[..length]).expect("a file");
            tries += 1;
            refused += usize::from(rows(&shard_in(folder.path()), ALL).map_or(true, |(_, broken)| !broken.is_empty()));
        }
        fs::write(&copy, &whole).expect("a file");
        // A log that ends between two entries is whole, as are tombstones between two streams or without one.
        assert!(refused >= tries - 3, "{}: {refused} of {tries}", copy.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever bytes change, the answer is rows or an error that names the file.
    #[test]
    fn changed_bytes_are_read_or_refused(which in 0_usize..5, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let folder = tempfile::tempdir().expect("a folder");
        let copies = copy_of_the_shard(folder.path());
        let copy = &copies[which];
        let mut bytes = fs::read(copy).expect("a file");
        for (at, byte) in &flips {
            // The structure of a file is at its end, except where it is all of the file: half of the changes go there.
            let from = if byte % 2 == 0 { bytes.len().saturating_sub(600) } else { 0 };
            let at = from + at.index(bytes.len() - from);
            bytes[at] ^= byte | 1;
        }
        fs::write(copy, &bytes).expect("a file");
        if let Err(refused) = rows(&shard_in(folder.path()), ALL) {
            let name = copy.file_name().expect("a name").to_string_lossy().into_owned();
            prop_assert!(refused.to_string().contains(&name), "{refused}");
        }
    }

    #[test]
    fn a_changed_bolt_file_is_read_or_refused(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = unzipped("v2.bolt.gz");
        // Most of the file is empty pages; what is not is what matters.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for (at, byte) in &flips {
            bytes[used[at.index(used.len())]] = *byte;
        }
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), &bytes).expect("a file");
        // Records of buckets may have changed; that they are handed on or refused is all that can be said.
        let _ = bolt::buckets(file.path());
    }
}

#[test]
fn names_of_buckets_are_in_the_bolt_file() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), unzipped("v2.bolt.gz")).expect("a file");
    let buckets = bolt::buckets(file.path()).expect("a bolt file");
    assert_eq!(buckets.len(), 60);
    let first = bolt::BucketName { id: "0a00000000000001".into(), name: "sensors".into() };
    assert_eq!(buckets[0], first);
    assert_eq!(buckets.iter().map(|b| b.id.as_str()).collect::<Vec<_>>(), {
        let mut ids: Vec<&str> = buckets.iter().map(|b| b.id.as_str()).collect();
        ids.sort_unstable();
        ids
    });
    assert_eq!(buckets[59].name, "bucket 59");
    fs::write(file.path(), vec![0; 100_000]).expect("a file");
    assert!(bolt::buckets(file.path()).expect_err("zeros").to_string().contains("it is no file of bolt's"));
}
