//! A disk that fails: each call in turn gives an input/output error or finds no room, once or for a while. What is refused is refused with
//! its cause, the database goes on without a restart when the disk is well again, and nothing acknowledged is lost: not by the
//! failure, nor by a power loss that takes what a failed sync did not keep.
//!
//! `TIDEGAUGE_WORKLOADS=20 cargo test --lib failing_disk -- --nocapture` is the long form; it prints JSON.

use super::{
    disk::simulated::{Loss, SimulatedDisk, Trouble},
    failpoint::Failpoints,
    power_loss::Planted,
    testing::*,
};
use crate::model::{Duplicates, ErrorKind};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::Instant;

/// Length of a workload.
const STEPS: u64 = 15;

/// What may have happened doubles with each step that is refused. When it is so many things, the disk is well again.
const POSSIBLE_MAX: usize = 256;

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct Failing {
    trouble: Trouble,
    /// So many calls in a row.
    length: u64,
    /// A process that was refused something dies of it, and another one goes on, which has none of its doubts.
    dies: bool,
}

const FAILING: [Failing; 4] = [
    Failing { trouble: Trouble::Eio, length: 1, dies: false },
    Failing { trouble: Trouble::Eio, length: 11, dies: true },
    Failing { trouble: Trouble::NoChanges, length: 30, dies: true },
    Failing { trouble: Trouble::Full, length: 15, dies: false },
];

/// A workload of any length, with any kind of failure at any call.
pub async fn any(seed: u64, planted: &Planted) {
    let mut random = StdRng::seed_from_u64(seed);
    let (steps, first) = (random.random_range(1..=STEPS), random.random_range(0..100));
    workload(seed, steps, first, FAILING[(seed % 3) as usize], planted).await;
}

