//! `stateTracking`, and with it `stateCount` and `stateDuration`: how long a condition has held.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        lower::{Lowered, Typed, lower_filter},
        stdlib::{
            Call, Function,
            tables::{run_error, stream, times},
        },
    },
    kernel::state_tracking::StateTracking,
    model::Duration,
    plan::stream::col,
};
use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "stateTracking",
    signature: "(<-tables: stream[A], fn: (r: A) => bool, ?countColumn: string, ?durationColumn: string, ?durationUnit: duration, ?timeColumn: string) => stream[B]",
    summary: "Adds how many rows, and how long, `fn` has been true without a break; -1 where it is not.",
    examples: &[],
    call: state_tracking,
};

const HOLDS: &str = "\u{0}holds";

fn state_tracking(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let function = call.required::<Value>("fn")?;
    let (count, duration) = (call.optional::<Arc<str>>("countColumn")?, call.optional::<Arc<str>>("durationColumn")?);
    if count.is_none() && duration.is_none() {
        return Err(FluxError::invalid("must specify at least one of countColumn or durationColumn").at(call.span));
    }
    let unit = call.or("durationUnit", Duration::from_nanoseconds(1_000_000_000))?.mean_nanoseconds();
    if unit <= 0 {
        return Err(FluxError::invalid("stateTracking: durationUnit must be greater than zero").at(call.span));
    }
    let time_column = call.column_name("timeColumn", "_time")?;
    let mut frames = vec![];
    for frame in &tables.frames {
        let frame = frame.without_empty_tables()?;
        let columns = |name: &str| frame.data_type(name).map(|t| Typed::column(col(name), t));
        let names = frame.columns();
        let test = match lower_filter(call.interpreter, &function, &columns, call.span)? {
            Lowered::Columns((test, _)) => test,
            Lowered::Interpret => by_row(call, &function, &names),
        };
        let marked = frame.with_columns(vec![(HOLDS.to_string(), test)])?;
        let mut fields: Vec<Field> = frame.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
        let added: Vec<(Arc<str>, bool)> =
            count.iter().map(|c| (c.clone(), true)).chain(duration.iter().map(|c| (c.clone(), false))).collect();
        fields.retain(|f| !added.iter().any(|(n, _)| n.as_ref() == f.name()));
        let kept: Vec<String> = fields.iter().map(|f| f.name().clone()).collect();
        fields.extend(added.iter().map(|(n, _)| Field::new(n.as_ref(), DataType::Int64, true)));
        let schema = Schema::new(fields);
        let out = Arc::new(schema.clone());
        let (time_column, wants_time) = (time_column.clone(), duration.is_some());
        frames.push(marked.whole_tables("stateTracking", schema, frame.key.clone(), false, move |_, rows| {
            let holds = rows.column_by_name(HOLDS).expect("added above").as_boolean().clone();
            let at = match rows.column_by_name(&time_column).and_then(times) {
                Some(at) => at,
                None if wants_time => return Err(run_error(format!("stateTracking: no column \"{time_column}\" of type time exists"))),
                None => vec![Some(0); rows.num_rows()],
            };
            let mut tracking = StateTracking::new(unit);
            let mut before = i64::MIN;
            let mut states = Vec::with_capacity(rows.num_rows());
            for (row, time) in at.into_iter().enumerate() {
                if wants_time {
                    let time = time.ok_or_else(|| run_error("stateTracking: got a null timestamp"))?;
                    if time < before {
                        return Err(run_error("stateTracking: got an out-of-order timestamp"));
                    }
                    before = time;
                }
                states.push(tracking.push(time.unwrap_or(0), holds.is_valid(row) && holds.value(row)));
            }
            let mut columns: Vec<ArrayRef> = kept.iter().map(|n| rows.column_by_name(n).expect("a column of the input").clone()).collect();
            for (_, is_count) in &added {
                let values = states.iter().map(|s| if *is_count { s.count } else { s.duration });
                columns.push(Arc::new(Int64Array::from_iter_values(values)));
            }
            Ok(RecordBatch::try_new(out.clone(), columns)?)
        })?);
    }
    Ok(stream(frames, &tables))
}

/// The condition called row by row while the query runs.
fn by_row(call: &Call<'_>, function: &Value, names: &[String]) -> datafusion::logical_expr::Expr {
    use crate::flux::{eval::Interpreter, lower::value_function::value_function};
    let (context, session) = (call.context().shared(), call.interpreter.session.clone());
    let (function, span) = (function.clone(), call.span);
    let labels: Vec<Arc<str>> = names.iter().map(|n| Arc::from(n.as_str())).collect();
    let code = move |values: Vec<Value>| {
        let row = labels.iter().cloned().zip(values).collect();
        let interpreter = Interpreter::in_session(context.as_ref(), session.clone());
        interpreter.call(&function, vec![("r".into(), Value::Record(Arc::new(row)))], None, span)
    };
    value_function("stateTracking", names.iter().map(|n| col(n)).collect(), DataType::Boolean, Arc::new(code))
}
