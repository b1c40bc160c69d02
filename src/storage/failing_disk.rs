//! A disk that fails: each call in turn gives an input/output error or finds no room, once or for a while. What is refused is refused with
//! its cause, the database goes on without a restart when the disk is well again, and nothing acknowledged is lost: not by the
//! failure, nor by a power loss that takes what a failed sync did not keep.
//!
//! `TIDEGAUGE_WORKLOADS=20 cargo test --lib failing_disk -- --nocapture` is the long form; it prints JSON.

use super::{
    disk::simulated::{Loss, SimulatedDisk, Trouble},
    power_loss::Planted,
    testing::*,
};
use crate::model::{Duplicates, ErrorKind};
use std::time::Instant;

/// What was refused may have happened, or not: every combination of these. Only what was written counts, since `floor` says what may
/// be gone.
struct Possible(Vec<Rows>);

impl Possible {
    fn apply(&mut self, step: &Step, certain: bool) {
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

    fn check(&self, world: &World, found: &Rows, name: &str) {
        let kept: Vec<Rows> = self.0.iter().map(|rows| world.kept(rows)).collect();
        assert!(kept.contains(found), "{name}:\n{found:?}\nis none of {}, the last of which is\n{:?}", kept.len(), kept.last());
    }
}

/// Length of a workload.
pub const STEPS: u64 = 15;

/// Runs a workload in which calls from the `first`th on fail, so many of them. How many steps were refused; `None`: it does not make so
/// many calls.
pub async fn workload(seed: u64, steps: u64, first: u64, length: u64, trouble: Trouble, planted: &Planted) -> Option<u64> {
    let name = format!("TIDEGAUGE_TEST_SEED={seed}, {trouble:?} at call {first}, {length} times");
    let mut world = planted.world(SimulatedDisk::default(), 0, seed).await;
    let disk = world.disk.disk.clone();
    let (from, to) = (disk.calls() + first, disk.calls() + first + length);
    disk.trouble(from..to, trouble);
    let mut possible = Possible(vec![Rows::new()]);
    let mut refused = 0;
    for number in 0..steps {
        let step = world.choose();
        let mut outcome = world.perform(&step).await;
        let mut patience = 3;
        loop {
            possible.apply(&step, outcome.is_ok());
            let Err(failure) = outcome else { break };
            refused += 1;
            let name = format!("{name}, step {number}, {step:?}: {failure}");
            assert!(disk.calls() > from, "{name}: without a cause");
            let cause = ["nput/output error", "disk is full", "No space left"].iter().any(|text| failure.message.contains(text));
            assert!(cause || failure.message.contains("an earlier flush had arrived"), "{name}: says why");
            let is_well = disk.calls() >= to;
            // The call that failed was the last one; then it is told once what had arrived all the same.
            patience -= u32::from(is_well);
            assert!(patience > 0, "{name}: it does not go on although the disk is well");
            outcome = match step {
                // Whoever stops the server starts it again, until it starts.
                Step::Restart => world.reopen().await,
                _ => {
                    assert_eq!(failure.kind, ErrorKind::Unavailable, "{name}");
                    if !is_well {
                        break;
                    }
                    world.perform(&step).await
                }
            };
        }
        possible.check(&world, &world.found().await, &format!("{name}, step {number}, {step:?}"));
    }
    if disk.calls() < from {
        return None;
    }
    disk.heal();
    assert_eq!(world.storage.damage(), [], "{name}");
    write(&world.storage, format!("m,h=later f=1 {}", world.floor.max(0))).await;
    let written = Step::Write { points: vec![("later", world.floor.max(0), "f", 1.0)], duplicates: world.duplicates };
    possible.apply(&written, true);
    for loss in [Loss::Everything, Loss::Random(first)] {
        let mut after = planted.world(disk.crash(usize::MAX, loss), world.now(), seed).await;
        after.floor = world.floor;
        let name = format!("{name}, {loss:?}");
        assert_eq!(after.storage.damage(), [], "{name}");
        possible.check(&after, &after.found().await, &name);
        after.storage.flush().await.expect("a sound disk");
        possible.check(&after, &after.found().await, &format!("{name}, flushed"));
    }
    Some(refused)
}

/// Every call of one workload fails once with EIO, and with those after it for want of room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_at_any_call_loses_nothing() {
    let (first_seed, workloads) = (number("TIDEGAUGE_TEST_SEED", 0), number("TIDEGAUGE_WORKLOADS", 1));
    let started = Instant::now();
    let (mut runs, mut refused) = (0, 0);
    for seed in first_seed..first_seed + workloads {
        for (length, trouble, duplicates) in
            [(1, Trouble::Eio, Duplicates::Last), (1, Trouble::Eio, Duplicates::Sum), (15, Trouble::Full, Duplicates::Sum)]
        {
            let planted = Planted { duplicates, ..Planted::default() };
            for first in 0.. {
                let Some(steps) = workload(seed, STEPS, first, length, trouble, &planted).await else { break };
                (runs, refused) = (runs + 1, refused + steps);
            }
        }
    }
    let result = serde_json::json!({
        "test": "R5 failing disk",
        "seed": first_seed,
        "workloads": workloads,
        "runs": runs,
        "steps_refused": refused,
        "acknowledged_rows_lost": 0,
        "seconds": started.elapsed().as_secs_f64(),
    });
    println!("{result}");
    assert!(refused > runs / 4, "failures are met");
}
