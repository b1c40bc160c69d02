//! What tests of storage share: a small world of one measurement, and the ordered map that it must read like.

use super::{
    BadLines, Storage, StorageOptions, WriteReport, WriteRequest,
    block::RowFilter,
    compaction::CompactionSpec,
    cut::{Condition, Cut, CutPart},
    disk::simulated::SimulatedDisk,
    duplicates::DuplicatesOf,
    failpoint::Failpoints,
    files::FileOptions,
    fs::faulty::FaultyDisk,
    object::{Retry, Store},
};
use crate::{
    clock::{Clock, ManualClock, Randomness},
    model::{BucketId, DeleteSpec, Duplicates, Precision, Result, TagPredicate, TimeRange},
};
use arrow::{
    array::{Array, ArrayAccessor, AsArray, BooleanArray, RecordBatch, StringArray},
    datatypes::{Float64Type, Int32Type, TimestampNanosecondType},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

pub const MINUTE: i64 = 60_000_000_000;
/// Length of a partition in these tests.
pub const PARTITION: i64 = 100;

/// Values of the fields `f` and `g` of measurement `m`, by host (empty: no such tag) and time.
pub type Rows = BTreeMap<(String, i64), BTreeMap<String, f64>>;

pub fn bucket() -> BucketId {
    BucketId::new(1).expect("not zero")
}

pub fn options() -> StorageOptions {
    StorageOptions { files: FileOptions { partition_ns: PARTITION, ..FileOptions::default() }, ..StorageOptions::default() }
}

pub async fn open(store: &Store, disk: &FaultyDisk, clock: Arc<ManualClock>) -> Storage {
    open_with(store, disk, clock, Failpoints::default()).await
}

pub async fn open_with(store: &Store, disk: &FaultyDisk, clock: Arc<ManualClock>, failpoints: Failpoints) -> Storage {
    try_open(store, disk, options(), clock, failpoints).await.expect("the store opens")
}

async fn try_open(
    store: &Store,
    disk: &FaultyDisk,
    options: StorageOptions,
    clock: Arc<ManualClock>,
    failpoints: Failpoints,
) -> Result<Storage> {
    let options = options.with_failpoints(failpoints);
    Storage::open(store.clone(), Arc::new(disk.clone()), options, clock, Randomness::from_os()).await
}

/// An environment.
#[cfg(feature = "s3")]
pub fn variables(pairs: &[(&str, &str)]) -> std::vec::IntoIter<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect::<Vec<_>>().into_iter()
}

/// A store at a server in this process.
#[cfg(feature = "s3")]
pub fn s3_store(url: &str, retry: Retry) -> Store {
    let keys = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret"), ("AWS_REGION", "eu-west-1")];
    Store::open_s3(url, variables(&keys), retry).expect("opens")
}

/// They take turns.
pub fn duplicates_of(seed: u64) -> Duplicates {
    Duplicates::ALL[seed as usize % Duplicates::ALL.len()]
}

/// A variable of the environment as a number: how much of a test there is to be.
pub fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

pub async fn try_write(storage: &Storage, text: String) -> Result<WriteReport> {
    let request = WriteRequest {
        bucket: bucket(),
        body: text.into(),
        precision: Precision::Nanosecond,
        now: 0,
        bad_lines: BadLines::Skip,
        retention_floor: None,
    };
    storage.write(request).await
}

pub async fn write(storage: &Storage, text: impl Into<String>) {
    assert_eq!(try_write(storage, text.into()).await.expect("stored").rejected, Default::default());
}

pub async fn read(storage: &Storage, batch_rows: usize) -> Rows {
    try_read(storage, RowFilter::all(), batch_rows).await.expect("the rows can be read")
}

