use super::*;
use crate::{
    clock::ManualClock,
    model::{ErrorKind, TagPredicate, TimeRange},
    storage::{
        Storage,
        fs::faulty::FaultyDisk,
        object::Store,
        testing::{Above, MINUTE, PARTITION, bucket, open, read, whole_partitions, write},
    },
};
use bytes::Bytes;

fn cut(start: i64, stop: i64, host: Option<&str>, parts: Vec<CutPart>) -> Cut {
    let tags = host.map(|host| TagPredicate { tag: "h".into(), equal: true, value: host.into() }).into_iter().collect();
    Cut { spec: DeleteSpec { range: TimeRange::new(start, stop), measurement: Some("m".into()), tags }, parts }
}

fn field(name: &str) -> CutPart {
    CutPart { field: Some(name.into()), condition: None }
}

fn above(field: Option<&str>, by: &str, value: f64) -> CutPart {
    CutPart { field: field.map(Into::into), condition: Some(Arc::new(Above([by.into()], value))) }
}

/// `host time f=1 g=2`, in the order of series and times.
async fn shown(storage: &Storage) -> Vec<String> {
    let show = |((host, time), values): ((String, i64), std::collections::BTreeMap<String, f64>)| {
        let values: String = values.iter().map(|(field, value)| format!(" {field}={value}")).collect();
        format!("{host} {time}{values}")
    };
    read(storage, 10).await.into_iter().map(show).collect()
}

async fn compact_all(storage: &Storage) {
    let version = storage.files().version(bucket()).expect("flushed");
    let groups = ["m", "n"].into_iter().flat_map(|measurement| by_partition(&version, measurement).into_values());
    for mut inputs in groups {
        inputs.sort_by_key(|f| f.sequence_max);
        let spec = CompactionSpec { bucket: bucket(), inputs };
        storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("compacted").expect("nothing came between");
    }
}

/// The same before and after everything that may happen to files.
async fn stays(store: &Store, disk: &FaultyDisk, storage: Storage, expected: &[&str]) {
    assert_eq!(shown(&storage).await, expected, "at once");
    storage.flush().await.expect("flushed");
    assert_eq!(shown(&storage).await, expected, "after a flush");
    compact_all(&storage).await;
    assert_eq!(shown(&storage).await, expected, "after a compaction");
    drop(storage);
    let storage = open(store, &disk.crash(1), ManualClock::at(0)).await;
    assert_eq!((shown(&storage).await, storage.damage()), (expected.iter().map(|s| s.to_string()).collect(), &[][..]), "after a kill");
}

#[tokio::test]
async fn a_field_goes_and_the_others_stay_and_a_row_without_any_is_none() {
    for flushed in [false, true] {
        let (store, disk) = (Store::memory(), FaultyDisk::default());
        let storage = open(&store, &disk, ManualClock::at(0)).await;
        write(&storage, "m,h=a f=1,g=2 1\nm,h=a f=3 2\nm,h=b f=4,g=5 2\nm,h=a f=6 150\nm,h=a f=7 250\nn,h=a f=1 1").await;
        if flushed {
            storage.flush().await.expect("flushed");
        }
        let count = storage.cut(bucket(), vec![cut(0, 200, Some("a"), vec![field("f")])], None).await.expect("cut");
        assert_eq!(count, 3, "rows that lost a value, gone or not");
        stays(&store, &disk, storage, &["a 1 g=2", "a 250 f=7", "b 2 f=4 g=5"]).await;
    }
}

#[tokio::test]
async fn values_are_those_that_readers_see() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    // 1: lowered by a later write; 2: raised by one; 3: the other field came later; 4: deleted before, and not raised again.
    write(&storage, "m f=95,g=1 1\nm f=10,g=1 2\nm f=95 3\nm f=95 4\nm f=50 5").await;
    storage.flush().await.expect("flushed");
    write(&storage, "m f=20 1\nm f=99 2\nm g=7 3").await;
    storage.flush().await.expect("flushed");
    let fourth = DeleteSpec { range: TimeRange::new(4, 5), measurement: None, tags: vec![] };
    assert_eq!(storage.delete(bucket(), vec![fourth], None).await, Ok(Some(1)));
    let count = storage.cut(bucket(), vec![cut(0, 10, None, vec![above(None, "f", 90.0)])], None).await.expect("cut");
    assert_eq!(count, 2);
    assert_eq!(shown(&storage).await, [" 1 f=20 g=1", " 5 f=50"]);
    // What is written after it is not its business.
    write(&storage, "m g=3 2\nm f=91 4").await;
    stays(&store, &disk, storage, &[" 1 f=20 g=1", " 2 g=3", " 4 f=91", " 5 f=50"]).await;
}

