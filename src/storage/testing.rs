//! What tests of storage share: a small world of one measurement, and the ordered map that it must read like.

use super::{
    BadLines, Storage, StorageOptions, WriteReport, WriteRequest,
    block::RowFilter,
    compaction::CompactionSpec,
    cut::{Condition, Cut, CutPart},
    failpoint::Failpoints,
    files::FileOptions,
    fs::faulty::FaultyDisk,
    object::Store,
};
use crate::{
    clock::{ManualClock, Randomness},
    model::{BucketId, DeleteSpec, Precision, Result, TagPredicate, TimeRange},
};
use arrow::{
    array::{Array, ArrayAccessor, AsArray, BooleanArray, RecordBatch, StringArray},
    datatypes::{Float64Type, Int32Type, TimestampNanosecondType},
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use std::{collections::BTreeMap, sync::Arc};

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
    let options = options().with_failpoints(failpoints);
    Storage::open(store.clone(), Arc::new(disk.clone()), options, clock, Randomness::from_os()).await.expect("the store opens")
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
    assert_eq!(try_write(storage, text.into()).await.expect("stored").rejected, vec![]);
}

pub async fn read(storage: &Storage, batch_rows: usize) -> Rows {
    try_read(storage, RowFilter::all(), batch_rows).await.expect("the rows can be read")
}

/// Every row, checked to come sorted and once.
pub async fn try_read(storage: &Storage, filter: RowFilter, batch_rows: usize) -> Result<Rows> {
    let mut rows = Rows::new();
    let Some(snapshot) = storage.snapshot(bucket(), "m", None) else { return Ok(rows) };
    let sources = snapshot.files.len() + snapshot.chunks.len();
    let mut merge = snapshot.read(None, filter, batch_rows)?;
    let mut before: Option<(String, i64)> = None;
    while let Some(batch) = merge.next().await? {
        assert!(batch.num_rows() <= batch_rows.max(sources), "{} rows in a batch", batch.num_rows());
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

pub fn random_lines(random: &mut StdRng, model: &mut Rows) -> String {
    let mut text = String::new();
    for _ in 0..random.random_range(1..30) {
        let (host, time) = (["", "a", "b", "c d"].choose(random).expect("some"), random.random_range(0..250));
        let value = f64::from(random.random_range(0..1000));
        let field = ["f", "g"].choose(random).expect("some");
        let tag = if host.is_empty() { String::new() } else { format!(",h={}", host.replace(' ', "\\ ")) };
        text += &format!("m{tag} {field}={value} {time}\n");
        model.entry((host.to_string(), time)).or_default().insert(field.to_string(), value);
    }
    text
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

/// Values of a field, those of two fields, or rows, by time and tags, mostly by value, too.
pub fn random_cuts(random: &mut StdRng, model: &mut Rows) -> Vec<Cut> {
    let bound = random.random_bool(0.7).then(|| f64::from(random.random_range(0..1000)));
    let above = |field: &str| bound.map(|bound| Arc::new(Above([field.into()], bound)) as Arc<dyn Condition>);
    let part = |field: Option<&str>, by: &str| CutPart { field: field.map(Into::into), condition: above(by) };
    let (cut_fields, parts): (&[&str], _) = match random.random_range(0..3) {
        0 => (&["f"], vec![part(Some("f"), "f")]),
        1 => (&["f", "g"], vec![part(Some("f"), "f"), part(Some("g"), "g")]),
        _ => (&[], vec![part(None, "g")]),
    };
    let spec = random_delete(random, &mut model.clone());
    let named =
        |host: &str, time: i64| spec.range.start <= time && time <= spec.last() && spec.tags.iter().all(|tag| tag.matches(Some(host)));
    let goes = |value: Option<&f64>| bound.is_none_or(|bound| value.is_some_and(|v| *v > bound));
    model.retain(|(host, time), values| {
        if !named(host, *time) {
            return true;
        }
        if cut_fields.is_empty() {
            return !goes(values.get("g"));
        }
        values.retain(|field, value| !(cut_fields.contains(&field.as_str()) && goes(Some(value))));
        !values.is_empty()
    });
    vec![Cut { spec: DeleteSpec { measurement: Some("m".into()), ..spec }, parts }]
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