/// Every row, checked to come sorted and once.
pub async fn try_read(storage: &Storage, filter: RowFilter, batch_rows: usize) -> Result<Rows> {
    let mut rows = Rows::new();
    let Some(snapshot) = storage.snapshot(bucket(), "m", None) else { return Ok(rows) };
    let sources = snapshot.files.len() + snapshot.chunks.len();
    let mut batches = vec![];
    if filter.newest.is_some() {
        batches = snapshot.read_newest(None, filter, batch_rows, |_| Ok(()), |merge| merge).await?;
    } else {
        let mut merge = snapshot.read(None, filter, batch_rows)?;
        while let Some(batch) = merge.next().await? {
            batches.push(batch);
        }
    }
    let mut before: Option<(String, i64)> = None;
    for batch in batches {
        assert!(batch.num_rows() <= (batch_rows + batch_rows / 2).max(sources), "{} rows in a batch", batch.num_rows());
        let times = batch.column(0).as_primitive::<TimestampNanosecondType>();
        let host = batch.column_by_name("h").map(|c| c.as_dictionary::<Int32Type>().downcast_dict::<StringArray>().expect("text"));
        for row in 0..batch.num_rows() {
            let name = host.filter(|h| h.is_valid(row)).map_or(String::new(), |h| h.value(row).to_string());
            let mut values = BTreeMap::new();
            for field in ["f", "g"] {
                let Some(column) = batch.column_by_name(field) else { continue };
                if column.is_valid(row) {
                    values.insert(field.to_string(), column.as_primitive::<Float64Type>().value(row));
                }
            }
            let key = (name, times.value(row));
            assert!(before.as_ref().is_none_or(|b| *b < key), "sorted, each row once: {before:?} then {key:?}");
            before = Some(key.clone());
            rows.insert(key, values);
        }
    }
    Ok(rows)
}

/// A value as it is written: host, time, field, value.
pub type Point = (&'static str, i64, &'static str, f64);

pub fn random_points(random: &mut StdRng) -> Vec<Point> {
    let point = |random: &mut StdRng| {
        let (host, time) = (*["", "a", "b", "c d"].choose(random).expect("some"), random.random_range(0..250));
        let value = f64::from(random.random_range(0..1000));
        (host, time, *["f", "g"].choose(random).expect("some"), value)
    };
    (0..random.random_range(1..30)).map(|_| point(random)).collect()
}

pub fn lines(points: &[Point]) -> String {
    let line = |(host, time, field, value): &Point| {
        let tag = if host.is_empty() { String::new() } else { format!(",h={}", host.replace(' ', "\\ ")) };
        format!("m{tag} {field}={value} {time}\n")
    };
    points.iter().map(line).collect()
}

/// What a write makes of the rows. (The values are whole numbers, so that sums of them are exact.)
pub fn add(rows: &mut Rows, points: &[Point], duplicates: Duplicates) {
    for &(host, time, field, new) in points {
        let merged = |old: f64| match duplicates {
            Duplicates::Last => new,
            Duplicates::First => old,
            Duplicates::Sum => old + new,
            Duplicates::Max => old.max(new),
            Duplicates::Min => old.min(new),
        };
        let row = rows.entry((host.to_string(), time)).or_default();
        row.entry(field.to_string()).and_modify(|old| *old = merged(*old)).or_insert(new);
    }
}

pub fn random_lines(random: &mut StdRng, model: &mut Rows) -> String {
    let points = random_points(random);
    add(model, &points, Duplicates::Last);
    lines(&points)
}

pub fn random_delete(random: &mut StdRng, model: &mut Rows) -> DeleteSpec {
    let start = random.random_range(-10..250);
    let stop = if random.random_bool(0.1) { i64::MAX } else { start + random.random_range(1..60) };
    let tags = match random.random_bool(0.5) {
        true => vec![TagPredicate {
            tag: "h".into(),
            equal: random.random_bool(0.7),
            value: (*["", "a", "b"].choose(random).expect("some")).into(),
        }],
        false => vec![],
    };
    let measurement = random.random_bool(0.5).then(|| "m".into());
    model.retain(|(host, time), _| !((start..stop).contains(time) && tags.iter().all(|t| t.matches(Some(host)))));
    DeleteSpec { range: TimeRange::new(start, stop), measurement, tags }
}

/// A field is greater than a value.
#[derive(Debug)]
pub struct Above(pub [Arc<str>; 1], pub f64);

impl Condition for Above {
    fn columns(&self) -> &[Arc<str>] {
        &self.0
    }

