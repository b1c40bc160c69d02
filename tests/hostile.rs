//! Questions that want all the memory there is, many at once, of a server that has 512 MiB in a control group of its own. Each
//! ends with an answer or with an error that names what it wanted; the server is never killed, and answers a plain question
//! rightly all the while.
//!
//! Who may not make control groups gives the server its limit by a setting, and what is resident is held against it.
//! `TIDEGAUGE_QUERIES=1000 cargo test --test main hostile -- --nocapture` prints JSON; with `TIDEGAUGE_SHOWN=1`, each answer.

use crate::process::{PROGRAM, SETUP, Serving, TOKEN};
use rand::{Rng, SeedableRng, rngs::StdRng};
use reqwest::blocking::Client;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::PathBuf,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// A debug build may be busy for long before it reads the rest of a text.
const PATIENCE: Duration = Duration::from_secs(120);
const LIMIT_BYTES: u64 = 512 << 20;

/// A control group for memory, removed when this is dropped.
struct Group {
    folder: PathBuf,
    is_v2: bool,
}

impl Group {
    /// `None`: this user may not make one, or memory is not controlled here.
    fn make() -> Option<Group> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let of = |controller: &str| {
            let line = groups.lines().find(|line| line.split(':').nth(1).is_some_and(|c| c.split(',').any(|c| c == controller)))?;
            Some(line.splitn(3, ':').nth(2)?.trim_start_matches('/').to_string())
        };
        let (parent, is_v2) = match (of("memory"), of("")) {
            (Some(group), _) => (PathBuf::from("/sys/fs/cgroup/memory").join(group), false),
            (None, Some(group)) => (PathBuf::from("/sys/fs/cgroup").join(group), true),
            _ => return None,
        };
        let folder = parent.join(format!("tidegauge-hostile-{}", std::process::id()));
        fs::create_dir(&folder).ok()?;
        let group = Group { folder, is_v2 };
        let limit = if is_v2 { "memory.max" } else { "memory.limit_in_bytes" };
        fs::write(group.folder.join(limit), LIMIT_BYTES.to_string()).ok()?;
        // Without swap, where that is counted.
        let _ = fs::write(group.folder.join("memory.swap.max"), "0");
        Some(group)
    }

    /// The program, inside of it.
    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.folder.display());
        command.args(["-c", &enter, PROGRAM]);
        command
    }

    /// Processes killed for memory.
    fn kills(&self) -> u64 {
        let file = if self.is_v2 { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.folder.join(file)).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A process that was killed takes a moment to leave.
        for _ in 0..50 {
            if fs::remove_dir(&self.folder).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Flux,
    Influxql,
    Sql,
}

use Language::*;

/// Ten thousand million rows with a number, out of a hundred thousand.
const ROWS_WITHOUT_END: &str = "(select a.i * 100000 + b.i as value from m a cross join m b)";

/// What is asked, with `$N` for a number that grows without measure, and `$ROWS` for rows that do.
const QUESTIONS: &[(Language, &str)] = &[
    // Rows by the million out of nothing.
    (Sql, "select count(*) from (select value % $N g, count(*) from $ROWS group by 1)"),
    (Sql, "select value, count(*) c from $ROWS group by value order by c limit 3"),
    (Sql, "select count(*) from $ROWS"),
    (Sql, "select value from $ROWS order by value % 1000 desc limit 10"),
    (Sql, "select value v, random() r from $ROWS order by r"),
    (Sql, "select max(length(v)) from (select repeat('x', 1000) || value v from $ROWS order by v)"),
    (Sql, "select count(distinct value::text || repeat('x', 500)) from $ROWS"),
    (Sql, "select * from $ROWS"),
    (Sql, "with recursive t as (select 1 n union all select n + 1 from t) select count(*) from t"),
    (Sql, "with recursive t as (select 'x' s union all select s || s from t) select max(length(s)) from t"),
    (Sql, "with recursive t as (select 1 n union select n + 1 from t) select count(*) from t"),
    // Joins of everything with everything.
    (Sql, "select count(*) from m a, m b, m c"),
    (Sql, "select a.f, b.f, c.f from m a, m b, m c"),
    (Sql, "select a.f from m a join m b on a.f < b.f order by b.f, a.i"),
    (Sql, "select count(*) from m a join m b using (i) join m c using (i)"),
    (Sql, "select array_agg(a.s) from m a join m b on a.i = b.i"),
    (Sql, "select a.value from $ROWS a join $ROWS b on a.value = b.value order by 1 limit 5"),
    // Texts and arrays that grow.
    (Sql, "select repeat('x', $N)"),
    (Sql, "select sum(length(repeat(s, 100000))) from m"),
    (Sql, "select repeat(s, 10000) from m"),
    (Sql, "select lpad(s, 100000000), rpad(s, 100000000) from m"),
    (Sql, "select array_repeat(s, $N) from m"),
    (Sql, "select array_length(range(1, $N)) from m"),
    (Sql, "select unnest(range(1, 10000)), s from m"),
    (Sql, "select unnest(array_repeat(t, 1000)) from w"),
    (Sql, "select array_resize([1], $N)"),
    (Sql, "select generate_series(timestamp '2000-01-01', timestamp '2100-01-01', interval '1 second') from m"),
    (Sql, "select string_agg(repeat(s, 1000), ',') from m"),
    (Sql, "select array_agg(repeat(s, 1000)) from m"),
    (Sql, "select array_agg(x) from (select array_agg(repeat(s, 100)) x from m group by i % 1000)"),
    (Sql, "select replace(t, 'x', repeat('y', 1000)) from w"),
    (Sql, "select regexp_replace(t, '(.)', '\\1\\1\\1\\1\\1\\1\\1\\1', 'g') from w"),
    (Sql, "select concat(t, t, t, t), t || t || t || t || t || t from w order by 1"),
    (Sql, "select array_to_string(range(1, 1000000), t) from w"),
    (Sql, "select median(f), approx_percentile_cont(f, 0.5), array_agg(f) from m group by i"),
    // Windows over everything.
    (Sql, "select sum(value) over (), count(*) over (), value from $ROWS"),
    (Sql, "select sum(value) over (order by value % 7 rows between unbounded preceding and unbounded following) from $ROWS"),
    (Sql, "select first_value(t) over (order by i), last_value(t) over (order by i desc) from w"),
    (Sql, "select row_number() over (partition by value % 3 order by value desc) from $ROWS"),
    (Sql, "select distinct on (s) s, f from m order by s, f"),
    (
        Sql,
        "select date_bin_gapfill(interval '1 nanosecond', time) t, avg(f) from m where time >= '1970-01-01' and time < '2070-01-01' group by 1",
    ),
    // Everything, to somebody who reads slowly or not at all.
    (Sql, "select * from m a cross join w"),
    (Sql, "select t, t, t, t, t, t, t, t from w"),
    (Influxql, "select * from m, w"),
    (Influxql, "select t from w; select t from w; select t from w; select t from w"),
    (Influxql, "select mean(f) from m where time >= 0 and time < 1000000000s group by time(1ns) fill(0)"),
    (Influxql, "select mean(f) from m where time >= 0 and time < 100000s group by time(1u), h fill(previous)"),
    (Influxql, "select count(distinct(s)), mode(s), median(f) from m group by time(1ms), *"),
    (Influxql, "select distinct(t) from w"),
    (Influxql, "select top(f, 1000000) from m"),
    (Influxql, "select sample(t, 1000000) from w"),
    (Influxql, "select moving_average(f, 10000) from m group by *"),
    (Influxql, "select derivative(mean(f), 1s) from (select * from m) where time >= 0 and time < 1000000s group by time(1u) fill(linear)"),
    (Influxql, "select f + f + f + i from m; select * from (select * from (select * from m group by *) group by *)"),
    (Influxql, "show tag values from m with key = h; show series; show field keys"),
    // Flux: rows out of nothing, windows, pivots, joins, growing records.
    (Flux, "import \"generate\" generate.from(count: 10000000, fn: (n) => n, start: 2000-01-01T00:00:00Z, stop: 2020-01-01T00:00:00Z)"),
    (Flux, "from(bucket: \"b\") |> range(start: 0) |> window(every: 1ns, createEmpty: true)"),
    (
        Flux,
        "from(bucket: \"b\") |> range(start: 0, stop: 2020-01-01T00:00:00Z) |> aggregateWindow(every: 1ns, fn: mean, createEmpty: true)",
    ),
    (
        Flux,
        "from(bucket: \"b\") |> range(start: 0) |> aggregateWindow(every: 1ms, period: 1h, fn: (column, tables=<-) => tables |> mean(column: column))",
    ),
    (
        Flux,
        "from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._measurement == \"m\") |> group() |> sort(columns: [\"_value\"])",
    ),
    (
        Flux,
        "from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._field == \"f\") |> group() |> pivot(rowKey: [\"h\"], columnKey: [\"_time\"], valueColumn: \"_value\")",
    ),
    (
        Flux,
        "from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._field == \"t\") |> group() |> map(fn: (r) => ({r with t: r._value + r._value + r._value + r._value})) |> sort()",
    ),
    (
        Flux,
        "from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._field == \"s\") |> reduce(identity: {t: \"x\"}, fn: (r, accumulator) => ({t: accumulator.t + accumulator.t}))",
    ),
    (
        Flux,
        "from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._field == \"s\") |> group() |> reduce(identity: {t: \"x\"}, fn: (r, accumulator) => ({t: accumulator.t + r._value + r._value}))",
    ),
    (
        Flux,
        "import \"strings\" from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._field == \"s\") |> map(fn: (r) => ({r with _value: strings.repeat(v: r._value, i: 1000000)}))",
    ),
    (
        Flux,
        "import \"strings\" x = strings.repeat(v: \"x\", i: 60000000) import_ = strings.joinStr(arr: [x, x, x, x, x, x, x, x], v: x) from(bucket: \"b\") |> range(start: 0) |> set(key: \"k\", value: import_)",
    ),
    (
        Flux,
        "import \"strings\" x = strings.repeat(v: \"x\", i: 10000000) from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._measurement == \"m\") |> set(key: \"k\", value: x)",
    ),
    (
        Flux,
        "import \"array\" a = [1, 2, 3, 4, 5, 6, 7, 8] b = array.concat(arr: a, v: a) c = array.concat(arr: b, v: b) d = array.concat(arr: c, v: c) e = array.concat(arr: d, v: d) f = array.concat(arr: e, v: e) g = array.map(arr: f, fn: (x) => f) h = array.map(arr: g, fn: (x) => g) array.from(rows: [{v: display(v: h)}])",
    ),
    (
        Flux,
        "a = from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._field == \"i\") |> group() join(tables: {x: a, y: a}, on: [\"_measurement\"])",
    ),
    (
        Flux,
        "import \"join\" a = from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._field == \"i\") |> group() join.full(left: a, right: a, on: (l, r) => l._field == r._field, as: (l, r) => ({l with w: r._value}))",
    ),
    (
        Flux,
        "import \"experimental\" a = from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._field == \"i\") |> group() |> map(fn: (r) => ({r with _time: 2000-01-01T00:00:00Z})) experimental.join(left: a, right: a, fn: (left, right) => ({left with w: right._value}))",
    ),
    (Flux, "from(bucket: \"b\") |> range(start: 0) |> group(columns: [\"_time\", \"_value\"]) |> count()"),
    (
        Flux,
        "from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._measurement == \"m\") |> group() |> distinct(column: \"_time\") |> unique() |> histogram(bins: [0.0, 1.0])",
    ),
    (Flux, "from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._field == \"t\") |> findRecord(fn: (key) => true, idx: 0)"),
    (Flux, "a = from(bucket: \"b\") |> range(start: 0) union(tables: [a, a, a, a, a, a, a, a]) |> sort(columns: [\"_time\"])"),
    (Flux, "from(bucket: \"b\") |> range(start: 0)"),
    (
        Flux,
        "import \"regexp\" from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._field == \"t\") |> map(fn: (r) => ({r with _value: regexp.replaceAllString(r: /x/, v: r._value, t: \"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\")}))",
    ),
    // Nonsense that costs planners dear.
    (Sql, "select * from m where s ~ '((a{1,100}){1,100}){1,100}'"),
    (Flux, "from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r.h =~ /((a{1,100}){1,100}){1,100}/)"),
    (Influxql, "select f from m where h =~ /((a{1,100}){1,100}){1,100}/"),
];

/// Texts that are too long to be written out.
fn long_questions() -> Vec<(Language, String)> {
    let list = |piece: &str, count: usize| vec![piece; count].join(",");
    vec![
        (Sql, format!("select {}", list("1", 300_000))),
        (Sql, format!("select * from (values {}) t", list("(1,'a')", 200_000))),
        (Sql, format!("select '{}' from m", "x".repeat(3 << 20))),
        (Sql, format!("select f from m where i in ({})", list("1", 500_000))),
        (Sql, format!("select {}1{}", "(".repeat(10_000), ")".repeat(10_000))),
        (Sql, format!("select {} from m", (0..2_000).map(|i| format!("sum(f + {i})")).collect::<Vec<_>>().join(","))),
        (Flux, format!("x = {}1{}", "[".repeat(10_000), "]".repeat(10_000))),
        (Flux, format!("x = [{}] import \"array\" array.from(rows: [{{v: 1}}])", list("1", 300_000))),
        (Flux, format!("x = 1{}", " + 1".repeat(50_000))),
        (Flux, format!("f = (x) => {}x{} f(x: 1)", "(".repeat(10_000), ")".repeat(10_000))),
        (Influxql, format!("select {} from m", list("f", 100_000))),
        (Influxql, format!("select f from m where {}f > 1{}", "(".repeat(10_000), ")".repeat(10_000))),
        (Influxql, vec!["select f from m"; 10_000].join(";")),
    ]
}

struct Asking {
    client: Client,
    url: String,
}

/// What became of a question.
struct Ended {
    status: u16,
    bytes: u64,
    said: String,
}

impl Asking {
    fn ask(&self, language: Language, text: &str, reading: Reading) -> Result<Ended, reqwest::Error> {
        let post = |path: &str| self.client.post(format!("{}{path}", self.url)).header("Authorization", format!("Token {TOKEN}"));
        let request = match language {
            Flux => post("/api/v2/query?org=o").header("Content-Type", "application/vnd.flux").body(text.to_string()),
            Influxql => post("/query?db=b").header("Content-Type", "application/vnd.influxql").body(text.to_string()),
            Sql => post("/api/v3/query_sql").json(&json!({ "db": "b", "q": text, "format": "jsonl" })),
        };
        let mut answer = request.send()?;
        let status = answer.status().as_u16();
        let (mut bytes, mut said, mut pieces) = (0, vec![], 0);
        let mut piece = vec![0; 64 << 10];
        loop {
            match answer.read(&mut piece) {
                // An answer that fails on its way ends short.
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    (bytes, pieces) = (bytes + count as u64, pieces + 1);
                    // The beginning and the end.
                    said.truncate(4 << 10);
                    said.extend_from_slice(&piece[..count]);
                }
            }
            match reading {
                Reading::All => {}
                Reading::Slowly if pieces < 120 => std::thread::sleep(Duration::from_millis(50)),
                Reading::Slowly | Reading::GivingUp => break,
            }
        }
        Ok(Ended { status, bytes, said: String::from_utf8_lossy(&said).into_owned() })
    }

    /// A plain question in each language, whose answers are known.
    fn check(&self, case: &str) {
        let expected = format!("{}", ROWS);
        for (language, text) in [
            (Sql, "select count(f) c from m"),
            (Influxql, "select count(f) from m"),
            (
                Flux,
                "from(bucket: \"b\") |> range(start: 0) |> filter(fn: (r) => r._measurement == \"m\" and r._field == \"f\") |> group() |> count()",
            ),
        ] {
            // Those that were hostile may still be letting go.
            let until = Instant::now() + Duration::from_secs(60);
            loop {
                let answer = self.ask(language, text, Reading::All);
                match answer {
                    Ok(ended) if ended.status == 200 && ended.said.contains(&expected) => break,
                    Ok(ended) if Instant::now() > until => panic!("{case}: {language:?}: {} {}", ended.status, ended.said),
                    Err(e) if Instant::now() > until => panic!("{case}: {language:?}: {e}"),
                    _ => std::thread::sleep(Duration::from_millis(100)),
                }
            }
        }
    }

    fn figure(&self, name: &str) -> f64 {
        let text = self.client.get(format!("{}/metrics", self.url)).send().and_then(|a| a.text()).expect("figures");
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
    }

    fn write(&self, lines: String) {
        for _ in 0..100 {
            let request = self.client.post(format!("{}/api/v2/write?org=o&bucket=b&precision=s", self.url));
            let answer = request.header("Authorization", format!("Token {TOKEN}")).body(lines.clone()).send().expect("an answer");
            match answer.status().as_u16() {
                204 => return,
                // The buffer is small, too.
                503 => std::thread::sleep(Duration::from_millis(100)),
                status => panic!("{status}: {}", answer.text().unwrap_or_default()),
            }
        }
        panic!("no room for rows");
    }
}

