//! What the server counts of itself, and `/metrics` in the Prometheus text form with the names that InfluxDB 2.7's
//! boards read.

use super::app::App;
use crate::{engine::Engine, memory::allocator};
use axum::http::{Method, StatusCode};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds of the duration histogram, seconds.
const BOUNDS_S: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0];

#[derive(Debug, Default)]
pub struct Figures {
    requests: Mutex<BTreeMap<Route, Requests>>,
    /// Bytes of write requests' bodies, decompressed.
    pub write_bytes: AtomicU64,
    pub written_rows: AtomicU64,
    pub rejected_lines: AtomicU64,
    pub quarantined_lines: AtomicU64,
    pub panics: AtomicU64,
    pub queries: AtomicU64,
    pub failed_queries: AtomicU64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    method: String,
    path: String,
    status: u16,
}

#[derive(Debug, Default)]
struct Requests {
    count: u64,
    seconds: f64,
    buckets: [u64; BOUNDS_S.len()],
}

impl Figures {
    /// `path` is the route's pattern, so that identifiers do not become label values.
    pub fn answered(&self, method: &Method, path: &str, status: StatusCode, took: Duration) {
        let route = Route { method: method.to_string(), path: path.to_string(), status: status.as_u16() };
        let seconds = took.as_secs_f64();
        let mut all = self.requests.lock();
        let requests = all.entry(route).or_default();
        requests.count += 1;
        requests.seconds += seconds;
        for (count, bound) in requests.buckets.iter_mut().zip(BOUNDS_S) {
            *count += u64::from(seconds <= bound);
        }
    }
}

