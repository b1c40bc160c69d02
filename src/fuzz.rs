//! What reads bytes from outside, or from a disk that lies, against bytes that nobody thought of: each target is a small function that
//! panics when something is wrong. Cases that once were, and a few that reach far, are kept in `tests/cases/fuzz/TARGET/`.
//!
//! ```text
//! cargo test --lib fuzz          the kept cases, and a few hundred mutations of them
//! tests/fuzz SECONDS [TARGET]    each target for so long, guided by what code it reaches; a line of JSON each
//! ```
//! The long form is a build of its own, of this crate only, in which the compiler counts where the program goes (`engine.rs`). Each target
//! runs in a process of its own with bounded memory, so that a crash of any kind ends only that one; its input is then in
//! `target/fuzz/TARGET/crashes/`.

mod engine;
mod targets;

use crate::query::session::STACK_BYTES;
use engine::Mutator;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};
use targets::{TARGETS, Target};

/// No input of a few kilobytes may take longer, also in a slow build.
const RUN_MAX: Duration = Duration::from_secs(5);

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn kept(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = root().join("tests/cases/fuzz").join(target.name);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).map(|found| found.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).expect("a case can be read"))).collect()
}

/// What mutations begin with.
fn begin(target: &Target) -> Vec<Vec<u8>> {
    kept(target).into_iter().map(|(_, input)| input).chain((target.seeds)()).collect()
}

/// On a stack like those of the server's threads.
fn on_a_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn run(target: &Target, input: &[u8], name: &str) {
    let started = Instant::now();
    (target.run)(input);
    assert!(started.elapsed() < RUN_MAX, "{} {name}: it took {:?}", target.name, started.elapsed());
}

#[test]
fn kept_cases_hold() {
    on_a_stack(|| TARGETS.iter().for_each(kept_cases_of));
}

fn kept_cases_of(target: &Target) {
    let (cases, seeds) = (kept(target), (target.seeds)());
    assert!(!(cases.is_empty() && seeds.is_empty()), "{} begins with something", target.name);
    for (path, input) in cases {
        run(target, &input, &path.display().to_string());
    }
    for seed in seeds {
        run(target, &seed, "seed");
    }
}

/// `TIDEGAUGE_FUZZ_SECONDS=60` is what `tests/fuzz` sets, `TIDEGAUGE_FUZZ_TARGET` one target by name.
#[test]
fn mutated_cases_hold() {
    let variable = |name: &str| std::env::var(name).ok();
    let seconds = variable("TIDEGAUGE_FUZZ_SECONDS").and_then(|text| text.parse().ok());
    let wanted = variable("TIDEGAUGE_FUZZ_TARGET");
    let mut crashes = vec![];
    for target in TARGETS.iter().filter(|target| wanted.as_ref().is_none_or(|name| name == target.name)) {
        match seconds {
            Some(seconds) => {
                let result = long(target, Duration::from_secs(seconds));
                println!("{result}");
                if result["crashes"] != json!([]) {
                    crashes.push(target.name);
                }
            }
            None => on_a_stack(move || {
                let corpus = begin(target);
                let mut mutator = Mutator::new(1, target.words);
                for number in 0..target.short_runs {
                    let input = mutator.mutate(&corpus);
                    run(target, &input, &format!("mutation {number}: {:?}", String::from_utf8_lossy(&input)));
                }
            }),
        }
    }
    assert!(crashes.is_empty(), "crashed: {crashes:?}; see target/fuzz/TARGET/crashes/");
}

/// Has a process fuzz the target, and another one go on when that dies.
fn long(target: &Target, time: Duration) -> Value {
    let folder = root().join("target/fuzz").join(target.name);
    fs::create_dir_all(folder.join("crashes")).expect("a folder");
    fs::create_dir_all(folder.join("corpus")).expect("a folder");
    let started = Instant::now();
    let (mut runs, mut covered, mut seed) = (0, 0, 1);
    while started.elapsed() < time && seed < 1_000 {
        let _ = fs::remove_file(folder.join("progress"));
        let left = (time - started.elapsed()).as_secs().max(1);
        let program = std::env::current_exe().expect("this program");
        // 3 GiB of addresses are enough for any input of a few kilobytes.
        let status = Command::new("sh")
            .args(["-c", "ulimit -v 3145728; exec \"$0\" --exact fuzz::one_process --ignored --nocapture"])
            .arg(program)
            .env("TIDEGAUGE_FUZZ_TARGET", target.name)
            .env("TIDEGAUGE_FUZZ_SECONDS", left.to_string())
            .env("TIDEGAUGE_TEST_SEED", seed.to_string())
            .env("TIDEGAUGE_FUZZ_FOLDER", &folder)
            .stdout(std::process::Stdio::null())
            .status()
            .expect("a process");
        let progress = fs::read_to_string(folder.join("progress")).unwrap_or_default();
        let mut numbers = progress.split_whitespace().filter_map(|n| n.parse::<u64>().ok());
        runs += numbers.next().unwrap_or(0);
        covered = covered.max(numbers.next().unwrap_or(0));
        if !status.success() {
            let input = fs::read(folder.join("current")).unwrap_or_default();
            engine::keep(&folder.join("crashes"), &input);
        }
        seed += 1;
    }
    let count = |name: &str| fs::read_dir(folder.join(name)).map_or(0, |found| found.count());
    let mut crashes: Vec<String> = fs::read_dir(folder.join("crashes"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    crashes.sort();
    json!({
        "test": "R8 fuzz",
        "target": target.name,
        "runs": runs,
        "seconds": started.elapsed().as_secs_f64(),
        "crashes": crashes,
        "corpus": count("corpus"),
        "covered": covered,
    })
}

/// What [`long`] starts; by itself it does nothing.
#[test]
#[ignore = "part of the long form"]
fn one_process() {
    let Ok(folder) = std::env::var("TIDEGAUGE_FUZZ_FOLDER") else { return };
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let target = TARGETS.iter().find(|target| target.name == variable("TIDEGAUGE_FUZZ_TARGET")).expect("a target");
    let number = |name: &str| variable(name).parse::<u64>().expect("a number");
    let time = Duration::from_secs(number("TIDEGAUGE_FUZZ_SECONDS"));
    let seed = number("TIDEGAUGE_TEST_SEED");
    on_a_stack(move || engine::fuzz(target, begin(target), Path::new(&folder), time, seed));
}
