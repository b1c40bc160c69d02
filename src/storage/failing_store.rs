//! A store elsewhere that is busy, slow or silent, tears its replies, resets connections, and does what it then says it has not done.
//! Answers are right or refused with their cause, also a refused step is done whole or not at all, no commit is lost or done twice, no object
//! is given other bytes, and none is left behind when all is tidied up.
//!
//! `TIDEGAUGE_SEEDS=1000 TIDEGAUGE_WORKLOADS=5 cargo test --lib failing_store -- --nocapture` is the long form; it prints JSON.

use super::{
    failpoint::Failpoints,
    manifest::ManifestStore,
    object::{
        Retry, StoreError,
        s3_server::{Fault, Server},
    },
    testing::*,
};
use crate::model::{Duplicates, ErrorKind, Failure};
use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Quick, but not so quick that a busy machine looks like a silent store.
const RETRY: Retry = Retry {
    attempts: 4,
    first_pause: Duration::from_millis(1),
    patience: Duration::from_secs(20),
    reply_within: Duration::from_millis(500),
};
/// So many requests in a row outlast every patience.
const STORM: u64 = 25;
/// Later than the server's objects by its own clock.
const NOW: i64 = 1_800_000_000_000_000_000;
/// Length of a workload.
const STEPS: u64 = 15;

/// What became of a workload.
#[derive(Debug, Default)]
pub struct Tally {
    requests: u64,
    steps_refused: u64,
    reads_refused: u64,
    starts_refused: u64,
}

fn check_refusal(failure: &Failure, name: &str) {
    assert_eq!(failure.kind, ErrorKind::Unavailable, "{name}: {failure}");
    const CAUSES: [&str; 12] = [
        "503 Service Unavailable",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "InternalError",
        "reset",
        "closed",
        "body",
        "timed out",
        "a reply of the store cannot be used",
        "eof",
        "multipart response",
        "DeleteObjects response",
    ];
    let says_why = failure.message.contains("s3://tides/world") && CAUSES.iter().any(|cause| failure.message.contains(cause));
    assert!(says_why || failure.message.contains("an earlier commit had arrived"), "{name}: names store and cause: {failure}");
}

/// Starts it as whoever runs it would, until it starts and has found everything.
async fn start(world: &mut World, tally: &mut Tally, name: &str) {
    for _ in 0..50 {
        match world.reopen().await {
            Ok(()) if world.storage.damage().is_empty() => return,
            Ok(()) => {
                let told = world.storage.damage();
                assert!(told.iter().all(|damage| damage.what.contains("it could not be ")), "{name}: {told:?}");
            }
            Err(failure) => check_refusal(&failure, name),
        }
        tally.starts_refused += 1;
    }
    panic!("{name}: it does not start");
}

