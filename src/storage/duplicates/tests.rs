use super::*;
use crate::{
    clock::ManualClock,
    model::DeleteSpec,
    model::TimeRange,
    storage::{
        Storage, StorageOptions,
        block::RowFilter,
        cut::{Cut, CutPart},
        disk::simulated::Loss,
        failpoint::{Failpoint, Failpoints},
        files::FileOptions,
        fs::faulty::FaultyDisk,
        object::{
            Retry, Store,
            faulty::{Fault, FaultyStore},
        },
        testing::*,
    },
};
use arrow::util::display::array_value_to_string;
use parking_lot::Mutex;
use std::{collections::BTreeMap, time::Duration};
use tokio_util::sync::CancellationToken;

async fn open_by(store: &Store, disk: &FaultyDisk, policy: DuplicatesOf, failpoints: Failpoints) -> Storage {
    let files = FileOptions { duplicates: policy, ..options().files };
    let options = StorageOptions { files, ..options() }.with_failpoints(failpoints);
    let randomness = crate::clock::Randomness::from_os();
    Storage::open(store.clone(), Arc::new(disk.clone()), options, ManualClock::at(0), randomness).await.expect("the store opens")
}

async fn sums(store: &Store, disk: &FaultyDisk) -> Storage {
    open_by(store, disk, DuplicatesOf::new(|_| Duplicates::Sum), Failpoints::default()).await
}

async fn compact_all(storage: &Storage) {
    for spec in whole_partitions(storage) {
        storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("no failure");
    }
}

