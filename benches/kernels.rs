//! The loops on a million numbers; throughput is in values.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tidegauge::kernel::{
    derivative::{OnFall, derivative},
    exponential_moving_average::FluxEma,
    holt_winters::holt_winters,
    integral::Integral,
    moving_average::moving_average,
    quantile,
    skew::Skew,
    spread::spread,
    tdigest::TDigest,
    time_window::{TimeWindow, TimeWindowCursor, truncate},
    variance::Variance,
};
use tidegauge::model::Duration;

const COUNT: usize = 1_000_000;
const SECOND: i64 = 1_000_000_000;

fn kernels(c: &mut Criterion) {
    let times: Vec<i64> = (0..COUNT as i64).map(|i| i * 10 * SECOND).collect();
    let values: Vec<f64> = (0..COUNT as u64).map(|i| (i.wrapping_mul(6_364_136_223_846_793_005) >> 40) as f64 / 100.0).collect();
    let (mut out, mut valid) = (vec![0.0; COUNT], vec![false; COUNT]);
    let mut starts = vec![0; COUNT];
    let mut group = c.benchmark_group("kernels");
    group.throughput(Throughput::Elements(COUNT as u64));
    group.bench_function("derivative", |b| {
        b.iter(|| derivative(black_box(&times), black_box(&values), SECOND, OnFall::Keep, &mut out, &mut valid));
    });
    group.bench_function("moving average of 10", |b| b.iter(|| moving_average(black_box(&values), 10, &mut out)));
    group.bench_function("exponential moving average of 10", |b| {
        b.iter(|| {
            let mut state = FluxEma::new(10);
            values.iter().filter_map(|v| state.push(Some(*v)).flatten()).fold(0.0, |_, last| black_box(last))
        });
    });
    group.bench_function("windows of 1m, truncated", |b| b.iter(|| truncate(black_box(&times), 60 * SECOND, 0, &mut starts)));
    group.bench_function("windows of 1mo, looked up", |b| {
        let window = TimeWindow::every(Duration::from_months(1)).expect("a window");
        b.iter(|| {
            let mut cursor = TimeWindowCursor::new(window);
            times.iter().fold(0, |_, t| black_box(cursor.latest(*t).start))
        });
    });
    group.bench_function("spread", |b| b.iter(|| spread(black_box(&values))));
    group.bench_function("variance", |b| {
        b.iter(|| {
            let mut state = Variance::default();
            values.iter().for_each(|v| state.push(*v));
            black_box(state)
        });
    });
    group.bench_function("skew", |b| {
        b.iter(|| {
            let mut state = Skew::default();
            values.iter().for_each(|v| state.push(*v));
            black_box(state)
        });
    });
    group.bench_function("integral", |b| {
        b.iter(|| {
            let mut state = Integral::new(SECOND, times[0], times[COUNT - 1], true);
            times.iter().zip(&values).for_each(|(t, v)| state.push(*t, *v));
            black_box(state.finish())
        });
    });
    group.bench_function("exact quantile", |b| {
        b.iter_batched_ref(|| values.clone(), |values| quantile::interpolated(values, 0.99), criterion::BatchSize::LargeInput);
    });
    group.bench_function("t-digest", |b| {
        b.iter(|| {
            let mut digest = TDigest::default();
            values.iter().for_each(|v| digest.push(*v));
            digest.quantile(0.99)
        });
    });
    group.finish();
    let season: Vec<Option<f64>> = (0..240).map(|i| Some(10.0 + f64::from(i % 24) + f64::from(i) / 10.0)).collect();
    c.bench_function("Holt-Winters, 240 points, season of 24", |b| b.iter(|| holt_winters(black_box(&season), 24, 24, false)));
}

criterion_group!(benches, kernels);
criterion_main!(benches);