    fn holds(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        Ok(match rows.column_by_name(&self.0[0]) {
            Some(column) => column.as_primitive::<Float64Type>().iter().map(|v| v.map(|v| v > self.1)).collect(),
            None => BooleanArray::new_null(rows.num_rows()),
        })
    }
}

/// A delete of fields or rows by their values.
#[derive(Debug, Clone)]
pub struct RandomCut {
    spec: DeleteSpec,
    /// Those that lose their values; empty: rows go, by their `g`.
    fields: &'static [&'static str],
    /// Values above it go; `None`: all.
    bound: Option<f64>,
}

impl RandomCut {
    pub fn new(random: &mut StdRng) -> RandomCut {
        let bound = random.random_bool(0.7).then(|| f64::from(random.random_range(0..1000)));
        let choices: [&'static [&'static str]; 3] = [&["f"], &["f", "g"], &[]];
        let fields = choices[random.random_range(0..3)];
        let spec = DeleteSpec { measurement: Some("m".into()), ..random_delete(random, &mut Rows::new()) };
        RandomCut { spec, fields, bound }
    }

    /// All rows, by their fields.
    pub fn all() -> RandomCut {
        let spec = DeleteSpec { range: TimeRange::ALL, measurement: Some("m".into()), tags: vec![] };
        RandomCut { spec, fields: &["f", "g"], bound: None }
    }

    pub fn cuts(&self) -> Vec<Cut> {
        let above = |field: &str| self.bound.map(|bound| Arc::new(Above([field.into()], bound)) as Arc<dyn Condition>);
        let part = |field: Option<&str>, by: &str| CutPart { field: field.map(Into::into), condition: above(by) };
        let parts = match self.fields {
            [] => vec![part(None, "g")],
            fields => fields.iter().map(|field| part(Some(field), field)).collect(),
        };
        vec![Cut { spec: self.spec.clone(), parts }]
    }

    /// What it makes of the rows.
    pub fn apply(&self, rows: &mut Rows) {
        let RandomCut { spec, fields, bound } = self;
        let goes = |value: Option<&f64>| bound.is_none_or(|bound| value.is_some_and(|v| *v > bound));
        rows.retain(|(host, time), values| {
            let named = spec.range.start <= *time && *time <= spec.last() && spec.tags.iter().all(|tag| tag.matches(Some(host)));
            if !named {
                return true;
            }
            if fields.is_empty() {
                return !goes(values.get("g"));
            }
            values.retain(|field, value| !(fields.contains(&field.as_str()) && goes(Some(value))));
            !values.is_empty()
        });
    }
}

/// Any run of neighbours of any partition.
pub fn random_spec(random: &mut StdRng, storage: &Storage) -> Option<CompactionSpec> {
    let version = storage.files().version(bucket())?;
    let partition = version.files.choose(random)?.partition;
    let mut files: Vec<_> = version.files.iter().filter(|f| f.partition == partition).cloned().collect();
    files.sort_by_key(|f| f.sequence_max);
    let from = random.random_range(0..files.len());
    let to = random.random_range(from..files.len());
    Some(CompactionSpec { bucket: bucket(), inputs: files[from..=to].to_vec() })
}

/// All files of each partition, as one compaction each.
pub fn whole_partitions(storage: &Storage) -> Vec<CompactionSpec> {
    let Some(version) = storage.files().version(bucket()) else { return vec![] };
    let mut groups: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    version.files.iter().for_each(|f| groups.entry(f.partition).or_default().push(f.clone()));
    let sorted = |mut inputs: Vec<Arc<super::manifest::FileMeta>>| {
        inputs.sort_by_key(|f| f.sequence_max);
        inputs
    };
    groups.into_values().map(|inputs| CompactionSpec { bucket: bucket(), inputs: sorted(inputs) }).collect()
}

/// One thing that a database does.
#[derive(Debug, Clone)]
pub enum Step {
    Write {
        points: Vec<Point>,
        duplicates: Duplicates,
    },
    Flush,
    Delete(DeleteSpec),
    Cut(RandomCut),
    Compact,
    /// Rows before it may be erased.
    Expire(i64),
    Collect,
    DropMeasurement,
    Restart,
}

