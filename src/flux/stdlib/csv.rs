//! Package `csv`: tables from CSV text.

use super::{Call, Function};
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
    },
    format::annotated_csv::{CsvTable, decode, decode_raw},
    model::runs::runs,
    plan::{
        Frame, TableStream,
        node::{per_table::EMPTY, values::values},
        stream::{key_text, regroup_frames},
    },
};
use arrow::{
    array::{ArrayRef, BooleanArray, StringArray, new_null_array},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use std::{collections::HashSet, sync::Arc};

pub const FUNCTIONS: &[&Function] = &[&FROM];

pub static FROM: Function = Function {
    name: "from",
    signature: "(?csv: string, ?file: string, ?mode: string) => stream[A]",
    summary: "Tables from annotated CSV, or one table of strings with `mode: \"raw\"`.",
    examples: &[],
    call: from,
};

fn from(call: &mut Call<'_>) -> FluxResult<Value> {
    let text = call.optional::<Arc<str>>("csv")?;
    if call.get("file").is_some() {
        return Err(FluxError::invalid("csv.from: reading files of the server is not allowed; pass the text as `csv`").at(call.span));
    }
    let Some(text) = text else { return Err(FluxError::invalid("must provide csv raw text or filename").at(call.span)) };
    let tables = match call.or::<Arc<str>>("mode", "annotations".into())?.as_ref() {
        "annotations" => decode(&text)?,
        "raw" => vec![decode_raw(&text)?],
        other => return Err(FluxError::invalid(format!("csv.from: mode must be annotations or raw, found {other}")).at(call.span)),
    };
    if tables.windows(2).any(|pair| pair[0].result != pair[1].result) {
        return Err(FluxError::invalid("csv.from: the CSV holds more than one result").at(call.span));
    }
    // Tables of one schema and key go into one frame, in the order of the text; the marker says which have no rows.
    let mut frames: Vec<(SchemaRef, Vec<String>, Vec<RecordBatch>)> = vec![];
    let mut keys = HashSet::new();
    let mut distinct = true;
    for table in tables {
        let batch = marked(&table)?;
        distinct &= keys_of(&batch, &table.key)?.into_iter().all(|key| keys.insert(key));
        match frames.iter_mut().find(|(schema, key, _)| *schema == batch.schema() && *key == table.key) {
            Some((_, _, batches)) => batches.push(batch),
            None => frames.push((batch.schema(), table.key, vec![batch])),
        }
    }
    let frames = frames.into_iter().map(|(schema, key, batches)| Ok(Frame::long(values(schema, batches)?, key)));
    let frames = frames.collect::<crate::model::Result<Vec<_>>>()?;
    let frames = if distinct { frames } else { regroup_frames(frames, call.context())? };
    Ok(Value::Stream(Arc::new(TableStream::new(frames, None))))
}

/// The keys of a table's rows: one, unless the text contradicts itself.
fn keys_of(rows: &RecordBatch, key: &[String]) -> FluxResult<Vec<String>> {
    let mut names = key.to_vec();
    names.sort();
    let columns: Vec<ArrayRef> = names.iter().filter_map(|k| rows.column_by_name(k).cloned()).collect();
    runs(&columns, rows.num_rows())?.into_iter().map(|run| Ok(key_text(rows, &names, run.start)?)).collect()
}

/// The table's rows with the marker column; an empty table becomes one marked row that holds its key.
fn marked(table: &CsvTable) -> FluxResult<RecordBatch> {
    let from = table.batch.schema();
    let empty = table.batch.num_rows() == 0;
    let mut fields: Vec<Field> = from.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    let mut columns: Vec<ArrayRef> = vec![];
    for (field, column) in from.fields().iter().zip(table.batch.columns()) {
        let at = table.key.iter().position(|k| k == field.name());
        columns.push(match at {
            _ if !empty => column.clone(),
            Some(at) => {
                let text: ArrayRef = Arc::new(StringArray::from(vec![table.key_values.get(at).cloned().flatten()]));
                cast(&text, field.data_type())?
            }
            None => new_null_array(field.data_type(), 1),
        });
    }
    let count = table.batch.num_rows().max(1);
    fields.push(Field::new(EMPTY, DataType::Boolean, true));
    columns.push(Arc::new(BooleanArray::from(vec![empty; count])));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        flux::{ast::Span, eval::Interpreter},
        plan::{Context, memory::MemoryContext},
    };

    #[test]
    fn tables_keep_the_order_of_the_text_and_empty_ones_keep_their_key() {
        let text = "#datatype,string,long,string,long\n#group,false,false,true,false\n#default,_result,,,\n,result,table,k,v\n,,0,b,2\n,,0,b,1\n,,1,a,3\n\n\
                    #datatype,string,long,string,long\n#group,false,false,true,false\n#default,_result,2,c,\n,result,table,k,v\n";
        let context = MemoryContext::new(0);
        let interpreter = Interpreter::in_session(&context, Default::default());
        let arguments = vec![("csv".into(), Value::string(text))];
        let value = from(&mut Call { function: &FROM, interpreter: &interpreter, arguments, span: Span::default() }).expect("reads");
        let Value::Stream(stream) = value else { panic!("not a stream") };
        let rows: Vec<_> = stream.frames.iter().flat_map(|f| context.collect(f.plan.clone()).expect("runs")).collect();
        let text = arrow::util::pretty::pretty_format_batches(&rows).expect("prints").to_string().replace('\u{0}', "");
        expect_test::expect![[r#"
            +---+---+--------+
            | k | v | empty |
            +---+---+--------+
            | b | 2 | false  |
            | b | 1 | false  |
            | a | 3 | false  |
            | c |   | true   |
            +---+---+--------+"#]]
        .assert_eq(&text);
    }
}
