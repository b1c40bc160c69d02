use super::*;
use crate::{
    clock::{ManualClock, Randomness},
    model::{Duplicates, ErrorKind, Precision, TimeRange},
    storage::{
        buffer::Rejected,
        disk::simulated::SimulatedDisk,
        failpoint::Failpoints,
        fs::{FileSystem, LogFile, faulty::FaultyDisk},
        object::Store,
        testing::World,
    },
};
use arrow::util::pretty::pretty_format_batches;
use bytes::Bytes;
use expect_test::{Expect, expect};
use std::io;

fn bucket() -> BucketId {
    BucketId::new(1).expect("not zero")
}

async fn open(store: &Store, disk: &FaultyDisk) -> Storage {
    let log = Arc::new(disk.clone());
    Storage::open(store.clone(), log, StorageOptions::default(), ManualClock::at(0), Randomness::from_os()).await.expect("the store opens")
}

async fn write(storage: &Storage, text: &str) -> Result<WriteReport> {
    let request = WriteRequest {
        bucket: bucket(),
        body: Bytes::copy_from_slice(text.as_bytes()),
        precision: Precision::Nanosecond,
        now: 1_000,
        bad_lines: BadLines::Skip,
        retention_floor: None,
    };
    storage.write(request).await
}

/// Buffered rows of `m` as a table.
fn buffered(storage: &Storage) -> String {
    let chunks: Vec<_> = storage.chunks(bucket(), "m", 0).iter().map(|c| c.batch().expect("a batch")).collect();
    pretty_format_batches(&chunks).expect("prints").to_string()
}

fn check(storage: &Storage, expected: Expect) {
    expected.assert_eq(&buffered(storage));
}

/// Every `f` of `m`, buffered or in files, sorted.
async fn all_values(storage: &Storage) -> Vec<f64> {
    use arrow::{array::AsArray, datatypes::Float64Type};
    let Some(snapshot) = storage.snapshot(bucket(), "m", None) else { return vec![] };
    let provider = Arc::new(crate::query::provider::SnapshotTable::new(snapshot));
    let context = datafusion::prelude::SessionContext::new();
    let batches = context.read_table(provider).expect("a table").collect().await.expect("the rows can be read");
    let mut values: Vec<f64> =
        batches.iter().flat_map(|b| b.column_by_name("f").expect("f").as_primitive::<Float64Type>().values().to_vec()).collect();
    values.sort_by(f64::total_cmp);
    values
}