impl Step {
    /// What it makes of the rows.
    pub fn apply(&self, rows: &mut Rows) {
        match self {
            Step::Write { points, duplicates } => add(rows, points, *duplicates),
            Step::Delete(DeleteSpec { range, tags, .. }) => {
                rows.retain(|(host, time), _| !((range.start..range.stop).contains(time) && tags.iter().all(|t| t.matches(Some(host)))));
            }
            Step::Cut(cut) => cut.apply(rows),
            Step::DropMeasurement => rows.clear(),
            Step::Flush | Step::Compact | Step::Expire(_) | Step::Collect | Step::Restart => {}
        }
    }
}

/// A database whose clock, store and disk a test owns, and the ordered map that it must read like.
pub struct World {
    /// `None`: the store is on the disk, too.
    store: Option<Store>,
    pub disk: FaultyDisk,
    pub clock: Arc<ManualClock>,
    pub storage: Storage,
    pub failpoints: Failpoints,
    pub duplicates: Duplicates,
    /// What must be there.
    pub model: Rows,
    /// Rows before it may be erased and are not looked at.
    pub floor: i64,
    pub random: StdRng,
}

impl World {
    /// With the store in memory.
    pub async fn new(seed: u64, duplicates: Duplicates, failpoints: Failpoints) -> World {
        World::at(Some(Store::memory()), SimulatedDisk::default(), 0, seed, duplicates, failpoints).await
    }

    /// With the store beside the log on a disk; `now` goes on from there.
    pub async fn on(disk: SimulatedDisk, now: i64, seed: u64, duplicates: Duplicates, failpoints: Failpoints) -> World {
        World::at(None, disk, now, seed, duplicates, failpoints).await
    }

    /// With the store anywhere.
    pub async fn over(store: Store, now: i64, seed: u64, duplicates: Duplicates, failpoints: Failpoints) -> World {
        World::at(Some(store), SimulatedDisk::default(), now, seed, duplicates, failpoints).await
    }

    async fn at(store: Option<Store>, disk: SimulatedDisk, now: i64, seed: u64, duplicates: Duplicates, failpoints: Failpoints) -> World {
        let (clock, disk) = (ManualClock::at(now), FaultyDisk::on(disk).expect("a sound disk"));
        let storage = World::open(&store, &disk, &clock, duplicates, &failpoints).await.expect("the store opens");
        let (model, floor, random) = (Rows::new(), i64::MIN, StdRng::seed_from_u64(seed));
        World { store, disk, clock, storage, failpoints, duplicates, model, floor, random }
    }

    async fn open(
        store: &Option<Store>,
        disk: &FaultyDisk,
        clock: &Arc<ManualClock>,
        duplicates: Duplicates,
        failpoints: &Failpoints,
    ) -> Result<Storage> {
        let (mut options, store) = (options(), store.clone());
        options.files.duplicates = DuplicatesOf::new(move |_| duplicates);
        let store = match store {
            Some(store) => store,
            None => {
                // Many segments, and no waiting for a disk that is not there.
                options.log.segment_bytes = 2_000;
                let folder = disk.disk.path("store");
                let retry = Retry { first_pause: Duration::ZERO, ..Retry::default() };
                Store::local(Arc::new(disk.disk.clone()), &folder, "simulated")?.with_retry(retry)
            }
        };
        try_open(&store, disk, options, clock.clone(), failpoints.clone()).await
    }

    /// As another process would, whatever became of this one.
    pub async fn reopen(&mut self) -> Result<()> {
        self.disk = FaultyDisk::on(self.disk.disk.clone())?;
        self.storage = World::open(&self.store, &self.disk, &self.clock, self.duplicates, &self.failpoints).await?;
        Ok(())
    }

    /// Every row, also read in other ways.
    pub async fn found(&self) -> Rows {
        self.try_found().await.expect("the rows can be read")
    }

