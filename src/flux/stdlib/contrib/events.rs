//! Package `contrib/tomhollingworth/events`.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{
            Call, Function,
            tables::{each, run_error, times},
        },
    },
    model::{Duration, duration::SECOND},
    plan::{Frame, stream::type_name},
};
use arrow::{
    array::{ArrayRef, Int64Array},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&DURATION];

static DURATION: Function = Function {
    name: "duration",
    signature: "(<-tables: stream[A], ?unit: duration, ?timeColumn: string, ?columnName: string, ?stopColumn: string, ?stop: time) => stream[B]",
    summary: "Adds how many units pass from each row to the next; from the last row to `stop`, by default what `stopColumn` holds there.",
    examples: &[],
    call: duration,
};

fn duration(call: &mut Call<'_>) -> FluxResult<Value> {
    let unit = call.or("unit", Duration::from_nanoseconds(SECOND))?.mean_nanoseconds();
    if unit <= 0 {
        return Err(FluxError::invalid("duration: unit must be positive").at(call.span));
    }
    let time = call.column_name("timeColumn", "_time")?;
    let name = call.column_name("columnName", "duration")?;
    let stop_column = call.column_name("stopColumn", "_stop")?;
    let stop = match call.get("stop") {
        None => None,
        Some(Value::Time(t)) => Some(t),
        Some(other) => {
            return Err(FluxError::invalid(format!("duration: `stop` must be a time, found {}", other.type_name())).at(call.span));
        }
    };
    each(call, |frame: &Frame| {
        let needed = [Some(&time), stop.is_none().then_some(&stop_column)];
        for column in needed.into_iter().flatten() {
            match frame.data_type(column) {
                Some(DataType::Timestamp(..)) => {}
                Some(t) => {
                    return frame.fail("duration", format!("duration: column \"{column}\" must be of type time, got {}", type_name(&t)));
                }
                None => return frame.fail("duration", format!("duration: column \"{column}\" does not exist")),
            }
        }
        let mut fields: Vec<Arc<Field>> = frame.schema().fields().iter().filter(|f| *f.name() != name).cloned().collect();
        fields.push(Arc::new(Field::new(&name, DataType::Int64, true)));
        let schema = Schema::new(fields);
        let (shape, time, name, stop_column) = (Arc::new(schema.clone()), time.clone(), name.clone(), stop_column.clone());
        frame.whole_tables("duration", schema, frame.key.clone(), frame.has_empty_tables(), move |_, rows| {
            let read = |column: &str| {
                let column = rows.column_by_name(column).expect("looked up when the plan was made");
                times(column).ok_or_else(|| run_error("duration: a time column is not of type time"))
            };
            let starts: Vec<i64> = read(&time)?.into_iter().map(|t| t.unwrap_or(0)).collect();
            let end = match stop {
                Some(stop) => stop,
                None => read(&stop_column)?.last().copied().flatten().unwrap_or(0),
            };
            // Through floats, as Flux v0.200 does it.
            let steps: Int64Array = starts
                .iter()
                .zip(starts.iter().skip(1).chain([&end]))
                .map(|(from, to)| Some(((*to as f64 - *from as f64) / unit as f64) as i64))
                .collect();
            let steps: ArrayRef = Arc::new(steps);
            let columns = shape.fields().iter().map(|f| match f.name() == &name {
                true => steps.clone(),
                false => rows.column_by_name(f.name()).expect("a column of the input").clone(),
            });
            Ok(RecordBatch::try_new(shape.clone(), columns.collect())?)
        })
    })
}
