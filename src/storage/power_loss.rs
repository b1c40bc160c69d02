//! Power losses: log and store are on a disk that keeps what was synced and of the rest what it likes: bytes torn at sectors, in any
//! order, names without files, files without names. What was answered is there after the restart, what was under way is there whole
//! or not at all, nothing else is, and no damage is seen where there is none.
//!
//! `TIDEGAUGE_SEEDS=10000 TIDEGAUGE_WORKLOADS=20 cargo test --lib power_loss -- --nocapture` is the long form; it prints JSON.

use super::{
    disk::simulated::{Lie, Loss, SimulatedDisk, Trouble},
    failpoint::Failpoints,
    testing::*,
};
use crate::model::Duplicates;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::time::Instant;

/// A step of a workload: between which calls of the disk it was under way, and the rows after it.
struct Done {
    begun: usize,
    answered: usize,
    after: Rows,
    floor: i64,
}

/// What a test plants.
#[derive(Debug, Clone, Default)]
pub struct Planted {
    pub failpoints: Failpoints,
    pub lie: Option<Lie>,
    pub duplicates: Duplicates,
}

impl Planted {
    fn in_disk(&self, disk: SimulatedDisk) -> SimulatedDisk {
        self.lie.iter().for_each(|lie| disk.plant(*lie));
        disk
    }

    pub async fn world(&self, disk: SimulatedDisk, now: i64, seed: u64) -> World {
        World::on(self.in_disk(disk), now, seed, self.duplicates, self.failpoints.clone()).await
    }
}

/// Steps until one fails, which only a death may cause.
async fn live(world: &mut World, steps: u64, name: &str) -> Vec<Done> {
    let mut done = vec![];
    for number in 0..steps {
        let (step, begun) = (world.choose(), world.disk.disk.journal_length());
        step.apply(&mut world.model);
        let outcome = world.perform(&step).await;
        let answered = if outcome.is_ok() { world.disk.disk.journal_length() } else { usize::MAX };
        done.push(Done { begun, answered, after: world.model.clone(), floor: world.floor });
        if let Err(failure) = outcome {
            assert!(world.disk.disk.is_dead(), "{name}, step {number}, {step:?}: {failure}");
            break;
        }
    }
    done
}

/// What may be found after a power loss before the `at`th call: the rows with and without what was under way, and from which time on.
fn allowed(done: &[Done], start: &Rows, at: usize) -> ([Rows; 2], i64) {
    let answered = done.iter().rfind(|step| step.answered <= at);
    let stands = answered.map_or(start, |step| &step.after);
    let under_way = done.iter().find(|step| step.begun < at && at < step.answered);
    let floor = under_way.or(answered).map_or(i64::MIN, |step| step.floor);
    ([stands.clone(), under_way.map_or(stands, |step| &step.after).clone()], floor)
}

/// Opens the disk and compares; the world goes on with what was found.
async fn check(mut world: World, (allowed, floor): ([Rows; 2], i64), name: &str) -> World {
    assert_eq!(world.storage.damage(), [], "{name}");
    world.floor = world.floor.max(floor);
    let found = world.found().await;
    let Some(rows) = allowed.iter().find(|rows| world.kept(rows) == found) else {
        panic!("{name}:\n{found:?}\nis neither\n{:?}\nnor\n{:?}", world.kept(&allowed[0]), world.kept(&allowed[1]));
    };
    world.model = rows.clone();
    world
}

/// Runs a workload once and has the power go at each of its calls, with everything that was not synced and with a random part of it.
/// What is written after that survives the next one. How many crashes there were.
pub async fn crash_at_every_call(seed: u64, steps: u64, planted: &Planted) -> u64 {
    let mut world = planted.world(SimulatedDisk::default(), 0, seed).await;
    let done = live(&mut world, steps, &format!("seed {seed}")).await;
    let (disk, now) = (world.disk.disk.clone(), world.now());
    drop(world);
    let mut crashes = 0;
    for at in 0..=disk.journal_length() {
        for loss in [Loss::Everything, Loss::Random(seed * 100_000 + at as u64)] {
            let name = format!("TIDEGAUGE_TEST_SEED={seed}, call {at}, {loss:?}");
            let world = planted.world(disk.crash(at, loss), now, seed).await;
            let mut world = check(world, allowed(&done, &Rows::new(), at), &name).await;
            write(&world.storage, format!("m,h=later f={at} {}", world.floor.max(at as i64))).await;
            if at % 3 == 0 {
                world.storage.flush().await.expect("flushed");
            }
            let (expected, floor) = (world.found().await, world.floor);
            world = planted.world(world.disk.disk.crash(usize::MAX, Loss::Everything), now, seed).await;
            let world = check(world, ([expected.clone(), expected], floor), &format!("{name}, after a second one")).await;
            drop(world);
            crashes += 2;
        }
    }
    crashes
}