#[tokio::test]
async fn each_field_is_judged_by_itself_and_a_row_counts_once() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    write(&storage, "m f=9,g=9 1\nm f=9,g=1 2\nm f=1,g=9 3\nm f=1,g=1 4\nm f=9,g=9 150").await;
    let parts = || vec![above(Some("f"), "f", 5.0), above(Some("g"), "g", 5.0)];
    let cuts = vec![cut(0, 100, None, parts()), cut(1, 3, None, parts())];
    assert_eq!(storage.cut(bucket(), cuts, None).await, Ok(3));
    let again = storage.cut(bucket(), vec![cut(0, 100, None, parts())], None).await;
    assert_eq!(again, Ok(0), "nothing is left of it");
    stays(&store, &disk, storage, &[" 2 g=1", " 3 f=1", " 4 f=1 g=1", " 150 f=9 g=9"]).await;
}

#[tokio::test]
async fn only_partitions_with_something_to_cut_are_rewritten_and_what_is_empty_leaves() {
    let (store, disk, clock) = (Store::memory(), FaultyDisk::default(), ManualClock::at(0));
    let storage = open(&store, &disk, clock.clone()).await;
    write(&storage, "m f=9 1\nm f=1 150\nm f=9 250\nm f=1 251\nn f=9 1").await;
    storage.flush().await.expect("flushed");
    let paths = |storage: &Storage| -> Vec<(String, i64)> {
        let version = storage.files().version(bucket()).expect("flushed");
        version.files.iter().filter(|f| f.measurement.as_ref() == "m").map(|f| (f.path.clone(), f.partition)).collect()
    };
    let before = paths(&storage);
    let count = storage.cut(bucket(), vec![cut(i64::MIN, i64::MAX, None, vec![above(None, "f", 5.0)])], None).await;
    assert_eq!(count, Ok(2));
    let after = paths(&storage);
    assert_eq!(after.iter().map(|f| f.1).collect::<Vec<_>>(), [PARTITION, 2 * PARTITION], "the first is empty");
    assert!(before.contains(&after[0]) && !before.contains(&after[1]));
    assert_eq!(storage.cut(bucket(), vec![cut(0, 1, None, vec![field("nope")])], None).await, Ok(0));
    assert_eq!(storage.cut(bucket(), vec![], None).await, Ok(0));
    clock.advance(11 * MINUTE);
    assert_eq!(storage.files().collect(bucket()).await.expect("collected").files, 2, "their space comes back");
    stays(&store, &disk, storage, &[" 150 f=1", " 251 f=1"]).await;
}

#[tokio::test]
async fn what_has_expired_is_not_counted_nor_rewritten_for_its_own_sake() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    write(&storage, "m f=9 1\nm f=9 101\nm f=9 150\nm f=1 151").await;
    let count = storage.cut(bucket(), vec![cut(i64::MIN, i64::MAX, None, vec![above(None, "f", 5.0)])], Some(120)).await;
    assert_eq!(count, Ok(1));
    stays(&store, &disk, storage, &[" 1 f=9", " 151 f=1"]).await;
}

/// As between a write's first look at the schema and the flush of its rows, or when it has failed.
#[tokio::test]
async fn a_column_that_nothing_was_flushed_of_is_null() {
    let storage = open(&Store::memory(), &FaultyDisk::default(), ManualClock::at(0)).await;
    write(&storage, "m f=9 1").await;
    assert_eq!(storage.cut(bucket(), vec![cut(0, 10, None, vec![above(None, "g", 5.0)])], None).await, Ok(0));
}

#[tokio::test]
async fn a_delete_by_value_holds_up_the_merges_of_its_own_bucket_only() {
    let storage = open(&Store::memory(), &FaultyDisk::default(), ManualClock::at(0)).await;
    write(&storage, "m f=9 1").await;
    storage.flush().await.expect("flushed");
    let spec = || whole_partitions(&storage).remove(0);
    let compact = |spec| storage.files().compact(spec, i64::MIN, CancellationToken::new());
    let (own, other) = (storage.files().entry(bucket()), storage.files().entry(BucketId::new(2).expect("not zero")));
    let held = own.merging.write().await;
    assert_eq!(compact(spec()).await, Ok(None));
    drop(held);
    let _held = other.merging.write().await;
    assert!(compact(spec()).await.expect("compacted").is_some());
}

#[tokio::test]
async fn one_damaged_version_does_not_bring_back_what_was_cut() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    write(&storage, "m f=9 1\nm f=9 150\nm f=1 151").await;
    storage.cut(bucket(), vec![cut(0, 200, None, vec![above(None, "f", 5.0)])], None).await.expect("cut");
    let version = storage.files().version(bucket()).expect("flushed").number;
    drop(storage);
    let newest = format!("buckets/{}/manifest/{version:020}.manifest", bucket());
    store.delete(&newest).await.expect("deleted");
    store.create(&newest, Bytes::from_static(b"nonsense")).await.expect("created");
    assert_eq!(shown(&open(&store, &disk, ManualClock::at(0)).await).await, [" 151 f=1"]);
}