/// The whole of `/metrics`, text format 0.0.4.
pub fn text(app: &App) -> String {
    let mut out = Text(String::new());
    let Figures { write_bytes, written_rows, rejected_lines, quarantined_lines, panics, queries, failed_queries, requests } =
        app.figures.as_ref();
    {
        let requests = requests.lock();
        out.head("http_api_requests_total", "counter", "Number of http requests received");
        for (Route { method, path, status }, r) in requests.iter() {
            let class = format!("{}XX", status / 100);
            let count = r.count;
            out.line(format_args!(
                "http_api_requests_total{{handler=\"platform\",method=\"{method}\",path=\"{path}\",response_code=\"{status}\",status=\"{class}\"}} {count}"
            ));
        }
        out.head("http_api_request_duration_seconds", "histogram", "Time taken to respond to HTTP request");
        for (Route { method, path, status }, r) in requests.iter() {
            let labels = format!("handler=\"platform\",method=\"{method}\",path=\"{path}\",response_code=\"{status}\"");
            for (bound, count) in BOUNDS_S.iter().zip(r.buckets) {
                out.line(format_args!("http_api_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {count}"));
            }
            out.line(format_args!("http_api_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} {}", r.count));
            out.line(format_args!("http_api_request_duration_seconds_sum{{{labels}}} {}", r.seconds));
            out.line(format_args!("http_api_request_duration_seconds_count{{{labels}}} {}", r.count));
        }
    }
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
    let engine = &app.engine;
    let up = (engine.now() - engine.started()) as f64 / 1e9;
    out.head("influxdb_info", "gauge", "Information about the influxdb environment");
    out.line(format_args!(
        "influxdb_info{{arch=\"{}\",build=\"OSS\",os=\"{}\",product=\"Tidegauge\",version=\"{}\"}} 1",
        std::env::consts::ARCH,
        std::env::consts::OS,
        env!("CARGO_PKG_VERSION")
    ));
    let state = engine.catalog().state();
    let kept = engine.maintenance();
    let gauges = [
        ("influxdb_uptime_seconds", "influxdb process uptime in seconds", up),
        ("influxdb_organizations_total", "Number of total organizations on the server", state.organizations.len() as f64),
        ("influxdb_buckets_total", "Number of total buckets on the server", state.buckets.len() as f64),
        ("influxdb_users_total", "Number of total users on the server", state.users.len() as f64),
        ("influxdb_tokens_total", "Number of total tokens on the server", state.authorizations.len() as f64),
        ("qc_executing_active", "Number of queries in each state", engine.admission().running() as f64),
        ("qc_queueing_active", "Number of queries in each state", engine.admission().waiting() as f64),
        ("tidegauge_queries_max", "Queries that may run at the same time", engine.admission().running_max() as f64),
        ("tidegauge_spilled_bytes", "Bytes on disk of what running queries could not hold", engine.spilled_bytes() as f64),
        ("tidegauge_buffered_bytes", "Bytes of rows that are in no file yet", engine.storage().buffered_bytes() as f64),
        ("tidegauge_files", "Parquet files of all buckets", kept.files as f64),
        ("tidegauge_files_bytes", "Bytes of the Parquet files of all buckets", kept.bytes as f64),
        ("tidegauge_partition_files_max", "Most files of one measurement in one partition (a day)", kept.partition_files_max as f64),
        ("tidegauge_compactions_running", "Merges of files that run now", kept.compactions_running as f64),
        ("tidegauge_compactions_queued", "Merges of files that are worth while and wait for a turn", kept.compactions_queued as f64),
        ("tidegauge_damaged_files", "Things on disk that could not be read back", damages(app).len() as f64),
    ];
    for (name, help, value) in gauges {
        out.head(name, "gauge", help);
        out.line(format_args!("{name} {value}"));
    }
    memory(&mut out, engine);
    let counters = [
        ("tidegauge_query_wait_seconds_total", "Time that queries have waited for a turn", engine.admission().waited().as_secs_f64()),
        ("tidegauge_stopped_queries_total", "Queries stopped because memory ran short", engine.admission().stopped() as f64),
        ("tidegauge_maintenance_failures_total", "Passes of maintenance, or parts of them, that failed", kept.failures as f64),
        ("tidegauge_compactions_total", "Compactions done", kept.compactions as f64),
        ("tidegauge_compaction_failures_total", "Compactions that failed and are tried again later", kept.compaction_failures as f64),
        ("tidegauge_compaction_read_files_total", "Files that compactions replaced", kept.compaction_files_in as f64),
        ("tidegauge_compaction_read_bytes_total", "Bytes of the files that compactions replaced", kept.compaction_bytes_in as f64),
        ("tidegauge_compaction_written_bytes_total", "Bytes of the files that compactions made", kept.compaction_bytes_out as f64),
        ("tidegauge_expired_files_total", "Files dropped whole by retention", kept.expired_files as f64),
        ("tidegauge_garbage_files_total", "Files deleted that nothing referred to", kept.garbage_files as f64),
        ("http_write_request_bytes", "Count of bytes received by write endpoints", of(write_bytes)),
        ("tidegauge_written_rows_total", "Rows stored through write endpoints", of(written_rows)),
        ("tidegauge_rejected_lines_total", "Lines refused by write endpoints", of(rejected_lines)),
        ("tidegauge_quarantined_lines_total", "Lines that write endpoints put in quarantine", of(quarantined_lines)),
        ("tidegauge_panics_total", "Requests that ended in a panic", of(panics)),
    ];
    for (name, help, value) in counters {
        out.head(name, "counter", help);
        out.line(format_args!("{name} {value}"));
    }
    out.head("qc_requests_total", "counter", "Count of the query requests");
    let failed = of(failed_queries);
    out.line(format_args!("qc_requests_total{{result=\"success\"}} {}", of(queries) - failed));
    out.line(format_args!("qc_requests_total{{result=\"runtime_error\"}} {failed}"));
    out.0
}

/// Memory by part: what each may hold, holds, and held at most. The whole is `process`: what is allocated, charged or not.
fn memory(out: &mut Text, engine: &Engine) {
    let memory = engine.memory();
    let parts = memory.shares().map(|share| (share.name(), share.limit(), share.used(), share.peak()));
    let process = ("process", memory.total, allocator::allocated(), allocator::peak());
    let all: Vec<_> = parts.into_iter().chain([process]).collect();
    type Part = (&'static str, usize, usize, usize);
    type Value = fn(&Part) -> usize;
    let kinds: [(&str, &str, Value); 3] = [
        ("tidegauge_memory_limit_bytes", "Memory that a part of the server may hold", |part| part.1),
        ("tidegauge_memory_used_bytes", "Memory that it holds", |part| part.2),
        ("tidegauge_memory_peak_bytes", "The most that it has held", |part| part.3),
    ];
    for (name, help, value) in kinds {
        out.head(name, "gauge", help);
        for part in &all {
            out.line(format_args!("{name}{{part=\"{}\"}} {}", part.0, value(part)));
        }
    }
    out.head("tidegauge_memory_resident_bytes", "gauge", "Memory of the process as the system sees it, without pages of files");
    out.line(format_args!("tidegauge_memory_resident_bytes {}", memory.resident()));
}

/// What could not be read back, each in a sentence.
pub fn damages(app: &App) -> Vec<String> {
    app.engine.damage().iter().map(|d| format!("{}: {}", d.file, d.what)).collect()
}

struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{line}").expect("a String takes any text");
    }
}