/// The only row of `m`, as text by field.
async fn row(storage: &Storage, newest: Option<usize>) -> BTreeMap<String, String> {
    let snapshot = storage.snapshot(bucket(), "m", None).expect("it has rows");
    let filter = RowFilter { newest, ..RowFilter::all() };
    let batches = match newest {
        Some(_) => snapshot.read_newest(None, filter, 100, |_| Ok(()), |merge| merge).await.expect("readable"),
        None => {
            let mut merge = snapshot.read(None, filter, 100).expect("readable");
            let batch = merge.next().await.expect("readable").expect("a row");
            assert_eq!(merge.next().await.expect("readable"), None);
            vec![batch]
        }
    };
    let [batch] = batches.as_slice() else { panic!("{batches:?}") };
    assert_eq!(batch.num_rows(), 1);
    let columns = batch.schema().fields().iter().map(|f| f.name().clone()).zip(batch.columns()).skip(1).collect::<Vec<_>>();
    let present = columns.into_iter().filter(|(_, column)| column.is_valid(0));
    present.map(|(name, column)| (name, array_value_to_string(column, 0).expect("it prints"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_policy_of_every_type_is_the_same_wherever_the_rows_lie() {
    let writes = [
        "m f=2,i=5i,u=7u,b=true,s=\"m\" 1\nm f=4 1",
        "m i=-9i,s=\"z\" 1",
        "m f=-1,u=1u,b=false,s=\"a\",only=1i 1",
        "m i=9223372036854775807i,b=false 1\nm u=18446744073709551615u 1",
    ];
    let expected = [
        (Duplicates::Last, "b=false f=-1.0 i=9223372036854775807 only=1 s=a u=18446744073709551615"),
        (Duplicates::First, "b=true f=2.0 i=5 only=1 s=m u=7"),
        (Duplicates::Sum, "b=false f=5.0 i=9223372036854775803 only=1 s=a u=7"),
        (Duplicates::Max, "b=true f=4.0 i=9223372036854775807 only=1 s=z u=18446744073709551615"),
        (Duplicates::Min, "b=false f=-1.0 i=-9 only=1 s=a u=1"),
    ];
    for (policy, expected) in expected {
        // After which writes a flush comes, and after which of those everything is merged.
        for flushes in 0..16u32 {
            for merges in [0, 0b0010, 0b1010, 0b1111] {
                let (store, disk) = (Store::memory(), FaultyDisk::default());
                let storage = open_by(&store, &disk, DuplicatesOf::new(move |_| policy), Failpoints::default()).await;
                for (at, text) in writes.iter().enumerate() {
                    write(&storage, *text).await;
                    if at % 2 == 0 {
                        // What was sorted for a reader is not sorted again.
                        row(&storage, None).await;
                    }
                    if flushes & 1 << at != 0 {
                        storage.flush().await.expect("flushed");
                    }
                    if merges & 1 << at != 0 {
                        compact_all(&storage).await;
                    }
                }
                for newest in [None, Some(1), Some(3)] {
                    let found: Vec<String> =
                        row(&storage, newest).await.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
                    assert_eq!(found.join(" "), expected, "{policy}, flushes {flushes:b}, merges {merges:b}, newest {newest:?}");
                }
                drop(storage);
                let storage = open_by(&store, &disk, DuplicatesOf::new(move |_| policy), Failpoints::default()).await;
                let found: Vec<String> = row(&storage, None).await.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
                assert_eq!(found.join(" "), expected, "{policy}, flushes {flushes:b}, merges {merges:b}, after a restart");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_policy_holds_from_then_on_and_what_was_merged_stays_merged() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let policy = Arc::new(Mutex::new(Duplicates::Sum));
    let asked = policy.clone();
    let storage = open_by(&store, &disk, DuplicatesOf::new(move |_| *asked.lock()), Failpoints::default()).await;
    let f = async || row(&storage, None).await["f"].clone();
    for value in [10, 20] {
        write(&storage, format!("m f={value} 1")).await;
    }
    assert_eq!(f().await, "30.0");
    *policy.lock() = Duplicates::Max;
    assert_eq!(f().await, "20.0", "rows in the buffer are not merged yet");
    *policy.lock() = Duplicates::Sum;
    assert_eq!(f().await, "30.0");
    storage.flush().await.expect("flushed");
    *policy.lock() = Duplicates::Max;
    assert_eq!(f().await, "30.0", "a flush has merged them");
    for value in [5, 40] {
        write(&storage, format!("m f={value} 1")).await;
        storage.flush().await.expect("flushed");
    }
    assert_eq!(f().await, "40.0");
    *policy.lock() = Duplicates::Sum;
    assert_eq!(f().await, "75.0", "files are not merged yet");
    compact_all(&storage).await;
    *policy.lock() = Duplicates::First;
    write(&storage, "m f=1 1").await;
    assert_eq!(f().await, "75.0", "a compaction has merged them");
}

/// Files keep `0.1` and `0.2` as decimals; their sum is none, as the sum of two doubles is none.
#[tokio::test(flavor = "multi_thread")]
async fn decimals_add_up_as_the_doubles_that_they_are() {
    let sums = [(Duplicates::Sum, 0.1 + 0.2), (Duplicates::Max, 0.2), (Duplicates::First, 0.1)];
    for (policy, expected) in sums {
        for merges in 0..4u32 {
            let (store, disk) = (Store::memory(), FaultyDisk::default());
            let storage = open_by(&store, &disk, DuplicatesOf::new(move |_| policy), Failpoints::default()).await;
            for (at, value) in ["0.1", "0.2", "0"].iter().enumerate() {
                let value = if *value == "0" && policy == Duplicates::Max { "-0.5" } else { value };
                write(&storage, format!("m f={value} 1\nm f=2.5 2")).await;
                storage.flush().await.expect("flushed");
                if merges & 1 << at != 0 {
                    compact_all(&storage).await;
                }
            }
            compact_all(&storage).await;
            assert_eq!(storage.files().version(bucket()).expect("flushed").files.len(), 1);
            let found = read(&storage, 10).await[&(String::new(), 1)]["f"];
            assert_eq!(found.to_bits(), f64::to_bits(expected), "{policy}, merges {merges:b}: {found}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_adds_nothing_and_what_is_cut_by_value_is_cut_from_the_sum() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = sums(&store, &disk).await;
    let spec = || DeleteSpec { range: TimeRange::new(1, 2), measurement: Some("m".into()), tags: vec![] };
    for round in 0..3 {
        write(&storage, "m f=1 1\nm f=1 5").await;
        if round == 1 {
            storage.flush().await.expect("flushed");
        }
        storage.delete(bucket(), vec![spec()], None).await.expect("deleted");
        write(&storage, "m f=2 1").await;
    }
    let value = async |time: i64| read(&storage, 10).await.get(&(String::new(), time)).map(|row| row["f"]);
    assert_eq!((value(1).await, value(5).await), (Some(2.0), Some(3.0)));
    // Neither 2 nor 3 was ever written as it is compared.
    let above = |bound: f64| Cut {
        spec: DeleteSpec { range: TimeRange::ALL, measurement: Some("m".into()), tags: vec![] },
        parts: vec![CutPart { field: Some("f".into()), condition: Some(Arc::new(Above(["f".into()], bound))) }],
    };
    assert_eq!(storage.cut(bucket(), vec![above(2.5)], None).await.expect("cut"), 1);
    assert_eq!((value(1).await, value(5).await), (Some(2.0), None));
    write(&storage, "m f=7 5").await;
    compact_all(&storage).await;
    assert_eq!((value(1).await, value(5).await), (Some(2.0), Some(7.0)), "it begins anew");
}

/// Reads go on while rows move from the buffer into files and from files into others: none is seen twice, none is missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_sum_is_exact_at_every_moment() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = sums(&store, &disk).await;
    let (begun, answered) = (Arc::new(Mutex::new(0u64)), Arc::new(Mutex::new(0u64)));
    let stop = CancellationToken::new();
    let (moving, stopped) = (storage.clone(), stop.clone());
    let mover = tokio::spawn(async move {
        let mut flushes = 0;
        while !stopped.is_cancelled() {
            moving.flush().await.expect("flushed");
            flushes += 1;
            if flushes % 3 == 0 {
                compact_all(&moving).await;
            }
        }
        flushes
    });
    let reader = {
        let (storage, begun, answered, stop) = (storage.clone(), begun.clone(), answered.clone(), stop.clone());
        tokio::spawn(async move {
            let mut reads = 0;
            while !stop.is_cancelled() {
                let least = *answered.lock();
                let rows = read(&storage, 10).await;
                let most = *begun.lock();
                for host in ["", "a"] {
                    let found = rows.get(&(host.to_string(), 1)).map_or(0.0, |row| row["f"]) as u64;
                    assert!((least..=most).contains(&found), "{found} is not between {least} and {most}");
                }
                reads += 1;
            }
            reads
        })
    };
    for _ in 0..1_500 {
        *begun.lock() += 1;
        write(&storage, "m f=1 1\nm,h=a f=1 1").await;
        *answered.lock() += 1;
    }
    stop.cancel();
    let (flushes, reads) = (mover.await.expect("no panic"), reader.await.expect("no panic"));
    assert!(flushes > 20 && reads > 20, "{flushes} flushes, {reads} reads");
    assert_eq!(read(&storage, 10).await[&(String::new(), 1)]["f"], 1_500.0);
}

/// One write of 1 to each of some rows, of two partitions and three series.
async fn add_one(storage: &Storage) {
    write(storage, "m f=1 1\nm,h=a f=1 2\nm,h=b f=1 150").await;
}

async fn check_sum(storage: &Storage, expected: f64, what: &str) {
    let rows = read(storage, 10).await;
    let found: Vec<f64> = rows.values().map(|row| row["f"]).collect();
    assert_eq!(found, [expected; 3], "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_flush_or_compaction_that_died_before_its_commit_count_once() {
    for point in [Failpoint::ParquetWrite, Failpoint::StorePut, Failpoint::ManifestCommit, Failpoint::ManifestCommitted, Failpoint::WalTrim]
    {
        for nth in 1..6 {
            let what = format!("{point:?} {nth}");
            let (store, mut disk) = (Store::memory(), FaultyDisk::default());
            let storage = sums(&store, &disk).await;
            add_one(&storage).await;
            storage.flush().await.expect("flushed");
            drop(storage);
            let mut written = 1.0;
            // The second and third life die, too, and find what the ones before have left.
            for life in 0..3 {
                let failpoints = Failpoints::default();
                let storage = open_by(&store, &disk, DuplicatesOf::new(|_| Duplicates::Sum), failpoints.clone()).await;
                check_sum(&storage, written, &format!("{what}, life {life}: found")).await;
                for _ in 0..2 {
                    add_one(&storage).await;
                    written += 1.0;
                }
                failpoints.kill_at(point, nth);
                let _ = storage.flush().await;
                for spec in whole_partitions(&storage) {
                    let _ = storage.files().compact(spec, i64::MIN, CancellationToken::new()).await;
                }
                drop(storage);
                disk = FaultyDisk::on(disk.disk.crash(usize::MAX, Loss::Everything)).expect("a sound disk");
            }
            let storage = sums(&store, &disk).await;
            check_sum(&storage, written, &format!("{what}: found")).await;
            storage.flush().await.expect("flushed");
            compact_all(&storage).await;
            check_sum(&storage, written, &format!("{what}: merged")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_manifest_makes_no_write_count_twice() {
    for versions in 1..=3 {
        for last in ["flush", "compaction"] {
            let (store, disk) = (Store::memory(), FaultyDisk::default());
            let storage = sums(&store, &disk).await;
            let mut written = 0.0;
            for _ in 0..4 {
                add_one(&storage).await;
                storage.flush().await.expect("flushed");
                written += 1.0;
            }
            if last == "compaction" {
                compact_all(&storage).await;
            }
            add_one(&storage).await;
            written += 1.0;
            drop(storage);
            let mut listed = store.list("buckets/0000000000000001/manifest").await.expect("a list");
            for newest in listed.split_off(listed.len() - versions) {
                store.delete(&newest.path).await.expect("deleted");
                store.create(&newest.path, "damaged".into()).await.expect("created");
            }
            for opening in 0..3 {
                let storage = sums(&store, &disk).await;
                check_sum(&storage, written, &format!("{versions} versions damaged after a {last}, opening {opening}")).await;
                add_one(&storage).await;
                written += 1.0;
                if opening == 1 {
                    compact_all(&storage).await;
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_whose_commit_arrived_although_it_was_said_to_fail_counts_once() {
    let objects = FaultyStore::default();
    let retry = Retry { attempts: 2, first_pause: Duration::from_millis(1), ..Retry::default() };
    let store = Store::over(Arc::new(objects.clone()), Default::default(), "faulty:").with_retry(retry);
    let disk = FaultyDisk::default();
    let storage = sums(&store, &disk).await;
    let mut written = 0.0;
    for round in 0..3 {
        add_one(&storage).await;
        objects.set(&[(Fault::PutReplyLost, "manifest"), (Fault::GetRefused, "manifest")]);
        assert!(storage.flush().await.is_err());
        add_one(&storage).await;
        written += 2.0;
        check_sum(&storage, written, &format!("round {round}: in the buffer")).await;
        objects.set(&[]);
        if round == 1 {
            // Somebody else finds out.
            storage.files().collect(bucket()).await.expect("collected");
            storage.delete(bucket(), vec![DeleteSpec { range: TimeRange::new(90, 91), measurement: None, tags: vec![] }], None).await.ok();
        }
        let mut outcome = storage.flush().await;
        check_sum(&storage, written, &format!("round {round}: {outcome:?}")).await;
        for _ in 0..2 {
            outcome = storage.flush().await;
        }
        outcome.expect("flushed");
        check_sum(&storage, written, &format!("round {round}: flushed")).await;
        if round == 1 {
            compact_all(&storage).await;
        }
    }
    assert_eq!(storage.buffered_bytes(), 0);
    check_sum(&sums(&store, &disk).await, written, "after a restart").await;
}
