use super::*;
use crate::{
    clock::{Clock, ManualClock, Randomness, SystemClock},
    model::Precision,
    storage::{
        BadLines, Storage, StorageOptions, WriteRequest, block::RowFilter, compaction::CompactionSpec, fs::faulty::FaultyDisk,
        object::Store, read::MeasurementSnapshot,
    },
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const ELEVEN_MINUTES: i64 = 11 * 60_000_000_000;

fn bucket() -> BucketId {
    BucketId::new(1).expect("not zero")
}

struct Fixture {
    store: Store,
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
}

impl Fixture {
    /// A store with `files` files of one row each. Its clock begins with the machine's, by which objects are dated.
    async fn with_files(files: usize) -> (Fixture, Storage) {
        let fixture = Fixture { store: Store::memory(), disk: FaultyDisk::default(), clock: ManualClock::at(SystemClock.now()) };
        let storage = fixture.open().await;
        for i in 0..files {
            let request = WriteRequest {
                bucket: bucket(),
                body: format!("m f={i} {i}").into(),
                precision: Precision::Nanosecond,
                now: 0,
                bad_lines: BadLines::Skip,
                retention_floor: None,
            };
            storage.write(request).await.expect("stored");
            storage.flush().await.expect("flushed");
        }
        (fixture, storage)
    }

    async fn open(&self) -> Storage {
        let (log, options) = (Arc::new(self.disk.clone()), StorageOptions::default());
        Storage::open(self.store.clone(), log, options, self.clock.clone(), Randomness::from_os()).await.expect("the store opens")
    }

    async fn objects(&self, folder: &str) -> usize {
        self.store.list(&format!("buckets/{}/{folder}", bucket())).await.expect("a list").len()
    }
}

async fn compact_all(storage: &Storage) {
    let inputs = storage.files().version(bucket()).expect("flushed").files.clone();
    let spec = CompactionSpec { bucket: bucket(), inputs };
    storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("no failure").expect("compacted");
}

async fn rows(snapshot: &MeasurementSnapshot) -> usize {
    let mut merge = snapshot.read(None, RowFilter::all(), 100).expect("a merge");
    let mut rows = 0;
    while let Some(batch) = merge.next().await.expect("the rows can be read") {
        rows += batch.num_rows();
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_after_their_readers_and_their_grace_and_never_before_a_second_version() {
    let (fixture, storage) = Fixture::with_files(4).await;
    let files = storage.files();
    let snapshot = storage.snapshot(bucket(), "m", None).expect("rows");
    compact_all(&storage).await;
    assert_eq!(files.collect(bucket()).await.expect("collected").files, 0, "within the grace period");
    fixture.clock.advance(ELEVEN_MINUTES);
    assert_eq!(files.collect(bucket()).await.expect("collected").files, 0, "a reader has them");
    assert_eq!((fixture.objects("data").await, rows(&snapshot).await), (5, 4));
    drop(snapshot);
    let before = files.version(bucket()).expect("a version").number;
    assert_eq!(files.collect(bucket()).await.expect("collected").files, 4);
    let version = files.version(bucket()).expect("a version");
    assert_eq!((fixture.objects("data").await, version.removed.len(), version.number - before), (1, 0, 2));
    // The newest version is lost: the one before it names only what is there.
    fixture.store.delete(&format!("buckets/{}/manifest/{:020}.manifest", bucket(), version.number)).await.expect("deleted");
    let storage = fixture.open().await;
    assert_eq!(storage.damage(), []);
    assert_eq!(rows(&storage.snapshot(bucket(), "m", None).expect("rows")).await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_takes_what_no_version_names_but_nothing_young() {
    let (fixture, storage) = Fixture::with_files(8).await;
    let orphan = format!("buckets/{}/data/0/00000000000000ff.parquet", bucket());
    fixture.store.create(&orphan, "left by a crash".into()).await.expect("created");
    let sweep = || async { storage.files().sweep(bucket()).await.expect("swept") };
    assert_eq!(sweep().await.files, 0, "it may be one that another thread is about to commit");
    fixture.clock.advance(ELEVEN_MINUTES);
    assert_eq!(sweep().await, Collected { files: 1, versions: 0 });
    assert_eq!(fixture.objects("data").await, 8);
    // A version that a commit failed to remove.
    let old = format!("buckets/{}/manifest/{:020}.manifest", bucket(), 1);
    fixture.store.create(&old, "old".into()).await.expect("created");
    assert_eq!(sweep().await, Collected { files: 0, versions: 1 });
    assert_eq!(fixture.objects("manifest").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_bucket_leaves_no_files() {
    let (fixture, storage) = Fixture::with_files(3).await;
    storage.drop_bucket(bucket()).await.expect("dropped");
    fixture.clock.advance(ELEVEN_MINUTES);
    assert_eq!(storage.files().collect(bucket()).await.expect("collected").files, 3);
    assert_eq!(fixture.objects("data").await, 0);
    assert!(fixture.open().await.schemas(bucket()).is_empty(), "it stays dropped");
}
