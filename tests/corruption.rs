//! Disks lie: a file comes back torn, with a bit flipped, zeroed, emptied, swapped, twice, or not at all. Whatever happens to one file, the
//! server starts, serves the rest, names the file and keeps its bytes; an answer that would need them is refused, and none is wrong.
//!
//! `TIDEGAUGE_SEEDS=50 cargo test --test main corruption -- --nocapture` hurts every kind of file in every way fifty times over and prints
//! what came of it as JSON; `TIDEGAUGE_TEST_SEED` repeats a run.

use datafusion::arrow::{
    array::{Array, AsArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
};
use futures::TryStreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tidegauge::{
    catalog::{Caller, Credential, SetupRequest},
    engine::{Engine, EngineSettings, Target, WriteOptions, upkeep::Offline},
    model::{DeleteSpec, Precision, Result, TimeRange},
    plan::{BucketRef, values::ValueFilter},
    storage::{BadLines, manifest::Version},
};

const DAY: i64 = 86_400_000_000_000;
const TOKEN: &str = "t";
const MEASUREMENTS: [&str; 2] = ["cpu", "mem"];
const DAYS: i64 = 2;

/// Values by host and time.
type Rows = BTreeMap<(String, i64), f64>;
/// By measurement and day, which lie in files of their own.
type Cells = BTreeMap<(&'static str, i64), Rows>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Segment,
    LastSegment,
    NewestManifest,
    OldManifest,
    Parquet,
    Catalog,
    CatalogCopy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hurt {
    Torn,
    Flipped,
    Zeroed,
    Emptied,
    Deleted,
    Duplicated,
    Swapped,
}

use Hurt::*;
use Victim::*;

const VICTIMS: [Victim; 7] = [Segment, LastSegment, NewestManifest, OldManifest, Parquet, Catalog, CatalogCopy];
const HURTS: [Hurt; 7] = [Torn, Flipped, Zeroed, Emptied, Deleted, Duplicated, Swapped];

/// A data directory of a server that was killed, and what it must hold.
struct Base {
    folder: tempfile::TempDir,
    cells: Cells,
    /// Rows that are in the log only.
    logged: BTreeSet<(&'static str, String, i64)>,
}

#[test]
fn no_damaged_file_stops_the_server_or_makes_an_answer_wrong() {
    let seed: u64 = std::env::var("TIDEGAUGE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    let rounds: u64 = std::env::var("TIDEGAUGE_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    println!("TIDEGAUGE_TEST_SEED={seed}");
    let started = Instant::now();
    let mut random = StdRng::seed_from_u64(seed);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let base = runtime.block_on(base(&mut random));
    let mut tally = Tally::default();
    for round in 0..rounds {
        for victim in VICTIMS {
            for hurt in HURTS {
                let case = format!("{victim:?} {hurt:?}, round {round}, seed {seed}");
                let folder = tempfile::tempdir().expect("a folder");
                copy(base.folder.path(), folder.path());
                if let Some(done) = apply(folder.path(), victim, hurt, &mut random) {
                    runtime.block_on(examine(&base, folder.path(), victim, hurt, &done, &case, &mut tally));
                }
            }
        }
    }
    let result = serde_json::json!({
        "test": "R3 torn and corrupt files",
        "seed": seed,
        "rounds": rounds,
        "cases": tally.cases,
        "cases_by_file": tally.by_victim,
        "answers_complete": tally.complete,
        "answers_refused": tally.refused,
        "rows_lost_with_their_log_record": tally.lost_with_log,
        "wrong_answers": 0,
        "failed_starts": 0,
        "seconds": started.elapsed().as_secs_f64(),
    });
    println!("{result}");
    assert!(tally.refused > 0 && tally.complete > tally.refused, "damage has consequences, and few");
}

#[derive(Default)]
struct Tally {
    cases: u64,
    by_victim: BTreeMap<String, u64>,
    complete: u64,
    refused: u64,
    lost_with_log: usize,
}

pub fn settings(folder: &Path) -> EngineSettings {
    let mut settings = EngineSettings::at(folder);
    settings.maintenance.interval = None;
    settings.storage.flush_interval = Duration::from_secs(3_600);
    // A few records each.
    settings.storage.log.segment_bytes = 300;
    settings
}

pub async fn write(engine: &Engine, operator: &Caller, lines: String) -> Result<()> {
    let options = WriteOptions { precision: Precision::Nanosecond, bad_lines: BadLines::RefuseAll, create: false };
    let target = Target { org: Some("o"), bucket: BucketRef::NameOrId("b") };
    engine.write(operator, target, lines.into(), options).await.map(|written| assert_eq!(written.report.rejected, Default::default()))
}

pub fn recognise(engine: &Engine) -> Caller {
    engine.authenticate(&Credential::Token(TOKEN.into())).expect("the token is known")
}

/// A data directory with an organisation `o`, a bucket `b` and an operator.
pub async fn set_up(data: &Path) {
    let engine = Engine::open(settings(data)).await.expect("an engine");
    let request =
        SetupRequest { username: "ana".into(), org: "o".into(), bucket: "b".into(), token: Some(TOKEN.into()), ..Default::default() };
    engine.catalog().set_up(request).expect("set up");
    engine.close().await.expect("closed");
}

/// Files of several flushes, of a compaction, and of a delete; then a log of several segments.
async fn base(random: &mut StdRng) -> Base {
    let (folder, live) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    set_up(live.path()).await;
    let engine = Engine::open(settings(live.path())).await.expect("an engine");
    let operator = recognise(&engine);
    let (mut cells, mut logged, mut at) = (Cells::new(), BTreeSet::new(), 0);
    let mut lines = |cells: &mut Cells, measurement: &'static str, day: i64| {
        let mut text = String::new();
        for host in ["a", "b"] {
            at += 1;
            let (time, value) = (day * DAY + at, f64::from(random.random_range(0..1000)));
            text += &format!("{measurement},host={host} v={value} {time}\n");
            cells.entry((measurement, day)).or_default().insert((host.to_string(), time), value);
        }
        text
    };
    for flush in 0..4 {
        for measurement in MEASUREMENTS {
            for day in 0..DAYS {
                for _ in 0..5 {
                    let text = lines(&mut cells, measurement, day);
                    write(&engine, &operator, text).await.expect("stored");
                }
            }
        }
        engine.storage().flush().await.expect("flushed");
        if flush == 1 {
            engine.compact(&operator).await.expect("compacted");
            let range = TimeRange::new(0, 30);
            let target = Target { org: Some("o"), bucket: BucketRef::NameOrId("b") };
            let spec = DeleteSpec { range, measurement: Some("cpu".into()), tags: vec![] };
            engine.delete(&operator, target, spec, &ValueFilter::default()).await.expect("deleted");
            cells.entry(("cpu", 0)).or_default().retain(|(_, time), _| *time >= 30);
        }
    }
    // It fills a segment, so that the flush trims all of the log.
    let padding = (0..100).map(|i| format!("padding v={i}.{i} {i}\n")).collect();
    write(&engine, &operator, padding).await.expect("stored");
    engine.storage().flush().await.expect("flushed");
    assert!(walk(&live.path().join("wal")).is_empty(), "the log is trimmed");
    for _ in 0..4 {
        for measurement in MEASUREMENTS {
            for day in 0..DAYS {
                let before = cells.clone();
                let text = lines(&mut cells, measurement, day);
                write(&engine, &operator, text).await.expect("stored");
                let new = cells[&(measurement, day)].keys().filter(|key| !before[&(measurement, day)].contains_key(*key));
                logged.extend(new.map(|(host, time)| (measurement, host.clone(), *time)));
            }
        }
    }
    // As a kill would leave it.
    copy(live.path(), folder.path());
    engine.close().await.expect("closed");
    Base { folder, cells, logged }
}

/// All but the lock, and what SQLite keeps of a database that is open (nothing was changed in it since it was closed).
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            copy(&path, &to.join(name));
        } else if name != "lock" && !name.ends_with("-wal") && !name.ends_with("-shm") {
            fs::copy(&path, to.join(name)).expect("copied");
        }
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = vec![];
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() { found.extend(walk(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// What was done: names of hurt files as the server gives them, and the bytes that must not be thrown away.
struct Done {
    named: Vec<String>,
    bytes: Vec<Vec<u8>>,
}

/// `None`: that cannot be done to such a file.
fn apply(folder: &Path, victim: Victim, hurt: Hurt, random: &mut StdRng) -> Option<Done> {
    let manifest = |path: &PathBuf| path.extension().is_some_and(|e| e == "manifest");
    let stored = walk(&folder.join("store/buckets"));
    let manifests: Vec<PathBuf> = stored.iter().filter(|p| manifest(p)).cloned().collect();
    let segments = walk(&folder.join("wal"));
    // Those that are in the state: others may be hurt without anybody being the wiser.
    let files: Vec<PathBuf> = stored.into_iter().filter(|p| !manifest(p) && named_in(&manifests, p)).collect();
    let (older, newest) = (&manifests[..manifests.len() - 1], &manifests[manifests.len() - 1..]);
    let (first, last) = (&segments[..segments.len() - 1], &segments[segments.len() - 1..]);
    let catalog = [folder.join("catalog.sqlite")];
    let copied = [folder.join("catalog.copy.sqlite")];
    let (candidates, others): (&[PathBuf], &[PathBuf]) = match victim {
        Segment => (first, first),
        LastSegment => (last, first),
        NewestManifest => (newest, older),
        OldManifest => (older, older),
        Parquet => (&files, &files),
        Catalog => (&catalog, &[]),
        CatalogCopy => (&copied, &[]),
    };
    let path = candidates.choose(random).expect("there is one").clone();
    let good = fs::read(&path).expect("bytes");
    let name = |path: &Path| match path.strip_prefix(folder.join("store")).or_else(|_| path.strip_prefix(folder.join("wal"))) {
        Ok(inside) => inside.to_string_lossy().into_owned(),
        Err(_) => path.file_name().expect("a name").to_string_lossy().into_owned(),
    };
    let mut bytes = good.clone();
    match hurt {
        Torn => bytes.truncate(random.random_range(1..good.len())),
        Flipped => bytes[random.random_range(0..good.len())] ^= 1 << random.random_range(0..8),
        Zeroed => {
            let from = random.random_range(0..good.len());
            let to = (from + random.random_range(1..4_096)).min(good.len());
            bytes[from..to].fill(0);
        }
        Emptied => bytes.clear(),
        Deleted => {
            fs::remove_file(&path).expect("removed");
            return Some(Done { named: vec![name(&path)], bytes: vec![] });
        }
        Duplicated => {
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let twin = match victim {
                Segment | LastSegment | Parquet => format!("{:016x}", u64::from_str_radix(&stem, 16).expect("hex") + 1),
                NewestManifest | OldManifest => format!("{:020}", stem.parse::<u64>().expect("a number") + 1),
                Catalog | CatalogCopy => return None,
            };
            let twin = path.with_file_name(twin).with_extension(path.extension().expect("an extension"));
            if twin.exists() {
                return None;
            }
            fs::copy(&path, &twin).expect("copied");
            return Some(Done { named: vec![name(&twin)], bytes: vec![good] });
        }
        Swapped => {
            let other = others.iter().filter(|other| **other != path).collect::<Vec<_>>().choose(random).map(|p| (*p).clone())?;
            let theirs = fs::read(&other).expect("bytes");
            fs::write(&path, &theirs).expect("written");
            fs::write(&other, &good).expect("written");
            return Some(Done { named: vec![name(&path), name(&other)], bytes: vec![] });
        }
    }
    if bytes == good {
        return None;
    }
    fs::write(&path, &bytes).expect("written");
    Some(Done { named: vec![name(&path)], bytes: vec![bytes].into_iter().filter(|b| !b.is_empty()).collect() })
}

/// Whether the newest manifest names the file as part of the state.
fn named_in(manifests: &[PathBuf], file: &Path) -> bool {
    let bytes = fs::read(manifests.last().expect("a manifest")).expect("bytes");
    let version = Version::decode(&bytes).expect("a sound version");
    let path = file.to_string_lossy().replace('\\', "/");
    version.files.iter().any(|f| path.ends_with(f.path.as_str()))
}

async fn read(engine: &Engine, operator: &Caller, measurement: &str, day: i64) -> Result<Rows> {
    let (from, to) = (day * DAY, (day + 1) * DAY);
    let text = format!(
        "SELECT host, arrow_cast(time, 'Int64') AS time, v FROM {measurement} \
         WHERE time >= to_timestamp_nanos({from}) AND time < to_timestamp_nanos({to})"
    );
    let batches: Vec<_> = engine.sql(operator, None, text, vec![], "b".into()).await?.try_collect().await?;
    let mut rows = Rows::new();
    for batch in batches {
        let hosts = cast(batch.column(0), &DataType::Utf8).expect("text");
        let (times, values) = (batch.column(1).as_primitive::<Int64Type>(), batch.column(2).as_primitive::<Float64Type>());
        for row in 0..batch.num_rows() {
            assert!(hosts.is_valid(row));
            rows.insert((hosts.as_string::<i32>().value(row).to_string(), times.value(row)), values.value(row));
        }
    }
    Ok(rows)
}

/// Whether anybody can tell that the file was hurt.
fn is_detectable(victim: Victim, hurt: Hurt) -> bool {
    match (victim, hurt) {
        // A torn end is what a kill leaves; and records know their place, whatever file they lie in.
        (LastSegment, _) | (Segment, Duplicated | Swapped) => false,
        // A version that is gone leaves no trace, nor does a copy that an earlier program would not have made.
        (NewestManifest | OldManifest | CatalogCopy, Deleted) => false,
        // Much of a database is unused.
        (Catalog | CatalogCopy, Flipped | Zeroed | Torn) => false,
        _ => true,
    }
}

async fn examine(base: &Base, folder: &Path, victim: Victim, hurt: Hurt, done: &Done, case: &str, tally: &mut Tally) {
    tally.cases += 1;
    *tally.by_victim.entry(format!("{victim:?}")).or_default() += 1;
    let report = Offline::open(settings(folder), false).expect("nobody has it").verify().await.unwrap_or_else(|f| panic!("{case}: {f}"));
    let is_named = |file: &str| done.named.iter().any(|name| name == file);
    // Of a segment that is gone the one before it speaks.
    let log_speaks = |file: &str| victim == Segment && file.ends_with(".wal");
    if is_detectable(victim, hurt) {
        assert!(report.damaged().any(|f| is_named(&f.file) || log_speaks(&f.file)), "{case}: verify names it: {:?}", report.findings);
    }
    let mut written = Rows::new();
    for life in 0..3 {
        let case = format!("{case}, life {life}");
        let engine = Engine::open(settings(folder)).await.unwrap_or_else(|failure| panic!("{case}: it starts: {failure}"));
        let operator = recognise(&engine);
        for ((measurement, day), expected) in &base.cells {
            let rows = match read(&engine, &operator, measurement, *day).await {
                Ok(rows) => rows,
                Err(failure) => {
                    assert!(matches!(victim, Parquet | NewestManifest), "{case}: {failure}");
                    assert!(done.named.iter().any(|name| failure.message.contains(name)), "{case}: {failure} names {:?}", done.named);
                    tally.refused += 1;
                    continue;
                }
            };
            let new = written.clone();
            let known = |key: &(String, i64), value: &f64| expected.get(key).or_else(|| new.get(key)) == Some(value);
            assert!(rows.iter().all(|(key, value)| known(key, value)), "{case}: no row is wrong, none comes back: {rows:?}");
            let lost: Vec<_> = expected.keys().filter(|key| !rows.contains_key(*key)).collect();
            let in_log = |(host, time): &(String, i64)| base.logged.contains(&(*measurement, host.clone(), *time));
            let may_lose = matches!(victim, Segment | LastSegment) && !matches!(hurt, Duplicated | Swapped);
            assert!(lost.iter().all(|key| may_lose && in_log(key)), "{case}: {measurement} of day {day} lacks {lost:?}");
            let written_here = written.keys().filter(|(host, time)| host == *measurement && time / DAY == *day);
            assert!(written_here.into_iter().all(|key| rows.contains_key(key)), "{case}: what was written since is there");
            tally.complete += u64::from(lost.is_empty());
            tally.lost_with_log += if life == 0 { lost.len() } else { 0 };
        }
        if life == 0 && is_detectable(victim, hurt) && victim != OldManifest {
            let checked = engine.verify(&operator).await.expect("checked");
            let told = engine.damage();
            assert!(told.iter().any(|d| is_named(&d.file) || log_speaks(&d.file)), "{case}: it is told: {told:?}; {:?}", checked.findings);
        }
        // A row for each day and measurement, with the measurement as host.
        let mut text = String::new();
        for measurement in MEASUREMENTS {
            for day in 0..DAYS {
                let time = (day + 1) * DAY - 1 - life;
                text += &format!("{measurement},host={measurement} v={life} {time}\n");
                written.insert((measurement.to_string(), time), life as f64);
            }
        }
        write(&engine, &operator, text).await.unwrap_or_else(|failure| panic!("{case}: it takes writes: {failure}"));
        // In the first life the new rows stay in the log, behind whatever was hurt there.
        if life > 0 {
            engine.storage().flush().await.unwrap_or_else(|failure| panic!("{case}: it flushes: {failure}"));
            engine.maintain().await.unwrap_or_else(|failure| panic!("{case}: it maintains: {failure}"));
            engine.close().await.expect("closed");
        } else {
            abandon(engine, folder).await;
        }
    }
    if is_detectable(victim, hurt) && victim != OldManifest {
        let all = walk(folder);
        let kept = |bytes: &Vec<u8>| all.iter().any(|path| fs::read(path).is_ok_and(|found| found == *bytes));
        assert!(done.bytes.iter().all(kept), "{case}: its bytes are kept");
    }
}

/// Ends an engine without a flush, as a kill would: what it writes from now on is undone.
async fn abandon(engine: Engine, folder: &Path) {
    let aside = tempfile::tempdir().expect("a folder");
    copy(folder, aside.path());
    engine.close().await.expect("closed");
    drop(engine);
    for path in walk(folder) {
        fs::remove_file(path).expect("removed");
    }
    copy(aside.path(), folder);
}
