//! Kills at every failpoint: what was acknowledged is there after the restart, what was under way is there whole or not at
//! all, and nothing else is.

use super::{
    Storage,
    block::RowFilter,
    failpoint::{Failpoint, Failpoints},
    fs::faulty::FaultyDisk,
    object::Store,
    testing::*,
};
use crate::{clock::ManualClock, model::Result};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{collections::BTreeMap, sync::Arc};
use tokio_util::sync::CancellationToken;

struct World {
    store: Store,
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
    storage: Storage,
    failpoints: Failpoints,
    /// What must be there.
    model: Rows,
    /// Rows before it may be erased and are not looked at.
    floor: i64,
    random: StdRng,
}

impl World {
    async fn new(seed: u64) -> World {
        let (store, disk, clock, failpoints) = (Store::memory(), FaultyDisk::default(), ManualClock::at(0), Failpoints::default());
        let storage = open_with(&store, &disk, clock.clone(), failpoints.clone()).await;
        World { store, disk, clock, storage, failpoints, model: Rows::new(), floor: i64::MIN, random: StdRng::seed_from_u64(seed) }
    }

    async fn restart(&mut self, power_loss: Option<u64>) {
        if let Some(seed) = power_loss {
            self.disk = self.disk.crash(seed);
        }
        self.failpoints = Failpoints::default();
        self.storage = open_with(&self.store, &self.disk, self.clock.clone(), self.failpoints.clone()).await;
    }

    async fn found(&self) -> Rows {
        let filter = RowFilter { time_min: self.floor, ..RowFilter::all() };
        let rows = try_read(&self.storage, filter.clone(), 50).await.expect("the rows can be read");
        for count in [1, 3] {
            let newest = RowFilter { newest: Some(count), ..filter.clone() };
            let newest = try_read(&self.storage, newest, 5).await.expect("the rows can be read");
            let later = |host: &str, time: i64| rows.keys().filter(|(h, t)| h == host && *t > time).count();
            let mut expected = rows.clone();
            expected.retain(|(host, time), _| later(host, *time) < count);
            assert_eq!(newest, expected, "the newest {count} of each series");
        }
        rows
    }

    fn kept(&self, rows: &Rows) -> Rows {
        rows.iter().filter(|((_, time), _)| *time >= self.floor).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// One thing that a database does; the model has it done.
    async fn step(&mut self) -> Result<()> {
        self.clock.advance(MINUTE);
        match self.random.random_range(0..16) {
            0..5 => {
                let text = random_lines(&mut self.random, &mut self.model);
                try_write(&self.storage, text).await.map(drop)
            }
            5..8 => self.storage.flush().await,
            8 => {
                let spec = random_delete(&mut self.random, &mut self.model);
                self.storage.delete(bucket(), vec![spec], None).await.map(drop)
            }
            9..11 => {
                let Some(spec) = random_spec(&mut self.random, &self.storage) else { return Ok(()) };
                self.storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.map(drop)
            }
            11 => {
                self.floor = self.floor.max(self.random.random_range(-1..2) * PARTITION);
                let retention = self.storage.files().safe_now() - self.floor.max(-1_000);
                self.storage.files().expire(bucket(), retention).await.map(drop)
            }
            12 => {
                self.clock.advance(11 * MINUTE);
                self.storage.files().collect(bucket()).await.map(drop)
            }
            13 => {
                self.model.clear();
                self.storage.drop_measurement(bucket(), "m", None).await.map(drop)
            }
            14 => {
                let cuts = random_cuts(&mut self.random, &mut self.model);
                self.storage.cut(bucket(), cuts, None).await.map(drop)
            }
            _ => {
                self.storage.close().await?;
                self.restart_alive().await;
                Ok(())
            }
        }
    }

    /// The log ends with `close`; the failpoints stay armed.
    async fn restart_alive(&mut self) {
        self.storage = open_with(&self.store, &self.disk, self.clock.clone(), self.failpoints.clone()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_failpoint_loses_nothing_acknowledged_and_brings_nothing_back() {
    // More of them by night.
    let seeds: u64 = std::env::var("TIDEGAUGE_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let mut reached: BTreeMap<Failpoint, u32> = BTreeMap::new();
    for point in Failpoint::ALL {
        for seed in 0..seeds {
            let name = format!("{point:?}, seed {seed}");
            let mut world = World::new(seed * 100 + point as u64).await;
            for life in 0..2 {
                let nth = world.random.random_range(1..4);
                world.failpoints.kill_at(point, nth);
                for step in 0..40 {
                    let (before, failpoints) = (world.model.clone(), world.failpoints.clone());
                    let outcome = world.step().await;
                    if failpoints.is_dead() {
                        *reached.entry(point).or_default() += 1;
                        world.restart(Some(seed)).await;
                        assert_eq!(world.storage.damage(), [], "{name}, life {life}, step {step}");
                        let (found, done, undone) = (world.found().await, world.kept(&world.model), world.kept(&before));
                        let whole = found == done || (outcome.is_err() && found == undone);
                        assert!(whole, "{name}, life {life}, step {step}, {outcome:?}:\n{found:?}\nis neither\n{done:?}\nnor\n{undone:?}");
                        if found != done {
                            world.model = before;
                        }
                    } else {
                        outcome.unwrap_or_else(|failure| panic!("{name}, life {life}, step {step}: {failure}"));
                    }
                    assert_eq!(world.found().await, world.kept(&world.model), "{name}, life {life}, step {step}");
                }
            }
            // Everything can still be tidied up, and reads the same.
            world.restart(None).await;
            world.storage.flush().await.expect("flushed");
            for spec in whole_partitions(&world.storage) {
                world.storage.files().compact(spec, i64::MIN, CancellationToken::new()).await.expect("compacted");
            }
            world.clock.advance(11 * MINUTE);
            world.storage.files().collect(bucket()).await.expect("collected");
            assert_eq!(world.found().await, world.kept(&world.model), "{name}: tidied up");
            let version = world.storage.files().version(bucket());
            assert!(version.is_none_or(|v| v.files.len() <= 3 && v.tombstones.is_empty() && v.removed.is_empty()), "{name}");
            world.restart(None).await;
            assert_eq!(world.found().await, world.kept(&world.model), "{name}: at the end");
        }
    }
    let missed: Vec<_> = Failpoint::ALL.iter().filter(|p| !reached.contains_key(p)).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}; {reached:?}");
}
