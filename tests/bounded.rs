//! Questions that are too deep or take too long cost nobody else anything.

use crate::process::{SETUP, Serving, TOKEN};
use reqwest::blocking::{Client, Response};
use std::time::{Duration, Instant};

struct Asking {
    server: Serving,
    client: Client,
}

impl Asking {
    fn start(folder: &std::path::Path, variables: &[(&str, &str)]) -> Asking {
        let server = Serving::start(folder, &[SETUP.as_slice(), variables].concat());
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client");
        Asking { server, client }
    }

    fn sql(&self, text: &str) -> reqwest::Result<Response> {
        let body = serde_json::json!({ "db": "b", "q": text }).to_string();
        let request = self.client.post(format!("{}/api/v3/query_sql", self.server.url)).header("Authorization", format!("Token {TOKEN}"));
        request.header("Content-Type", "application/json").body(body).send()
    }

    fn write(&self, lines: String) {
        let request = self.client.post(format!("{}/api/v2/write?org=o&bucket=b", self.server.url));
        let answer = request.header("Authorization", format!("Token {TOKEN}")).body(lines).send().expect("an answer");
        assert_eq!(answer.status().as_u16(), 204);
    }

    /// Queries that run.
    fn running(&self) -> String {
        let text = self.client.get(format!("{}/metrics", self.server.url)).send().and_then(Response::text).expect("figures");
        text.lines().find(|l| l.starts_with("qc_executing_active")).unwrap_or("none").to_string()
    }
}

/// The story: a script builds a condition of thousands of terms. It gets its answer, or an error that says what to do; the server
/// and everybody else's questions go on.
#[test]
fn a_deep_text_is_answered_or_refused_and_never_ends_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let asking = Asking::start(folder.path(), &[]);
    asking.write("t n=1i 1".into());
    // As deep as is let through, and far deeper.
    for (count, status) in [(1_900, 200), (20_000, 400)] {
        let texts = [
            format!("select 1{}", "+1".repeat(count)),
            format!("select 'a'{}", "||'a'".repeat(count)),
            format!("select n from t where n=1{}", " or n=2".repeat(count / 2 - 10)),
            format!("select n from t where n=1{}", " and n<2".repeat(count / 2 - 10)),
            format!("select 1{}", "::int::bigint".repeat(count / 2)),
            format!("select 1{}", " is null".repeat(count)),
            format!("select 1 x{}", " union all select 1".repeat(count)),
        ];
        for text in texts {
            let shown = &text[..40.min(text.len())];
            let answer = asking.sql(&text).unwrap_or_else(|e| panic!("{count} {shown}: {e}"));
            let (got, body) = (answer.status().as_u16(), answer.text().expect("a body"));
            assert_eq!(got, status, "{count} {shown}: {}", &body[..200.min(body.len())]);
        }
    }
    let started = Instant::now();
    let unclosed = format!("select {}1", "case when true then ".repeat(30));
    assert_eq!(asking.sql(&unclosed).expect("an answer").status().as_u16(), 400);
    let doubled = (1..30).map(|i| format!(", a{i} as (select a.x from a{} a, a{} b)", i - 1, i - 1)).collect::<String>();
    let doubled = asking.sql(&format!("with a0 as (select 1 x){doubled} select count(*) from a29")).expect("an answer");
    let (status, body) = (doubled.status().as_u16(), doubled.text().expect("a body"));
    assert!(status == 400 && body.contains("WITH"), "{status} {body}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

/// The story: somebody joins a table with itself by mistake. The query ends with its time, whether or not its join gives rows,
/// and so does a server that is asked to stop meanwhile.
#[test]
fn a_join_without_end_ends_with_its_time_and_with_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let asking = Asking::start(folder.path(), &[("TIDEGAUGE_QUERY_TIMEOUT", "1s")]);
    asking.write((0..100_000).map(|i| format!("ld v={i} {i}\n")).collect());
    for condition in ["a.v < b.v", "a.v < b.v - 1000000"] {
        let started = Instant::now();
        let answer = asking.sql(&format!("select count(*) from ld a join ld b on {condition}"));
        let (status, body) = answer.and_then(|a| Ok((a.status().as_u16(), a.text()?))).unwrap_or((0, String::new()));
        assert!(body.contains("stopped after"), "{condition}: {status} {body}");
        assert!(started.elapsed() < Duration::from_secs(10), "{condition}: {:?}", started.elapsed());
        let started = Instant::now();
        while !asking.running().ends_with(" 0") {
            assert!(started.elapsed() < Duration::from_secs(20), "{condition}: still running: {}", asking.running());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    drop(asking);
    let asking = Asking::start(folder.path(), &[]);
    let (url, client) = (asking.server.url.clone(), asking.client.clone());
    let joining = std::thread::spawn(move || {
        let request = client.get(format!("{url}/api/v3/query_sql")).header("Authorization", format!("Token {TOKEN}"));
        request.query(&[("db", "b"), ("q", "select count(*) from ld a join ld b on a.v < b.v - 1000000")]).send().is_ok()
    });
    let started = Instant::now();
    while asking.running().ends_with(" 0") {
        assert!(started.elapsed() < Duration::from_secs(20), "the join does not begin");
        std::thread::sleep(Duration::from_millis(20));
    }
    asking.write("other n=1i 1".into());
    let (status, took) = asking.server.terminate();
    assert!(status.success() && took < Duration::from_secs(30), "{status:?} after {took:?}");
    let _ = joining.join();
}
