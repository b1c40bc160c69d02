//! One suite over the three kinds of store: memory, a local folder, and S3 by our client against a server in this process.

use super::{
    Storage,
    fs::faulty::FaultyDisk,
    object::{Store, StoreError},
    testing::*,
};
use crate::{
    clock::{Clock, ManualClock, SystemClock},
    model::{DeleteSpec, ErrorKind, TimeRange},
};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
#[cfg(feature = "s3")]
use {super::object::Retry, std::time::Duration};

/// An empty store that can be opened again and again.
type Place<'a> = &'a (dyn Fn(&str) -> Store + Sync);

async fn suite(place: Place<'_>) {
    objects(&place("objects")).await;
    uploads(&place("uploads")).await;
    life_of_rows(place).await;
    conflicting_writers(&place("conflict")).await;
    deletes_during_compactions(&place("race")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_conforms() {
    let stores = parking_lot::Mutex::new(std::collections::HashMap::<String, Store>::new());
    suite(&|name: &str| stores.lock().entry(name.to_string()).or_insert_with(Store::memory).clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_folder_conforms() {
    let folder = tempfile::tempdir().expect("a folder");
    suite(&|name: &str| Store::open(&folder.path().join(name).to_string_lossy()).expect("opens")).await;
    let left = std::fs::read_dir(folder.path().join("uploads/staged")).expect("a folder").count();
    assert_eq!(left, 0, "no staged file is left");
}

#[cfg(feature = "s3")]
#[tokio::test(flavor = "multi_thread")]
async fn s3_conforms_also_when_every_seventh_request_fails_and_every_seventh_reply_is_lost() {
    use super::object::s3_server::{Fault, Server};
    let (address, server) = Server::start().await;
    let url = |name: &str| format!("s3://tides/some/{name}?endpoint=http://{address}&region=eu-west-1");
    let open = |url: &str| s3_store(url, Retry { first_pause: Duration::from_millis(1), ..Retry::default() });
    suite(&|name: &str| open(&url(name))).await;
    assert_eq!(server.open_uploads(), 0, "no part of an upload is left");
    server.plan(Some(Box::new(|number| match number % 7 {
        1 => Some(Fault::Busy),
        3 => Some(Fault::DoneThenError),
        _ => None,
    })));
    suite(&|name: &str| open(&url(&format!("stormy/{name}")))).await;
    assert_eq!(server.replaced(), 0, "no object was given other bytes");

    let wrong = variables(&[("AWS_ACCESS_KEY_ID", "other"), ("AWS_SECRET_ACCESS_KEY", "wrong")]);
    let refused = Store::open_with(&url("x"), wrong).expect("opens").get("a/b").await.expect_err("a wrong key");
    assert!(refused.to_string().contains("SignatureDoesNotMatch") && refused.to_string().contains("s3://tides/some/x"), "{refused}");
    for (url, expected) in
        [(url("x").as_str(), "no credentials for"), ("s3://", "names no S3 bucket"), ("s3://b/p?colour=red", "unknown setting `colour`")]
    {
        let error = Store::open_with(url, variables(&[])).expect_err("refused");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

async fn objects(store: &Store) {
    assert!(matches!(store.get("a/b").await, Err(StoreError::NotFound { .. })));
    assert_eq!(store.folders("a").await.expect("a list"), Vec::<String>::new());
    store.create("a/b", "0123456789".into()).await.expect("created");
    store.create("a/b", "0123456789".into()).await.expect("ours already");
    assert!(matches!(store.create("a/b", "other".into()).await, Err(StoreError::Exists { .. })));
    store.create("a/c/d", Bytes::new()).await.expect("created");
    assert_eq!(store.get("a/b").await.expect("bytes"), "0123456789");
    let parts = store.get_ranges("a/b", &[7..10, 0..2]).await.expect("ranges");
    assert_eq!(parts, ["789", "01"]);
    let listed: Vec<_> = store.list("a").await.expect("a list").into_iter().map(|l| (l.path, l.bytes)).collect();
    assert_eq!(listed, [("a/b".to_string(), 10), ("a/c/d".to_string(), 0)]);
    assert_eq!(store.folders("a").await.expect("a list"), ["c"]);
    assert!(store.folders("").await.expect("a list").contains(&"a".to_string()), "the root can be listed");
    store.delete("a/b").await.expect("deleted");
    store.delete("a/b").await.expect("as good as deleted");
    assert!(matches!(store.get("a/b").await, Err(StoreError::NotFound { .. })));
    store.check_create(7).await.expect("creates are honoured");
}

async fn uploads(store: &Store) {
    // Less than a part, and several parts; every byte in its place.
    for length in [0, 1_000, 21_000_000] {
        let bytes: Bytes = (0..length).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>().into();
        let path = format!("u/{length}");
        let mut upload = store.upload(&path);
        let mut at = 0;
        while at < bytes.len() {
            let end = (at + 1_700_000).min(bytes.len());
            upload.write(bytes.slice(at..end)).await.expect("sent");
            at = end;
        }
        assert!(matches!(store.get(&path).await, Err(StoreError::NotFound { .. })), "not there before its end");
        upload.finish().await.expect("finished");
        assert!(store.get(&path).await.expect("bytes") == bytes, "{length} bytes come back as they went");
    }
    let mut upload = store.upload("u/gone");
    upload.write(Bytes::from(vec![1; 20_000_000])).await.expect("sent");
    upload.abort().await;
    assert_eq!(store.list("u").await.expect("a list").len(), 3);
}

async fn compact_all(storage: &Storage) {
    for spec in whole_partitions(storage) {
        storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("no failure").expect("compacted");
    }
}

async fn life_of_rows(place: Place<'_>) {
    let (disk, clock) = (FaultyDisk::default(), ManualClock::at(SystemClock.now()));
    let open = || async { open(&place("life"), &disk, clock.clone()).await };
    let store = place("life");
    let storage = open().await;
    for i in 0..4 {
        write(&storage, format!("m,h=a f={i} {i}\nm g={i} {}", 120 + i)).await;
        storage.flush().await.expect("flushed");
    }
    let spec = DeleteSpec { range: TimeRange::new(0, 2), measurement: None, tags: vec![] };
    storage.delete(bucket(), vec![spec], None).await.expect("deleted");
    write(&storage, "m,h=a f=9 0").await;
    let expected = read(&storage, 3).await;
    assert_eq!(expected.len(), 7);
    storage.close().await.expect("closed");
    let storage = open().await;
    assert_eq!((read(&storage, 3).await, storage.damage()), (expected.clone(), &[][..]), "after a restart");
    compact_all(&storage).await;
    assert_eq!(read(&storage, 3).await, expected, "after a compaction");
    clock.advance(11 * MINUTE);
    let collected = storage.files().collect(bucket()).await.expect("collected");
    assert_eq!(collected.files, 9, "what was merged is gone");
    storage.files().sweep(bucket()).await.expect("swept");
    assert_eq!(store.list("buckets/0000000000000001/data").await.expect("a list").len(), 2);
    assert!(store.list("buckets/0000000000000001/manifest").await.expect("a list").len() <= 5);
    assert_eq!(read(&storage, 3).await, expected, "after the garbage went");
    drop(storage);
    let storage = open().await;
    assert_eq!((read(&storage, 3).await, storage.damage()), (expected, &[][..]), "after another restart");
    storage.drop_bucket(bucket()).await.expect("dropped");
    clock.advance(11 * MINUTE);
    storage.files().collect(bucket()).await.expect("collected");
    assert_eq!(store.list("buckets/0000000000000001/data").await.expect("a list"), []);
    assert!(open().await.schemas(bucket()).is_empty());
}

/// Two servers on one store: one of them is told, and none destroys what the other wrote.
async fn conflicting_writers(store: &Store) {
    let (first_disk, second_disk) = (FaultyDisk::default(), FaultyDisk::default());
    let clock = ManualClock::at(0);
    let first = open(store, &first_disk, clock.clone()).await;
    let second = open(store, &second_disk, clock.clone()).await;
    write(&first, "m f=1 1").await;
    first.flush().await.expect("the first is first");
    write(&second, "m f=2 2").await;
    let refused = second.flush().await.expect_err("the number is taken");
    assert_eq!(refused.kind, ErrorKind::Conflict);
    assert!(refused.message.contains("only one server may write"), "{refused}");
    assert_eq!(read(&second, 3).await.len(), 1, "its rows are still in its buffer and log");
    assert_eq!(second.files().sweep(bucket()).await.expect_err("nor does it clear up").kind, ErrorKind::Conflict);
    write(&first, "m f=3 3").await;
    first.flush().await.expect("the first goes on");
    drop((first, second));
    // What the second acknowledged stays in its log only: one server may write to a store, and it was told so.
    assert_eq!(read(&open(store, &first_disk, clock).await, 3).await.len(), 2);
}

async fn deletes_during_compactions(store: &Store) {
    let disk = FaultyDisk::default();
    let storage = open(store, &disk, ManualClock::at(0)).await;
    for i in 0..6 {
        write(&storage, format!("m f={i} {i}")).await;
        storage.flush().await.expect("flushed");
    }
    let spec = DeleteSpec { range: TimeRange::new(1, 3), measurement: None, tags: vec![] };
    let (_, deleted) = tokio::join!(compact_all(&storage), storage.delete(bucket(), vec![spec], None));
    deleted.expect("deleted");
    assert_eq!(read(&storage, 3).await.len(), 4);
    compact_all(&storage).await;
    assert_eq!(read(&open(store, &disk, ManualClock::at(0)).await, 3).await.len(), 4);
}
