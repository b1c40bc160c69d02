use super::*;
use crate::{
    clock::ManualClock,
    model::{ErrorKind, Result},
    storage::{
        fs::faulty::FaultyDisk,
        manifest::{
            Edit, Stamp,
            version::{in_order, within},
        },
        object::Store,
        testing::{
            MINUTE, PARTITION, RandomCut, Rows, bucket, open, random_delete, random_lines, random_spec, read, whole_partitions, write,
        },
    },
};
use std::collections::{BTreeMap, BTreeSet};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

const DAY: i64 = 1_440 * MINUTE;

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

/// So many files a question for one series and day may have to open, at any moment.
const FILES_MAX: usize = 20;
/// So many bytes are rewritten for each that is written, at most.
const AMPLIFICATION_MAX: u64 = 6;

/// Days of files as the policy sees them, merged whenever it says so.
struct History {
    policy: CompactionPolicy,
    days: BTreeMap<i64, Vec<Arc<FileMeta>>>,
    /// When to look at a day again: by then it may rest.
    due: BTreeSet<(i64, i64)>,
    sequence: u64,
    written: u64,
    rewritten: u64,
    files_max: usize,
}

impl History {
    fn new() -> History {
        let (policy, days, due) = (CompactionPolicy::default(), BTreeMap::new(), BTreeSet::new());
        History { policy, days, due, sequence: 0, written: 0, rewritten: 0, files_max: 0 }
    }

    fn flush(&mut self, day: i64, bytes: u64, now: i64) {
        self.sequence += 1;
        self.written += bytes;
        let files = self.days.entry(day).or_default();
        files.push(flushed(self.sequence, bytes, now));
        // Before anything is merged: a question may come at any moment.
        self.files_max = self.files_max.max(files.len());
        self.due.insert(((now + self.policy.rest_ns).max((day + 1) * DAY), day));
        self.merge(day, now);
    }

    /// Time passes.
    fn until(&mut self, now: i64) {
        while let Some(&(at, day)) = self.due.first().filter(|(at, _)| *at <= now) {
            self.due.pop_first();
            self.merge(day, at);
        }
    }

    fn merge(&mut self, day: i64, now: i64) {
        loop {
            // The policy looks at each day by itself. Here all begin at the epoch, and past ones a day before `now`.
            let mut version = Version::empty(bucket());
            version.files = self.days[&day].clone();
            in_order(&mut version.files);
            let length = if (day + 1) * DAY <= now { DAY } else { i64::MAX };
            let Some(Choice { spec, .. }) = self.policy.choose(&version, now, length, |_| false).pop() else { return };
            assert!(spec.fits(&version), "it takes every file of its range");
            self.rewritten += spec.bytes();
            self.sequence += 1;
            let output = merged(&spec, self.sequence, now);
            let files = self.days.get_mut(&day).expect("the day has files");
            files.retain(|f| !spec.inputs.iter().any(|i| i.id == f.id));
            files.push(output);
        }
    }

    fn check(&self, what: &str, rest_max: usize) {
        let amplification = self.rewritten as f64 / self.written as f64;
        let at_rest = self.days.values().map(Vec::len).max().unwrap_or(0);
        println!("{what}: at most {} files a day, {at_rest} at rest; {amplification:.1} bytes rewritten for each written", self.files_max);
        assert!(self.files_max <= FILES_MAX, "{what}: {} files", self.files_max);
        assert!(at_rest <= rest_max, "{what}: {at_rest} files at rest");
        assert!(self.rewritten <= AMPLIFICATION_MAX * self.written, "{what}: {amplification} times");
    }
}

/// Sizes of which most are small and some are large.
fn uneven(random: &mut StdRng, least: u64, most: u64) -> u64 {
    least + ((most - least) as f64 * random.random::<f64>().powi(3)) as u64
}

