//! SQL text that calls our functions, and what it answers.

use datafusion::{execution::SessionStateBuilder, prelude::SessionContext};
use expect_test::{Expect, expect};

const ROWS: &str = "(values ('a', 1, 3.0), ('a', 2, 1.0), ('a', 3, 3.0), ('b', 1, null), ('b', 2, 7.0)) as t(h, n, v)";

async fn check(text: &str, expected: Expect) {
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
        expected.assert_eq(&answer);
    }
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
