//! What Tidegauge promises, tried on a real process.
//!
//! `TIDEGAUGE_KILLS=1000 cargo test --test main kill_9 -- --nocapture` is the long form; it prints JSON, and `TIDEGAUGE_TEST_SEED`
//! repeats a run as far as threads allow. `guarantees/mistakes.txt` lists the mistakes that tests of this kind were seen to notice.

use crate::process::{SETUP, Serving, TOKEN};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use reqwest::blocking::{Client, RequestBuilder};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const WRITERS: usize = 4;
/// Rows of a writer have one of so many times, so that they are overwritten; they lie in several partitions.
const TIMES: i64 = 500;
const TIME_STEP_NS: i64 = 600_000_000_000;

/// Values by number of the time.
type Rows = BTreeMap<i64, i64>;

/// What a writer asks for.
#[derive(Debug, Clone)]
enum Request {
    Write(Rows),
    /// Times from the first to the second, without it.
    Delete(i64, i64),
}

impl Request {
    fn apply(&self, rows: &mut Rows, duplicates: &str) {
        match self {
            Request::Write(new) if duplicates == "sum" => new.iter().for_each(|(time, value)| *rows.entry(*time).or_default() += value),
            Request::Write(new) => rows.extend(new),
            Request::Delete(from, to) => rows.retain(|time, _| !(from..to).contains(&time)),
        }
    }
}

/// What a writer was told, kept outside of the server's process.
#[derive(Debug, Clone)]
struct Ledger {
    /// What the bucket does with values that are written twice.
    duplicates: &'static str,
    /// What may be stored: one state, and those with what was not answered.
    possible: Vec<Rows>,
    /// Of the next row, so that no two have the same value.
    value: i64,
    answered: usize,
    deletes: usize,
}

impl Ledger {
    fn note(&mut self, request: &Request, is_certain: bool) {
        let mut after = self.possible.clone();
        after.iter_mut().for_each(|rows| request.apply(rows, self.duplicates));
        if is_certain {
            self.possible.clear();
            self.answered += 1;
            self.deletes += usize::from(matches!(request, Request::Delete(..)));
        }
        self.possible.extend(after);
    }
}

/// The story: machines lose power, containers are killed for memory, somebody types `kill -9`. Whatever the moment, what was
/// answered with 204 is there after the next start as it was answered: rows with their last values, deleted rows not. What was not answered
/// has happened whole or not at all, and nothing else is there. Flushes and compactions go on all the while, and every start has other
/// settings.
#[test]
fn an_acknowledged_row_survives_kill_9() {
    crash_loop("last", 30);
}

/// The same of a bucket that adds up what is written to a row: every acknowledged write counts, and counts once.
#[test]
fn an_acknowledged_write_counts_once_through_kill_9() {
    crash_loop("sum", 20);
}

