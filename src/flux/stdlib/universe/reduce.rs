//! `reduce`: the rows of a table into one record.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::{Record, Value},
        lower::{
            cells::{column_of, column_type, record_at},
            operators::common_type,
        },
        stdlib::{Call, Function, tables::stream},
    },
    model::runs::runs,
    plan::{Frame, stream::regroup_frames},
};
use arrow::{
    array::{ArrayRef, UInt64Array},
    compute::{concat_batches, take},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use std::{collections::HashSet, sync::Arc};

pub static FUNCTION: Function = Function {
    name: "reduce",
    signature: "(<-tables: stream[A], fn: (r: A, accumulator: B) => B, identity: B) => stream[C]",
    summary: "One row per table: the key and the record that `fn` makes of `identity`, row by row.",
    examples: &[],
    call: reduce,
};

fn reduce(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.long_tables()?;
    let function = call.required::<Value>("fn")?;
    let identity = call.required::<Arc<Record>>("identity")?;
    let (mut frames, mut seen) = (vec![], HashSet::new());
    for frame in &tables.frames {
        let frame = frame.without_empty_tables()?;
        let batches = call.context().collect(frame.plan.clone())?;
        let Some(first) = batches.first() else { continue };
        let rows = concat_batches(&first.schema(), &batches)?;
        if rows.num_rows() == 0 {
            continue;
        }
        let keys: Vec<ArrayRef> = frame.key.iter().filter_map(|k| rows.column_by_name(k).cloned()).collect();
        let cuts = runs(&keys, rows.num_rows())?;
        let (mut starts, mut records) = (vec![], vec![]);
        for cut in cuts {
            starts.push(cut.start as u64);
            let mut accumulator = Value::Record(identity.clone());
            for row in cut {
                let arguments = vec![("r".into(), Value::Record(Arc::new(record_at(&rows, row)))), ("accumulator".into(), accumulator)];
                accumulator = call.interpreter.call(&function, arguments, None, call.span)?;
            }
            match accumulator {
                Value::Record(record) => records.push(record),
                other => return Err(FluxError::run(format!("reduce: expected a record but found {}", other.type_name())).at(call.span)),
            }
        }
        frames.push(reduced(&frame, &rows, UInt64Array::from(starts), &records)?);
    }
    for frame in &frames {
        for batch in call.context().collect(frame.plan.clone())? {
            for row in 0..batch.num_rows() {
                let record = record_at(&batch, row);
                let mut key: Vec<String> = frame.key.iter().map(|k| format!("{k}={:?}", record.get(k.as_str()))).collect();
                key.sort();
                if !seen.insert(key) {
                    return Err(FluxError::run("reduce: two reducers writing result to the same table").at(call.span));
                }
            }
        }
    }
    Ok(stream(regroup_frames(frames, call.context())?, &tables))
}

/// Key columns beside the accumulators' properties; a property named like a key column replaces its value.
fn reduced(frame: &Frame, rows: &RecordBatch, starts: UInt64Array, records: &[Arc<Record>]) -> FluxResult<Frame> {
    let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (vec![], vec![]);
    let properties: Vec<Arc<str>> = records.first().map(|r| r.keys().cloned().collect()).unwrap_or_default();
    for key in frame.key.iter().filter(|k| !properties.iter().any(|p| p.as_ref() == k.as_str())) {
        let Some(column) = rows.column_by_name(key) else { continue };
        fields.push(Field::new(key, column.data_type().clone(), true));
        columns.push(take(column, &starts, None)?);
    }
    for name in properties {
        let values: Vec<Value> = records.iter().map(|r| r.get(&name).cloned().unwrap_or(Value::Null)).collect();
        if values.iter().any(Value::is_null) {
            return Err(FluxError::run(format!("reduce: null value for \"{name}\"")));
        }
        let mut data_type = DataType::Null;
        for value in &values {
            let found = column_type(value).ok_or_else(|| {
                FluxError::run(format!("reduce: property \"{name}\" is {} type which is not supported in a flux table", value.type_name()))
            })?;
            data_type = common_type(&data_type, &found)?;
        }
        columns.push(column_of(&values, &data_type)?);
        fields.push(Field::new(name.as_ref(), data_type, true));
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    Ok(Frame { absent_keys: frame.absent_keys, ..Frame::of(batch, frame.key.clone())? })
}
