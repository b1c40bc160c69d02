//! Writing, stage by stage, on lines like those of TSBS' cpu set: 100 hosts, 10 tags, 10 integer fields.
//!
//! Throughput is in bytes of line protocol; a line has 10 field values and about 320 bytes.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use std::{fmt::Write, hint::black_box, sync::Arc};
use tidegauge::{
    clock::{Randomness, SystemClock},
    line_protocol::Parser,
    model::{BucketId, Precision},
    storage::{BadLines, Storage, StorageOptions, WriteRequest, buffer, fs::LocalFolder, object::Store},
};

const HOSTS: usize = 100;
const LINES: usize = 5_000;

/// `LINES` lines, ten seconds between the rounds over the hosts.
fn lines(first_round: usize) -> String {
    let fields = ["user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"];
    let mut out = String::new();
    for line in 0..LINES {
        let (round, host) = (first_round + line / HOSTS, line % HOSTS);
        let _ = write!(out, "cpu,hostname=host_{host},region=eu-central-1,datacenter=eu-central-1{},rack={}", host % 3, host % 64);
        let _ = write!(out, ",os=Ubuntu16.04LTS,arch=x64,team=SF,service={},service_version=1,service_environment=test ", host % 9);
        for (i, field) in fields.iter().enumerate() {
            let _ = write!(out, "{}usage_{field}={}i", if i > 0 { "," } else { "" }, (line * 7 + i * 13) % 101);
        }
        let _ = writeln!(out, " {}", 1_451_606_400_000_000_000i64 + round as i64 * 10_000_000_000);
    }
    out
}

fn ingest(c: &mut Criterion) {
    let body = lines(0);
    let mut group = c.benchmark_group("ingest");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("parse", |b| {
        b.iter(|| {
            let mut parser = Parser::new(body.as_bytes(), Precision::Nanosecond, 0);
            let (mut fields, mut count) = (vec![], 0);
            while let Some(line) = parser.next(&mut fields) {
                count += line.is_ok() as usize * fields.len();
            }
            black_box(count)
        });
    });
    group.bench_function("stage", |b| {
        b.iter(|| black_box(buffer::stage(body.as_bytes(), Precision::Nanosecond, 0, None, buffer::Conflicts::Reject, |_| None)))
    });

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let log = Arc::new(LocalFolder::open(folder.path().join("wal")).expect("a folder for the log"));
    let store = Store::open(&folder.path().join("store").to_string_lossy()).expect("a store");
    let opening = Storage::open(store, log, StorageOptions::default(), Arc::new(SystemClock), Randomness::from_os());
    let storage = runtime.block_on(opening).expect("the store opens");
    let _guard = runtime.enter();
    storage.spawn_flushing();
    let mut round = 0;
    group.bench_function("durable write, flushed behind", |b| {
        b.iter_batched(
            || {
                round += LINES / HOSTS;
                WriteRequest {
                    bucket: BucketId::new(1).expect("not zero"),
                    body: lines(round).into(),
                    precision: Precision::Nanosecond,
                    now: 0,
                    bad_lines: BadLines::Skip,
                    retention_floor: None,
                }
            },
            |request| loop {
                // A full buffer asks to wait; the wait is part of the figure.
                match runtime.block_on(storage.write(request.clone())) {
                    Ok(report) => break assert_eq!(report.row_count, LINES),
                    Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