fn crash_loop(duplicates: &'static str, kills: usize) {
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok().and_then(|text| text.parse().ok()) };
    let seed = number("TIDEGAUGE_TEST_SEED").unwrap_or_else(rand::random);
    let kills: usize = number("TIDEGAUGE_KILLS").and_then(|n| n.try_into().ok()).unwrap_or(kills);
    println!("TIDEGAUGE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledgers = vec![Ledger { duplicates, possible: vec![Rows::new()], value: 0, answered: 0, deletes: 0 }; WRITERS];
    let (started, compactions) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    for life in 0..=kills {
        let pick = |random: &mut StdRng, of: &[&'static str]| *of.choose(random).expect("some");
        let variables = [
            ("TIDEGAUGE_STORAGE_CACHE_SNAPSHOT_WRITE_COLD_DURATION", pick(&mut random, &["20ms", "50ms", "200ms", "1m"])),
            ("TIDEGAUGE_STORAGE_CACHE_SNAPSHOT_MEMORY_SIZE", pick(&mut random, &["1k", "20k", "128m"])),
            ("TIDEGAUGE_STORAGE_CACHE_MAX_MEMORY_SIZE", pick(&mut random, &["100k", "768m"])),
            ("TIDEGAUGE_QUERY_CONCURRENCY", pick(&mut random, &["1", "64"])),
        ];
        let server = Serving::start(folder.path(), &[SETUP.as_slice(), &variables].concat());
        if life == 0 {
            set(&server.url, "duplicates", duplicates);
        }
        verify(&server.url, &mut ledgers, &format!("start {life}, {duplicates}, seed {seed}, {variables:?}"));
        if life == kills {
            break;
        }
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let writers: Vec<_> = ledgers
            .drain(..)
            .enumerate()
            .map(|(writer, ledger)| {
                let (url, seed, stop, answered) = (server.url.clone(), random.random(), stop.clone(), answered.clone());
                std::thread::spawn(move || ask(&url, writer, ledger, seed, &stop, &answered))
            })
            .collect();
        let compacting = random.random_bool(0.5).then(|| {
            let (url, stop, compactions) = (server.url.clone(), stop.clone(), compactions.clone());
            std::thread::spawn(move || compact(&url, &stop, &compactions))
        });
        // Some lives end while the first request is under way, some after many.
        let wanted = random.random_range(0..60);
        let patience = Instant::now();
        while answered.load(Ordering::Relaxed) < wanted && patience.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(random.random_range(0..20_000)));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        ledgers = writers.into_iter().map(|thread| thread.join().expect("a writer does not panic")).collect();
        if let Some(thread) = compacting {
            thread.join().expect("it does not panic");
        }
    }
    let answered: usize = ledgers.iter().map(|l| l.answered).sum();
    let result = serde_json::json!({
        "test": "R1 crash loop",
        "duplicates": duplicates,
        "seed": seed,
        "kills": kills,
        "requests_acknowledged": answered,
        "deletes_acknowledged": ledgers.iter().map(|l| l.deletes).sum::<usize>(),
        "compactions_asked_for": compactions.load(Ordering::Relaxed),
        "acknowledged_rows_lost": 0,
        "phantoms": 0,
        "seconds": started.elapsed().as_secs_f64(),
    });
    println!("{result}");
    assert!(answered > kills, "the writers were answered: {answered} requests");
}

fn client(seconds: u64) -> Client {
    Client::builder().no_proxy().timeout(Duration::from_secs(seconds)).build().expect("a client")
}

fn authorised(request: RequestBuilder) -> RequestBuilder {
    request.header("Authorization", format!("Token {TOKEN}"))
}

/// Writes, overwrites and deletes until the server is gone.
fn ask(url: &str, writer: usize, mut ledger: Ledger, seed: u64, stop: &AtomicBool, answered: &AtomicUsize) -> Ledger {
    let mut random = StdRng::seed_from_u64(seed);
    let client = client(20);
    while !stop.load(Ordering::Relaxed) {
        let from = random.random_range(0..TIMES);
        let to = (from + random.random_range(1..20)).min(TIMES);
        let (request, sent) = if random.random_bool(0.15) {
            let time = |ns: i64| chrono::DateTime::from_timestamp_nanos(ns).to_rfc3339();
            let (start, stop) = (time(from * TIME_STEP_NS), time(to * TIME_STEP_NS - 1));
            let body = serde_json::json!({ "start": start, "stop": stop, "predicate": format!("writer=\"w{writer}\"") });
            let sent = client.post(format!("{url}/api/v2/delete?org=o&bucket=b")).body(body.to_string());
            (Request::Delete(from, to), sent.header("Content-Type", "application/json"))
        } else {
            let rows: Rows = (from..to).zip(ledger.value..).collect();
            ledger.value += to - from;
            let lines: String = rows.iter().map(|(t, n)| format!("ledger,writer=w{writer} n={n}i {}\n", t * TIME_STEP_NS)).collect();
            (Request::Write(rows), client.post(format!("{url}/api/v2/write?org=o&bucket=b")).body(lines))
        };
        match authorised(sent).send() {
            Ok(answer) if answer.status().as_u16() == 204 => {
                ledger.note(&request, true);
                answered.fetch_add(1, Ordering::Relaxed);
            }
            // Not now: it may be sent again, or not.
            Ok(answer) if answer.status().as_u16() == 503 => {}
            Ok(answer) => panic!("{request:?} was answered with {}: {:?}", answer.status(), answer.text()),
            Err(_) => {
                ledger.note(&request, false);
                break;
            }
        }
    }
    ledger
}