#[tokio::test]
async fn rows_are_sorted_by_tags_then_time_and_fields_merge() {
    let storage = open(&Store::memory(), &FaultyDisk::default()).await;
    write(&storage, "m,h=b f=1 20\nm,h=a f=2 30\nm,h=b f=3 10\nm,h=a,z=1 g=true 5\nm f=9 1").await.expect("stored");
    write(&storage, "m,h=a s=\"late\" 30\nm,h=b f=4 20").await.expect("stored");
    check(
        &storage,
        expect![[r#"
            +-------------------------------+---+---+-----+------+------+
            | time                          | h | z | f   | g    | s    |
            +-------------------------------+---+---+-----+------+------+
            | 1970-01-01T00:00:00.000000001 |   |   | 9.0 |      |      |
            | 1970-01-01T00:00:00.000000030 | a |   | 2.0 |      | late |
            | 1970-01-01T00:00:00.000000005 | a | 1 |     | true |      |
            | 1970-01-01T00:00:00.000000010 | b |   | 3.0 |      |      |
            | 1970-01-01T00:00:00.000000020 | b |   | 4.0 |      |      |
            +-------------------------------+---+---+-----+------+------+"#]],
    );
}

#[tokio::test]
async fn bad_lines_are_refused_one_by_one() {
    let storage = open(&Store::memory(), &FaultyDisk::default()).await;
    let report = write(&storage, "m f=1 1\nm f=\"text\" 2\nnonsense\nm,f=tag g=1 3\nm f=5 5").await.expect("the good lines are stored");
    let refused: Vec<String> = report.rejected.named().into_iter().map(|r| format!("{} {:?} {}", r.number, r.kind, r.reason)).collect();
    expect![[r#"
        [
            "2 TypeConflict field type conflict: input field \"f\" on measurement \"m\" is type string, already exists as type float",
            "3 Unreadable missing fields",
            "4 TypeConflict name conflict: \"f\" is a field of measurement \"m\" and cannot be a tag too: rename one",
        ]
    "#]]
    .assert_debug_eq(&refused);
    assert_eq!(report.row_count, 2);
    assert_eq!(all_values(&storage).await, [1.0, 5.0]);
}

#[tokio::test]
async fn a_request_can_be_all_or_nothing_and_rows_can_be_too_old() {
    let storage = open(&Store::memory(), &FaultyDisk::default()).await;
    let request = WriteRequest {
        bucket: bucket(),
        body: Bytes::from_static(b"m f=1 1\nnonsense"),
        precision: Precision::Nanosecond,
        now: 0,
        bad_lines: BadLines::RefuseAll,
        retention_floor: Some(1),
    };
    assert_eq!(storage.write(request.clone()).await.expect("an answer").row_count, 0);
    assert_eq!(all_values(&storage).await, [0.0; 0]);
    let old = WriteRequest { body: Bytes::from_static(b"m f=1 0\nm f=2 1"), ..request };
    let report = storage.write(old.clone()).await.expect("an answer");
    assert_eq!((report.row_count, report.rejected.count_of(Rejected::Expired)), (0, 1));
    assert_eq!(all_values(&storage).await, [0.0; 0]);
    let report = storage.write(WriteRequest { bad_lines: BadLines::Skip, ..old }).await.expect("an answer");
    assert_eq!((report.row_count, report.rejected.count_of(Rejected::Expired)), (1, 1));
}

#[tokio::test]
async fn an_acknowledged_point_survives_a_crash_at_every_call() {
    for calls in 0..12 {
        for seed in 0..3 {
            let (store, disk) = (Store::memory(), FaultyDisk::default());
            let storage = open(&store, &disk).await;
            disk.fail_after(calls);
            let mut acknowledged = vec![];
            for i in 0..6 {
                if write(&storage, &format!("m,h={} f={i} {i}", i % 2)).await.is_ok() {
                    acknowledged.push(f64::from(i));
                }
                if i == 2 {
                    storage.flush().await.expect("the object store is healthy");
                }
            }
            assert_eq!(all_values(&storage).await, acknowledged, "call {calls}: what is visible is what was acknowledged");
            let survivor = open(&store, &disk.crash(seed)).await;
            let found = all_values(&survivor).await;
            assert!(acknowledged.iter().all(|v| found.contains(v)), "call {calls}, seed {seed}: {acknowledged:?} in {found:?}");
            write(&survivor, "m f=99 99").await.expect("it goes on");
        }
    }
}

#[tokio::test]
async fn a_flush_moves_rows_without_hiding_or_doubling_them() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk).await;
    for i in 0..5 {
        write(&storage, &format!("m f={i} {i}")).await.expect("stored");
        if i % 2 == 0 {
            storage.flush().await.expect("flushed");
        }
    }
    assert_eq!(all_values(&storage).await, [0.0, 1.0, 2.0, 3.0, 4.0]);
    storage.close().await.expect("closed");
    assert_eq!(storage.buffered_bytes(), 0);
    let reopened = open(&store, &disk).await;
    assert_eq!(all_values(&reopened).await, [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert_eq!(reopened.buffered_bytes(), 0, "nothing is replayed that is in files");
    write(&reopened, "m f=7 0").await.expect("stored");
    assert_eq!(all_values(&reopened).await, [1.0, 2.0, 3.0, 4.0, 7.0], "the later write wins over the file");
    assert_eq!(all_values(&open(&store, &disk).await).await, [1.0, 2.0, 3.0, 4.0, 7.0], "its sequence is above the file's");
}

#[tokio::test]
async fn a_delete_hides_what_was_written_before_it_only() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk).await;
    write(&storage, "m f=1 1\nm f=2 2\nm f=3 3").await.expect("stored");
    let spec = DeleteSpec { range: TimeRange::new(1, 3), measurement: None, tags: vec![] };
    storage.delete(bucket(), vec![spec], None).await.expect("deleted");
    write(&storage, "m f=5 1").await.expect("stored");
    assert_eq!(all_values(&storage).await, [3.0, 5.0]);
    assert_eq!(all_values(&open(&store, &disk).await).await, [3.0, 5.0]);
}

/// A write that was begun earlier and is still under way keeps later ones from being flushed, but not from being deleted.
#[tokio::test]
async fn a_delete_takes_all_that_was_acknowledged() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk).await;
    write(&storage, "m f=1 1").await.expect("stored");
    storage.inner.in_flight.lock().begin(1);
    let spec = DeleteSpec { range: TimeRange::new(0, 10), measurement: None, tags: vec![] };
    let mut delete = Box::pin(storage.delete(bucket(), vec![spec], None));
    let waits = tokio::time::timeout(std::time::Duration::from_millis(50), &mut delete).await;
    assert!(waits.is_err(), "it cannot know yet what the write brings");
    storage.inner.in_flight.lock().end(1);
    storage.inner.landed.notify_waiters();
    assert_eq!(delete.await, Ok(Some(1)));
    assert_eq!(all_values(&storage).await, [] as [f64; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_disagree_on_a_type_end_with_one() {
    let storage = open(&Store::memory(), &FaultyDisk::default()).await;
    let writers: Vec<_> = (0..20)
        .map(|i| {
            let storage = storage.clone();
            tokio::spawn(async move { write(&storage, &if i % 2 == 0 { format!("m f={i} {i}") } else { format!("m f={i}i {i}") }).await })
        })
        .collect();
    let mut stored = 0;
    for writer in writers {
        stored += writer.await.expect("no panic").expect("an answer").row_count;
    }
    assert_eq!(stored, 10, "all of one type, none of the other");
}

/// Names of the measurements, with the type of `f` where it is a field.
fn measurements(storage: &Storage) -> Vec<String> {
    let show = |s: &Arc<MeasurementSchema>| format!("{} {:?}", s.measurement, s.fields.get("f"));
    storage.schemas(bucket()).iter().map(show).collect()
}

async fn row_count(storage: &Storage, measurement: &str) -> usize {
    let Some(snapshot) = storage.snapshot(bucket(), measurement, None) else { return 0 };
    let mut merge = snapshot.read(None, block::RowFilter::all(), 100).expect("the rows can be read");
    let mut count = 0;
    while let Some(batch) = merge.next().await.expect("the rows can be read") {
        count += batch.num_rows();
    }
    count
}

#[tokio::test]
async fn a_dropped_measurement_is_gone_and_its_names_are_free() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk).await;
    write(&storage, "m,h=a f=1 1\nn f=1 1").await.expect("stored");
    storage.flush().await.expect("flushed");
    write(&storage, "m,h=a f=2 2\nn f=2 2").await.expect("stored");
    let before = storage.snapshot(bucket(), "m", None).expect("there");
    storage.drop_measurement(bucket(), "m", None).await.expect("dropped");
    storage.drop_measurement(bucket(), "m", None).await.expect("as good as dropped");
    assert_eq!(before.files.len(), 1, "a reader that began before it goes on");
    assert!(before.read(None, block::RowFilter::all(), 10).expect("a stream").next().await.expect("readable").is_some());
    for storage in [&storage, &open(&store, &disk).await] {
        assert_eq!(measurements(storage), ["n Some(Float)"]);
        assert!(storage.snapshot(bucket(), "m", None).is_none());
        assert_eq!(row_count(storage, "n").await, 2, "the rows of others stay");
    }
    let storage = open(&store, &disk).await;
    assert_eq!(
        write(&storage, "m,f=tag h=\"field\" 1").await.expect("stored").rejected,
        Default::default(),
        "tag and field have changed places"
    );
    for flushed in [false, true] {
        let storage = open(&store, &disk).await;
        assert_eq!((measurements(&storage), storage.damage()), (vec!["m None".into(), "n Some(Float)".to_string()], &[][..]));
        assert_eq!(row_count(&storage, "m").await, 1, "flushed: {flushed}");
        storage.flush().await.expect("flushed");
    }
}

#[tokio::test]
async fn a_drop_that_is_broken_off_has_happened_or_has_not() {
    use failpoint::{Failpoint, Failpoints};
    let mut outcomes = std::collections::BTreeSet::new();
    for point in [Failpoint::Freeze, Failpoint::StorePut, Failpoint::ManifestCommit, Failpoint::ManifestCommitted, Failpoint::WalTrim] {
        for nth in 1..=4 {
            let (store, disk, failpoints) = (Store::memory(), FaultyDisk::default(), Failpoints::default());
            let options = StorageOptions::default().with_failpoints(failpoints.clone());
            let opening = Storage::open(store.clone(), Arc::new(disk.clone()), options, ManualClock::at(0), Randomness::from_os());
            let storage = opening.await.expect("the store opens");
            write(&storage, "m f=1 1\nn f=1 1").await.expect("stored");
            storage.flush().await.expect("flushed");
            write(&storage, "m f=2 2\nn f=2 2").await.expect("stored");
            failpoints.kill_at(point, nth);
            let dropped = storage.drop_measurement(bucket(), "m", None).await;
            drop(storage);
            let storage = open(&store, &disk.crash(u64::from(nth))).await;
            let case = format!("{point:?} {nth}, {dropped:?}");
            assert_eq!((row_count(&storage, "n").await, storage.damage()), (2, &[][..]), "{case}");
            let gone = storage.schema(bucket(), "m").is_none();
            assert_eq!(row_count(&storage, "m").await, if gone { 0 } else { 2 }, "{case}: all or nothing");
            assert!(gone || dropped.is_err(), "{case}: what was acknowledged is done");
            let other_type = write(&storage, "m f=\"text\" 3").await.expect("an answer");
            assert_eq!(other_type.row_count, usize::from(gone), "{case}");
            outcomes.insert((gone, dropped.is_ok()));
        }
    }
    assert_eq!(outcomes.len(), 3, "before, unanswered and done: {outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drops_writes_and_reads_of_one_measurement_may_meet() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let writers = ["f=1", "f=\"text\"", "f=1i", "g=1"].map(|field| {
        let (storage, stop) = (storage.clone(), stop.clone());
        tokio::spawn(async move {
            let (mut time, mut stored) = (0, 0);
            while !stop.is_cancelled() {
                time += 1;
                stored += write(&storage, &format!("m,h={} {field} {time}", field.len())).await.expect("an answer").row_count;
            }
            stored
        })
    });
    let reader = tokio::spawn({
        let (storage, stop) = (storage.clone(), stop.clone());
        async move {
            while !stop.is_cancelled() {
                row_count(&storage, "m").await;
            }
        }
    });
    for round in 0..40 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        if round % 3 == 0 {
            storage.flush().await.expect("flushed");
        }
        storage.drop_measurement(bucket(), "m", None).await.expect("dropped");
    }
    stop.cancel();
    for writer in writers {
        assert!(writer.await.expect("no panic") > 0, "every type had its turn");
    }
    reader.await.expect("no panic");
    storage.drop_measurement(bucket(), "m", None).await.expect("dropped");
    assert_eq!(write(&storage, "m f=\"last\" 1\nm f=\"last\" 2").await.expect("stored").row_count, 2);
    for storage in [&storage, &open(&store, &disk).await] {
        assert_eq!((row_count(storage, "m").await, storage.damage()), (2, &[][..]));
    }
}