#[test]
fn years_of_flushes_and_late_rows_stay_few_files_a_day_at_a_bounded_cost() {
    for seed in 0..3 {
        let mut random = StdRng::seed_from_u64(seed);
        // A house: little data, now and then rows of devices that were away for hours to weeks.
        let mut house = History::new();
        for half_hour in 0..3 * 365 * 48 {
            let now = half_hour * 30 * MINUTE;
            house.until(now);
            house.flush(now / DAY, uneven(&mut random, 4_000, 30_000), now);
            if random.random_bool(0.1) {
                let late = random.random_range(1..30i64).min(now / DAY);
                house.flush(now / DAY - late, uneven(&mut random, 4_000, 60_000), now);
            }
        }
        house.until(i64::MAX);
        house.check("a house, three years", 6);
        // A plant: hundreds of gigabytes a day, and every flush has rows of the last days.
        let mut plant = History::new();
        for minute in 0..3 * 1_440 {
            let now = minute * MINUTE;
            plant.until(now);
            plant.flush(now / DAY, uneven(&mut random, 1 << 20, 1 << 30), now);
            for day in (now / DAY - 2).max(0)..now / DAY {
                plant.flush(day, uneven(&mut random, 5_000, 200_000), now);
            }
        }
        plant.until(i64::MAX);
        plant.check("a plant, three days", 16);
        // A history that is copied here in any order.
        let mut copy = History::new();
        for step in 0..3_000 {
            let now = 2_000 * DAY + step * MINUTE;
            copy.until(now);
            for _ in 0..20 {
                copy.flush(random.random_range(0..730), uneven(&mut random, 5_000, 500_000), now);
            }
        }
        copy.until(i64::MAX);
        copy.check("two years copied in any order", 12);
    }
}

#[test]
fn a_few_late_rows_do_not_have_a_day_rewritten() {
    let mut version = Version::empty(bucket());
    version.files = vec![flushed(1, 1 << 30, DAY), flushed(9_999, 100, DAY)];
    assert!(CompactionPolicy::default().choose(&version, 3 * DAY, DAY, |_| false).is_empty());
}

#[test]
fn nothing_is_merged_across_a_damaged_file_and_too_many_are_merged_whatever_their_size() {
    let policy = CompactionPolicy::default();
    let mut version = Version::empty(bucket());
    version.files = (1..=8).map(|s| flushed(s, 10, 0)).collect();
    let chosen = policy.choose(&version, MINUTE, DAY, |f| f.id == 6);
    assert_eq!(chosen.len(), 1);
    assert_eq!(chosen[0].spec.sequences(), (1, 5));
    // Each is more than all after it: no run, but too many files.
    version.files = (1..=20).map(|s| flushed(s, 1 << (25 - s), 0)).collect();
    let chosen = policy.choose(&version, MINUTE, DAY, |_| false);
    assert_eq!((chosen[0].spec.sequences(), chosen[0].files), ((13, 20), 20), "the cheapest");
    // With damage in between, what there is.
    let chosen = policy.choose(&version, MINUTE, DAY, |f| f.id % 3 == 0);
    assert_eq!(chosen.len(), 0, "14 files that can be merged are few enough");
    let policy = CompactionPolicy { files_max: 10, ..policy };
    assert_eq!(policy.choose(&version, MINUTE, DAY, |f| f.id % 3 == 0)[0].spec.sequences(), (19, 20));
}

#[tokio::test]
async fn merges_of_a_bucket_share_a_commit_and_each_stands_by_itself() {
    let (store, disk, clock) = (Store::memory(), FaultyDisk::default(), ManualClock::at(0));
    let storage = open(&store, &disk, clock).await;
    for i in 0..3 {
        write(&storage, (0..4).map(|p| format!("m f={i} {}\n", p * PARTITION)).collect::<String>()).await;
        storage.flush().await.expect("flushed");
    }
    let mut specs = whole_partitions(&storage);
    let before = storage.files().version(bucket()).expect("flushed");
    // The second is of a state that is no more, the third has an input that cannot be read.
    specs[1].inputs.remove(1);
    store.delete(&specs[2].inputs[0].path).await.expect("deleted");
    let outcomes = storage.files().compact_each(specs, i64::MIN, CancellationToken::new()).await;
    let rows_out = |outcome: &Result<Option<Compacted>>| outcome.as_ref().map(|done| done.map(|d| d.rows_out)).map_err(|f| f.kind);
    let outcomes: Vec<_> = outcomes.iter().map(rows_out).collect();
    assert_eq!(outcomes, [Ok(Some(1)), Ok(None), Err(ErrorKind::Internal), Ok(Some(1))]);
    let after = storage.files().version(bucket()).expect("flushed");
    assert_eq!((after.number, after.files.len()), (before.number + 1, 1 + 3 + 3 + 1), "one commit");
    assert_eq!(storage.files().totals(bucket()), after.totals());
    assert_eq!((after.totals().files, after.totals().partition_files_max), (8, 3));
}

