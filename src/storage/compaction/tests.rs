use super::*;
use crate::{
    clock::ManualClock,
    model::ErrorKind,
    storage::{
        fs::faulty::FaultyDisk,
        object::Store,
        testing::{MINUTE, RandomCut, Rows, bucket, open, random_delete, random_lines, random_spec, read, whole_partitions, write},
    },
};
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