#[tokio::test]
async fn row_groups_that_a_condition_excludes_are_not_read() {
    use super::parquet::{cache::Part, writer::ROW_GROUP_ROWS};
    use datafusion::{
        common::ScalarValue,
        prelude::{SessionContext, col, lit},
    };
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk).await;
    // Rows are sorted by host first: each fills one row group. Times rise from one host to the next.
    for (at, host) in ["a", "b", "c"].iter().enumerate() {
        let lines: String = (0..ROW_GROUP_ROWS).map(|i| format!("m,h={host} f=1,g=2 {}\n", at * ROW_GROUP_ROWS + i)).collect();
        write(&storage, &lines).await.expect("stored");
    }
    storage.close().await.expect("closed");
    let instant = |row: usize| lit(ScalarValue::TimestampNanosecond(Some(row as i64), None));
    let all = ROW_GROUP_ROWS;
    let cases = [
        ("everything", lit(true), 3 * all, vec!["footer", "0 h time f", "1 h time f", "2 h time f"]),
        ("a tag", col("h").eq(lit("b")), all, vec!["footer", "1 h time f"]),
        ("a tag between two", col("h").eq(lit("bb")), 0, vec!["footer"]),
        ("a tag past the last row's", col("h").eq(lit("d")), 0, vec![]),
        ("a time", col("time").gt_eq(instant(2 * all + 1)), all - 1, vec!["footer", "2 h time f"]),
        (
            "a time of two groups",
            col("time").gt_eq(instant(all - 1)).and(col("time").lt_eq(instant(all))),
            2,
            vec!["footer", "0 h time f", "1 h time f"],
        ),
        ("a time past the last row's", col("time").gt_eq(instant(3 * all)), 0, vec![]),
        ("a tag and a time that never meet", col("h").eq(lit("a")).and(col("time").gt_eq(instant(all))), 0, vec!["footer"]),
    ];
    for (case, condition, row_count, expected) in cases {
        // Nothing is in the cache of a store that was just opened.
        let snapshot = open(&store, &disk).await.snapshot(bucket(), "m", None).expect("there");
        let (reader, file) = (snapshot.reader.clone(), snapshot.files[0].clone());
        assert_eq!(snapshot.files.len(), 1);
        let rows = SessionContext::new().read_table(Arc::new(crate::query::provider::SnapshotTable::new(snapshot))).expect("a table");
        let rows = rows.filter(condition).expect("a condition").select_columns(&["f"]).expect("a column").collect().await.expect("rows");
        assert_eq!(rows.iter().map(|b| b.num_rows()).sum::<usize>(), row_count, "{case}");
        let is_decoded = |part: Part| reader.cache.get(file.id, part).is_some();
        let mut decoded: Vec<String> = vec![];
        decoded.extend(is_decoded(Part::Footer).then(|| "footer".into()));
        for group in 0..3 {
            let runs = is_decoded(Part::Runs { group }).then_some("h");
            let columns = ["time", "f", "g"].into_iter().filter(|name| is_decoded(Part::Column { group, name: (*name).into() }));
            let parts: Vec<&str> = runs.into_iter().chain(columns).collect();
            decoded.extend((!parts.is_empty()).then(|| format!("{group} {}", parts.join(" "))));
        }
        assert_eq!(decoded, expected, "{case}");
    }
}

