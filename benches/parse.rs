//! Query texts to syntax trees; throughput is in bytes of text. Line protocol is in `ingest.rs`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tidegauge::{flux, influxql};

const FLUX: &str = r#"
import "date"

from(bucket: "telegraf")
    |> range(start: -1h, stop: now())
    |> filter(fn: (r) => r._measurement == "cpu" and r._field == "usage_user" and r.cpu == "cpu-total")
    |> aggregateWindow(every: 1m, fn: mean, createEmpty: false)
    |> map(fn: (r) => ({r with _value: r._value / 100.0, hour: date.hour(t: r._time)}))
    |> yield(name: "mean")
"#;
const INFLUXQL: &str = "SELECT mean(usage_user) AS u, max(usage_system) FROM telegraf.autogen.cpu WHERE cpu = 'cpu-total' \
    AND host =~ /^web-[0-9]+$/ AND time >= now() - 1h GROUP BY time(1m), host fill(previous) ORDER BY time DESC LIMIT 100";

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Bytes(FLUX.len() as u64));
    group.bench_function("flux", |b| b.iter(|| flux::parse::parse(black_box(FLUX)).expect("it parses")));
    group.throughput(Throughput::Bytes(INFLUXQL.len() as u64));
    group.bench_function("influxql", |b| b.iter(|| influxql::parse(black_box(INFLUXQL), None).expect("it parses")));
    // A condition as Grafana writes it for a variable with many values.
    let long = format!("SELECT v FROM m WHERE {}", (0..500).map(|i| format!("host = 'h{i}'")).collect::<Vec<_>>().join(" OR "));
    group.throughput(Throughput::Bytes(long.len() as u64));
    group.bench_function("influxql, 500 alternatives", |b| b.iter(|| influxql::parse(black_box(&long), None).expect("it parses")));
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