#[tokio::test]
async fn where_a_file_is_lost_or_damaged_a_delete_by_value_is_refused_and_one_of_rows_does_not_know_its_count() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    write(&storage, "m f=1 1\nm f=1 150").await;
    storage.flush().await.expect("flushed");
    write(&storage, "m f=2 2").await;
    storage.flush().await.expect("flushed");
    let version = storage.files().version(bucket()).expect("flushed");
    let broken = version.files.iter().find(|f| f.time_min == 1).expect("the first").path.clone();
    drop(storage);
    store.delete(&broken).await.expect("deleted");
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    let refused = storage.cut(bucket(), vec![cut(0, 100, None, vec![field("f")])], None).await.expect_err("it is gone");
    assert!(refused.kind == ErrorKind::Internal && refused.message.contains(&broken), "{refused}");
    assert_eq!(storage.cut(bucket(), vec![cut(100, 200, None, vec![field("f")])], None).await, Ok(1), "elsewhere it is done");
    let spec = |start, stop| DeleteSpec { range: TimeRange::new(start, stop), measurement: None, tags: vec![] };
    assert_eq!(storage.delete(bucket(), vec![spec(0, 100)], None).await, Ok(None), "nobody can tell");
    assert_eq!(storage.delete(bucket(), vec![spec(150, 200)], None).await, Ok(Some(0)));
}

#[tokio::test]
async fn rows_are_counted_by_what_readers_saw() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    write(&storage, "m,h=a f=1 1\nm,h=b f=1 1\nm f=1 2\nm,h=a f=1 150\nn,h=a f=1 1").await;
    storage.flush().await.expect("flushed");
    write(&storage, "m,h=a g=1 1\nm,h=c f=1 3").await;
    let spec = |start, stop, measurement: Option<&str>, tags: &[(&str, bool, &str)]| DeleteSpec {
        range: TimeRange::new(start, stop),
        measurement: measurement.map(Into::into),
        tags: tags.iter().map(|(tag, equal, value)| TagPredicate { tag: (*tag).into(), equal: *equal, value: (*value).into() }).collect(),
    };
    let steps = [
        (spec(0, 2, Some("m"), &[("h", true, "a")]), 1, "a row in two files is one"),
        (spec(0, 2, Some("m"), &[("h", true, "a")]), 0, "it is gone"),
        (spec(0, 100, Some("m"), &[("h", true, "")]), 1, "without the tag"),
        (spec(0, 100, None, &[("h", false, "b")]), 2, "in both measurements"),
        (spec(0, 100, Some("m"), &[("nope", true, "x")]), 0, "no such tag"),
        (spec(5, 5, None, &[]), 0, "no time at all"),
        (spec(0, i64::MAX, None, &[]), 2, "all that is left"),
        (spec(0, i64::MAX, None, &[]), 0, "nothing"),
    ];
    for (spec, count, what) in steps {
        assert_eq!(storage.delete(bucket(), vec![spec], None).await, Ok(Some(count)), "{what}");
    }
    write(&storage, "m f=1 1\nm f=1 2\nm f=1 150").await;
    let both = vec![spec(1, 2, None, &[]), spec(150, 151, None, &[])];
    assert_eq!(storage.delete(bucket(), both, Some(2)).await, Ok(Some(1)), "the other one has expired");
    assert_eq!(storage.drop_measurement(bucket(), "m", None).await, Ok(Some(1)));
    assert_eq!(storage.drop_measurement(bucket(), "m", None).await, Ok(Some(0)));
}

/// A merge that ends while a delete by value rewrites the same files would undo it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_by_value_and_compactions_and_writes_at_once() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk, ManualClock::at(0)).await;
    for i in 0..40 {
        write(&storage, format!("m f={i} {i}\nm f={i} {}", 100 + i)).await;
        storage.flush().await.expect("flushed");
    }
    let merging = tokio::spawn({
        let storage = storage.clone();
        async move {
            for _ in 0..20 {
                for spec in whole_partitions(&storage) {
                    storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("no failure");
                }
                storage.flush().await.expect("flushed");
            }
        }
    });
    let mut count = 0;
    for i in (0..40).rev() {
        count += storage.cut(bucket(), vec![cut(0, 200, None, vec![above(None, "f", f64::from(i) - 0.5)])], None).await.expect("cut");
        write(&storage, format!("m g=1 {}", 200 + i)).await;
    }
    merging.await.expect("no panic");
    assert_eq!(count, 80);
    assert_eq!(shown(&storage).await.len(), 40, "only what was written after");
}