    pub async fn try_found(&self) -> Result<Rows> {
        let filter = RowFilter { time_min: self.floor, ..RowFilter::all() };
        let rows = try_read(&self.storage, filter.clone(), 50).await?;
        for count in [1, 3] {
            let newest = RowFilter { newest: Some(count), ..filter.clone() };
            let newest = try_read(&self.storage, newest, 5).await?;
            let later = |host: &str, time: i64| rows.keys().filter(|(h, t)| h == host && *t > time).count();
            let mut expected = rows.clone();
            expected.retain(|(host, time), _| later(host, *time) < count);
            assert_eq!(newest, expected, "the newest {count} of each series");
        }
        Ok(rows)
    }

    /// Those that must be there.
    pub fn kept(&self, rows: &Rows) -> Rows {
        rows.iter().filter(|((_, time), _)| *time >= self.floor).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    pub fn choose(&mut self) -> Step {
        match self.random.random_range(0..16) {
            0..5 => Step::Write { points: random_points(&mut self.random), duplicates: self.duplicates },
            5..8 => Step::Flush,
            8 => Step::Delete(random_delete(&mut self.random, &mut Rows::new())),
            9..11 => Step::Compact,
            11 => Step::Expire(self.random.random_range(-1..2) * PARTITION),
            12 => Step::Collect,
            13 => Step::DropMeasurement,
            14 => Step::Cut(RandomCut::new(&mut self.random)),
            _ => Step::Restart,
        }
    }

    pub async fn perform(&mut self, step: &Step) -> Result<()> {
        self.clock.advance(MINUTE);
        let files = self.storage.files().clone();
        match step {
            Step::Write { points, .. } => try_write(&self.storage, lines(points)).await.map(drop),
            Step::Flush => self.storage.flush().await,
            Step::Delete(spec) => self.storage.delete(bucket(), vec![spec.clone()], None).await.map(drop),
            Step::Cut(cut) => self.storage.cut(bucket(), cut.cuts(), None).await.map(drop),
            Step::Compact => {
                let Some(spec) = random_spec(&mut self.random, &self.storage) else { return Ok(()) };
                files.compact(spec, i64::MIN, CancellationToken::new()).await.map(drop)
            }
            Step::Expire(floor) => {
                self.floor = self.floor.max(*floor);
                files.expire(bucket(), files.safe_now() - self.floor.max(-1_000)).await.map(drop)
            }
            Step::Collect => {
                self.clock.advance(11 * MINUTE);
                files.collect(bucket()).await?;
                files.sweep(bucket()).await.map(drop)
            }
            Step::DropMeasurement => self.storage.drop_measurement(bucket(), "m", None).await.map(drop),
            Step::Restart => {
                self.storage.close().await?;
                self.reopen().await
            }
        }
    }

    /// The next thing; the model has it done.
    pub async fn step(&mut self) -> Result<()> {
        let step = self.choose();
        step.apply(&mut self.model);
        self.perform(&step).await
    }

    /// Merges and deletes all that can be, which changes no row.
    pub async fn tidy_up(&mut self) {
        self.storage.flush().await.expect("flushed");
        for spec in whole_partitions(&self.storage) {
            self.storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("compacted");
        }
        self.clock.advance(11 * MINUTE);
        self.storage.files().collect(bucket()).await.expect("collected");
    }

    pub fn now(&self) -> i64 {
        self.clock.now()
    }
}

/// What was refused may have happened, or not: every combination of these. Only what was written counts, since `floor` says what may
/// be gone.
pub struct Possible(pub Vec<Rows>);

impl Possible {
    pub fn apply(&mut self, step: &Step, certain: bool) {
        let mut after = self.0.clone();
        after.iter_mut().for_each(|rows| step.apply(rows));
        if certain {
            self.0.clear();
        }
        for rows in after {
            if !self.0.contains(&rows) {
                self.0.push(rows);
            }
        }
    }

    pub fn check(&self, world: &World, found: &Rows, name: &str) {
        let kept: Vec<Rows> = self.0.iter().map(|rows| world.kept(rows)).collect();
        assert!(kept.contains(found), "{name}:\n{found:?}\nis none of {}, the last of which is\n{:?}", kept.len(), kept.last());
    }
}
