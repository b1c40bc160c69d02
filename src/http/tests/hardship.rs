//! What befalls a server: clients that go away, queries that want more memory than there is, panics.

use super::*;
use crate::{
    engine::admission::QueryLimits,
    memory::{Budget, BudgetLimits, Share},
    model::Result,
    query::{
        run,
        session::{SessionSettings, Sessions},
        tables::{QueryContext, SingleBucket},
    },
};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
};

/// A name, a request and its body.
type Asked = (&'static str, String, &'static str);

/// Answers of several megabytes.
fn large_answers() -> Vec<Asked> {
    let v1 = "GET /query?db=gpu&q=SELECT+v+FROM+m";
    vec![
        ("Flux", "POST /api/v2/query?org=lab".into(), "{\"query\": \"from(bucket: \\\"gpu\\\") |> range(start: 0)\"}"),
        ("InfluxQL", v1.into(), ""),
        ("InfluxQL in chunks", format!("{v1}&chunked=true&chunk_size=1000"), ""),
        ("SQL", "GET /api/v3/query_sql?db=gpu&q=SELECT+*+FROM+m".into(), ""),
    ]
}

/// Scripts that are worked on for minutes before they have an answer: by functions alone, and by reading again and again.
const LONG_SCRIPTS: [&str; 2] = [
    "import \"generate\"
     rows = (count, fn) => generate.from(start: 2020-01-01T00:00:00Z, stop: 2021-01-01T00:00:00Z, count: count, fn: fn)
     rows(count: 1000000, fn: (n) => { inner = rows(count: 50, fn: (n) => n) return n })",
    "import \"array\"
     all = from(bucket: \"gpu\") |> range(start: 0)
     values = all |> findColumn(fn: (key) => true, column: \"_value\")
     first = (x) => (all |> limit(n: 1) |> findRecord(fn: (key) => true, idx: 0))._value
     array.from(rows: array.map(arr: values, fn: (x) => ({_value: first(x: x)})))",
];

async fn server_with_rows(change: impl FnOnce(&mut EngineSettings)) -> Server {
    let server = Server::bare(HttpSettings::default(), change).await.set_up().await;
    let lines: String = (0..60_000).map(|i| format!("m,host=h{} v={i} {i}\n", i % 7)).collect();
    server.write(&lines).await.says(204, "");
    server.app.engine.storage().flush().await.expect("flushed");
    server
}

/// Waits until it holds; panics when it does not within a time that is long beside what it should take.
async fn soon(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("not so within ten seconds: {what}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_ends_its_query() {
    let server = server_with_rows(|_| ()).await;
    let admission = server.app.engine.admission();
    for (name, what, body) in large_answers() {
        let mut answer = server.begin(&what, &[], body).await.into_body();
        let first = answer.frame().await.expect("a piece").expect("rows").into_data().expect("bytes");
        assert!(first.len() > 1000, "{name}: {} bytes", first.len());
        assert_eq!(admission.running(), 1, "{name}: there is more to come");
        drop(answer);
        soon(name, || admission.running() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_wait_for_the_first_row_ends_its_query() {
    let server = Arc::new(server_with_rows(|settings| settings.queries = QueryLimits { running_max: 1, ..QueryLimits::default() }).await);
    let admission = server.app.engine.admission();
    let ask = |script: &'static str| {
        let server = server.clone();
        tokio::spawn(async move { server.flux(script).await })
    };
    for script in LONG_SCRIPTS {
        let planned = ask(script);
        soon("a query is planned", || admission.running() == 1).await;
        let queued = ask(script);
        soon("another one has to wait", || admission.waiting() == 1).await;
        queued.abort();
        soon("its place is free", || admission.waiting() == 0).await;
        // Let it get into the thick of it.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(admission.running(), 1, "it has not ended by itself");
        planned.abort();
        soon("planning has stopped", || admission.running() == 0).await;
        server.flux("array.from(rows: [{a: 1}])").await.says(400, "undefined identifier array");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_past_its_time_ends_wherever_it_is() {
    let limit = Some(Duration::from_millis(300));
    let server = server_with_rows(|settings| settings.queries = QueryLimits { duration_max: limit, ..QueryLimits::default() }).await;
    for script in LONG_SCRIPTS {
        server.flux(script).await.says(503, "the query was stopped after 0.3 s");
        soon("planning has stopped", || server.app.engine.admission().running() == 0).await;
    }
}

/// A request as it goes over the wire.
fn wire(what: &str, body: &str) -> String {
    let length = body.len();
    let kind = if body.starts_with('{') { "application/json" } else { "application/vnd.flux" };
    format!("{what} HTTP/1.1\r\nHost: here\r\nAuthorization: Token t\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_closes_ends_its_query() {
    let server = server_with_rows(|_| ()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(serve(server.app.engine.clone(), listener, HttpSettings::default(), std::future::pending()));
    // As a board would see it.
    let wait_for_figure = async |figure: &str| {
        for _ in 0..1000 {
            if server.get("/metrics").await.text.lines().any(|line| line == figure) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("/metrics does not come to say `{figure}`");
    };
    let long = LONG_SCRIPTS.map(|script| ("a script", "POST /api/v2/query?org=lab".to_string(), script));
    for (name, what, body) in large_answers().into_iter().chain(long) {
        // With a small window, so that no answer fits into the buffers between here and there.
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small window");
        let mut socket = socket.connect(address).await.expect("a connection");
        socket.write_all(wire(&what, body).as_bytes()).await.expect("sent");
        if name != "a script" {
            let mut head = [0; 12];
            socket.read_exact(&mut head).await.expect("an answer");
            assert_eq!(&head, b"HTTP/1.1 200", "{name}");
        }
        wait_for_figure("qc_executing_active 1").await;
        drop(socket);
        wait_for_figure("qc_executing_active 0").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_wants_too_much_memory_fails_alone_and_says_what_took_it() {
    let session = SessionSettings { memory: Share::new("queries", 5_000_000), partitions: 1, ..SessionSettings::default() };
    let server = server_with_rows(|settings| settings.session = session).await;
    let said = "memory allocation limit reached: ";
    let all = "from(bucket: \"gpu\") |> range(start: 0) |> group()";
    let sort = format!("{all} |> sort(columns: [\"_value\"])");
    let pairs = format!("a = {all} |> limit(n: 300)\njoin(tables: {{x: a, y: a}}, on: [\"_measurement\"])");
    for (script, consumer) in [
        (pairs.as_str(), "rows that a script works on needs "),
        (sort.as_str(), "sort needs "),
        (&format!("{all} |> findRecord(fn: (key) => true, idx: 0)"), "rows that a script works on needs "),
    ] {
        let refused = server.flux(script).await;
        refused.says(503, consumer);
        assert_eq!((&refused.json()["code"], refused.header("x-platform-error-code")), (&json!("unavailable"), "unavailable"));
        assert!(refused.json()["message"].as_str().is_some_and(|message| message.starts_with(said)), "{}", refused.text);
    }
    let text = |got: &Got, at: &str| got.json().pointer(at).and_then(Value::as_str).unwrap_or_default().to_string();
    for (path, status, at, consumer) in [
        ("/api/v3/query_sql?db=gpu&q=SELECT+*+FROM+m+ORDER+BY+v+DESC", 503, "/error", "Sorting"),
        // 1.x says what befell a statement beside the answers of the others.
        ("/query?db=gpu&q=SELECT+v,host+FROM+m", 200, "/results/0/error", "TimeOrder"),
        ("/api/v3/query_influxql?db=gpu&q=SELECT+v,host+FROM+m", 503, "/error", "TimeOrder"),
    ] {
        let refused = server.get(path).await;
        refused.says(status, consumer);
        assert!(text(&refused, at).starts_with(said), "{}", refused.text);
    }
    // What the failed ones held is free again, and a query that wants little gets it.
    let little = server.flux("from(bucket: \"gpu\") |> range(start: 0) |> filter(fn: (r) => r.host == \"h1\") |> limit(n: 100) |> sort()");
    assert_eq!(little.await.text.lines().filter(|line| line.contains(",v,m,h1")).count(), 100);
    server.get("/query?db=gpu&q=SELECT+count(v)+FROM+m").await.says(200, "[[\"1970-01-01T00:00:00Z\",60000]]");
    server.write("m,host=h0 v=1 1").await.says(204, "");
    assert_eq!(server.app.engine.admission().running(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_share_the_memory_of_requests() {
    // A tenth of it is for requests, and a third of that for a body itself.
    let within = |engine: &mut EngineSettings| *engine = engine.clone().within(Budget::new(10 << 20, &BudgetLimits::default()));
    let server = Server::bare(HttpSettings::default(), within).await.set_up().await;
    let lines = |bytes: usize| format!("m text=\"{}\" 1", "x".repeat(bytes));
    server.write(&lines(300 << 10)).await.says(204, "");
    server.write(&lines(350 << 10)).await.says(413, "points batch is too large: the limit is 349523 bytes");
    let packed = |bytes: usize| {
        let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        packed.write_all(lines(bytes).as_bytes()).expect("packed");
        packed.finish().expect("packed")
    };
    let path = "POST /api/v2/write?org=lab&bucket=gpu";
    let gzip = [("content-encoding", "gzip")];
    server.send(path, &gzip, packed(300 << 10)).await.says(204, "");
    server.send(path, &gzip, packed(50 << 20)).await.says(413, "points batch is too large");
    let requests = &server.app.engine.memory().requests;
    let mut others = requests.lease();
    assert!(others.try_grow(900 << 10));
    for body in [packed(100 << 10), lines(100 << 10).into_bytes()] {
        let headers = if body.starts_with(&[0x1f, 0x8b]) { &gzip[..] } else { &[] };
        let busy = server.send(path, headers, body).await;
        busy.says(503, "other requests hold the memory that there is for requests; nothing was done");
        assert_eq!(busy.header("retry-after"), "1");
    }
    drop(others);
    server.write(&lines(100 << 10)).await.says(204, "");
    assert_eq!(requests.used(), 0, "everything was given back");
    let figures = server.get("/metrics").await;
    figures.says(200, "tidegauge_memory_limit_bytes{part=\"requests\"} 1048570");
    figures.says(200, "tidegauge_memory_used_bytes{part=\"requests\"} 0");
    assert!(requests.peak() > 900 << 10 && figures.text.contains("tidegauge_memory_peak_bytes{part=\"process\"} "), "{}", figures.text);
}

async fn panics() -> StatusCode {
    panic!("a handler's")
}

async fn panics_while_planning(axum::extract::State(app): axum::extract::State<App>) -> StatusCode {
    let sessions = Sessions::new(&SessionSettings::default(), vec![]).expect("sessions");
    let context = QueryContext::new(Arc::new(SingleBucket::new("db")), app.engine.storage().clone(), sessions.session(0), 0);
    let planned = run::blocking(&context, |_| -> Result<StatusCode> { panic!("a planner's") }).await;
    planned.expect("not reached")
}

/// On one thread, so that what it logs is this test's.
#[tokio::test]
async fn a_panic_is_a_500_that_names_its_line_in_the_log_and_hurts_nobody_else() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    // As long as there is one subscriber only, the thread that meets a log line first settles for all whether it is heard, and
    // that may be another test's, which hears nothing (tracing-core 0.1, `callsite::dispatchers`).
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let _logging = tracing::subscriber::set_default(subscriber);
    let mut server = Server::new().await;
    let more = routes().route("/panics", get(panics)).route("/panics/while/planning", get(panics_while_planning));
    server.router = surrounded(more, server.app.clone());
    for (path, text) in [("/panics", "a handler's"), ("/panics/while/planning", "a planner's")] {
        let (got, other) = tokio::join!(server.get(path), server.get("/health"));
        got.says(500, "An internal error has occurred - check server logs for ");
        assert_eq!((&got.json()["code"], got.header("x-platform-error-code")), (&json!("internal error"), "internal error"));
        assert!(!got.text.contains(text), "what went wrong inside is for the log: {}", got.text);
        assert_eq!((got.header("x-influxdb-build"), other.status), ("OSS", StatusCode::OK));
        let message = got.json()["message"].as_str().expect("a message").to_string();
        let id = message.rsplit(' ').next().expect("an id");
        let logged = log.text();
        let line = logged.lines().find(|line| line.contains(id)).unwrap_or_else(|| panic!("no {id} in {logged}"));
        assert!(line.contains("ERROR") && line.contains(text), "{line}");
    }
    server.write("m v=1 1").await.says(204, "");
    server.flux(ALL).await.says(200, ",1,");
    server.get("/metrics").await.says(200, "tidegauge_panics_total 2");
}

/// Lines that were logged.
#[derive(Clone, Default)]
struct Log(Arc<parking_lot::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_is_told_in_the_form_that_the_path_s_clients_read() {
    let mut server = Server::new().await;
    let more = Router::new().route("/query", get(panics)).route("/api/v3/query_sql", get(panics));
    server.router = surrounded(more, server.app.clone());
    for path in ["/query", "/api/v3/query_sql"] {
        let got = server.get(path).await;
        assert_eq!(got.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(got.json()["error"].as_str().is_some_and(|e| e.starts_with("An internal error has occurred")), "{path}: {}", got.text);
    }
}
