use super::*;
use crate::model::{DeleteSpec, TimeRange};
use crate::{
    clock::ManualClock,
    storage::{
        Storage,
        fs::faulty::FaultyDisk,
        testing::*,
        verify::{Place, verify},
    },
};

async fn open_again(store: &Store) -> Storage {
    open(store, &FaultyDisk::default(), ManualClock::at(0)).await
}

async fn rebuilt(store: &Store, give_up: bool) -> Rebuilt {
    let options = RebuildOptions { give_up, partition_ns: PARTITION, writer: 7, now: 0 };
    rebuild(store, None, options).await.expect("rebuilt").remove(0)
}

/// Three files, one of two merged ones, and a delete that was folded in.
async fn sample() -> (Store, Rows) {
    let store = Store::memory();
    let storage = open_again(&store).await;
    for i in 0..4 {
        write(&storage, format!("m f={i} {i}\nm,h=a g={i} {}", 150 + i)).await;
        storage.flush().await.expect("flushed");
        if i == 1 {
            let spec = DeleteSpec { range: TimeRange::new(0, 1), measurement: None, tags: vec![] };
            storage.delete(bucket(), vec![spec], None).await.expect("deleted");
            for spec in whole_partitions(&storage) {
                storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("compacted");
            }
        }
    }
    storage.close().await.expect("closed");
    let rows = read(&storage, 100).await;
    assert_eq!(rows.len(), 7);
    (store, rows)
}

async fn nothing_is_damaged(store: &Store) {
    let place = Place { store, log: None, partition_ns: PARTITION, running: None };
    let report = verify(&place, &CancellationToken::new()).await.expect("checked");
    assert_eq!(report.damaged().count(), 0, "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_gone_or_unreadable_is_made_anew_and_a_sound_one_is_left_alone() {
    for damaged in [false, true] {
        let (store, expected) = sample().await;
        let sound = rebuilt(&store, true).await;
        assert_eq!((sound.before, sound.rows), (sound.after, 7), "the deleted row is gone for good");
        let versions = store.list("buckets/0000000000000001/manifest").await.expect("a list");
        for version in &versions {
            store.delete(&version.path).await.expect("deleted");
            if damaged {
                store.create(&version.path, "damaged".into()).await.expect("created");
            }
        }
        let made = rebuilt(&store, false).await;
        assert_eq!(
            (made.before, made.files, made.rows, made.damaged.len()),
            (0, sound.files, sound.rows, if damaged { versions.len() } else { 0 })
        );
        assert!(made.after > sound.after, "no number is used twice: {} after {}", made.after, sound.after);
        let kept = store.list("quarantine").await.expect("a list");
        assert_eq!(kept.len(), if damaged { versions.len() } else { 0 }, "the old ones are kept aside");
        nothing_is_damaged(&store).await;
        let storage = open_again(&store).await;
        assert_eq!((read(&storage, 100).await, storage.damage().len()), (expected, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_unreadable_files_are_given_up_on_request_only_and_their_bytes_are_kept() {
    for (case, with_manifest) in [("damaged", false), ("gone", false), ("damaged", true)] {
        let (store, expected) = sample().await;
        let version = open_again(&store).await.files().version(bucket()).expect("a version");
        let file = version.files.iter().max_by_key(|f| f.created_in).expect("files").clone();
        store.delete(&file.path).await.expect("deleted");
        if case == "damaged" {
            store.create(&file.path, "damaged".into()).await.expect("created");
        }
        if with_manifest {
            let newest = store.list("buckets/0000000000000001/manifest").await.expect("a list").pop().expect("a version").path;
            store.delete(&newest).await.expect("deleted");
            store.create(&newest, "damaged".into()).await.expect("created");
        }
        let kept = rebuilt(&store, false).await;
        assert_eq!(kept.given_up, [""; 0], "{case}");
        assert!(try_read(&open_again(&store).await, crate::storage::block::RowFilter::all(), 100).await.is_err(), "{case}: not in silence");
        let given_up = rebuilt(&store, true).await;
        assert_eq!(given_up.given_up, std::slice::from_ref(&file.path), "{case}: {given_up:?}");
        let aside = store.get(&format!("quarantine/{}", file.path)).await.ok();
        assert_eq!(aside.as_deref(), (case == "damaged").then_some(&b"damaged"[..]), "{case}");
        nothing_is_damaged(&store).await;
        for _ in 0..2 {
            let storage = open_again(&store).await;
            assert_eq!(storage.damage(), [], "{case}");
            let rows = read(&storage, 100).await;
            assert!(rows.len() < expected.len() && rows.iter().all(|(key, row)| expected.get(key) == Some(row)), "{case}: {rows:?}");
        }
    }
}
