//! `map`: each row becomes another row.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        lower::{
            Lowered, Typed,
            cells::{column_of, column_type, record_at},
            lower_row,
            operators::common_type,
        },
        stdlib::{Call, Function, tables::stream},
    },
    plan::{
        Frame,
        node::values::values,
        stream::{col, regroup_frames},
    },
};
use arrow::{
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use datafusion::logical_expr::Expr;
use indexmap::IndexMap;
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "map",
    signature: "(<-tables: stream[A], fn: (r: A) => B, ?mergeKey: bool) => stream[B]",
    summary: "Gives each row to `fn` and makes a row of the record it returns. Key columns that are not returned leave the key.",
    examples: &[],
    call: map,
};

fn map(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let function = call.required::<Value>("fn")?;
    let mut frames = vec![];
    let mut regroup = false;
    for frame in &tables.frames {
        let frame = frame.without_empty_tables()?;
        let names = frame.columns();
        let columns = |name: &str| frame.data_type(name).map(|t| Typed::column(col(name), t));
        let lowered = lower_row(call.interpreter, &function, &columns, &names, call.span)?;
        let mapped = match lowered {
            Lowered::Columns(properties) => {
                let typed: Vec<(String, Expr)> =
                    properties.into_iter().filter(|(_, t)| t.data_type != DataType::Null).map(|(n, t)| (n, t.plain())).collect();
                let kept = |k: &String| typed.iter().find(|(n, _)| n == k).map(|(_, e)| e == &col(k));
                regroup |= frame.key.iter().any(|k| kept(k) != Some(true));
                let key = frame.key.iter().filter(|k| kept(k).is_some()).cloned().collect();
                Some(frame.project(typed, key)?)
            }
            Lowered::Interpret => {
                regroup = true;
                interpret(call, &frame, &function)?
            }
        };
        frames.extend(mapped);
    }
    let frames = if regroup { regroup_frames(frames, call.context())? } else { frames };
    Ok(stream(frames, &tables))
}

/// Runs the input now and calls the function for each row. `None` when there is no row.
fn interpret(call: &Call<'_>, frame: &Frame, function: &Value) -> FluxResult<Option<Frame>> {
    let mut cells: IndexMap<Arc<str>, Vec<Value>> = IndexMap::new();
    let mut count = 0;
    for batch in call.context().collect(frame.plan.clone())? {
        for row in 0..batch.num_rows() {
            let record = Value::Record(Arc::new(record_at(&batch, row)));
            let out = call.interpreter.call(function, vec![("r".into(), record)], None, call.span)?;
            let Value::Record(out) = out else {
                return Err(FluxError::run(format!("map: expected a record but found {}", out.type_name())).at(call.span));
            };
            for (name, value) in out.iter() {
                if column_type(value).is_none() {
                    let text =
                        format!("map: map object property \"{name}\" is {} type which is not supported in a flux table", value.type_name());
                    return Err(FluxError::run(text).at(call.span));
                }
                let column = cells.entry(name.clone()).or_default();
                column.resize(count, Value::Null);
                column.push(value.clone());
            }
            count += 1;
        }
    }
    if count == 0 {
        return Ok(None);
    }
    let (mut fields, mut columns) = (vec![], vec![]);
    for (name, mut values) in cells {
        values.resize(count, Value::Null);
        let data_type = values.iter().filter_map(column_type).try_fold(DataType::Null, |a, b| common_type(&a, &b))?;
        if data_type != DataType::Null {
            columns.push(column_of(&values, &data_type)?);
            fields.push(Field::new(name.as_ref(), data_type, true));
        }
    }
    if fields.is_empty() {
        return Ok(None);
    }
    let schema = Arc::new(Schema::new(fields));
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(count));
    let batch = RecordBatch::try_new_with_options(schema.clone(), columns, &options)?;
    let key = frame.key.iter().filter(|k| schema.index_of(k).is_ok()).cloned().collect();
    Ok(Some(Frame { absent_keys: frame.absent_keys, ..Frame::long(values(schema, vec![batch])?, key) }))
}
