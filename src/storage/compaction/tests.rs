use super::*;
use crate::{
    clock::{ManualClock, Randomness},
    model::{ErrorKind, Precision, TimeRange},
    storage::{
        BadLines, Storage, StorageOptions, WriteRequest,
        block::RowFilter,
        delete::{DeleteSpec, TagPredicate},
        files::FileOptions,
        fs::faulty::FaultyDisk,
        object::Store,
    },
};
use arrow::{
    array::{Array, AsArray},
    datatypes::{Float64Type, Int32Type, TimestampNanosecondType},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use std::collections::BTreeMap;
use tokio_util::sync::CancellationToken;

const MINUTE: i64 = 60_000_000_000;
const DAY: i64 = 1_440 * MINUTE;

fn bucket() -> BucketId {
    BucketId::new(1).expect("not zero")
}

fn flushed(sequence: u64, bytes: u64, at: i64) -> Arc<FileMeta> {
    let draft = FileMeta::draft(bucket(), "m".into(), 0, sequence);
    Arc::new(FileMeta { sequence_min: sequence, sequence_max: sequence, bytes, rows: bytes, written_at: at, ..draft })
}

/// What a compaction leaves, as far as the policy sees it.
fn merged(spec: &CompactionSpec, id: u64, at: i64) -> Arc<FileMeta> {
    let (min, max) = spec.sequences();
    let draft = FileMeta::draft(bucket(), "m".into(), 0, id);
    Arc::new(FileMeta { sequence_min: min, sequence_max: max, bytes: spec.bytes(), rows: spec.bytes(), written_at: at, ..draft })
}

#[test]
fn a_day_of_flushes_stays_few_files_at_little_cost() {
    for seed in 0..20 {
        let mut random = StdRng::seed_from_u64(seed);
        let policy = CompactionPolicy::default();
        let mut version = Version::empty(bucket());
        let (mut most, mut written, mut rewritten) = (0, 0, 0);
        let mut settle = |version: &mut Version, now: i64| {
            while let Some(spec) = policy.choose(version, now, DAY, |_| false).pop() {
                assert!(spec.fits(version), "seed {seed}: it takes every file of its range");
                rewritten += spec.bytes();
                let output = merged(&spec, version.files.len() as u64 + 1_000_000 + rewritten, now);
                version.files.retain(|f| !spec.inputs.iter().any(|i| i.id == f.id));
                version.files.push(output);
            }
        };
        for minute in 0..1_440 {
            let bytes = 1_000 + random.random_range(0..10_000u64).pow(2) / 5_000;
            written += bytes;
            version.files.push(flushed(minute as u64 + 1, bytes, minute * MINUTE));
            settle(&mut version, minute * MINUTE);
            most = most.max(version.files.len());
        }
        assert!(most <= 20, "seed {seed}: {most} files");
        settle(&mut version, DAY + 2 * 60 * MINUTE);
        assert!(version.files.len() <= 5, "seed {seed}: {} files at rest", version.files.len());
        assert!(rewritten <= 9 * written, "seed {seed}: {rewritten} bytes rewritten for {written}");
        // A few late rows do not have the day rewritten.
        let day = version.files.iter().map(|f| f.bytes).max().expect("files");
        version.files = vec![flushed(1, day, DAY), flushed(9_999, 100, DAY)];
        assert!(policy.choose(&version, 3 * DAY, DAY, |_| false).is_empty(), "seed {seed}");
    }
}

#[test]
fn nothing_is_merged_across_a_damaged_file_and_too_many_are_merged_whatever_their_size() {
    let policy = CompactionPolicy::default();
    let mut version = Version::empty(bucket());
    version.files = (1..=8).map(|s| flushed(s, 10, 0)).collect();
    let chosen = policy.choose(&version, MINUTE, DAY, |f| f.id == 6);
    assert_eq!(chosen.len(), 1);
    assert_eq!(chosen[0].sequences(), (1, 5));
    // Each is more than all after it: no run, but too many files.
    version.files = (1..=20).map(|s| flushed(s, 1 << (25 - s), 0)).collect();
    let chosen = policy.choose(&version, MINUTE, DAY, |_| false);
    assert_eq!(chosen[0].sequences(), (13, 20), "the cheapest");
}

type Rows = BTreeMap<(String, i64), BTreeMap<String, f64>>;

async fn open(store: &Store, disk: &FaultyDisk, clock: Arc<ManualClock>) -> Storage {
    let randomness = Randomness::from_os();
    let files = FileOptions { partition_ns: 100, ..FileOptions::default() };
    let options = StorageOptions { files, ..StorageOptions::default() };
    Storage::open(store.clone(), Arc::new(disk.clone()), options, clock, randomness).await.expect("the store opens")
}

async fn write(storage: &Storage, text: String) {
    let request = WriteRequest {
        bucket: bucket(),
        body: text.into(),
        precision: Precision::Nanosecond,
        now: 0,
        bad_lines: BadLines::Skip,
        retention_floor: None,
    };
    assert_eq!(storage.write(request).await.expect("stored").rejected, vec![]);
}

async fn read(storage: &Storage, batch_rows: usize) -> Rows {
    let mut rows = Rows::new();
    let Some(snapshot) = storage.snapshot(bucket(), "m", None) else { return rows };
    let mut merge = snapshot.read(None, RowFilter::all(), batch_rows).expect("a merge");
    let mut before: Option<(String, i64)> = None;
    while let Some(batch) = merge.next().await.expect("the rows can be read") {
        let times = batch.column(0).as_primitive::<TimestampNanosecondType>();
        let host =
            batch.column_by_name("h").map(|c| c.as_dictionary::<Int32Type>().downcast_dict::<arrow::array::StringArray>().expect("text"));
        for row in 0..batch.num_rows() {
            let name = host.filter(|h| h.is_valid(row)).map_or(String::new(), |h| arrow::array::ArrayAccessor::value(&h, row).to_string());
            let mut values = BTreeMap::new();
            for field in ["f", "g"] {
                let Some(column) = batch.column_by_name(field) else { continue };
                if column.is_valid(row) {
                    values.insert(field.to_string(), column.as_primitive::<Float64Type>().value(row));
                }
            }
            let key = (name, times.value(row));
            assert!(before.as_ref().is_none_or(|b| *b < key), "sorted, each row once: {before:?} then {key:?}");
            before = Some(key.clone());
            rows.insert(key, values);
        }
    }
    rows
}

fn random_lines(random: &mut StdRng, model: &mut Rows) -> String {
    let mut text = String::new();
    for _ in 0..random.random_range(1..30) {
        let (host, time) = (["", "a", "b", "c d"].choose(random).expect("some"), random.random_range(0..250));
        let value = f64::from(random.random_range(0..1000));
        let field = ["f", "g"].choose(random).expect("some");
        let tag = if host.is_empty() { String::new() } else { format!(",h={}", host.replace(' ', "\\ ")) };
        text += &format!("m{tag} {field}={value} {time}\n");
        model.entry((host.to_string(), time)).or_default().insert(field.to_string(), value);
    }
    text
}

fn random_delete(random: &mut StdRng, model: &mut Rows) -> DeleteSpec {
    let start = random.random_range(-10..250);
    let stop = if random.random_bool(0.1) { i64::MAX } else { start + random.random_range(1..60) };
    let tags = match random.random_bool(0.5) {
        true => vec![TagPredicate {
            tag: "h".into(),
            equal: random.random_bool(0.7),
            value: (*["", "a", "b"].choose(random).expect("some")).into(),
        }],
        false => vec![],
    };
    let measurement = random.random_bool(0.5).then(|| "m".into());
    model.retain(|(host, time), _| !((start..stop).contains(time) && tags.iter().all(|t| t.matches(Some(host)))));
    DeleteSpec { range: TimeRange::new(start, stop), measurement, tags }
}

/// Any run of neighbours of any partition.
fn random_spec(random: &mut StdRng, storage: &Storage) -> Option<CompactionSpec> {
    let version = storage.files().version(bucket())?;
    let partition = version.files.choose(random)?.partition;
    let mut files: Vec<_> = version.files.iter().filter(|f| f.partition == partition).cloned().collect();
    files.sort_by_key(|f| f.sequence_max);
    let from = random.random_range(0..files.len());
    let to = random.random_range(from..files.len());
    Some(CompactionSpec { bucket: bucket(), inputs: files[from..=to].to_vec() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_mix_of_writes_flushes_deletes_compactions_and_restarts_reads_as_an_ordered_map() {
    for seed in 0..25u64 {
        let mut random = StdRng::seed_from_u64(seed);
        let (store, disk, clock) = (Store::memory(), FaultyDisk::default(), ManualClock::at(0));
        let mut storage = open(&store, &disk, clock.clone()).await;
        let mut model = Rows::new();
        let mut lost = 0;
        for step in 0..60 {
            clock.advance(MINUTE);
            match random.random_range(0..12) {
                0..5 => write(&storage, random_lines(&mut random, &mut model)).await,
                5..8 => storage.flush().await.expect("flushed"),
                8 => storage.delete(bucket(), random_delete(&mut random, &mut model)).await.expect("deleted"),
                9 => {
                    if let Some(spec) = random_spec(&mut random, &storage) {
                        storage
                            .files()
                            .compact(spec, i64::MIN, CancellationToken::new())
                            .await
                            .expect("compacted")
                            .expect("nothing came between");
                    }
                }
                10 => {
                    // All at once: the compaction may lose, the others may not.
                    let text = random_lines(&mut random, &mut model);
                    let compaction = random_spec(&mut random, &storage);
                    write(&storage, text).await;
                    let delete = random_delete(&mut random, &mut model);
                    let compact = async {
                        let Some(spec) = compaction else { return };
                        let outcome = storage.files().compact(spec, i64::MIN, CancellationToken::new()).await;
                        lost += u32::from(outcome.expect("done or given up").is_none());
                    };
                    let (_, deleted, flushed) = tokio::join!(compact, storage.delete(bucket(), delete), storage.flush());
                    deleted.expect("deleted");
                    flushed.expect("flushed");
                }
                _ => {
                    storage.close().await.expect("closed");
                    storage = open(&store, &disk, clock.clone()).await;
                }
            }
            let found = read(&storage, random.random_range(1..200)).await;
            assert_eq!(found, model, "seed {seed}, step {step}");
        }
        assert_eq!(lost, 0, "seed {seed}: a delete or a flush gives no compaction away");
        // Compact everything: every tombstone is folded in.
        storage.flush().await.expect("flushed");
        let version = storage.files().version(bucket()).expect("flushed");
        for partition in [0, 100, 200] {
            let mut inputs: Vec<_> = version.files.iter().filter(|f| f.partition == partition).cloned().collect();
            inputs.sort_by_key(|f| f.sequence_max);
            if !inputs.is_empty() {
                let spec = CompactionSpec { bucket: bucket(), inputs };
                storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("compacted");
            }
        }
        let version = storage.files().version(bucket()).expect("flushed");
        assert!(version.files.len() <= 3, "seed {seed}");
        assert_eq!(version.tombstones, vec![], "seed {seed}: nothing is left to hide");
        assert_eq!(version.files.iter().map(|f| f.rows).sum::<u64>(), model.len() as u64, "seed {seed}: deleted rows are gone for good");
        assert_eq!(read(&open(&store, &disk, clock).await, 50).await, model, "seed {seed}: after a restart");
    }
}

#[tokio::test]
async fn a_compaction_of_files_that_are_no_longer_there_changes_nothing_and_one_that_is_stopped_leaves_nothing() {
    let (store, disk, clock) = (Store::memory(), FaultyDisk::default(), ManualClock::at(0));
    let storage = open(&store, &disk, clock).await;
    for i in 0..3 {
        write(&storage, format!("m f={i} {i}")).await;
        storage.flush().await.expect("flushed");
    }
    let version = storage.files().version(bucket()).expect("flushed");
    let spec = |inputs: &[Arc<FileMeta>]| CompactionSpec { bucket: bucket(), inputs: inputs.to_vec() };
    let gap = spec(&[version.files[0].clone(), version.files[2].clone()]);
    assert!(!gap.fits(&version), "a file in between is left out");
    let stop = CancellationToken::new();
    stop.cancel();
    let stopped = storage.files().compact(spec(&version.files), i64::MIN, stop).await.expect_err("stopped");
    assert_eq!(stopped.kind, ErrorKind::Unavailable);
    assert_eq!(store.list("buckets/0000000000000001/data").await.expect("a list").len(), 3, "no new object");
    let compact = |spec| async { storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("no failure") };
    let done = compact(spec(&version.files[..2])).await.expect("compacted");
    assert_eq!((done.files_in, done.rows_in, done.rows_out), (2, 2, 2));
    assert_eq!(compact(spec(&version.files[..2])).await, None, "its inputs are gone");
    assert_eq!(read(&storage, 10).await.len(), 3);
}
