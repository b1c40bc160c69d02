use super::*;
use crate::{
    clock::ManualClock,
    storage::{fs::faulty::FaultyDisk, testing::*},
};
use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};

async fn check(store: &Store, disk: &FaultyDisk) -> Report {
    let place = Place { store, log: Some(disk), partition_ns: PARTITION, running: None };
    verify(&place, &CancellationToken::new()).await.expect("it can be checked")
}

fn named(report: &Report) -> Vec<&str> {
    report.damaged().map(|f| f.file.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_database_does_it_verifies_open_or_not() {
    for seed in 0..6u64 {
        let mut random = StdRng::seed_from_u64(seed);
        let (store, disk, clock) = (Store::memory(), FaultyDisk::default(), ManualClock::at(0));
        let mut storage = open(&store, &disk, clock.clone()).await;
        let mut model = Rows::new();
        for step in 0..40 {
            clock.advance(MINUTE);
            match random.random_range(0..10) {
                0..4 => write(&storage, random_lines(&mut random, &mut model)).await,
                4..6 => storage.flush().await.expect("flushed"),
                6 => drop(storage.delete(bucket(), vec![random_delete(&mut random, &mut model)], None).await.expect("deleted")),
                7 => {
                    if let Some(spec) = random_spec(&mut random, &storage) {
                        storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("compacted");
                    }
                }
                8 => {
                    clock.advance(MINUTE * 11);
                    storage.files().collect(bucket()).await.expect("collected");
                }
                _ => {
                    storage.close().await.expect("closed");
                    storage = open(&store, &disk, clock.clone()).await;
                }
            }
            for report in [check(&store, &disk).await, storage.verify(&CancellationToken::new()).await.expect("checked")] {
                assert_eq!(named(&report), [""; 0], "seed {seed}, step {step}: {:?}", report.findings);
            }
        }
        storage.flush().await.expect("flushed");
        let version = storage.files().version(bucket()).expect("flushed");
        let report = check(&store, &disk).await;
        let tally = |kind| report.checked.get(&kind).cloned().unwrap_or_default();
        let (files, rows) = (version.files.len() as u64, version.files.iter().map(|f| f.rows).sum::<u64>());
        assert_eq!((tally(Kind::Parquet).entries, tally(Kind::Parquet).files >= files), (rows, true), "seed {seed}");
        let deletes = version.tombstones.len() as u64;
        assert!(tally(Kind::Manifest).entries >= deletes && tally(Kind::Manifest).files > 0, "seed {seed}");
    }
}

/// Two files, two deletes, a log of three records in three segments.
async fn sample() -> (Store, FaultyDisk) {
    let (store, disk, clock) = (Store::memory(), FaultyDisk::default(), ManualClock::at(0));
    for i in 0..2 {
        let storage = open(&store, &disk, clock.clone()).await;
        let rows: String = (0..40).map(|t| format!("m,h=h{} f={t},g={} {}\n", t % 4, t * 3, 100 * i + t)).collect();
        write(&storage, rows).await;
        let mut nothing = Rows::new();
        storage.delete(bucket(), vec![random_delete(&mut StdRng::seed_from_u64(i), &mut nothing)], None).await.expect("deleted");
        storage.close().await.expect("closed");
    }
    for i in 0..3 {
        write(&open(&store, &disk, clock.clone()).await, format!("m f={i} {i}")).await;
    }
    (store, disk)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_in_any_byte_is_found_and_its_file_named() {
    let (store, disk) = sample().await;
    assert_eq!(named(&check(&store, &disk).await), [""; 0]);
    let mut random = StdRng::seed_from_u64(1);
    for object in store.list("buckets").await.expect("a list") {
        let good = store.get(&object.path).await.expect("bytes");
        let mut at = random.random_range(0..7);
        while at < good.len() {
            let mut bytes = good.to_vec();
            bytes[at] ^= 1 << random.random_range(0..8);
            store.delete(&object.path).await.expect("deleted");
            store.create(&object.path, Bytes::from(bytes)).await.expect("created");
            let report = check(&store, &disk).await;
            assert!(named(&report).contains(&object.path.as_str()), "{} byte {at}: {:?}", object.path, report.findings);
            at += random.random_range(1..if object.path.ends_with("parquet") { 25 } else { 60 });
        }
        store.delete(&object.path).await.expect("deleted");
        store.create(&object.path, good).await.expect("created");
    }
    // Of the last segment's end nobody can tell, and what the ones before the last three have is in files.
    let segments = disk.list().expect("a list");
    for name in &segments[segments.len() - 3..segments.len() - 1] {
        let good = disk.read(name).expect("bytes");
        for at in 0..good.len() {
            disk.damage(name, |bytes| bytes[at] ^= 1 << random.random_range(0..8));
            assert_eq!(named(&check(&store, &disk).await), [name.as_str()], "{name} byte {at}");
            disk.damage(name, |bytes| *bytes = good.clone());
        }
    }
    assert_eq!(named(&check(&store, &disk).await), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_gone_swapped_or_strange_is_told() {
    let (store, disk) = sample().await;
    let data: Vec<String> = store.list("buckets/0000000000000001/data").await.expect("a list").into_iter().map(|l| l.path).collect();
    let bytes = [store.get(&data[0]).await.expect("bytes"), store.get(&data[1]).await.expect("bytes")];
    let put = async |path: &str, bytes: Option<&Bytes>| {
        store.delete(path).await.expect("deleted");
        if let Some(bytes) = bytes {
            store.create(path, bytes.clone()).await.expect("created");
        }
    };
    put(&data[0], None).await;
    let report = check(&store, &disk).await;
    let found: Vec<&Finding> = report.damaged().collect();
    assert_eq!((found.len(), found[0].what.as_str(), found[0].advice.contains("--give-up")), (1, "it is gone", true), "{found:?}");
    put(&data[0], Some(&bytes[1])).await;
    put(&data[1], Some(&bytes[0])).await;
    assert_eq!(named(&check(&store, &disk).await), [&data[0], &data[1]]);
    put(&data[0], Some(&bytes[0])).await;
    put(&data[1], Some(&bytes[1])).await;
    // A copy under a name of its own is damage of nothing, a strange file none at all.
    let copy = format!("{}/00000000000000aa.parquet", data[0].rsplit_once('/').expect("a path").0);
    put(&copy, Some(&bytes[0])).await;
    put("buckets/0000000000000001/data/0/mine.parquet", Some(&bytes[0])).await;
    put("buckets/notes.txt", Some(&Bytes::from("mine"))).await;
    let report = check(&store, &disk).await;
    assert_eq!(named(&report), [&copy]);
    let notes: Vec<&str> = report.findings.iter().filter(|f| f.verdict == Verdict::Note).map(|f| f.file.as_str()).collect();
    assert!(notes.contains(&"buckets/0000000000000001/data/0/mine.parquet") && notes.contains(&"buckets/notes.txt"), "{notes:?}");
    // And it costs no query anything.
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    assert!(!read(&storage, 100).await.is_empty());
    assert!(storage.damage().iter().any(|d| d.file == copy && d.what.contains("a copy of")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_knows_of_damage_once_it_is_checked_and_forgets_it_once_it_is_mended() {
    let (store, disk) = sample().await;
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    let expected = read(&storage, 100).await;
    let path = storage.files().version(bucket()).expect("a version").files[0].path.clone();
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    let good = store.get(&path).await.expect("bytes");
    let mut bad = good.to_vec();
    bad[good.len() / 2] ^= 1;
    for bytes in [Bytes::from(bad), good] {
        store.delete(&path).await.expect("deleted");
        store.create(&path, bytes.clone()).await.expect("created");
        let report = storage.verify(&CancellationToken::new()).await.expect("checked");
        let told: Vec<String> = storage.damage_now().into_iter().map(|d| d.file).collect();
        assert_eq!(named(&report), told.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert_eq!(storage.damage_now(), []);
    assert_eq!(read(&storage, 100).await, expected);
}