/// A few lives, each of which ends by a kill or a power loss at any call, also while it begins.
pub async fn lives(seed: u64, planted: &Planted) -> u64 {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut disk, mut now, mut start) = (SimulatedDisk::default(), 0, Rows::new());
    let mut floor = i64::MIN;
    let lives = random.random_range(2..5);
    for life in 0..lives {
        let name = format!("TIDEGAUGE_TEST_SEED={seed}, life {life}");
        // A disk that outlived a kill remembers the lives before.
        let born = disk.journal_length();
        let mut world = planted.world(disk, now, random.random()).await;
        (world.model, world.floor) = (start.clone(), floor);
        let expected = [start.clone(), start.clone()];
        world = check(world, (expected, floor), &name).await;
        let kill = random.random_bool(0.3);
        if kill {
            let next = world.disk.disk.calls() + random.random_range(0..120);
            world.disk.disk.trouble(next..u64::MAX, Trouble::Dead);
        }
        let steps = random.random_range(2..16);
        let done = live(&mut world, steps, &name).await;
        (disk, now) = (world.disk.disk.clone(), world.now());
        drop(world);
        disk.heal();
        let end = disk.journal_length();
        let (next, at) = match kill {
            // The page cache outlives the process.
            true => (disk.clone(), end),
            false => {
                let at = if random.random_bool(0.2) { end } else { random.random_range(born..=end) };
                let loss = if random.random_bool(0.3) { Loss::Everything } else { Loss::Random(random.random()) };
                (disk.crash(at, loss), at)
            }
        };
        let world = planted.world(next, now, seed).await;
        let (rows, from) = allowed(&done, &start, at);
        let world = check(world, (rows, from.max(floor)), &format!("{name}, kill: {kill}, call {at}")).await;
        (start, floor, disk) = (world.model.clone(), world.floor, world.disk.disk.clone());
    }
    lives
}

/// A process dies while it drops a measurement. What the next one finds, and has seen by whoever asks, stays: rows that are gone do not come
/// back by a power loss after it has answered writes. How often they were gone.
pub async fn found_drops(failpoints: Failpoints) -> u64 {
    let mut gone = 0;
    for call in 0.. {
        let mut world = World::on(SimulatedDisk::default(), 0, 1, Duplicates::Last, failpoints.clone()).await;
        write(&world.storage, "m,h=a f=1 1").await;
        world.storage.flush().await.expect("a sound disk");
        let disk = world.disk.disk.clone();
        disk.trouble(disk.calls() + call..u64::MAX, Trouble::Dead);
        if world.storage.drop_measurement(bucket(), "m", None).await.is_ok() {
            break;
        }
        disk.heal();
        world.reopen().await.expect("it starts");
        gone += u64::from(world.found().await.is_empty());
        write(&world.storage, "m,h=a f=2 2").await;
        let expected = world.found().await;
        for loss in [Loss::Everything].into_iter().chain((0..4).map(Loss::Random)) {
            let world = World::on(disk.crash(usize::MAX, loss), 0, 1, Duplicates::Last, failpoints.clone()).await;
            assert_eq!((world.found().await, world.storage.damage()), (expected.clone(), &[][..]), "call {call} of a drop, {loss:?}");
        }
    }
    gone
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_found_to_be_gone_does_not_come_back() {
    let gone = found_drops(Failpoints::default()).await;
    assert!(gone >= 3, "some drops are found: {gone}");
}

/// A process dies while it flushes, the next one deletes by value what of it came to files. No file has the first one's records then, and
/// nobody misses them, or brings them back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_to_files_without_a_commit_and_was_deleted_is_not_missed() {
    let mut ahead = 0;
    for call in 0.. {
        let mut world = World::on(SimulatedDisk::default(), 0, 1, Duplicates::Last, Failpoints::default()).await;
        write(&world.storage, "m,h=a f=1 1").await;
        let disk = world.disk.disk.clone();
        disk.trouble(disk.calls() + call..u64::MAX, Trouble::Dead);
        if world.storage.flush().await.is_ok() {
            break;
        }
        disk.heal();
        world.reopen().await.expect("it starts");
        ahead += u64::from(world.storage.files().version(bucket()).is_some_and(|v| v.sequence_max() > v.flushed_through));
        world.perform(&Step::Cut(RandomCut::all())).await.expect("a sound disk");
        write(&world.storage, "m,h=b f=2 2").await;
        let expected = world.found().await;
        assert_eq!(expected.len(), 1, "call {call} of a flush: {expected:?}");
        for loss in [Loss::Everything].into_iter().chain((0..4).map(Loss::Random)) {
            let world = World::on(disk.crash(usize::MAX, loss), 0, 1, Duplicates::Last, Failpoints::default()).await;
            assert_eq!((world.found().await, world.storage.damage()), (expected.clone(), &[][..]), "call {call} of a flush, {loss:?}");
        }
    }
    assert!(ahead > 0, "some flushes come to files only");
}

/// One workload with a crash at every call, and some seeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_power_loss_takes_what_was_acknowledged() {
    let (first, seeds) = (number("TIDEGAUGE_TEST_SEED", 0), number("TIDEGAUGE_SEEDS", 100));
    let (workloads, started) = (number("TIDEGAUGE_WORKLOADS", 1), Instant::now());
    let (mut crashes, mut ended) = (0, 0);
    let by = |duplicates| Planted { duplicates, ..Planted::default() };
    for seed in first..first + workloads {
        for duplicates in [Duplicates::Last, Duplicates::Sum] {
            crashes += crash_at_every_call(seed, 25, &by(duplicates)).await;
        }
    }
    for seed in first..first + seeds {
        ended += lives(seed, &by(duplicates_of(seed))).await;
    }
    let result = serde_json::json!({
        "test": "R2 power loss",
        "seed": first,
        "workloads_with_a_crash_at_every_call": workloads,
        "crashes_at_calls": crashes,
        "seeds": seeds,
        "lives_ended": ended,
        "acknowledged_rows_lost": 0,
        "seconds": started.elapsed().as_secs_f64(),
    });
    println!("{result}");
    assert!(crashes >= 100 * workloads, "a workload makes many calls");
}
