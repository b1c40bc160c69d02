//! R15: clocks jump. A machine boots in 1970 until it has asked for the time, somebody sets the wrong year, summer time comes twice, a leap
//! second is smeared over a day. Whatever the wall clock shows for a while, once it is right again every row is there that the
//! bucket keeps, those that were written meanwhile too, and none that it does not keep.

use crate::corruption::{recognise, set_up, settings, write};
use datafusion::arrow::{array::AsArray, datatypes::Int64Type};
use futures::{StreamExt, TryStreamExt};
use std::{collections::BTreeSet, sync::Arc};
use tidegauge::{
    catalog::{Caller, buckets::BucketChanges},
    clock::{Clock, ManualClock},
    engine::{Engine, EngineSettings, FluxRequest},
    format::annotated_csv,
    influxql::Defaults,
};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const RETENTION: i64 = 7 * DAY;
/// A true time: in the autumn of 2026.
const START: i64 = 20_740 * DAY;

/// What the wall clock shows when it is wrong, by the true time and the time since it went wrong.
type Wrong = fn(i64, i64) -> i64;

const JUMPS: [(&str, i64, Wrong); 8] = [
    ("ten years ahead, for all but a day", 23, |time, _| time + 3_652 * DAY),
    ("the end of time", 23, |_, _| i64::MAX),
    ("two days ahead, for five hours", 5, |time, _| time + 2 * DAY),
    ("ten years back", 30, |time, _| time - 3_652 * DAY),
    ("1970", 30, |_, since| since),
    ("an hour back, as after a wrong summer time", 30, |time, _| time - HOUR),
    ("a leap second smeared over a day", 24, |time, since| time + since.min(DAY) / 86_400),
    ("a leap second twice", 1, |time, _| time - SECOND),
];

struct World {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    engine: Option<Engine>,
    operator: Caller,
    /// Times of all rows that were written.
    written: BTreeSet<i64>,
}

