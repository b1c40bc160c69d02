use crate::{
    clock::{Clock, ManualClock, SystemClock},
    model::{DeleteSpec, TimeRange},
    storage::{
        Storage,
        block::RowFilter,
        compaction::CompactionPolicy,
        fs::faulty::FaultyDisk,
        object::{
            Retry, Store,
            faulty::{Fault, FaultyStore},
        },
        testing::*,
    },
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

async fn replace(store: &Store, path: &str, bytes: Bytes) {
    store.delete(path).await.expect("deleted");
    store.create(path, bytes).await.expect("created");
}

async fn newest_manifest(store: &Store) -> String {
    let listed = store.list("buckets/0000000000000001/manifest").await.expect("a list");
    listed.last().expect("a manifest").path.clone()
}

async fn data(store: &Store) -> Vec<String> {
    store.list("buckets/0000000000000001/data").await.expect("a list").into_iter().map(|l| l.path).collect()
}

async fn reopen(store: &Store, disk: &FaultyDisk) -> Storage {
    open(store, disk, ManualClock::at(0)).await
}

/// Named ways to hurt an object.
type Hurt = (&'static str, fn(Bytes) -> Option<Bytes>);
const HURTS: [Hurt; 5] = [
    ("deleted", |_| None),
    ("emptied", |_| Some(Bytes::new())),
    ("torn", |b| Some(b.slice(..b.len() / 2))),
    ("filled with zeros", |b| Some(Bytes::from(vec![0; b.len()]))),
    ("with a bit flipped", |b| {
        let mut bytes = b.to_vec();
        bytes[b.len() / 2] ^= 8;
        Some(bytes.into())
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_damage_to_the_newest_manifest_costs_a_row_or_undoes_a_delete_or_a_compaction() {
    for (name, hurt) in HURTS {
        for last in ["flush", "delete", "compaction"] {
            let (store, disk) = (Store::memory(), FaultyDisk::default());
            let storage = reopen(&store, &disk).await;
            for i in 0..3 {
                write(&storage, format!("m f={i} {i}\nm,h=a g={i} {}", 150 + i)).await;
                storage.flush().await.expect("flushed");
            }
            match last {
                "delete" => {
                    let spec = DeleteSpec { range: TimeRange::new(1, 2), measurement: None, tags: vec![] };
                    storage.delete(bucket(), vec![spec], None).await.expect("deleted");
                }
                "compaction" => {
                    for spec in whole_partitions(&storage) {
                        storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("compacted");
                    }
                }
                _ => {}
            }
            storage.close().await.expect("closed");
            let expected = read(&storage, 100).await;
            assert_eq!(expected.len(), if last == "delete" { 5 } else { 6 });
            let path = newest_manifest(&store).await;
            let bytes = store.get(&path).await.expect("bytes");
            match hurt(bytes) {
                Some(bytes) => replace(&store, &path, bytes).await,
                None => store.delete(&path).await.expect("deleted"),
            }
            for opening in 1..=3 {
                let storage = reopen(&store, &disk).await;
                assert_eq!(read(&storage, 100).await, expected, "{name} after a {last}, opening {opening}");
                let told = storage.damage().iter().any(|d| d.file == path);
                assert_eq!(told, opening == 1 && name != "deleted", "{name}: the damage is told");
                write(&storage, "m f=0 0").await;
                storage.close().await.expect("closed");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_lost_with_its_manifest_fails_the_queries_that_may_need_it_until_it_is_restored_or_given_up() {
    // The log is empty at every opening: it was trimmed long ago.
    let store = Store::memory();
    let storage = reopen(&store, &FaultyDisk::default()).await;
    write(&storage, "m f=1 150").await;
    storage.flush().await.expect("flushed");
    let before = data(&store).await;
    write(&storage, "m f=2 5").await;
    storage.close().await.expect("closed");
    let expected = read(&storage, 100).await;
    let path = data(&store).await.into_iter().find(|p| !before.contains(p)).expect("a new file");
    let good = store.get(&path).await.expect("bytes");
    let manifest = newest_manifest(&store).await;
    replace(&store, &manifest, "damaged".into()).await;
    replace(&store, &path, good.slice(..good.len() - 20)).await;

    for opening in 1..=2 {
        let storage = reopen(&store, &FaultyDisk::default()).await;
        assert!(storage.damage().iter().any(|d| d.file == path), "opening {opening}: it is named");
        let refused = try_read(&storage, RowFilter::all(), 100).await.expect_err("its rows may be missing");
        assert!(refused.message.contains(&path), "{refused}");
        let other = RowFilter { time_min: PARTITION, ..RowFilter::all() };
        assert_eq!(try_read(&storage, other, 100).await.expect("another partition").len(), 1);
        storage.close().await.expect("closed");
    }
    replace(&store, &path, good.clone()).await;
    for _ in 0..2 {
        let storage = reopen(&store, &FaultyDisk::default()).await;
        assert_eq!(read(&storage, 100).await, expected, "restored");
        assert_eq!(storage.damage(), []);
    }
    // Given up instead.
    let manifest = newest_manifest(&store).await;
    replace(&store, &manifest, "damaged".into()).await;
    replace(&store, &path, "damaged".into()).await;
    assert!(try_read(&reopen(&store, &FaultyDisk::default()).await, RowFilter::all(), 100).await.is_err());
    store.delete(&path).await.expect("deleted");
    for _ in 0..2 {
        assert_eq!(read(&reopen(&store, &FaultyDisk::default()).await, 100).await.len(), 1);
    }
}

/// Of measurement `m`: a row of another partition in a good file, and rows at 5 and 6 in a file that was lost with its manifest.
/// The log was trimmed long ago. The path of the lost file, and its bytes.
async fn store_with_a_lost_file(store: &Store) -> (String, Bytes) {
    let storage = reopen(store, &FaultyDisk::default()).await;
    write(&storage, "m f=1 150").await;
    storage.flush().await.expect("flushed");
    let before = data(store).await;
    write(&storage, "m f=2 5\nm,h=a f=3 6").await;
    storage.close().await.expect("closed");
    let path = data(store).await.into_iter().find(|p| !before.contains(p)).expect("a new file");
    let good = store.get(&path).await.expect("bytes");
    replace(store, &newest_manifest(store).await, "damaged".into()).await;
    replace(store, &path, "damaged".into()).await;
    (path, good)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_file_comes_back_under_the_deletes_and_drops_that_came_meanwhile() {
    let everything =
        |measurement: Option<&str>| DeleteSpec { range: TimeRange::ALL, measurement: measurement.map(Into::into), tags: vec![] };
    for case in ["some rows deleted", "all rows deleted", "the bucket emptied", "the measurement dropped", "dropped, and written anew"] {
        let store = Store::memory();
        let (path, good) = store_with_a_lost_file(&store).await;
        let storage = reopen(&store, &FaultyDisk::default()).await;
        let mut expected = Rows::new();
        let mut keep = |host: &str, time: i64, field: &str, value: f64| {
            expected.insert((host.to_string(), time), [(field.to_string(), value)].into());
        };
        match case {
            "some rows deleted" => {
                storage
                    .delete(bucket(), vec![DeleteSpec { range: TimeRange::new(5, 6), ..everything(None) }], None)
                    .await
                    .expect("deleted");
                keep("", 150, "f", 1.0);
                keep("a", 6, "f", 3.0);
            }
            "all rows deleted" => drop(storage.delete(bucket(), vec![everything(Some("m"))], None).await.expect("deleted")),
            "the bucket emptied" => drop(storage.delete(bucket(), vec![everything(None)], None).await.expect("deleted")),
            _ => drop(storage.drop_measurement(bucket(), "m", None).await.expect("dropped")),
        }
        if case == "dropped, and written anew" {
            write(&storage, "m g=9 7").await;
            keep("", 7, "g", 9.0);
        }
        for _ in 0..3 {
            // More versions, so that none is left from before.
            write(&storage, "other f=1 250").await;
            storage.flush().await.expect("flushed");
        }
        storage.close().await.expect("closed");
        replace(&store, &path, good).await;
        for opening in 1..=3 {
            let storage = reopen(&store, &FaultyDisk::default()).await;
            assert_eq!(read(&storage, 100).await, expected, "{case}, opening {opening}");
            assert_eq!(storage.damage(), [], "{case}, opening {opening}");
            let fields: Vec<String> = storage.schema(bucket(), "m").iter().flat_map(|s| s.fields.keys().map(|f| f.to_string())).collect();
            let known: &[&str] = match case {
                "the measurement dropped" => &[],
                "dropped, and written anew" => &["g"],
                _ => &["f"],
            };
            assert_eq!(fields, known, "{case}: a dropped schema stays away");
            // Folded in, the delete is over, and what it hid stays away.
            for spec in whole_partitions(&storage).into_iter().filter(|s| s.inputs[0].measurement.as_ref() == "m") {
                storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("compacted");
            }
            storage.close().await.expect("closed");
        }
        let version = reopen(&store, &FaultyDisk::default()).await.files().version(bucket()).expect("a version");
        assert_eq!((version.tombstones.len(), version.lost.len()), (0, 0), "{case}: nothing is kept for the lost file any more");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_written_over_while_it_was_lost_does_not_win_when_it_is_restored_and_nothing_is_merged_past_it() {
    let store = Store::memory();
    let (path, good) = store_with_a_lost_file(&store).await;
    let storage = reopen(&store, &FaultyDisk::default()).await;
    for value in [7, 8] {
        write(&storage, format!("m f={value} 5")).await;
        storage.flush().await.expect("flushed");
    }
    let policy = CompactionPolicy { rest_ns: i64::MIN, fan_in: 2, ..CompactionPolicy::default() };
    assert!(storage.files().compactions(&policy).iter().all(|spec| spec.inputs[0].partition != 0), "the policy leaves it alone");
    let spec = whole_partitions(&storage).into_iter().find(|s| s.inputs[0].partition == 0).expect("two files");
    assert_eq!(storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("no failure"), None);
    storage.close().await.expect("closed");
    replace(&store, &path, good).await;
    for _ in 0..2 {
        let storage = reopen(&store, &FaultyDisk::default()).await;
        let rows = read(&storage, 100).await;
        let value = |host: &str, time| rows.get(&(host.to_string(), time)).map(|fields| fields["f"]);
        assert_eq!((value("", 5), value("a", 6), value("", 150)), (Some(8.0), Some(3.0), Some(1.0)));
        for spec in whole_partitions(&storage) {
            storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("no failure").expect("compacted");
        }
        storage.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_folder_that_could_not_be_listed_are_neither_swept_nor_forgotten() {
    let (objects, store) = faulty();
    let clock = ManualClock::at(SystemClock.now());
    let open = async || open(&store, &FaultyDisk::default(), clock.clone()).await;
    let storage = open().await;
    write(&storage, "m f=1 150").await;
    storage.flush().await.expect("flushed");
    write(&storage, "m f=2 5").await;
    storage.close().await.expect("closed");
    let expected = read(&storage, 100).await;
    replace(&store, &newest_manifest(&store).await, "damaged".into()).await;
    for _ in 0..2 {
        objects.set(&[(Fault::ListRefused, "data")]);
        let storage = open().await;
        objects.set(&[]);
        assert!(try_read(&storage, RowFilter::all(), 100).await.is_err(), "rows may be missing");
        write(&storage, "n f=3 160").await;
        storage.flush().await.expect("flushed");
        clock.advance(MINUTE * 60);
        storage.files().sweep(bucket()).await.expect("swept");
        storage.close().await.expect("closed");
    }
    for _ in 0..2 {
        let storage = open().await;
        assert_eq!(read(&storage, 100).await, expected);
        storage.close().await.expect("closed");
    }
}

fn faulty() -> (FaultyStore, Store) {
    let objects = FaultyStore::default();
    let retry = Retry { attempts: 2, first_pause: Duration::from_millis(1), ..Retry::default() };
    (objects.clone(), Store::over(Arc::new(objects), Default::default(), "faulty:").with_retry(retry))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_store_during_a_repair_does_not_stop_the_opening() {
    let (objects, store) = faulty();
    let disk = FaultyDisk::default();
    let storage = reopen(&store, &disk).await;
    write(&storage, "m f=1 150").await;
    storage.flush().await.expect("flushed");
    write(&storage, "m f=2 5").await;
    storage.close().await.expect("closed");
    let expected = read(&storage, 100).await;
    let manifest = newest_manifest(&store).await;
    replace(&store, &manifest, "damaged".into()).await;
    objects.set(&[(Fault::GetRefused, "data/0/"), (Fault::PutRefused, "manifest")]);
    let storage = reopen(&store, &disk).await;
    assert!(try_read(&storage, RowFilter::all(), 100).await.is_err(), "rows may be missing");
    let other = RowFilter { time_min: PARTITION, ..RowFilter::all() };
    assert_eq!(try_read(&storage, other, 100).await.expect("another partition").len(), 1);
    write(&storage, "m f=3 160").await;
    assert!(storage.flush().await.is_err(), "the store is still down");
    objects.set(&[]);
    storage.flush().await.expect("it is up again");
    drop(storage);
    for _ in 0..2 {
        let rows = read(&reopen(&store, &disk).await, 100).await;
        assert_eq!(rows.len(), 3);
        assert!(expected.iter().all(|row| rows.contains_key(row.0)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_reply_was_lost_is_neither_lost_nor_taken_for_another_process() {
    let (objects, store) = faulty();
    let disk = FaultyDisk::default();
    let storage = reopen(&store, &disk).await;
    write(&storage, "m f=1 1").await;
    storage.flush().await.expect("flushed");
    write(&storage, "m f=2 2").await;
    // Both attempts arrive, neither answer does; nor does the check of what is there.
    objects.set(&[(Fault::PutReplyLost, "manifest"), (Fault::GetRefused, "manifest")]);
    assert!(storage.flush().await.is_err());
    assert_eq!(read(&storage, 100).await.len(), 2, "still in the buffer");
    storage.files().sweep(bucket()).await.expect("swept");
    objects.set(&[]);
    write(&storage, "m f=3 3").await;
    storage.flush().await.expect("it finds out what had arrived");
    assert_eq!(storage.buffered_bytes(), 0);
    let version = storage.files().version(bucket()).expect("it was flushed");
    assert_eq!(version.files.iter().map(|f| f.rows).collect::<Vec<_>>(), [1, 1, 1], "no row is written twice");
    assert_eq!(read(&storage, 100).await.len(), 3);
    for spec in whole_partitions(&storage) {
        storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("no failure").expect("compacted");
    }
    assert_eq!(read(&reopen(&store, &disk).await, 100).await.len(), 3);
}