#[tokio::test]
async fn a_closed_store_refuses_writes() {
    let storage = open(&Store::memory(), &FaultyDisk::default()).await;
    storage.close().await.expect("closed");
    assert_eq!(write(&storage, "m f=1 1").await.expect_err("closed").kind, ErrorKind::Unavailable);
}

#[tokio::test]
async fn rows_survive_a_damaged_manifest_after_their_log_was_trimmed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(&folder.path().to_string_lossy()).expect("a store");
    let disk = FaultyDisk::default();
    let storage = open(&store, &disk).await;
    for i in 0..3 {
        write(&storage, &format!("m f={i} {i}")).await.expect("stored");
        storage.flush().await.expect("flushed");
    }
    storage.close().await.expect("closed");
    let mut manifests: Vec<_> = walk(folder.path()).into_iter().filter(|p| !p.to_string_lossy().ends_with(".parquet")).collect();
    manifests.sort();
    let newest = manifests.last().expect("a manifest").clone();
    let mut bytes = std::fs::read(&newest).expect("it can be read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&newest, bytes).expect("it can be written");
    for opening in 1..=2 {
        let storage = open(&store, &disk).await;
        assert_eq!(all_values(&storage).await, [0.0, 1.0, 2.0], "opening {opening}");
        assert!(opening > 1 || !storage.damage().is_empty(), "the damage is told");
        write(&storage, "m f=2 2").await.expect("it goes on");
        storage.close().await.expect("closed");
    }
}