/// Runs a workload in which things go wrong by the number of the request. `None`: it does not make so many requests as `least`.
async fn workload(
    seed: u64,
    least: u64,
    faults: impl Fn(u64) -> Option<Fault> + Send + 'static,
    duplicates: Duplicates,
    failpoints: Failpoints,
    name: &str,
) -> Option<Tally> {
    let (address, server) = Server::start().await;
    let store = s3_store(&format!("s3://tides/world?endpoint=http://{address}"), RETRY).with_failpoints(failpoints.clone());
    let mut world = World::over(store.clone(), NOW, seed, duplicates, failpoints).await;
    let begun = server.requests();
    server.plan(Some(Box::new(move |number| faults(number - begun))));
    let mut possible = Possible(vec![Rows::new()]);
    let mut tally = Tally::default();
    for number in 0..STEPS {
        let step = world.choose();
        let name = format!("{name}, step {number}, {step:?}");
        let outcome = world.perform(&step).await;
        possible.apply(&step, outcome.is_ok());
        if let Err(failure) = &outcome {
            check_refusal(failure, &name);
            tally.steps_refused += 1;
        }
        if matches!(step, Step::Restart) && (outcome.is_err() || !world.storage.damage().is_empty()) {
            start(&mut world, &mut tally, &name).await;
        }
        match world.try_found().await {
            Ok(found) => possible.check(&world, &found, &name),
            Err(failure) => {
                check_refusal(&failure, &name);
                tally.reads_refused += 1;
            }
        }
        assert_eq!(world.storage.damage_now(), [], "{name}: a store that does not answer is no damaged file");
    }
    tally.requests = server.requests() - begun;
    server.plan(None);
    if tally.requests < least {
        return None;
    }
    possible.check(&world, &world.found().await, name);
    // As after a kill.
    world.reopen().await.expect("the store is well");
    assert_eq!(world.storage.damage(), [], "{name}");
    possible.check(&world, &world.found().await, name);
    let later = Step::Write { points: vec![("later", world.floor.max(0), "f", 1.0)], duplicates };
    world.perform(&later).await.expect("the store is well");
    possible.apply(&later, true);
    world.tidy_up().await;
    world.storage.files().sweep(bucket()).await.expect("swept");
    possible.check(&world, &world.found().await, name);
    let report = world.storage.verify(&CancellationToken::new()).await.expect("checked");
    assert_eq!(report.damaged().collect::<Vec<_>>(), Vec::<&super::verify::Finding>::new(), "{name}");
    let version = world.storage.files().version(bucket()).expect("something was flushed");
    let mut expected: Vec<&str> =
        version.files.iter().map(|f| f.path.as_str()).chain(version.removed.iter().map(|r| r.path.as_str())).collect();
    expected.sort_unstable();
    let listed = store.list(&format!("buckets/{}/data", bucket())).await.expect("a list");
    assert_eq!(listed.iter().map(|l| l.path.as_str()).collect::<Vec<_>>(), expected, "{name}: no file is left behind");
    let numbers = ManifestStore::new(store, bucket()).numbers().await.expect("a list");
    assert_eq!(numbers.last(), Some(&version.number), "{name}: no commit is beyond the state");
    assert_eq!((server.replaced(), server.open_uploads()), (0, 0), "{name}: no object is given other bytes, and no part is left");
    Some(tally)
}

/// Calm and storms by turns.
fn weather(seed: u64, number: u64) -> Option<Fault> {
    let random = |salt: u64| StdRng::seed_from_u64(seed.wrapping_mul(1_000_003) ^ salt);
    let wild = match random(number / STORM + (1 << 40)).random_range(0..10) {
        0 => 1.0,
        1..4 => 0.0,
        _ => 0.4,
    };
    let mut random = random(number);
    // A silent one takes long.
    let faults: Vec<Fault> = Fault::ALL.into_iter().filter(|fault| *fault != Fault::Silent).collect();
    match random.random_range(0..100) {
        0 => Some(Fault::Silent),
        _ if random.random_bool(wild) => faults.choose(&mut random).copied(),
        _ => None,
    }
}

/// A workload by its seed in random weather: whether it ends well.
pub async fn in_any_weather(seed: u64, failpoints: Failpoints) -> Tally {
    let (name, weather) = (format!("TIDEGAUGE_TEST_SEED={seed}"), move |number| weather(seed, number));
    workload(seed, 0, weather, duplicates_of(seed), failpoints, &name).await.expect("it asks something")
}