/// Runs a workload in which calls from the `first`th on fail. How many steps were refused; `None`: it does not make so many calls.
async fn workload(seed: u64, steps: u64, first: u64, failing: Failing, planted: &Planted) -> Option<u64> {
    let Failing { trouble, length, dies } = failing;
    let name = format!("TIDEGAUGE_TEST_SEED={seed}, {failing:?} at call {first}");
    let mut world = planted.world(SimulatedDisk::default(), 0, seed).await;
    let disk = world.disk.disk.clone();
    let (from, mut to) = (disk.calls() + first, disk.calls() + first + length);
    disk.trouble(from..to, trouble);
    let mut possible = Possible(vec![Rows::new()]);
    let mut refused = 0;
    'steps: for number in 0..steps {
        let step = world.choose();
        let mut outcome = world.perform(&step).await;
        let mut patience = 3;
        loop {
            possible.apply(&step, outcome.is_ok());
            if possible.0.len() > POSSIBLE_MAX && disk.calls() < to {
                disk.heal();
                to = disk.calls();
            }
            let Err(failure) = outcome else { break };
            refused += 1;
            let name = format!("{name}, step {number}, {step:?}: {failure}");
            assert!(disk.calls() > from, "{name}: without a cause");
            let cause = ["nput/output error", "disk is full", "No space left"].iter().any(|text| failure.message.contains(text));
            assert!(cause || failure.message.contains("an earlier commit had arrived"), "{name}: says why");
            let is_well = disk.calls() >= to;
            // The call that failed was the last one; then it is told once what had arrived all the same.
            patience -= u32::from(is_well);
            assert!(patience > 0, "{name}: it does not go on although the disk is well");
            if dies && !matches!(step, Step::Restart) {
                while let Err(failure) = world.reopen().await {
                    assert!(disk.calls() <= to + 50, "{name}: it does not start although the disk is well: {failure}");
                }
                if disk.calls() >= to {
                    // The next one does something or nothing by what it found, and then the power goes.
                    if first.is_multiple_of(2) {
                        world.storage.flush().await.expect("the disk is well");
                    }
                    possible.check(&world, &world.found().await, &name);
                    break 'steps;
                }
            }
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
    assert_eq!(world.storage.damage_now(), [], "{name}");
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

/// A disk that can be read and takes no change: what it has is served, with a warning; what is refused is refused with the cause.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_takes_no_change_is_read_and_goes_on_when_it_is_well() {
    let mut world = World::on(SimulatedDisk::default(), 0, 1, Duplicates::Last, Failpoints::default()).await;
    write(&world.storage, "m,h=a f=1 1").await;
    world.storage.flush().await.expect("a sound disk");
    write(&world.storage, "m,h=a f=2 2").await;
    let expected = world.found().await;
    let disk = world.disk.disk.clone();
    disk.trouble(disk.calls()..u64::MAX, Trouble::NoChanges);
    for _ in 0..2 {
        world.reopen().await.expect("it starts all the same");
        assert_eq!(world.found().await, expected);
        let told: Vec<_> = world.storage.damage_now().into_iter().map(|damage| damage.what).collect();
        assert!(told.iter().any(|what| what.contains("writes are refused")), "{told:?}");
        let refused = try_write(&world.storage, "m f=3 3".into()).await.expect_err("it cannot be kept");
        assert!(refused.kind == ErrorKind::Unavailable && refused.message.contains("nput/output error"), "{refused}");
        assert_eq!(world.storage.flush().await.expect_err("nor can this").kind, ErrorKind::Unavailable);
    }
    disk.heal();
    write(&world.storage, "m,h=a f=4 4").await;
    world.storage.flush().await.expect("the disk is well");
    assert_eq!((world.storage.damage(), world.storage.damage_now()), (&[][..], vec![]));
    let world = World::on(disk.crash(usize::MAX, Loss::Everything), 0, 1, Duplicates::Last, Failpoints::default()).await;
    assert_eq!((world.found().await.len(), world.storage.damage()), (3, &[][..]));
}

/// A process dies during a flush, and the next one finds the file and cannot have a manifest name it. Until one does, the rows stay in the
/// log: the file's name may not last. How often there was such a file.
pub async fn found_files(failpoints: Failpoints) -> u64 {
    let mut found = 0;
    for (duplicates, earlier) in [(Duplicates::Last, false), (Duplicates::Sum, false), (Duplicates::Sum, true)] {
        for call in 0.. {
            let name = format!("{duplicates}, with rows from earlier: {earlier}, call {call} of a flush");
            let mut world = World::on(SimulatedDisk::default(), 0, 1, duplicates, failpoints.clone()).await;
            if earlier {
                write(&world.storage, "m,h=a f=1 1").await;
                world.storage.flush().await.expect("a sound disk");
            }
            write(&world.storage, "m,h=a f=2 1").await;
            let (expected, disk) = (world.found().await, world.disk.disk.clone());
            disk.trouble(disk.calls() + call..u64::MAX, Trouble::Dead);
            if world.storage.flush().await.is_ok() {
                break;
            }
            disk.heal();
            disk.trouble(disk.calls()..u64::MAX, Trouble::NoChanges);
            world.reopen().await.expect("it starts all the same");
            let version = world.storage.files().version(bucket());
            found += u64::from(version.is_some_and(|version| version.sequence_max() > version.flushed_through));
            disk.heal();
            world.storage.flush().await.expect("the disk is well");
            assert_eq!(world.found().await, expected, "{name}");
            // Some of these lose the file's name and not that the log was trimmed.
            for loss in (0..12).map(Loss::Random) {
                let world = World::on(disk.crash(usize::MAX, loss), 0, 1, duplicates, failpoints.clone()).await;
                assert_eq!((world.found().await, world.storage.damage()), (expected.clone(), &[][..]), "{name}, {loss:?}");
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_the_rows_of_a_file_that_was_found_until_a_manifest_names_it() {
    let found = found_files(Failpoints::default()).await;
    assert!(found >= 3, "some files are found: {found}");
}

/// Every call of one workload fails once with EIO, with those after it, also in processes that die of it, and for want of room.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_at_any_call_loses_nothing() {
    let (first_seed, workloads) = (number("TIDEGAUGE_TEST_SEED", 0), number("TIDEGAUGE_WORKLOADS", 1));
    let started = Instant::now();
    let (mut runs, mut refused) = (0, 0);
    for seed in first_seed..first_seed + workloads {
        // Sums notice what was done twice, the others what was done to no avail: one more attempt makes up for it.
        let sums = FAILING.iter().filter(|failing| failing.length < 15).map(|failing| (*failing, Duplicates::Sum));
        for (failing, duplicates) in FAILING.into_iter().map(|failing| (failing, Duplicates::Last)).chain(sums) {
            let planted = Planted { duplicates, ..Planted::default() };
            for first in 0.. {
                let Some(steps) = workload(seed, STEPS, first, failing, &planted).await else { break };
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
