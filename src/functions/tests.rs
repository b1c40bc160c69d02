//! SQL text that calls our functions, and what it answers.

use datafusion::{execution::SessionStateBuilder, prelude::SessionContext};
use expect_test::{Expect, expect};

const ROWS: &str = "(values ('a', 1, 3.0), ('a', 2, 1.0), ('a', 3, 3.0), ('b', 1, null), ('b', 2, 7.0)) as t(h, n, v)";

async fn check(text: &str, expected: Expect) {
    let mut answers = vec![];
    for partitions in [1, 4] {
        let config = datafusion::prelude::SessionConfig::new().with_target_partitions(partitions);
        let mut state = SessionStateBuilder::new().with_config(config).with_default_features().build();
        super::register(&mut state).expect("registered");
        let context = SessionContext::new_with_state(state);
        let answer = match context.sql(text).await {
            Ok(frame) => frame.collect().await,
            Err(error) => Err(error),
        };
        let answer = match answer {
            Ok(rows) => arrow::util::pretty::pretty_format_batches(&rows).expect("text").to_string(),
            Err(error) => crate::model::Failure::from(error).message,
        };
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1], "the number of threads is seen");
    expected.assert_eq(&answers[0]);
}

#[tokio::test]
async fn aggregates() {
    let text = format!("select h, spread(v) s, spread(n) i, quantile(v, 0.5, 'exact_mean') q from {ROWS} group by h order by h");
    check(
        &text,
        expect![[r#"
        +---+-----+---+-----+
        | h | s   | i | q   |
        +---+-----+---+-----+
        | a | 2.0 | 2 | 3.0 |
        | b | 0.0 | 1 | 7.0 |
        +---+-----+---+-----+"#]],
    )
    .await;
    check(
        &format!("select quantile(v, 0.5, 'nope') from {ROWS}"),
        expect!["unknown method nope; known are estimate_tdigest, exact_mean, exact_selector, interpolated"],
    )
    .await;
}

#[tokio::test]
async fn selectors() {
    let row = |f: &str| format!("{f}(v, arrow_cast(n, 'Timestamp(Nanosecond, None)'), n)");
    let text = format!(
        "select h, {} as f, {}['other_1'] as l, {}['other_1'] as mi, {}['other_1'] as ma from {ROWS} group by h order by h",
        row("selector_first"),
        row("selector_last"),
        row("selector_min"),
        row("selector_max")
    );
    check(
        &text,
        expect![[r#"
        +---+---------------------------------------------------------------+---+----+----+
        | h | f                                                             | l | mi | ma |
        +---+---------------------------------------------------------------+---+----+----+
        | a | {value: 3.0, time: 1970-01-01T00:00:00.000000001, other_1: 1} | 3 | 2  | 1  |
        | b | {value: 7.0, time: 1970-01-01T00:00:00.000000002, other_1: 2} | 2 | 2  | 2  |
        +---+---------------------------------------------------------------+---+----+----+"#]],
    )
    .await;
}

/// Seconds 0, 10, 20, 30 of a counter that was reset, and a host with one row.
const POINTS: &str = "(select h, arrow_cast(s * 1000000000, 'Timestamp(Nanosecond, None)') as t, i, arrow_cast(i, 'UInt64') as u, arrow_cast(i, 'Float64') as f \
     from (values ('a', 30, 4), ('a', 0, 5), ('a', 10, 10), ('a', 20, null), ('a', 40, 6), ('b', 0, 9)) as x(h, s, i)) as p";

#[tokio::test]
async fn windows() {
    let text = format!(
        "select h, to_unixtime(t) s, f, derivative(f, t) over w d, non_negative_derivative(i, t, interval '1 minute') over w nnd, \
         difference(u) over w diff, elapsed(t) over w e, increase(u) over w inc, cumulative_sum(i) over w sum \
         from {POINTS} window w as (partition by h order by t) order by h, t"
    );
    check(
        &text,
        expect![[r#"
        +---+----+------+------+------+------+----+-----+-----+
        | h | s  | f    | d    | nnd  | diff | e  | inc | sum |
        +---+----+------+------+------+------+----+-----+-----+
        | a | 0  | 5.0  |      |      |      |    | 0   | 5   |
        | a | 10 | 10.0 | 0.5  | 30.0 | 5    | 10 | 5   | 15  |
        | a | 20 |      |      |      |      | 10 | 5   | 15  |
        | a | 30 | 4.0  | -0.3 |      | -6   | 10 | 9   | 19  |
        | a | 40 | 6.0  | 0.2  | 12.0 | 2    | 10 | 11  | 25  |
        | b | 0  | 9.0  |      |      |      |    | 0   | 9   |
        +---+----+------+------+------+------+----+-----+-----+"#]],
    )
    .await;
    let text = format!(
        "select h, f, moving_average(f, 2) over w ma, exponential_moving_average(i, 2) over w ema, elapsed(t, '1m') over w e, \
         non_negative_difference(f) over w diff from {POINTS} window w as (partition by h order by t) order by h, t"
    );
    check(
        &text,
        expect![[r#"
        +---+------+------+-------------------+---+------+
        | h | f    | ma   | ema               | e | diff |
        +---+------+------+-------------------+---+------+
        | a | 5.0  |      |                   |   |      |
        | a | 10.0 | 7.5  | 7.5               | 0 | 5.0  |
        | a |      | 10.0 | 7.5               | 0 |      |
        | a | 4.0  | 4.0  | 5.166666666666667 | 0 |      |
        | a | 6.0  | 5.0  | 5.722222222222222 | 0 | 2.0  |
        | b | 9.0  |      |                   |   |      |
        +---+------+------+-------------------+---+------+"#]],
    )
    .await;
    check(
        &format!("select derivative(h, t) over (order by t) from {POINTS}"),
        expect!["expected derivative(number, time[, INTERVAL '1 second']) OVER (... ORDER BY time)"],
    )
    .await;
    check(
        &format!("select moving_average(f, i) over (order by t) from {POINTS}"),
        expect!["expected moving_average(number, rows) OVER (... ORDER BY time), with at least one row"],
    )
    .await;
    check(
        &format!("select derivative(f, t, interval '1 month') over (order by t) from {POINTS}"),
        expect!["expected derivative(number, time[, INTERVAL '1 second']) OVER (... ORDER BY time)"],
    )
    .await;
}

#[tokio::test]
async fn areas_and_modes() {
    let text = format!(
        "select h, integral(f, t) a, integral(i, t, interval '1 minute') m, time_weighted_avg(f, t) twa, \
         time_weighted_avg(f, t, timestamp '1970-01-01T00:00:00', timestamp '1970-01-01T00:01:00') bounded from {POINTS} group by h order by h"
    );
    check(
        &text,
        expect![[r#"
        +---+-------+-------------------+-------+-------------------+
        | h | a     | m                 | twa   | bounded           |
        +---+-------+-------------------+-------+-------------------+
        | a | 265.0 | 4.416666666666667 | 6.625 | 7.083333333333333 |
        | b | 0.0   | 0.0               | 9.0   | 9.0               |
        +---+-------+-------------------+-------+-------------------+"#]],
    )
    .await;
    check(&format!("select integral(f) from {POINTS}"), expect!["expected integral(number, time[, INTERVAL '1 second'])"]).await;
    let rows = "(values ('a', 2, 'x'), ('a', 1, 'y'), ('a', 1, null), ('b', null, null), ('a', 2, 'y')) as t(h, n, s)";
    check(
        &format!("select h, mode(n) n, mode(s) s, mode(arrow_cast(s, 'Dictionary(Int32, Utf8)')) d from {rows} group by h order by h"),
        expect![[r#"
        +---+---+---+---+
        | h | n | s | d |
        +---+---+---+---+
        | a | 1 | y | y |
        | b |   |   |   |
        +---+---+---+---+"#]],
    )
    .await;
}

/// Grouped states and the states of single values agree, also when groups come sorted and are given out early.
#[tokio::test]
async fn many_groups() {
    let rows = "(select value / 3 as g, value as n, arrow_cast(value * 1000, 'Timestamp(Nanosecond, None)') as t, (value * 7919) % 1009 as v from generate_series(0, 29999)) as r";
    let text = format!(
        "select count(*) c, sum(s) s, sum(f) f, sum(l) l, sum(mi) mi, sum(ma) ma from \
         (select g, spread(v) s, selector_first(v, t)['value'] f, selector_last(v, t)['value'] l, selector_min(v, t)['value'] mi, \
         selector_max(v, t, n)['value'] ma from {rows} group by g)"
    );
    check(
        &text,
        expect![[r#"
        +-------+---------+---------+---------+---------+---------+
        | c     | s       | f       | l       | mi      | ma      |
        +-------+---------+---------+---------+---------+---------+
        | 10000 | 4725400 | 5042135 | 5037387 | 2677061 | 7402461 |
        +-------+---------+---------+---------+---------+---------+"#]],
    )
    .await;
    let text = format!(
        "select count(*) c, sum(a - b) s, sum(f) f, sum(l) l, sum(b) mi, sum(a) ma from \
         (select g, max(v) a, min(v) b, first_value(v order by t) f, last_value(v order by t) l from {rows} group by g)"
    );
    check(
        &text,
        expect![[r#"
        +-------+---------+---------+---------+---------+---------+
        | c     | s       | f       | l       | mi      | ma      |
        +-------+---------+---------+---------+---------+---------+
        | 10000 | 4725400 | 5042135 | 5037387 | 2677061 | 7402461 |
        +-------+---------+---------+---------+---------+---------+"#]],
    )
    .await;
    check(
        &format!("select selector_max(v, t, n) filter (where n < 5) m, selector_max(v, t) filter (where n < 0) none from {rows}"),
        expect![[r#"
        +------------------------------------------------------------+------+
        | m                                                          | none |
        +------------------------------------------------------------+------+
        | {value: 856, time: 1970-01-01T00:00:00.000001, other_1: 1} |      |
        +------------------------------------------------------------+------+"#]],
    )
    .await;
}
