//! Lines of the wrong type, against a model of what each setting of a bucket makes of them: the same after any flush, kill, power loss
//! and restart, whatever the bucket is set to by then, and however many write at the same time.

use super::{
    BadLines, Storage, WriteReport, WriteRequest,
    block::RowFilter,
    buffer::{Conflicts, Rejected, quarantine, stage},
    compaction::CompactionSpec,
    failpoint::{Failpoint, Failpoints},
    fs::faulty::FaultyDisk,
    manifest::FileMeta,
    object::Store,
    policy::PolicyOf,
    testing::{MINUTE, bucket, number, options},
};
use crate::{
    clock::{Clock, ManualClock, Randomness},
    memory::Share,
    model::{Duplicates, ErrorKind, FieldType, MeasurementSchema, Precision, Result, TypeConflicts},
};
use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, TimestampNanosecondArray},
    datatypes::TimestampNanosecondType,
    util::display::array_value_to_string,
};
use parking_lot::Mutex;
use rand::{
    Rng, SeedableRng,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use std::{collections::BTreeMap, sync::Arc};
use tokio_util::sync::CancellationToken;

type Setting = Arc<Mutex<TypeConflicts>>;

async fn open(store: &Store, disk: &FaultyDisk, setting: &Setting, duplicates: Duplicates, failpoints: Failpoints) -> Storage {
    let (mut options, setting) = (options(), setting.clone());
    options.type_conflicts = PolicyOf::new(move |_| *setting.lock());
    options.files.duplicates = PolicyOf::new(move |_| duplicates);
    let (log, clock) = (Arc::new(disk.clone()), ManualClock::at(0));
    Storage::open(store.clone(), log, options.with_failpoints(failpoints), clock, Randomness::from_os()).await.expect("the store opens")
}

async fn fresh(setting: TypeConflicts) -> (Store, FaultyDisk, Storage) {
    let (store, disk) = (Store::memory(), FaultyDisk::default());
    let storage = open(&store, &disk, &Setting::new(Mutex::new(setting)), Duplicates::Last, Failpoints::default()).await;
    (store, disk, storage)
}

fn request(body: impl Into<String>) -> WriteRequest {
    let (precision, bad_lines) = (Precision::Nanosecond, BadLines::Skip);
    WriteRequest { bucket: bucket(), body: body.into().into(), precision, now: 0, bad_lines, retention_floor: None }
}

async fn write(storage: &Storage, body: impl Into<String>) -> WriteReport {
    storage.write(request(body)).await.expect("an answer")
}

/// The rows of a measurement, each with its time and what it has by column.
async fn rows(storage: &Storage, measurement: &str) -> Vec<(i64, BTreeMap<String, String>)> {
    let mut rows = vec![];
    let Some(snapshot) = storage.snapshot(bucket(), measurement, None) else { return rows };
    let mut merge = snapshot.read(None, RowFilter::all(), 50).expect("readable");
    while let Some(batch) = merge.next().await.expect("readable") {
        let times = batch.column(0).as_primitive::<TimestampNanosecondType>();
        for row in 0..batch.num_rows() {
            let columns = batch.schema().fields().iter().map(|f| f.name().clone()).zip(batch.columns()).skip(1).collect::<Vec<_>>();
            let present = columns.into_iter().filter(|(_, column)| column.is_valid(row));
            let text = |column: &ArrayRef| array_value_to_string(column, row).expect("it prints");
            rows.push((times.value(row), present.map(|(name, column)| (name, text(column))).collect()));
        }
    }
    rows
}

/// What is in quarantine, but for the identifiers and reasons; they are all different, and there.
async fn kept(storage: &Storage) -> Vec<String> {
    let rows = rows(storage, quarantine::MEASUREMENT).await;
    let ids: std::collections::BTreeSet<&str> = rows.iter().map(|(_, row)| row["id"].as_str()).collect();
    assert_eq!(ids.len(), rows.len());
    assert!(rows.iter().all(|(_, row)| row["reason"].contains(" conflict: ")), "{rows:?}");
    let text = |(time, row): (i64, BTreeMap<String, String>)| {
        format!("{time} {}.{} line {}: {}", row["measurement"], row["field"], row["line_number"], row["line"])
    };
    let mut kept: Vec<String> = rows.into_iter().map(text).collect();
    kept.sort();
    kept
}

async fn compact(storage: &Storage) -> Result<()> {
    let Some(version) = storage.files().version(bucket()) else { return Ok(()) };
    let mut groups: BTreeMap<(Arc<str>, i64), Vec<Arc<FileMeta>>> = BTreeMap::new();
    version.files.iter().for_each(|f| groups.entry((f.measurement.clone(), f.partition)).or_default().push(f.clone()));
    for (_, mut inputs) in groups {
        inputs.sort_by_key(|f| f.sequence_max);
        storage.files().compact(CompactionSpec { bucket: bucket(), inputs }, i64::MIN, CancellationToken::new()).await?;
    }
    Ok(())
}

/// A line of `m`: its host and time, and a type and a number for some fields.
#[derive(Debug, Clone)]
struct Sent {
    host: &'static str,
    time: Option<i64>,
    values: Vec<(&'static str, FieldType, u32)>,
}

impl Sent {
    fn random(random: &mut StdRng) -> Sent {
        use FieldType::*;
        let mut value =
            |field| (field, *[Float, Float, Integer, Unsigned, String, Boolean].choose(random).expect("some"), random.random_range(0..9));
        let mut values = vec![value("v"), value("w"), value("x")];
        values.shuffle(random);
        values.truncate(random.random_range(1..4));
        let time = random.random_bool(0.8).then(|| random.random_range(0..250));
        Sent { host: ["a", "b"].choose(random).expect("some"), time, values }
    }

    fn series_and_fields(&self) -> String {
        let value = |(field, kind, n): &(&str, FieldType, u32)| match kind {
            FieldType::Float => format!("{field}={n}.5"),
            FieldType::Integer => format!("{field}={n}i"),
            FieldType::Unsigned => format!("{field}={n}u"),
            FieldType::String => format!("{field}=\"{n} \\\"\\\\ 5\""),
            FieldType::Boolean => format!("{field}=t"),
        };
        format!("m,h={} {}", self.host, self.values.iter().map(value).collect::<Vec<_>>().join(","))
    }

    fn line(&self) -> String {
        let time = self.time.map_or(String::new(), |time| format!(" {time}"));
        format!("{}{time}\n", self.series_and_fields())
    }
}

/// What must be there.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    types: BTreeMap<String, FieldType>,
    /// Of `m`.
    rows: BTreeMap<(String, i64), BTreeMap<String, String>>,
    kept: Vec<String>,
}

impl Model {
    /// The numbers of lines that are refused, and of lines that are kept.
    fn write(&mut self, lines: &[Sent], unit_ns: i64, now: i64, setting: TypeConflicts) -> (Vec<usize>, usize) {
        use FieldType::*;
        let mut refused = vec![];
        let kept_before = self.kept.len();
        for (number, line) in lines.iter().enumerate().map(|(at, line)| (at + 1, line)) {
            let time = line.time.map_or(now - now % unit_ns, |time| time * unit_ns);
            let (mut types, mut values, mut clash) = (self.types.clone(), BTreeMap::new(), None);
            for (field, kind, n) in &line.values {
                let stored = *types.entry(field.to_string()).or_insert(*kind);
                let coerces = setting == TypeConflicts::Coerce && stored == Float && matches!(kind, Integer | Unsigned);
                if stored != *kind && !coerces {
                    clash = Some(field);
                    break;
                }
                values.insert(
                    field.to_string(),
                    match kind {
                        Float => format!("{n}.5"),
                        Integer | Unsigned if coerces => format!("{n}.0"),
                        Integer | Unsigned => n.to_string(),
                        String => format!("{n} \"\\ 5"),
                        Boolean => "true".into(),
                    },
                );
            }
            match clash {
                None => {
                    self.types = types;
                    self.rows.entry((line.host.into(), time)).or_default().extend(values);
                }
                Some(field) if setting == TypeConflicts::Quarantine => {
                    self.kept.push(format!("{time} m.{field} line {number}: {} {time}", line.series_and_fields()));
                }
                Some(_) => refused.push(number),
            }
        }
        self.kept.sort();
        (refused, self.kept.len() - kept_before)
    }

    async fn found(storage: &Storage) -> Model {
        let row = |(time, mut columns): (i64, BTreeMap<String, String>)| ((columns.remove("h").expect("a host"), time), columns);
        let types = storage.schema(bucket(), "m").map(|schema| schema.fields.iter().map(|(n, t)| (n.to_string(), *t)).collect());
        let rows = rows(storage, "m").await.into_iter().map(row).collect();
        Model { types: types.unwrap_or_default(), rows, kept: kept(storage).await }
    }
}

#[derive(Debug)]
enum Step {
    Write { lines: Vec<Sent>, precision: Precision },
    Set(TypeConflicts),
    Flush,
    Compact,
    Drop,
    Restart,
}

impl Step {
    fn random(random: &mut StdRng) -> Step {
        match random.random_range(0..14) {
            0..7 => Step::Write {
                lines: (0..random.random_range(1..8)).map(|_| Sent::random(random)).collect(),
                precision: *[Precision::Nanosecond, Precision::Microsecond].choose(random).expect("some"),
            },
            7..10 => Step::Set(*TypeConflicts::ALL.choose(random).expect("some")),
            10 => Step::Flush,
            11 => Step::Compact,
            12 => Step::Drop,
            _ => Step::Restart,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_of_a_line_stays_so_through_any_kill() {
    let seeds = number("TIDEGAUGE_SEEDS", 2);
    let mut reached = Reached::default();
    for point in Failpoint::ALL {
        for seed in 0..seeds {
            through_kills(point, seed, Failpoints::default(), &mut reached).await;
        }
    }
    assert!(reached.deaths > 50 && reached.kept > 20 && reached.rows > 20, "{reached:?}");
}

/// How far the test came: deaths, and the most that was in quarantine and in `m`.
#[derive(Debug, Default)]
pub struct Reached {
    deaths: usize,
    kept: usize,
    rows: usize,
}

/// Steps by chance, and deaths at a failpoint.
pub async fn through_kills(point: Failpoint, seed: u64, mut failpoints: Failpoints, reached: &mut Reached) {
    let mut random = StdRng::seed_from_u64(seed * 100 + point as u64);
    let (store, mut disk, clock) = (Store::memory(), FaultyDisk::default(), ManualClock::at(0));
    let setting = Setting::default();
    let planted = failpoints.clone();
    failpoints.kill_at(point, random.random_range(1..6));
    let mut storage = open(&store, &disk, &setting, Duplicates::Last, failpoints.clone()).await;
    let mut model = Model::default();
    for at in 0..60 {
        let (step, before) = (Step::random(&mut random), model.clone());
        clock.advance(MINUTE + 1);
        let name = format!("{point:?}, seed {seed}, step {at}, {:?}: {step:?}", setting.lock());
        let outcome = match &step {
            Step::Write { lines, precision } => {
                let (now, set) = (clock.now(), *setting.lock());
                let expected = model.write(lines, precision.nanoseconds(), now, set);
                let body: String = lines.iter().map(Sent::line).collect();
                let report = storage.write(WriteRequest { precision: *precision, now, ..request(body) }).await;
                report.map(|report| {
                    let refused: Vec<usize> = report.rejected.named().into_iter().map(|line| line.number).collect();
                    assert_eq!(report.row_count, lines.len() - refused.len() - report.quarantined, "{name}");
                    assert_eq!((refused, report.quarantined), expected, "{name}");
                })
            }
            Step::Set(wanted) => {
                *setting.lock() = *wanted;
                Ok(())
            }
            Step::Flush => storage.flush().await,
            Step::Compact => compact(&storage).await,
            Step::Drop => {
                (model.types, model.rows) = Default::default();
                storage.drop_measurement(bucket(), "m", None).await.map(drop)
            }
            Step::Restart => {
                let closed = storage.close().await;
                if closed.is_ok() {
                    storage = open(&store, &disk, &setting, Duplicates::Last, failpoints.clone()).await;
                }
                closed
            }
        };
        if failpoints.is_dead() {
            reached.deaths += 1;
            disk = disk.crash(seed);
            failpoints = planted.clone();
            failpoints.kill_at(point, random.random_range(1..6));
            storage = open(&store, &disk, &setting, Duplicates::Last, failpoints.clone()).await;
            assert_eq!(storage.damage(), [], "{name}");
            if outcome.is_err() && Model::found(&storage).await == before {
                model = before;
            }
        } else {
            outcome.unwrap_or_else(|failure| panic!("{name}: {failure}"));
        }
        assert_eq!(Model::found(&storage).await, model, "{name}");
        (reached.kept, reached.rows) = (reached.kept.max(model.kept.len()), reached.rows.max(model.rows.len()));
    }
}

/// Writers meet at fields that none of them has seen: whose type they get is chance. In what order they come to the log is another
/// chance, and a replay has that order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writes_at_the_same_time_come_back_as_they_were() {
    const MEASUREMENTS: usize = 150;
    let all = async |storage: &Storage| {
        let mut all = vec![];
        for measurement in 0..MEASUREMENTS {
            all.push((rows(storage, &format!("m{measurement}")).await, storage.schema(bucket(), &format!("m{measurement}"))));
        }
        (all, kept(storage).await)
    };
    for setting in [TypeConflicts::Coerce, TypeConflicts::Quarantine] {
        let (store, disk, storage) = fresh(setting).await;
        let writers = [("a", "1.5"), ("b", "2i"), ("c", "3u"), ("d", "\"x\"")].map(|(host, value)| {
            let storage = storage.clone();
            tokio::spawn(async move {
                let (mut refused, mut kept) = (0, 0);
                for measurement in 0..MEASUREMENTS {
                    let report = write(&storage, format!("m{measurement},h={host} f={value} 1")).await;
                    (refused, kept) = (refused + report.rejected.count(), kept + report.quarantined);
                }
                (refused, kept)
            })
        });
        let (mut refused, mut quarantined) = (0, 0);
        for writer in writers {
            let counts = writer.await.expect("no panic");
            (refused, quarantined) = (refused + counts.0, quarantined + counts.1);
        }
        let before = all(&storage).await;
        let stored: usize = before.0.iter().map(|(rows, _)| rows.len()).sum();
        assert_eq!((stored + refused + quarantined, before.1.len()), (4 * MEASUREMENTS, quarantined), "{setting}");
        assert!(refused + quarantined > 0);
        drop(storage);
        for set in TypeConflicts::ALL {
            let again = open(&store, &disk.crash(1), &Setting::new(Mutex::new(set)), Duplicates::Last, Failpoints::default()).await;
            assert_eq!(again.damage(), [], "{setting}, then {set}");
            assert_eq!(all(&again).await, before, "{setting}, then {set}");
        }
    }
}

#[tokio::test]
async fn no_line_in_quarantine_replaces_another_whatever_the_bucket_does_with_duplicates() {
    for duplicates in Duplicates::ALL {
        let (store, disk) = (Store::memory(), FaultyDisk::default());
        let setting = Setting::new(Mutex::new(TypeConflicts::Quarantine));
        let storage = open(&store, &disk, &setting, duplicates, Failpoints::default()).await;
        write(&storage, "m f=1 1").await;
        let mut expected = vec![];
        for round in 0..3 {
            let report = write(&storage, "m f=t 1\nm f=t 1").await;
            assert_eq!((report.row_count, report.quarantined, report.rejected.count()), (0, 2, 0));
            expected.extend(["1 m.f line 1: m f=t 1", "1 m.f line 2: m f=t 1"]);
            if round > 0 {
                storage.flush().await.expect("flushed");
            }
        }
        expected.sort();
        assert_eq!(kept(&storage).await, expected, "{duplicates}");
        compact(&storage).await.expect("compacted");
        assert_eq!(kept(&storage).await, expected, "{duplicates}");
    }
}

#[tokio::test]
async fn all_or_nothing_is_nothing_where_a_line_clashes() {
    for (setting, stored) in TypeConflicts::ALL.into_iter().zip([0, 3, 0]) {
        let (_, _, storage) = fresh(setting).await;
        write(&storage, "m f=1.5 1").await;
        let whole = |body: &str| WriteRequest { bad_lines: BadLines::RefuseAll, ..request(body) };
        let report = storage.write(whole("m f=2 2\nm new=1i,f=3i 3\nm f=4u 4")).await.expect("an answer");
        assert_eq!((report.row_count, report.quarantined), (stored, 0), "{setting}");
        let clashes: Vec<_> = report.rejected.named().into_iter().map(|line| (line.number, line.kind)).collect();
        assert_eq!(clashes, if stored > 0 { vec![] } else { vec![(2, Rejected::TypeConflict), (3, Rejected::TypeConflict)] });
        // What is not stored says nothing of types.
        let report = storage.write(whole("m other=1i,f=2 5\nnonsense")).await.expect("an answer");
        assert_eq!((report.row_count, report.rejected.count()), (0, 1));
        assert_eq!(write(&storage, "m other=\"x\" 6").await.rejected, Default::default(), "{setting}");
        assert_eq!((rows(&storage, "m").await.len(), kept(&storage).await.len()), (stored + 2, 0), "{setting}");
    }
}

/// As `to()` writes them.
#[tokio::test]
async fn rows_of_a_query_are_held_to_the_same() {
    for (setting, counts, row) in [
        (TypeConflicts::Reject, (0, 1, 0), None),
        (TypeConflicts::Coerce, (1, 0, 0), Some("9007199254740992.0")),
        (TypeConflicts::Quarantine, (0, 0, 1), None),
    ] {
        let (store, disk, storage) = fresh(setting).await;
        write(&storage, "m f=1.5 1").await;
        let mut schema = MeasurementSchema::new("m");
        schema.fields.insert("f".into(), FieldType::Integer);
        let columns: Vec<ArrayRef> =
            vec![Arc::new(TimestampNanosecondArray::from(vec![7])), Arc::new(Int64Array::from(vec![(1 << 53) + 1]))];
        let batch = RecordBatch::try_new(schema.arrow_schema(), columns).expect("a batch");
        let report = storage.write_rows(bucket(), "m", &batch, 0).await.expect("an answer");
        assert_eq!((report.row_count, report.rejected.count(), report.quarantined), counts, "{setting}");
        drop(storage);
        let storage = open(&store, &disk, &Setting::default(), Duplicates::Last, Failpoints::default()).await;
        assert_eq!(
            rows(&storage, "m").await.get(1).map(|(time, row)| (*time, row["f"].as_str())),
            row.map(|value| (7, value)),
            "{setting}"
        );
        let line = (setting == TypeConflicts::Quarantine).then_some("7 m.f line 1: m f=9007199254740993i 7".to_string());
        assert_eq!(kept(&storage).await, line.into_iter().collect::<Vec<_>>(), "{setting}");
    }
}

#[tokio::test]
async fn a_write_that_the_log_refuses_leaves_no_type_behind() {
    refused_types(Failpoints::default()).await;
}

/// Other types than its lines had are taken since, and its record, which the disk may have all the same, does not come back among them.
pub async fn refused_types(failpoints: Failpoints) {
    for (calls, flushes, seed) in (0..2).flat_map(|calls| (0..12).map(move |seed| (calls, seed % 2 == 0, seed))) {
        let (store, disk) = (Store::memory(), FaultyDisk::default());
        let reopen = async |disk: &FaultyDisk| open(&store, disk, &Setting::default(), Duplicates::Last, failpoints.clone()).await;
        let storage = reopen(&disk).await;
        let name = format!("call {calls}, seed {seed}");
        write(&storage, "m,a=x f=1 1").await;
        let before = storage.schemas(bucket());
        disk.fail_after(calls);
        storage.write(request("m,b=x new=1i 2\nn f=t 2")).await.expect_err("the disk fails");
        disk.disk.heal();
        assert_eq!(storage.schemas(bucket()), before, "{name}");
        let report = write(&storage, "m,a=x new=\"text\",b=2 3\nm,c=y f=2 4\nn f=2.5 5").await;
        assert_eq!((report.row_count, report.rejected), (3, Default::default()), "{name}");
        let all = async |storage: &Storage| (storage.schemas(bucket()), rows(storage, "m").await, rows(storage, "n").await);
        let expected = all(&storage).await;
        assert_eq!((expected.1.len(), expected.2.len()), (3, 1), "{name}");
        if flushes {
            storage.flush().await.expect("flushed");
        }
        drop(storage);
        // Killed, and without power.
        for disk in [disk.clone(), disk.crash(seed)] {
            let storage = reopen(&disk).await;
            assert_eq!(storage.damage(), [], "{name}");
            assert_eq!(all(&storage).await, expected, "{name}");
        }
    }
}

/// Whoever has sorted rows while the schema had such a type has columns of it.
#[tokio::test]
async fn what_was_sorted_with_a_type_of_a_refused_write_is_sorted_again() {
    for flushes in [false, true] {
        let (_, disk, storage) = fresh(TypeConflicts::Reject).await;
        write(&storage, "m,h=a f=1 1").await;
        let brought = stage(b"m,h=a,t=x new=1i 2", Precision::Nanosecond, 0, None, Conflicts::Reject, |m| storage.schema(bucket(), m));
        assert!(storage.admit(bucket(), &brought.tables));
        assert_eq!(rows(&storage, "m").await.len(), 1);
        disk.fail_after(0);
        storage.write(request("m,h=a,t=x new=1i 2")).await.expect_err("the disk fails");
        // It brought nothing of its own. One that does takes back all that nobody has.
        assert_eq!(storage.schema(bucket(), "m").map(|schema| schema.fields.len()), Some(2));
        storage.write(request("m,h=a other=1i 2")).await.expect_err("the disk fails");
        disk.disk.heal();
        assert_eq!(storage.schema(bucket(), "m").map(|schema| (schema.tags.len(), schema.fields.len())), Some((1, 1)));
        write(&storage, "m,h=a new=\"text\",t=3 2").await;
        if flushes {
            storage.flush().await.expect("flushed");
        }
        let found = rows(&storage, "m").await;
        assert_eq!((found.len(), found[1].1["new"].as_str(), found[1].1["t"].as_str()), (2, "text", "3.0"));
    }
}

/// Lines in quarantine take a multiple of what was sent. That is charged, and where it is not there, the sender comes again.
#[tokio::test]
async fn lines_in_quarantine_are_charged() {
    let (store, disk, setting) = (Store::memory(), FaultyDisk::default(), Setting::new(Mutex::new(TypeConflicts::Quarantine)));
    let mut options = options();
    let setting_now = setting.clone();
    options.type_conflicts = PolicyOf::new(move |_| *setting_now.lock());
    options.requests = Share::new("requests", 100_000);
    let (requests, clock) = (options.requests.clone(), ManualClock::at(0));
    let storage = Storage::open(store, Arc::new(disk), options, clock, Randomness::from_os()).await.expect("it opens");
    write(&storage, "m f=1.5 1").await;
    let clashing = |lines: usize| request("m f=t 2\n".repeat(lines) + "m f=2 3\nn a=1 3");
    assert_eq!(storage.write(clashing(50)).await.expect("an answer").quarantined, 50);
    assert!(requests.peak() > 50 * 100 && requests.used() == 0, "{requests:?}");
    let refused = storage.write(clashing(1_000)).await.expect_err("there is no memory for so many");
    assert_eq!((refused.kind, refused.retry_after_s), (ErrorKind::Unavailable, Some(1)));
    assert_eq!((requests.used(), rows(&storage, "n").await.len(), kept(&storage).await.len()), (0, 1, 50));
    // Where clashes are refused, they take nothing.
    *setting.lock() = TypeConflicts::Reject;
    let report = storage.write(clashing(1_000)).await.expect("an answer");
    assert_eq!((report.row_count, report.rejected.count(), report.rejected.named().len()), (2, 1_000, 100));
}