fn set(url: &str, policy: &str, value: &str) {
    let client = client(20);
    let found: serde_json::Value =
        authorised(client.get(format!("{url}/api/v2/buckets?name=b"))).send().and_then(|a| a.json()).expect("an answer");
    let id = found["buckets"][0]["id"].as_str().expect("an id");
    let body = serde_json::json!({ policy: value }).to_string();
    let changed = authorised(client.patch(format!("{url}/api/v2/buckets/{id}"))).body(body).send();
    let changed: serde_json::Value = changed.and_then(|a| a.error_for_status()?.json()).expect("it is changed");
    assert_eq!(changed[policy], value);
}

/// A bucket that keeps in quarantine what clashes answers 204 for it, and so must have it after the next start: every line once, beside
/// the rows of the same request; lines of requests that were not answered with their rows, or neither of them.
#[test]
fn a_line_in_quarantine_survives_kill_9() {
    let seed = std::env::var("TIDEGAUGE_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("TIDEGAUGE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let (mut answered, mut asked) = (BTreeSet::new(), 0);
    for life in 0..=8 {
        let variables = [
            ("TIDEGAUGE_STORAGE_CACHE_SNAPSHOT_WRITE_COLD_DURATION", *["20ms", "1m"].choose(&mut random).expect("some")),
            ("TIDEGAUGE_STORAGE_CACHE_SNAPSHOT_MEMORY_SIZE", *["1k", "128m"].choose(&mut random).expect("some")),
        ];
        let server = Serving::start(folder.path(), &[SETUP.as_slice(), &variables].concat());
        let write = |body: String| authorised(client(20).post(format!("{}/api/v2/write?org=o&bucket=b", server.url))).body(body).send();
        if life == 0 {
            set(&server.url, "typeConflicts", "quarantine");
            assert_eq!(write("m v=1 1".into()).expect("an answer").status(), 204);
        }
        let when = format!("start {life}, seed {seed}, {variables:?}");
        let kept = numbers(&server.url, "SELECT line_number, line FROM _quarantine", |row| {
            assert_eq!(row[1], 2, "{when}");
            row[2].as_str().and_then(|line| line.split('"').nth(1)?.parse().ok()).expect("the number that was sent")
        });
        let rows = numbers(&server.url, "SELECT n FROM m", |row| row[1].as_i64().expect("a number"));
        assert_eq!(kept, rows, "{when}: a request is there whole or not at all");
        let found: BTreeSet<i64> = kept.iter().copied().collect();
        assert!(found.len() == kept.len() && answered.is_subset(&found), "{when}: {answered:?} in {kept:?}");
        assert!(found.iter().all(|n| *n < asked), "{when}: lines that nobody sent");
        if life == 8 {
            break;
        }
        let (stop, url, from) = (Arc::new(AtomicBool::new(false)), server.url.clone(), asked);
        let (stopped, pause) = (stop.clone(), random.random_range(0..200_000));
        let writer = std::thread::spawn(move || {
            let (client, mut answered) = (client(20), vec![]);
            for n in from.. {
                // The later one has the time of an earlier one, and its tags.
                let body = format!("m n={n}i {n}\nm v=\"{n}\" {}", n % 3);
                let sent = authorised(client.post(format!("{url}/api/v2/write?org=o&bucket=b"))).body(body).send();
                match sent {
                    Ok(answer) if answer.status() == 204 => answered.push(n),
                    Ok(answer) => panic!("{n} was answered with {}: {:?}", answer.status(), answer.text()),
                    Err(_) => return (answered, n + 1),
                }
                if stopped.load(Ordering::Relaxed) {
                    return (answered, n + 1);
                }
            }
            unreachable!("numbers do not end")
        });
        std::thread::sleep(Duration::from_micros(pause));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        let (more, next) = writer.join().expect("a writer does not panic");
        answered.extend(more);
        asked = next;
    }
    assert!(answered.len() > 20, "{} requests were answered", answered.len());
}

/// A number of each row of an answer, sorted.
fn numbers(url: &str, question: &str, of: impl Fn(&serde_json::Value) -> i64) -> Vec<i64> {
    let request = authorised(client(60).get(format!("{url}/query"))).query(&[("db", "b"), ("epoch", "ns"), ("q", question)]);
    let answer: serde_json::Value = request.send().and_then(|a| a.error_for_status()?.json()).expect("an answer");
    let rows = answer["results"][0]["series"][0]["values"].as_array().into_iter().flatten();
    let mut numbers: Vec<i64> = rows.map(of).collect();
    numbers.sort();
    numbers
}

fn compact(url: &str, stop: &AtomicBool, compactions: &AtomicUsize) {
    let client = client(20);
    while !stop.load(Ordering::Relaxed) {
        compactions.fetch_add(1, Ordering::Relaxed);
        match authorised(client.post(format!("{url}/api/v2/tidegauge/compact"))).send() {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => panic!("a compaction was answered with {}: {:?}", answer.status(), answer.text()),
            Err(_) => break,
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What is stored is what the ledgers say, to the row; from now on they know what became of what was not answered.
fn verify(url: &str, ledgers: &mut [Ledger], when: &str) {
    let question = [("db", "b"), ("epoch", "ns"), ("q", "SELECT n FROM ledger GROUP BY writer")];
    // Patient: a test that is stopped for a while, as long forms are, must not take that for a loss.
    let request = authorised(client(600).get(format!("{url}/query"))).query(&question);
    let answer: serde_json::Value = request.send().and_then(|a| a.error_for_status()?.json()).expect("an answer");
    assert!(answer["results"][0]["error"].is_null(), "{when}: {answer}");
    let mut stored: BTreeMap<String, Rows> = BTreeMap::new();
    for series in answer["results"][0]["series"].as_array().into_iter().flatten() {
        let row = |row: &serde_json::Value| (row[0].as_i64().expect("a time") / TIME_STEP_NS, row[1].as_i64().expect("a value"));
        let rows: Vec<_> = series["values"].as_array().expect("rows").iter().map(row).collect();
        let all = stored.entry(series["tags"]["writer"].as_str().expect("a tag").to_string()).or_default();
        let known = all.len();
        all.extend(rows.iter().copied());
        assert_eq!(all.len(), known + rows.len(), "{when}: every row comes once");
    }
    for (writer, ledger) in ledgers.iter_mut().enumerate() {
        let found = stored.remove(&format!("w{writer}")).unwrap_or_default();
        if !ledger.possible.contains(&found) {
            let expected = &ledger.possible[0];
            let lost: Rows = expected.iter().filter(|(time, value)| found.get(time) != Some(value)).map(|(t, v)| (*t, *v)).collect();
            let phantoms: Rows = found.iter().filter(|(time, value)| expected.get(time) != Some(value)).map(|(t, v)| (*t, *v)).collect();
            panic!("{when}: writer {writer} lacks {lost:?} and finds {phantoms:?}; {} states were possible", ledger.possible.len());
        }
        ledger.possible = vec![found];
    }
    assert!(stored.is_empty(), "{when}: rows that nobody wrote: {stored:?}");
    let health: serde_json::Value = client(20).get(format!("{url}/health")).send().and_then(|a| a.json()).expect("an answer");
    assert_eq!(health["status"], "pass", "{when}: {health}");
}