fn settings_by(folder: &std::path::Path, clock: &Arc<ManualClock>) -> EngineSettings {
    EngineSettings { clock: clock.clone(), ..settings(folder) }
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        set_up(folder.path()).await;
        let clock = ManualClock::at(START);
        let engine = Engine::open(settings_by(folder.path(), &clock)).await.expect("an engine");
        let operator = recognise(&engine);
        let id = engine.catalog().state().buckets.values().find(|b| b.name == "b").expect("set up").id;
        let changes = BucketChanges { retention_ns: Some(Some(RETENTION)), ..BucketChanges::default() };
        engine.catalog().update_bucket(&operator, id, changes).expect("updated");
        World { folder, clock, engine: Some(engine), operator, written: BTreeSet::new() }
    }

    async fn restart(&mut self) {
        let engine = self.engine.take().expect("it runs");
        engine.close().await.expect("closed");
        drop(engine);
        self.engine = Some(Engine::open(settings_by(self.folder.path(), &self.clock)).await.expect("an engine"));
        self.operator = recognise(self.engine());
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it runs")
    }

    async fn write(&mut self, time: i64) {
        write(self.engine(), &self.operator, format!("m v=1i {time}")).await.expect("a row of now is stored, whatever the clock shows");
        self.written.insert(time);
    }

    /// Some hours go by in which all that can be is given up, merged and deleted.
    async fn tidy_up(&self) {
        self.engine().storage().flush().await.expect("flushed");
        let figures = self.engine().maintain().await.expect("maintained");
        assert_eq!(figures.failures, 0, "{figures:?}");
    }

    async fn found(&self) -> BTreeSet<i64> {
        let text = "SELECT arrow_cast(time, 'Int64') AS time FROM m".to_string();
        let rows = self.engine().sql(&self.operator, None, text, vec![], "b".into()).await.expect("SQL");
        let batches: Vec<_> = rows.try_collect().await.expect("rows");
        batches.iter().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
    }

    fn kept(&self, now: i64) -> BTreeSet<i64> {
        self.written.range(now - RETENTION..).copied().collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_jump_of_the_clock_costs_a_row_that_is_kept() {
    for (name, hours, wrong) in JUMPS {
        let mut world = World::new().await;
        let mut time = START;
        for hour in 1..=9 * 24 {
            time += HOUR;
            world.clock.advance(HOUR);
            world.write(time).await;
            if hour % 12 == 0 {
                world.tidy_up().await;
            }
        }
        let before = world.engine().maintenance();
        assert!(before.expired_rows >= 36, "{name}: retention is at work: {before:?}");
        assert_eq!(world.found().await, world.kept(time), "{name}: before");
        // The next hour begins with the jump.
        for hour in 0..hours {
            world.clock.set(wrong(time, hour * HOUR));
            world.tidy_up().await;
            if hour == hours / 2 {
                world.restart().await;
                world.tidy_up().await;
            }
            time += HOUR;
            world.clock.advance(HOUR);
            world.clock.set(wrong(time, (hour + 1) * HOUR));
            world.write(time).await;
            world.tidy_up().await;
        }
        world.clock.set(time);
        assert_eq!(world.found().await, world.kept(time), "{name}: put right");
        for _ in 0..3 {
            time += 12 * HOUR;
            world.clock.advance(12 * HOUR);
            world.tidy_up().await;
            assert_eq!(world.found().await, world.kept(time), "{name}: later");
        }
        // Nothing waits for a time that a wrong clock has taken down.
        let engine = world.engine();
        for version in engine.storage().files().buckets().into_iter().filter_map(|bucket| engine.storage().files().version(bucket)) {
            assert!(version.removed.iter().all(|r| time - DAY < r.at && r.at <= time), "{name}: {:?}", version.removed);
        }
        let files = world.engine().maintenance().files;
        let days = world.kept(time).iter().map(|t| t.div_euclid(DAY)).collect::<BTreeSet<_>>().len();
        // Those of the last day may be several, and one may be of a day that is half expired.
        assert!(files as usize <= days + 16, "{name}: what has expired is given up: {files} files of {days} days");
        world.engine().close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_seen_to_the_last_nanosecond_that_it_is_kept_and_no_longer() {
    let mut world = World::new().await;
    world.write(START).await;
    for (now, expected) in [(START + RETENTION, 1), (START + RETENTION + 1, 0), (START + RETENTION, 1)] {
        for flushed in [false, true] {
            if flushed {
                world.engine().storage().flush().await.expect("flushed");
            }
            world.clock.set(now);
            assert_eq!(world.clock.now(), now);
            assert_eq!(world.found().await.len(), expected, "SQL at {now}");
            let text = r#"from(bucket: "b") |> range(start: 0) |> count() |> keep(columns: ["_value"])"#.to_string();
            let results = world.engine().flux(&world.operator, None, FluxRequest { text, ..FluxRequest::default() }).await.expect("Flux");
            let csv = annotated_csv::encode(results, annotated_csv::Dialect::default());
            let pieces: Vec<bytes::Bytes> = csv.try_collect().await.expect("CSV");
            assert_eq!(String::from_utf8_lossy(&pieces.concat()).contains(",1\r\n"), expected == 1, "Flux at {now}");
            let defaults = Defaults { database: Some("b".into()), ..Defaults::default() };
            let answers = world.engine().influxql(&world.operator, None, "SELECT v FROM m".into(), None, defaults).await.expect("InfluxQL");
            let mut count = 0;
            for answer in answers.collect::<Vec<_>>().await {
                for series in answer.series {
                    let batches: Vec<_> = series.batches.try_collect().await.expect("rows");
                    count += batches.iter().map(|b| b.num_rows()).sum::<usize>();
                }
            }
            assert_eq!(count, expected, "InfluxQL at {now}");
        }
    }
    // The edge of a shorter retention too, at once.
    let id = world.engine().catalog().state().buckets.values().find(|b| b.name == "b").expect("set up").id;
    for (retention_ns, expected) in [(RETENTION - 1, 0), (RETENTION, 1)] {
        let changes = BucketChanges { retention_ns: Some(Some(retention_ns)), ..BucketChanges::default() };
        world.engine().catalog().update_bucket(&world.operator, id, changes).expect("updated");
        assert_eq!(world.found().await.len(), expected, "kept for {retention_ns}");
    }
    world.engine().close().await.expect("closed");
}
