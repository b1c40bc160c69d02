//! Reductions over a few rows in memory, as text.

use super::*;
use crate::{
    kernel::time_window::InfluxqlWindow,
    plan::{Context, memory::MemoryContext, node::values::values},
};
use arrow::{
    array::{Float64Array, StringArray},
    util::display::array_value_to_string,
};

/// Two series of group `a` and one of `b`, one batch per series.
fn rows() -> Vec<RecordBatch> {
    let series = |key: &str, tag: &str, points: &[(i64, Option<f64>)]| {
        let repeated = |text: &str| Arc::new(StringArray::from(vec![text; points.len()])) as ArrayRef;
        let time: ArrayRef = Arc::new(TimestampNanosecondArray::from_iter_values(points.iter().map(|p| p.0)));
        let value: ArrayRef = Arc::new(points.iter().map(|p| p.1).collect::<Float64Array>());
        RecordBatch::try_from_iter([("k", repeated(key)), ("time", time), ("v", value), ("tag", repeated(tag))]).expect("valid")
    };
    vec![
        series("a", "x", &[(0, Some(1.0)), (10, Some(4.0)), (20, None)]),
        series("b", "x", &[(5, Some(7.0))]),
        series("a", "y", &[(0, Some(3.0)), (9, Some(4.0)), (11, Some(2.0))]),
    ]
}

fn check(reductions: &[Reduction], change: impl Fn(&mut Reduce), expected: &str) {
    let batches = rows();
    let call =
        |(at, r): (usize, &Reduction)| Call { reduction: r.clone(), input: "v".into(), output: format!("r{at}"), beyond_bounds: false };
    let mut spec = Reduce {
        key: vec!["k".into()],
        time: "time".into(),
        windows: Some(Windows::Influxql(InfluxqlWindow::new(10, 0, None))),
        calls: reductions.iter().enumerate().map(call).collect(),
        carried: vec![],
        bounds: (i64::MIN, i64::MAX),
        row_time: RowTime::Window,
        descending: false,
        with_presence: false,
    };
    change(&mut spec);
    let plan = reduce(values(batches[0].schema(), batches).expect("plans"), spec).expect("plans");
    let mut text = vec![];
    for batch in MemoryContext::new(0).collect(plan).expect("runs") {
        for row in 0..batch.num_rows() {
            let cell = |column: &ArrayRef| match column.data_type() {
                DataType::Timestamp(..) => column.as_primitive::<TimestampNanosecondType>().value(row).to_string(),
                _ => array_value_to_string(column, row).expect("prints"),
            };
            text.push(batch.columns().iter().map(cell).collect::<Vec<_>>().join(" "));
        }
    }
    assert_eq!(text.join(", "), expected);
}

#[test]
fn windows_of_groups() {
    check(&[Reduction::Count, Reduction::Sum, Reduction::Mean], |_| {}, "a 0 3 8.0 2.6666666666666665, a 10 2 6.0 3.0, b 0 1 7.0 7.0");
    let all = |spec: &mut Reduce| (spec.key, spec.windows, spec.row_time) = (vec![], None, RowTime::Constant(3));
    check(&[Reduction::Median, Reduction::Mode, Reduction::Spread], all, "3 3.5 4.0 6.0");
}

#[test]
fn selectors_have_the_time_and_the_row_of_their_point() {
    let point = |spec: &mut Reduce| (spec.windows, spec.row_time, spec.carried) = (None, RowTime::Point, vec!["tag".into()]);
    // Of equal times the greater value, of equal values the earlier time.
    check(&[Reduction::First], point, "a 0 3.0 y, b 5 7.0 x");
    check(&[Reduction::Max], point, "a 9 4.0 y, b 5 7.0 x");
    check(&[Reduction::Percentile(50.0)], point, "a 0 3.0 y, b 5 7.0 x");
    let two = Reduction::Extremes { extreme: Extreme::Greatest, count: 2, by: 0 };
    check(&[two], point, "a 9 4.0 y, a 10 4.0 x, b 5 7.0 x");
    let one_each = Reduction::Extremes { extreme: Extreme::Smallest, count: 2, by: 1 };
    check(&[one_each], point, "a 0 1.0 x, a 11 2.0 y, b 5 7.0 x");
}

#[test]
fn rows_outside_the_bounds_are_for_those_that_look_beyond() {
    let change = |spec: &mut Reduce| {
        spec.bounds = (10, i64::MAX);
        spec.calls[1].beyond_bounds = true;
    };
    check(&[Reduction::Sum, Reduction::Sum], change, "a 0  8.0, a 10 6.0 6.0, b 0  7.0");
}

#[test]
fn descending_is_the_reverse() {
    check(&[Reduction::Last], |spec| spec.descending = true, "b 0 7.0, a 10 2.0, a 0 4.0");
}
