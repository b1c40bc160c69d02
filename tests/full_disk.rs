//! The disk is full: 64 MiB of it, in memory, with a database and something else that takes the rest. Writes, flushes, compactions and
//! changes of the catalog are refused with the cause, rows can be read all the while, and when there is room again everything
//! goes on without a restart. Nothing that was acknowledged is lost, and what was refused leaves no damage behind.
//!
//! It mounts a file system, which is for the superuser; for others it says so, and the simulated disk of
//! `storage/failing_disk.rs` stands for it. `TIDEGAUGE_SEEDS=200 cargo test --test main full_disk -- --nocapture` prints JSON.

use crate::corruption::{recognise, set_up, settings, write};
use datafusion::arrow::{array::AsArray, datatypes::Int64Type};
use futures::TryStreamExt;
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{collections::BTreeMap, fs, io::Write, path::Path, process::Command, time::Instant};
use tidegauge::{
    catalog::{Caller, buckets::NewBucket},
    engine::Engine,
    model::{ErrorKind, Failure, Result},
};

const SIZE: &str = "64m";

/// A file system of its own as long as this lives.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// `None`: this user may not mount.
    fn mount() -> Option<Tmpfs> {
        let folder = tempfile::tempdir().expect("a folder");
        let options = format!("size={SIZE}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).output().ok()?;
        mounted.status.success().then_some(Tmpfs(folder))
    }

    /// Takes all the room but about so many bytes.
    fn fill(&self, room: u64) {
        let mut ballast = fs::File::options().create(true).append(true).open(self.0.path().join("ballast")).expect("a file");
        let block = vec![1; 1 << 20];
        let mut size = block.len();
        while size > 0 {
            match ballast.write(&block[..size]) {
                Ok(written) if written > 0 => {}
                _ => size /= 2,
            }
        }
        let length = ballast.metadata().expect("a length").len();
        ballast.set_len(length.saturating_sub(room)).expect("cut");
    }

    fn free(&self) {
        fs::remove_file(self.0.path().join("ballast")).expect("removed");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

/// Values by time.
type Rows = BTreeMap<i64, i64>;

fn lines(rows: &Rows) -> String {
    // Something that does not compress well, so that the disk fills.
    rows.iter()
        .map(|(time, value)| format!("m v={value}i,text=\"{:x}\" {time}\n", (*value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect()
}

async fn read(engine: &Engine, operator: &Caller) -> Result<Rows> {
    let text = "SELECT arrow_cast(time, 'Int64') AS time, v FROM m".to_string();
    let batches: Vec<_> = engine.sql(operator, None, text, vec![], "b".into()).await?.try_collect().await?;
    let mut rows = Rows::new();
    for batch in batches {
        let (times, values) = (batch.column(0).as_primitive::<Int64Type>(), batch.column(1).as_primitive::<Int64Type>());
        rows.extend(times.values().iter().copied().zip(values.values().iter().copied()));
    }
    Ok(rows)
}

/// A refusal that lets the client come again.
fn check_refusal(failure: &Failure, case: &str) {
    assert_eq!((failure.kind, failure.retry_after_s.is_some()), (ErrorKind::Unavailable, true), "{case}: {failure}");
    let says_why = ["disk is full", "No space left", "no room to rewrite"].iter().any(|text| failure.message.contains(text));
    assert!(says_why, "{case}: {failure}");
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed: u64 = number("TIDEGAUGE_TEST_SEED").unwrap_or_else(rand::random);
    let rounds: u64 = number("TIDEGAUGE_SEEDS").unwrap_or(4);
    println!("TIDEGAUGE_TEST_SEED={seed}");
    let (started, mut outcomes) = (Instant::now(), Outcomes::new());
    for first in (0..rounds).step_by(DISK_ROUNDS as usize) {
        let Some(disk) = Tmpfs::mount() else {
            println!("skipped: this user may not mount a file system");
            return;
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        // A disk by itself is that of its own seed.
        let outcome = fill_and_free(&disk, seed.wrapping_add(first), DISK_ROUNDS.min(rounds - first));
        for (stage, (refused, fitted)) in runtime.block_on(outcome) {
            let tally = outcomes.entry(stage).or_default();
            *tally = (tally.0 + refused, tally.1 + fitted);
        }
    }
    let result = serde_json::json!({
        "test": "R4 full disk",
        "seed": seed,
        "rounds": rounds,
        "refused_and_not_by_stage": outcomes,
        "acknowledged_rows_lost": 0,
        "seconds": started.elapsed().as_secs_f64(),
    });
    println!("{result}");
    assert!(outcomes.values().all(|(refused, _)| *refused > 0), "every stage met a full disk: {outcomes:?}");
}

/// By stage: how often it was refused, and how often there was room enough.
type Outcomes = BTreeMap<&'static str, (u64, u64)>;

/// Rounds that a disk has room for: what was merged stays for the minutes that somebody may still read it.
const DISK_ROUNDS: u64 = 25;

async fn fill_and_free(disk: &Tmpfs, seed: u64, rounds: u64) -> Outcomes {
    let mut random = StdRng::seed_from_u64(seed);
    let data = disk.0.path().join("data");
    set_up(&data).await;
    let engine = Engine::open(settings(&data)).await.expect("an engine");
    let operator = recognise(&engine);
    let mut rows = Rows::new();
    let mut outcomes = Outcomes::new();
    let mut next = 0_i64;
    let mut some = |random: &mut StdRng, count: i64| -> Rows {
        let new = (0..count).map(|i| (random.random_range(0..20_000), next + i)).collect();
        next += count;
        new
    };
    for round in 0..rounds {
        for stage in ["log", "flush", "compaction", "catalog"] {
            let case = format!("TIDEGAUGE_TEST_SEED={seed}, round {round}, {stage}");
            for _ in 0..3 {
                let new = some(&mut random, 200);
                write(&engine, &operator, lines(&new)).await.unwrap_or_else(|failure| panic!("{case}: {failure}"));
                rows.extend(new);
                if stage != "log" {
                    engine.storage().flush().await.unwrap_or_else(|failure| panic!("{case}: {failure}"));
                }
            }
            let new = some(&mut random, 2_000);
            if stage == "flush" {
                write(&engine, &operator, lines(&new)).await.expect("there is room");
                rows.extend(new.clone());
            }
            // Of some records, files and pages only the beginning fits.
            disk.fill([0, 4_096, 20_000, 100_000][round as usize % 4]);
            let outcome = match stage {
                "log" => write(&engine, &operator, lines(&new)).await,
                "flush" => engine.storage().flush().await,
                "compaction" => engine.compact(&operator).await.map(drop),
                _ => make_bucket(&engine, &operator, &format!("b{round}")),
            };
            let tally = outcomes.entry(stage).or_default();
            match &outcome {
                Ok(()) => tally.1 += 1,
                Err(failure) => {
                    tally.0 += 1;
                    check_refusal(failure, &case);
                }
            }
            if stage == "log" && outcome.is_ok() {
                rows.extend(new.clone());
            }
            assert_eq!(read(&engine, &operator).await.expect("rows can be read"), rows, "{case}: on the full disk");
            disk.free();
            // At once, and without a restart.
            match (stage, outcome) {
                ("log", Err(_)) => {
                    write(&engine, &operator, lines(&new)).await.unwrap_or_else(|failure| panic!("{case}: it goes on: {failure}"));
                    rows.extend(new);
                }
                ("catalog", Err(_)) => make_bucket(&engine, &operator, &format!("b{round}")).expect("there is room again"),
                _ => {}
            }
            engine.storage().flush().await.unwrap_or_else(|failure| panic!("{case}: it goes on: {failure}"));
            engine.compact(&operator).await.unwrap_or_else(|failure| panic!("{case}: it goes on: {failure}"));
            assert_eq!(read(&engine, &operator).await.expect("rows can be read"), rows, "{case}: afterwards");
        }
        // And as a kill now would leave it.
        let new = some(&mut random, 50);
        write(&engine, &operator, lines(&new)).await.expect("there is room");
        rows.extend(new);
        restarted(&data, &rows, &format!("TIDEGAUGE_TEST_SEED={seed}, round {round}")).await;
        engine.maintain().await.expect("maintained");
    }
    engine.close().await.expect("closed");
    outcomes
}

fn make_bucket(engine: &Engine, operator: &Caller, name: &str) -> Result<()> {
    let org = *engine.catalog().state().organizations.keys().next().expect("there is one");
    engine.catalog().create_bucket(operator, org, NewBucket { name: name.into(), ..NewBucket::default() }).map(drop)
}

async fn restarted(data: &Path, rows: &Rows, case: &str) {
    let copied = tempfile::tempdir().expect("a folder");
    let done = Command::new("cp").arg("-r").arg(data).arg(copied.path()).status().expect("cp runs");
    assert!(done.success(), "{case}: copied");
    let engine = Engine::open(settings(&copied.path().join("data"))).await.unwrap_or_else(|failure| panic!("{case}: it starts: {failure}"));
    assert_eq!(read(&engine, &recognise(&engine)).await.expect("rows can be read"), *rows, "{case}: after a restart");
    assert_eq!(engine.damage(), [], "{case}: after a restart");
    engine.close().await.expect("closed");
}
