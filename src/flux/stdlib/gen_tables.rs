//! Package `internal/gen`: tables of random numbers, for tests and trials.

mod go_random;

use super::{
    Call, Function,
    run::{batch_of, frames},
};
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{Record, Value},
    },
    model::duration::SECOND,
    plan::TableStream,
};
use arrow::datatypes::DataType;
use go_random::GoRandom;
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&TABLES];

/// Rows of one call; more is a slip of the pen.
const ROWS_MAX: usize = 10_000_000;
const PERIOD_NS: i64 = 10 * SECOND;

static TABLES: Function = Function {
    name: "tables",
    signature: "(n: int, ?nulls: float, ?tags: [{name: string, cardinality: int}], ?seed: int) => stream[A]",
    summary: "A table of `n` normally distributed floats, ten seconds apart and ending now, for every set of random tag values. The same seed gives what Flux v0.200 gives.",
    examples: &["import \"internal/gen\"\ngen.tables(n: 3, seed: 1, tags: [{name: \"host\", cardinality: 2}])"],
    call: tables,
};

fn tables(call: &mut Call<'_>) -> FluxResult<Value> {
    let n = call.required::<i64>("n")?;
    let nulls = call.or("nulls", 0.0)?;
    let now = call.interpreter.now()?;
    let mut random = GoRandom::new(call.or("seed", now)?);
    let mut series: Vec<Record> = vec![Record::new()];
    for tag in call.or::<Arc<Vec<Value>>>("tags", Arc::default())?.iter() {
        let wrong = || FluxError::invalid("tables: a tag is a record {name: string, cardinality: int}").at(call.span);
        let Value::Record(tag) = tag else { return Err(wrong()) };
        let (Some(Value::String(name)), Some(Value::Int(cardinality))) = (tag.get("name"), tag.get("cardinality")) else {
            return Err(wrong());
        };
        if *cardinality == 0 {
            continue;
        }
        let count = usize::try_from(*cardinality).ok().filter(|c| c.saturating_mul(series.len()) <= ROWS_MAX).ok_or_else(wrong)?;
        let values: Vec<String> = (0..count).map(|_| tag_value(&mut random)).collect();
        series = series
            .iter()
            .flat_map(|s| {
                values.iter().map(move |v| {
                    let mut longer = s.clone();
                    longer.insert(name.clone(), Value::string(v.as_str()));
                    longer
                })
            })
            .collect();
    }
    let n = usize::try_from(n).ok().filter(|n| *n > 0 && n.saturating_mul(series.len()) <= ROWS_MAX);
    let n = n.ok_or_else(|| FluxError::invalid(format!("tables: `n` must be positive and make at most {ROWS_MAX} rows")).at(call.span))?;
    let start = now - now.rem_euclid(PERIOD_NS) - PERIOD_NS * n as i64;
    let mut out = vec![];
    // Upstream takes the series off a heap of equals: the first, then from the last down.
    let order = std::iter::once(0).chain((1..series.len()).rev());
    for at in order {
        let rows: Vec<Record> = (0..n)
            .map(|row| {
                let mut record = series[at].clone();
                record.insert("_time".into(), Value::Time(start + PERIOD_NS * row as i64));
                let missing = nulls > 0.0 && nulls > random.float();
                record
                    .insert("_value".into(), if missing { Value::NullOf(DataType::Float64) } else { Value::Float(random.normal() * 50.0) });
                record
            })
            .collect();
        let mut key: Vec<String> = series[at].keys().map(|k| k.to_string()).collect();
        key.sort();
        out.push((key, batch_of(&rows, "tables")?));
    }
    Ok(Value::Stream(Arc::new(TableStream::new(frames(out, call.context())?, None))))
}

/// Three to seven letters and digits, a letter first.
fn tag_value(random: &mut GoRandom) -> String {
    let length = random.below(5) + 3;
    let letters: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').collect();
    (0..length).map(|i| letters[random.below(if i == 0 { 52 } else { 62 }) as usize]).collect()
}
