//! Package `array`: tables from records written in the script.

use super::{Call, Function};
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        lower::{
            cells::{column_of, column_type},
            operators::common_type,
        },
    },
    memory,
    plan::{Frame, TableStream},
};
use arrow::{
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use indexmap::IndexMap;
use std::sync::Arc;

pub const FUNCTIONS: &[&Function] = &[&FROM, &CONCAT, &MAP, &FILTER];

pub static FROM: Function = Function {
    name: "from",
    signature: "(<-rows: [A]) => stream[A]",
    summary: "One table, without key, of the records in `rows`. A property that some records lack is null there.",
    examples: &[r#"import "array"
array.from(rows: [{_value: 1}, {_value: 2}])"#],
    call: from,
};

static CONCAT: Function = Function {
    name: "concat",
    signature: "(<-arr: [A], v: [A]) => [A]",
    summary: "The elements of `arr`, then those of `v`.",
    examples: &[],
    call: |call| {
        let (first, second) = (call.required::<Arc<Vec<Value>>>("arr")?, call.required::<Arc<Vec<Value>>>("v")?);
        memory::allow((first.len() + second.len()) * size_of::<Value>(), "array.concat")?;
        Ok(Value::array([first.as_slice(), second.as_slice()].concat()))
    },
};

static MAP: Function = Function {
    name: "map",
    signature: "(<-arr: [A], fn: (x: A) => B) => [B]",
    summary: "What `fn` makes of each element.",
    examples: &[],
    call: |call| {
        let (items, function) = (call.required::<Arc<Vec<Value>>>("arr")?, call.required::<Value>("fn")?);
        let map = |x: &Value| call.interpreter.call(&function, vec![("x".into(), x.clone())], None, call.span);
        Ok(Value::array(items.iter().map(map).collect::<FluxResult<_>>()?))
    },
};

static FILTER: Function = Function {
    name: "filter",
    signature: "(<-arr: [A], fn: (x: A) => bool) => [A]",
    summary: "The elements for which `fn` is true.",
    examples: &[],
    call: |call| {
        let (items, function) = (call.required::<Arc<Vec<Value>>>("arr")?, call.required::<Value>("fn")?);
        let mut kept = vec![];
        for x in items.iter() {
            match call.interpreter.call(&function, vec![("x".into(), x.clone())], None, call.span)? {
                Value::Bool(true) => kept.push(x.clone()),
                Value::Bool(false) | Value::Null => {}
                other => return Err(FluxError::invalid(format!("expected bool but found {}", other.type_name())).at(call.span)),
            }
        }
        Ok(Value::array(kept))
    },
};

fn from(call: &mut Call<'_>) -> FluxResult<Value> {
    let rows = call.required::<Arc<Vec<Value>>>("rows")?;
    if rows.is_empty() {
        return Err(FluxError::invalid("rows must be non-empty").at(call.span));
    }
    let mut columns: IndexMap<Arc<str>, (DataType, Vec<Value>)> = IndexMap::new();
    for (count, row) in rows.iter().enumerate() {
        let Value::Record(record) = row else {
            return Err(FluxError::invalid(format!("array.from: expected a record but found {}", row.type_name())).at(call.span));
        };
        for (name, value) in record.iter() {
            let Some(found) = column_type(value) else {
                let text = format!("array.from: column \"{name}\" cannot hold a value of type {}", value.type_name());
                return Err(FluxError::invalid(text).at(call.span));
            };
            let (data_type, values) = columns.entry(name.clone()).or_insert_with(|| (DataType::Null, vec![]));
            *data_type = common_type(data_type, &found).map_err(|e| e.at(call.span))?;
            values.resize(count, Value::Null);
            values.push(value.clone());
        }
    }
    let (mut fields, mut arrays) = (vec![], vec![]);
    for (name, (data_type, mut values)) in columns {
        values.resize(rows.len(), Value::Null);
        arrays.push(column_of(&values, &data_type)?);
        fields.push(Field::new(name.as_ref(), data_type, true));
    }
    // A table without columns has no rows.
    let count = if fields.is_empty() { 0 } else { rows.len() };
    let options = arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(count));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?;
    Ok(Value::Stream(Arc::new(TableStream::new(vec![Frame::of(batch, vec![])?], None))))
}