/// The log's folder, where one file cannot be removed.
struct Stubborn(FaultyDisk, String);

impl FileSystem for Stubborn {
    fn create(&self, name: &str) -> io::Result<Box<dyn LogFile>> {
        self.0.create(name)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }

    fn renew(&self, name: &str) -> io::Result<()> {
        self.0.renew(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        if name == self.1 { Err(io::ErrorKind::PermissionDenied.into()) } else { self.0.remove(name) }
    }
}

#[tokio::test]
async fn a_segment_that_cannot_be_removed_keeps_no_other_and_is_no_damage() {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let mut options = StorageOptions::default();
    options.log.segment_bytes = 1;
    let stubborn = format!("{:016x}.wal", 2);
    let log = Arc::new(Stubborn(disk.clone(), stubborn.clone()));
    let storage = Storage::open(store.clone(), log, options, ManualClock::at(0), Randomness::from_os()).await.expect("the store opens");
    for i in 0..6 {
        write(&storage, &format!("m f={i} {i}")).await.expect("stored");
    }
    storage.flush().await.expect("flushed");
    assert_eq!(disk.list().expect("a list"), [stubborn]);
    for i in 6..9 {
        write(&storage, &format!("m f={i} {i}")).await.expect("stored");
    }
    drop(storage);
    let names = disk.list().expect("a list");
    assert_eq!(names.len(), 4);
    let storage = open(&store, &disk).await;
    assert_eq!((all_values(&storage).await.len(), storage.damage()), (9, &[][..]));
    drop(storage);
    // What is in no file is missed.
    disk.remove(&names[2]).expect("removed");
    let storage = open(&store, &disk).await;
    assert_eq!(storage.damage().iter().map(|d| &d.file).collect::<Vec<_>>(), [&names[1]]);
    storage.flush().await.expect("flushed");
    assert_eq!(disk.list().expect("a list"), [format!("{}.damaged", names[1])], "nothing else keeps it");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Rows that come late or in any order are written, read and flushed about as fast as those that come in order.
#[tokio::test(flavor = "multi_thread")]
async fn late_rows_and_rows_in_any_order_cost_little_more() {
    use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
    const ROWS: i64 = 60_000;
    const DAY: i64 = 86_400_000_000_000;
    let mut random = StdRng::seed_from_u64(1);
    let mut shuffled: Vec<i64> = (0..ROWS).collect();
    shuffled.shuffle(&mut random);
    let step = DAY / ROWS;
    let orders: [(&str, Vec<i64>); 3] = [
        ("in order", (0..ROWS).map(|i| i * step).collect()),
        ("in any order", shuffled.iter().map(|i| i * step).collect()),
        ("in any order, of a year", shuffled.iter().map(|i| i % 365 * DAY + i * step).collect()),
    ];
    let mut seconds = vec![];
    for (name, times) in orders {
        let storage = open(&Store::memory(), &FaultyDisk::default()).await;
        let line = |(i, time): (usize, &i64)| format!("cpu,host=h{} user={}.5,system={i}i {time}\n", i % 50, i % 100);
        let requests: Vec<String> = times.chunks(5_000).map(|times| times.iter().enumerate().map(line).collect()).collect();
        let started = std::time::Instant::now();
        for request in &requests {
            assert_eq!(write(&storage, request).await.expect("stored").rejected, Default::default());
        }
        let written = started.elapsed();
        let rows: usize = storage.chunks(bucket(), "cpu", 0).iter().map(|chunk| chunk.time().len()).sum();
        assert_eq!(rows, ROWS as usize, "{name}");
        let sorted = started.elapsed();
        storage.flush().await.expect("flushed");
        let (flushed, files) = (started.elapsed(), storage.files().totals(bucket()).files);
        println!("{name}: written {written:.2?}, sorted {:.2?}, flushed into {files} files {:.2?}", sorted - written, flushed - sorted);
        seconds.push(sorted.as_secs_f64());
    }
    assert!(seconds[1].max(seconds[2]) < 5.0 * seconds[0], "{seconds:?}");
}

/// New rows are sorted for the first question about their times, once for all of them.
#[tokio::test]
async fn a_question_about_other_times_sorts_nothing() {
    let storage = open(&Store::memory(), &FaultyDisk::default()).await;
    write(&storage, "m,host=b f=1 300\nm,host=a f=2 100\nm,host=a f=3 200").await.expect("stored");
    for (time_min, time_max, rows, is_sorted) in [(0, 99, 0, false), (301, 900, 0, false), (150, 200, 1, true), (0, 900, 3, true)] {
        let snapshot = storage.snapshot(bucket(), "m", None).expect("it has rows");
        let filter = block::RowFilter { time_min, time_max, ..block::RowFilter::all() };
        let mut merge = snapshot.read(None, filter, 8192).expect("it can be read");
        let mut found = 0;
        while let Some(batch) = merge.next().await.expect("it can be read") {
            found += batch.num_rows();
        }
        let sorted: Vec<bool> = storage.chunks(bucket(), "m", 0).iter().map(|chunk| chunk.is_sorted()).collect();
        assert_eq!((found, sorted), (rows, vec![is_sorted]), "{time_min} to {time_max}");
    }
}

/// What is found of a bucket is written anew: a file and its name, in a folder whose own name is synced once more. (Those of all
/// buckets are synced at once.)
#[tokio::test]
async fn opening_syncs_three_times_for_each_bucket() {
    let mut world = World::on(SimulatedDisk::default(), 0, 1, Duplicates::Last, Failpoints::default()).await;
    let (disk, mut syncs) = (world.disk.disk.clone(), vec![]);
    for buckets in [1..=10, 11..=40] {
        for number in buckets {
            let (bucket, body) = (BucketId::new(number).expect("not zero"), Bytes::from_static(b"m f=1 1"));
            let (precision, bad_lines) = (Precision::Nanosecond, BadLines::Skip);
            let request = WriteRequest { bucket, body, precision, now: 0, bad_lines, retention_floor: None };
            world.storage.write(request).await.expect("stored");
        }
        world.storage.flush().await.expect("flushed");
        let before = disk.syncs();
        world.reopen().await.expect("it opens");
        assert_eq!(world.storage.damage_now(), []);
        syncs.push(disk.syncs() - before);
    }
    assert_eq!(syncs[1] - syncs[0], 30 * 3, "{syncs:?}");
}
