//! What Tidegauge promises, tried on a real process.

use crate::process::{SETUP, Serving, TOKEN};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const KILLS: usize = 30;
const WRITERS: usize = 4;

/// What a writer was told is stored: times of its rows.
type Ledger = BTreeSet<i64>;

/// The story: machines lose power, containers are killed for memory, somebody types `kill -9`. Whatever the moment, a
/// row whose write was answered with 204 is there after the next start, with its value. The ledger is outside of the
/// server's process; flushes to files happen all the while, so that kills meet them too.
#[test]
fn an_acknowledged_row_survives_kill_9() {
    let seed: u64 = std::env::var("TIDEGAUGE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("TIDEGAUGE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [SETUP.as_slice(), &[("TIDEGAUGE_STORAGE_CACHE_SNAPSHOT_WRITE_COLD_DURATION", "50ms")]].concat();
    let mut ledgers = vec![Ledger::new(); WRITERS];
    let mut next = [0_i64; WRITERS];
    let started = Instant::now();
    for life in 0..=KILLS {
        let server = Serving::start(folder.path(), &variables);
        verify(&server.url, &ledgers, &format!("start {life}, seed {seed}"));
        if life == KILLS {
            break;
        }
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (url, seed, first) = (server.url.clone(), random.random(), next[writer]);
                let (stop, answered) = (stop.clone(), answered.clone());
                std::thread::spawn(move || write(&url, writer, seed, first, &stop, &answered))
            })
            .collect();
        // Some lives end while the first write is under way, some after many.
        let wanted = random.random_range(0..60);
        let patience = Instant::now();
        while answered.load(Ordering::Relaxed) < wanted && patience.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(random.random_range(0..20_000)));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for (writer, thread) in writers.into_iter().enumerate() {
            let (told, end) = thread.join().expect("a writer does not panic");
            ledgers[writer].extend(told);
            next[writer] = end;
        }
    }
    let rows: usize = ledgers.iter().map(Ledger::len).sum();
    println!("{KILLS} kills, {rows} acknowledged rows, none lost, {:.1} s", started.elapsed().as_secs_f64());
    assert!(rows > KILLS, "the writers were answered: {rows} rows");
}

/// Writes until the server is gone: the times that were answered with 204, and the first that was never sent.
fn write(url: &str, writer: usize, seed: u64, first: i64, stop: &AtomicBool, answered: &AtomicUsize) -> (Vec<i64>, i64) {
    let mut random = StdRng::seed_from_u64(seed);
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client");
    let (mut told, mut at) = (vec![], first);
    while !stop.load(Ordering::Relaxed) {
        let rows = random.random_range(1..20);
        let times = at..at + rows;
        at += rows;
        let body: String = times.clone().map(|t| format!("ledger,writer=w{writer} n={t}i {t}\n")).collect();
        let request = client.post(format!("{url}/api/v2/write?org=o&bucket=b")).header("Authorization", format!("Token {TOKEN}"));
        match request.body(body).send() {
            Ok(answer) if answer.status().as_u16() == 204 => {
                told.extend(times);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            // Not now: the rows may be sent again, or not.
            Ok(answer) if matches!(answer.status().as_u16(), 429 | 503) => {}
            Ok(answer) => panic!("a write was answered with {}", answer.status()),
            Err(_) => break,
        }
    }
    (told, at)
}

fn verify(url: &str, ledgers: &[Ledger], when: &str) {
    let client = reqwest::blocking::Client::builder().no_proxy().build().expect("a client");
    let question = [("db", "b"), ("epoch", "ns"), ("q", "SELECT n FROM ledger GROUP BY writer")];
    let request = client.get(format!("{url}/query")).query(&question).header("Authorization", format!("Token {TOKEN}"));
    let answer: serde_json::Value = request.send().and_then(|a| a.error_for_status()?.json()).expect("an answer");
    assert!(answer["results"][0]["error"].is_null(), "{when}: {answer}");
    let mut stored: BTreeMap<String, BTreeMap<i64, i64>> = BTreeMap::new();
    for series in answer["results"][0]["series"].as_array().into_iter().flatten() {
        let rows = series["values"]
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| (row[0].as_i64().expect("a time"), row[1].as_i64().expect("a value")));
        stored.entry(series["tags"]["writer"].as_str().expect("a tag").to_string()).or_default().extend(rows);
    }
    let none = BTreeMap::new();
    for (writer, ledger) in ledgers.iter().enumerate() {
        let stored = stored.get(&format!("w{writer}")).unwrap_or(&none);
        let lost: Vec<i64> = ledger.iter().copied().filter(|t| stored.get(t) != Some(t)).collect();
        assert!(
            lost.is_empty(),
            "{when}: writer {writer} lost {} of {} acknowledged rows, the first {:?}",
            lost.len(),
            ledger.len(),
            lost.first()
        );
    }
}