/// Each kind of fault at the requests of a workload by turns, alone and as a storm; and some workloads in random weather.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_at_any_request_loses_nothing_and_does_nothing_twice() {
    let (first_seed, workloads) = (number("TIDEGAUGE_TEST_SEED", 0), number("TIDEGAUGE_WORKLOADS", 0));
    let (seeds, started) = (number("TIDEGAUGE_SEEDS", 3), Instant::now());
    let (mut runs, mut sum) = (0, Tally::default());
    let mut add = |tally: Tally| {
        runs += 1;
        sum.requests += tally.requests;
        sum.steps_refused += tally.steps_refused;
        sum.reads_refused += tally.reads_refused;
        sum.starts_refused += tally.starts_refused;
    };
    // In short, each request has one of the faults; in the long form it has all of them, one after the other.
    let kinds = Fault::ALL.len() as u64;
    let turns = if workloads == 0 { 1 } else { kinds };
    for seed in first_seed..first_seed + workloads.max(1) {
        // Few steps are refused for one fault: the sum then says exactly what was done.
        for (length, duplicates) in [(1, Duplicates::Sum), (STORM, Duplicates::Last)] {
            // A storm is long: it need not begin everywhere.
            for first in (0..).step_by(if length == 1 { 1 } else { 7 }) {
                let mut is_over = false;
                for turn in 0..turns {
                    let fault = Fault::ALL[((first / if length == 1 { 1 } else { 7 } + turn) % kinds) as usize];
                    let name = format!("TIDEGAUGE_TEST_SEED={seed}, {duplicates}, {fault:?} at request {first}, {length} times");
                    let faults = move |number| (first..first + length).contains(&number).then_some(fault);
                    match workload(seed, first + 1, faults, duplicates, Failpoints::default(), &name).await {
                        Some(tally) => add(tally),
                        None => is_over = true,
                    }
                }
                if is_over {
                    break;
                }
            }
        }
    }
    for seed in first_seed..first_seed + seeds {
        add(in_any_weather(seed, Failpoints::default()).await);
    }
    let result = serde_json::json!({
        "test": "R6 S3 faults",
        "seed": first_seed,
        "workloads_with_a_fault_at_every_request": workloads.max(1),
        "seeds": seeds,
        "runs": runs,
        "requests": sum.requests,
        "steps_refused": sum.steps_refused,
        "reads_refused": sum.reads_refused,
        "starts_refused": sum.starts_refused,
        "wrong_answers": 0,
        "commits_lost_or_doubled": 0,
        "seconds": started.elapsed().as_secs_f64(),
    });
    println!("{result}");
    assert!(sum.steps_refused > 0 && sum.reads_refused + sum.starts_refused > 0, "failures are met: {result}");
}

/// An object that goes in parts, with each kind of fault at one of its requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_parts_is_whole_or_not_there() {
    let (address, server) = Server::start().await;
    let store = s3_store(&format!("s3://tides/world?endpoint=http://{address}"), Retry { reply_within: Duration::from_secs(2), ..RETRY });
    let bytes: Bytes = (0..17_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<_>>().into();
    let mut done = 0;
    for (turn, fault) in Fault::ALL.into_iter().enumerate() {
        // Beginning, three parts, end; one or all of them.
        let (first, length) = (turn as u64 % 5, if turn % 4 == 3 { STORM } else { 1 });
        let begun = server.requests();
        let faults = move |number: u64| (first..first + length).contains(&(number - begun)).then_some(fault);
        server.plan(Some(Box::new(faults)));
        let path = format!("parts/{fault:?}");
        let mut upload = store.upload(&path);
        let sent = async {
            for at in (0..bytes.len()).step_by(4_000_000) {
                upload.write(bytes.slice(at..(at + 4_000_000).min(bytes.len()))).await?;
            }
            Ok(())
        };
        let sent: Result<(), StoreError> = sent.await;
        let outcome = match sent {
            Ok(()) => upload.finish().await,
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        };
        server.plan(None);
        match (outcome, store.get(&path).await) {
            (Ok(()), found) => {
                assert!(found.expect("it is there") == bytes, "{fault:?} at {first}");
                done += 1;
            }
            (Err(error), found) => {
                check_refusal(&error.into(), &format!("{fault:?} at {first}"));
                let whole = found.is_ok_and(|found| found == bytes);
                assert!(whole || matches!(store.get(&path).await, Err(StoreError::NotFound { .. })), "{fault:?} at {first}");
            }
        }
    }
    assert!(done > 5, "most faults are got over: {done}");
}

/// A server says how long it wants to be left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_silence_gets_it() {
    let (address, server) = Server::start().await;
    let store = s3_store(&format!("s3://tides/world?endpoint=http://{address}"), RETRY);
    server.plan(Some(Box::new(|number| (number == 0).then_some(Fault::BusyForASecond))));
    let started = Instant::now();
    let (one, other) = tokio::join!(store.create("a", "1".into()), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        store.create("b", "2".into()).await
    });
    one.and(other).expect("created");
    assert!(started.elapsed() >= Duration::from_secs(1) && server.requests() == 3, "nobody asks before: {:?}", started.elapsed());
}