/// What ten years cost: ten measurements with a file a day. Every flush writes all of it once.
#[test]
fn a_manifest_of_tens_of_thousands_of_files_is_small() {
    let mut random = StdRng::seed_from_u64(1);
    let mut version = Version::empty(bucket());
    for (measurement, day) in (0..10).flat_map(|m| (0..3_650).map(move |day| (m, day))) {
        let draft = FileMeta::draft(bucket(), format!("measurement{measurement}").into(), day * DAY, random.random());
        let mut host = |from: u32| vec![("host".into(), format!("host{:04}", random.random_range(from..from + 100)).into())];
        let (key_min, key_max) = (host(0), host(9_000));
        version.files.push(Arc::new(FileMeta {
            rows: random.random_range(1..1_000_000),
            bytes: random.random_range(1..100_000_000),
            time_min: day * DAY + random.random_range(0..MINUTE),
            time_max: (day + 1) * DAY - random.random_range(1..MINUTE),
            sequence_min: day as u64 * 1_440,
            sequence_max: (day as u64 + 1) * 1_440 - 1,
            level: 7,
            checksum: random.random(),
            footer_checksum: random.random(),
            created_in: day as u64 * 3_000,
            written_at: (day + 1) * DAY + random.random_range(0..MINUTE),
            key_min,
            key_max,
            ..draft
        }));
    }
    in_order(&mut version.files);
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let started = std::time::Instant::now();
        work();
        println!("{what}: {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    };
    let (mut bytes, mut after) = (bytes::Bytes::new(), version.clone());
    let edit = Edit { add: vec![flushed(9_999_999, 1_000, 0)], remove: vec![version.files[5].id], ..Edit::default() };
    let stamp = Stamp { number: 2, writer: 1, now: 0, as_of: 0 };
    timed("an edit", &mut || after = edit.apply(&version, stamp).expect("it fits"));
    timed("encoding", &mut || bytes = after.encode());
    timed("decoding", &mut || assert_eq!(Version::decode(&bytes).as_ref(), Ok(&after)));
    timed("choosing merges", &mut || assert!(CompactionPolicy::default().choose(&after, i64::MAX, DAY, |_| false).is_empty()));
    timed("files of a question", &mut || {
        assert_eq!(within(after.files_of("measurement3"), 1_000 * DAY, 1_001 * DAY - 1).len(), 1);
    });
    println!("{} bytes for {} files", bytes.len(), after.files.len());
    assert!(bytes.len() < 200 * after.files.len(), "{} bytes for {} files", bytes.len(), after.files.len());
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
            match random.random_range(0..13) {
                0..5 => write(&storage, random_lines(&mut random, &mut model)).await,
                5..8 => storage.flush().await.expect("flushed"),
                8 => {
                    let before = model.len();
                    let spec = random_delete(&mut random, &mut model);
                    let count = storage.delete(bucket(), vec![spec], None).await.expect("deleted");
                    assert_eq!(count, Some((before - model.len()) as u64), "seed {seed}, step {step}");
                }
                11 => {
                    let before = model.clone();
                    let cut = RandomCut::new(&mut random);
                    cut.apply(&mut model);
                    let cuts = cut.cuts();
                    let count = storage.cut(bucket(), cuts, None).await.expect("cut");
                    let changed = before.iter().filter(|(row, values)| model.get(row) != Some(values)).count();
                    assert_eq!(count, changed as u64, "seed {seed}, step {step}");
                }
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
                    let (_, deleted, flushed) = tokio::join!(compact, storage.delete(bucket(), vec![delete], None), storage.flush());
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
        for spec in whole_partitions(&storage) {
            storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("compacted");
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