#[derive(Debug, Clone, Copy)]
enum Reading {
    All,
    Slowly,
    GivingUp,
}

const ROWS: usize = 100_000;

fn fill(asking: &Asking) {
    for from in (0..ROWS).step_by(20_000) {
        let line = |n: usize| format!("m,h=h{} f={}.5,i={}i,s=\"text {}\" {}\n", n % 100, n % 977, n % 1013, n % 10_007, n / 100 + 1);
        asking.write((from..from + 20_000).map(line).collect());
    }
    // Long texts: 32 MiB in all.
    for n in 0..32 {
        asking.write((0..16).map(|i| format!("w t=\"{}\" {}\n", "x".repeat(64 << 10), n * 16 + i + 1)).collect());
    }
}

/// Resident bytes that are the process's own.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// Says that a test is over, also when it fails.
struct AtTheEnd<'a>(&'a AtomicBool);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn hostile_questions_end_and_the_server_goes_on() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seed: u64 = number("TIDEGAUGE_TEST_SEED").unwrap_or_else(rand::random);
    let count: usize = number("TIDEGAUGE_QUERIES").map_or(60, |n: u64| n as usize);
    println!("TIDEGAUGE_TEST_SEED={seed}");
    let started = Instant::now();
    let folder = tempfile::tempdir().expect("a folder");
    let group = Group::make();
    let limit = LIMIT_BYTES.to_string();
    let variables = match group {
        Some(_) => vec![("TIDEGAUGE_QUERY_TIMEOUT", "5s"), ("TIDEGAUGE_QUERY_SPILL_MAX_SIZE", "1g")],
        None => vec![("TIDEGAUGE_QUERY_TIMEOUT", "5s"), ("TIDEGAUGE_QUERY_SPILL_MAX_SIZE", "1g"), ("TIDEGAUGE_MEMORY_MAX", &limit)],
    };
    let command = group.as_ref().map_or_else(|| Command::new(PROGRAM), Group::command);
    let mut server = Serving::start_by(command, folder.path(), &[&SETUP, variables.as_slice()].concat());
    let given = if group.is_some() { "512.0 MiB of the control group" } else { "512.0 MiB by --memory-max" };
    assert!(server.banner.contains(given), "{}", server.banner);
    let client = Client::builder().no_proxy().timeout(PATIENCE).tcp_user_timeout(PATIENCE).build().expect("a client");
    let asking = Asking { client, url: server.url.clone() };
    fill(&asking);
    asking.check("before");

    let mut random = StdRng::seed_from_u64(seed);
    let long = long_questions();
    let mut questions: Vec<(Language, String)> = vec![];
    let mut all: Vec<(Language, String)> = QUESTIONS.iter().map(|(l, t)| (*l, t.to_string())).chain(long).collect();
    while questions.len() < count {
        // Every one of them once, then again in another order.
        for at in (1..all.len()).rev() {
            all.swap(at, random.random_range(0..=at));
        }
        questions.extend(all.iter().take(count - questions.len()).cloned());
    }
    let (peak, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let outcomes: Mutex<BTreeMap<String, u64>> = Mutex::default();
    let slowest: Mutex<(f64, String)> = Mutex::default();
    let process = server.process_id();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(resident(process), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let _done = AtTheEnd(&done);
        let mut left = questions.as_slice();
        while !left.is_empty() {
            // One alone, some, or many at once.
            let together = [1, 2, 4, 8, 16][random.random_range(0..5)].min(left.len());
            let (batch, rest) = left.split_at(together);
            left = rest;
            let size = 10_u64.pow(random.random_range(5..13));
            let readings: Vec<Reading> =
                batch.iter().map(|_| [Reading::All, Reading::Slowly, Reading::GivingUp][random.random_range(0..3)]).collect();
            std::thread::scope(|scope| {
                for ((language, text), reading) in batch.iter().zip(readings) {
                    let (asking, outcomes, slowest) = (&asking, &outcomes, &slowest);
                    scope.spawn(move || {
                        let text = text.replace("$N", &size.to_string()).replace("$ROWS", ROWS_WITHOUT_END);
                        let shown = format!("{language:?} N={size} {reading:?}: {}", text.chars().take(150).collect::<String>());
                        let began = Instant::now();
                        let ended =
                            asking.ask(*language, &text, reading).unwrap_or_else(|e| panic!("seed {seed}: {shown}: no answer: {e:?}"));
                        if std::env::var_os("TIDEGAUGE_SHOWN").is_some() {
                            let said: String = ended.said.chars().take(200).collect();
                            println!("{:.1} s {} {} B {shown}\n    {said:?}", began.elapsed().as_secs_f64(), ended.status, ended.bytes);
                        }
                        let allowed = [200, 400, 413, 422, 429, 501, 503];
                        let Ended { status, said, .. } = ended;
                        assert!(allowed.contains(&status), "seed {seed}: {shown}: {status} {said}");
                        let kind = match status {
                            503 if said.contains("memory allocation limit reached") => "503 memory",
                            503 if said.contains("stopped after") => "503 time",
                            503 => "503 other",
                            200 if said.contains("memory allocation limit reached") => "200, then memory",
                            200 if said.contains("stopped after") => "200, then time",
                            200 => "200",
                            429 => "429",
                            _ => "refused",
                        };
                        *outcomes.lock().expect("counted").entry(kind.into()).or_default() += 1;
                        let mut slowest = slowest.lock().expect("timed");
                        if began.elapsed().as_secs_f64() > slowest.0 {
                            *slowest = (began.elapsed().as_secs_f64(), shown);
                        }
                    });
                }
            });
            let case = format!("seed {seed}, after {:?}", batch.iter().map(|(_, text)| &text[..60.min(text.len())]).collect::<Vec<_>>());
            assert_eq!(server.ended(), None, "{case}");
            asking.check(&case);
        }
    });
    let (stopped, panics) = (asking.figure("tidegauge_stopped_queries_total"), asking.figure("tidegauge_panics_total"));
    let kills = group.as_ref().map(Group::kills);
    let peak = peak.load(Ordering::Relaxed);
    let result: Value = json!({
        "test": "R7 memory",
        "seed": seed,
        "limit_bytes": LIMIT_BYTES,
        "limited_by": if group.is_some() { "cgroup" } else { "memory-max" },
        "queries": count,
        "outcomes": outcomes.into_inner().expect("counted"),
        "oom_kills": kills,
        "peak_resident_bytes": peak,
        "peak_allocated_bytes": asking.figure("tidegauge_memory_peak_bytes{part=\"process\"}"),
        "peak_query_bytes": asking.figure("tidegauge_memory_peak_bytes{part=\"queries\"}"),
        "stopped_queries": stopped,
        "panics": panics,
        "slowest": slowest.into_inner().expect("timed"),
        "seconds": started.elapsed().as_secs_f64(),
    });
    println!("{result}");
    assert!(peak < LIMIT_BYTES, "{result}");
    assert_eq!(kills.unwrap_or(0), 0, "{result}");
    let (status, _) = server.terminate();
    assert!(status.success(), "{status:?}");
}
