//! A small database against an ordered map: through any number of operations, and through kills at every failpoint. What was
//! acknowledged is there after the restart, what was under way is there whole or not at all, and nothing else is.

use super::{
    block::RowFilter,
    disk::simulated::Loss,
    failpoint::{Failpoint, Failpoints},
    fs::faulty::FaultyDisk,
    testing::*,
};
use crate::model::Duplicates;
use rand::Rng;
use std::{collections::BTreeMap, time::Instant};

impl World {
    async fn restart(&mut self, power_loss: Option<u64>) {
        if let Some(seed) = power_loss {
            self.disk = self.disk.crash(seed);
        }
        self.failpoints = Failpoints::default();
        self.reopen().await.expect("the store opens");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_failpoint_loses_nothing_acknowledged_and_brings_nothing_back() {
    // More of them by night.
    let seeds = number("TIDEGAUGE_SEEDS", 4);
    let mut reached: BTreeMap<Failpoint, u32> = BTreeMap::new();
    for point in Failpoint::ALL {
        for seed in 0..seeds {
            // Sums notice what the others forgive: a write that is merged twice.
            let others = [Duplicates::Last, Duplicates::First, Duplicates::Max, Duplicates::Min];
            let duplicates = if seed % 2 == 0 { Duplicates::Sum } else { others[(seed as usize / 2 + point as usize) % 4] };
            let name = format!("{point:?}, seed {seed}, {duplicates}");
            let mut world = World::new(seed * 100 + point as u64, duplicates, Failpoints::default()).await;
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
            world.tidy_up().await;
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

/// In short.
pub const OPERATIONS: u64 = 400;

/// After every operation the rows are those of the map: all of them, the newest of each series, and those of a random stretch of time.
/// Everything is tidied up and started again now and then, which changes nothing. How many rows were compared.
pub async fn reads_like_an_ordered_map(seed: u64, operations: u64, duplicates: Duplicates, failpoints: Failpoints) -> u64 {
    let mut world = World::new(seed, duplicates, failpoints).await;
    let mut compared = 0;
    for operation in 0..operations {
        let name = format!("TIDEGAUGE_TEST_SEED={seed}, {duplicates}, operation {operation}");
        let step = world.choose();
        step.apply(&mut world.model);
        world.perform(&step).await.unwrap_or_else(|failure| panic!("{name}: {step:?}: {failure}"));
        if operation % 50 == 49 {
            world.tidy_up().await;
            // The journal of the disk begins anew.
            world.disk = FaultyDisk::on(world.disk.disk.crash(usize::MAX, Loss::Everything)).expect("a sound disk");
            world.reopen().await.expect("it starts");
        }
        let expected = world.kept(&world.model);
        assert_eq!(world.found().await, expected, "{name}: {step:?}");
        let from = world.random.random_range(-10..250).max(world.floor);
        let to = from + world.random.random_range(0..100);
        let stretch = RowFilter { time_min: from, time_max: to, ..RowFilter::all() };
        let mut within = expected.clone();
        within.retain(|(_, time), _| (from..=to).contains(time));
        assert_eq!(try_read(&world.storage, stretch, 7).await.expect("readable"), within, "{name}: {step:?}, {from} to {to}");
        compared += (expected.len() + within.len()) as u64;
    }
    compared
}

/// `TIDEGAUGE_OPERATIONS=100000 cargo test --lib ordered_map -- --nocapture` for the long form; it prints JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_that_of_an_ordered_map() {
    let (seed, operations) = (number("TIDEGAUGE_TEST_SEED", 1), number("TIDEGAUGE_OPERATIONS", OPERATIONS));
    let started = Instant::now();
    let mut rows_compared = 0;
    for duplicates in Duplicates::ALL {
        rows_compared += reads_like_an_ordered_map(seed, operations, duplicates, Failpoints::default()).await;
    }
    let result = serde_json::json!({
        "test": "R9 model",
        "seed": seed,
        "operations_of_each_policy": operations,
        "rows_compared": rows_compared,
        "differences": 0,
        "seconds": started.elapsed().as_secs_f64(),
    });
    println!("{result}");
    assert!(rows_compared > operations, "there was something to compare");
}
