//! `pivot`: values of a column become columns.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        lower::cells::{column_of, column_type, value_at},
        stdlib::{Call, Function, tables::stream},
    },
    model::{Result as Outcome, schema::tag_type},
    plan::{Context, Frame, stream::col},
};
use arrow::{
    array::Array,
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use datafusion::logical_expr::{Expr, cast};
use indexmap::IndexMap;
use std::sync::Arc;

pub static FUNCTION: Function = Function {
    name: "pivot",
    signature: "(<-tables: stream[A], rowKey: [string], columnKey: [string], valueColumn: string) => stream[B]",
    summary: "Makes one row of all rows with equal `rowKey`; their values become columns named by `columnKey`.",
    examples: &[],
    call: pivot,
};

/// A cell while rows are put together: its column's name, its value, its row's name.
const CELL_BYTES: usize = 256;

/// Column names and types, in order.
type Columns = IndexMap<String, DataType>;

fn pivot(call: &mut Call<'_>) -> FluxResult<Value> {
    let tables = call.tables()?;
    let row_key = call.column_names("rowKey", &[])?;
    let column_key = call.column_names("columnKey", &[])?;
    let value_column = call.column_name("valueColumn", "_value")?;
    if let Some(both) = row_key.iter().find(|c| column_key.contains(c)) {
        return Err(FluxError::invalid(format!("column name found in both rowKey and columnKey: {both}")).at(call.span));
    }
    if row_key.contains(&value_column) || column_key.contains(&value_column) {
        return Err(FluxError::invalid("column name found in both rowKey or columnKey and valueColumn").at(call.span));
    }
    let by_field = row_key == ["_time"] && column_key == ["_field"] && value_column == "_value";
    if by_field && tables.frames.iter().all(|f| f.is_wide() && !f.null_rows) {
        let frames = tables.frames.iter().map(fields_as_columns).collect::<Outcome<Vec<_>>>()?;
        return Ok(stream(frames, &tables));
    }
    let shape = Shape { row_key, column_key, value_column };
    let mut pivoted: IndexMap<Key, Table> = IndexMap::new();
    for frame in tables.to_long()?.frames {
        let frame = frame.without_empty_tables()?;
        if let Some(missing) = shape.columns().find(|c| !frame.has(c)) {
            let failing = frame.fail("pivot", format!("pivot: specified column does not exist in table: {missing}"))?;
            call.context().collect(failing.plan)?;
            continue;
        }
        for batch in call.context().collect(frame.plan.clone())? {
            call.context().charge(batch.num_rows() * CELL_BYTES)?;
            shape.take(&frame, &batch, &mut pivoted)?;
        }
    }
    Ok(stream(shape.frames(pivoted, call.context())?, &tables))
}

/// A wide frame is pivoted already: its field columns become plain columns.
fn fields_as_columns(frame: &Frame) -> Outcome<Frame> {
    let any = frame.fields.iter().map(|f| col(f).is_not_null()).reduce(Expr::or);
    let kept = any.map_or_else(|| Ok(frame.clone()), |any| frame.filter(any))?;
    let plain = |name: String| {
        let e = if frame.data_type(&name) == Some(tag_type()) { cast(col(&name), DataType::Utf8) } else { col(&name) };
        (name, e)
    };
    let long = Frame { fields: vec![], ..kept };
    long.project(long.columns().into_iter().map(plain).collect(), frame.key.clone())
}

/// Labels and printed values of a key.
type Key = Vec<(String, String)>;

struct Shape {
    row_key: Vec<String>,
    column_key: Vec<String>,
    value_column: String,
}

/// One table of the answer.
#[derive(Default)]
struct Table {
    key: Vec<(String, DataType, Value)>,
    rows: IndexMap<String, (Vec<Value>, IndexMap<String, Value>)>,
    row_types: Vec<DataType>,
    columns: IndexMap<String, DataType>,
}

fn printed(value: &Value) -> String {
    format!("{value:?}")
}

fn label(value: &Value) -> String {
    match value {
        Value::Null => "null".to_string(),
        Value::String(s) => s.to_string(),
        Value::Int(v) => v.to_string(),
        Value::UInt(v) => v.to_string(),
        Value::Float(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        Value::Time(v) => crate::model::time::rfc3339(*v),
        other => printed(other),
    }
}

impl Shape {
    fn columns(&self) -> impl Iterator<Item = &String> {
        self.row_key.iter().chain(&self.column_key).chain([&self.value_column])
    }

    fn take(&self, frame: &Frame, batch: &RecordBatch, out: &mut IndexMap<Key, Table>) -> FluxResult<()> {
        let mut key: Vec<String> = frame.key.iter().filter(|k| !self.column_key.contains(k) && **k != self.value_column).cloned().collect();
        key.sort();
        let column = |name: &String| batch.column_by_name(name).expect("looked up before the frame ran");
        for row in 0..batch.num_rows() {
            let cell = |name: &String| value_at(column(name).as_ref(), row);
            let present = |k: &&String| !(frame.absent_keys && column(k).is_null(row));
            let printed_key: Key = key.iter().filter(present).map(|k| (k.clone(), printed(&cell(k)))).collect();
            let table = out.entry(printed_key).or_default();
            if table.rows.is_empty() {
                table.key = key.iter().filter(present).map(|k| (k.clone(), column(k).data_type().clone(), cell(k))).collect();
                table.row_types = self.row_key.iter().map(|k| column(k).data_type().clone()).collect();
            }
            let name = self.column_key.iter().map(|c| label(&cell(c))).collect::<Vec<_>>().join("_");
            let data_type = column(&self.value_column).data_type().clone();
            match table.columns.get(&name) {
                Some(known) if *known != data_type => {
                    let (one, two) = (crate::plan::stream::type_name(known), crate::plan::stream::type_name(&data_type));
                    let text = format!("pivot: schema collision detected: column \"{name}\" is both of type {one} and {two}");
                    return Err(FluxError::run(text));
                }
                Some(_) => {}
                None if self.row_key.contains(&name) || key.contains(&name) => {
                    return Err(FluxError::run(format!(
                        "pivot: value \"{name}\" appears in a column key column, but a column named \"{name}\" already exists; consider renaming \"{name}\""
                    )));
                }
                None => {
                    table.columns.insert(name.clone(), data_type);
                }
            }
            let row_values: Vec<Value> = self.row_key.iter().map(cell).collect();
            let row_name = row_values.iter().map(printed).collect::<Vec<_>>().join("\u{1}");
            let (_, cells) = table.rows.entry(row_name).or_insert_with(|| (row_values, IndexMap::new()));
            cells.insert(name, cell(&self.value_column));
        }
        Ok(())
    }

    /// Each table as a frame; tables whose columns agree share one.
    fn frames(&self, tables: IndexMap<Key, Table>, context: &dyn Context) -> FluxResult<Vec<Frame>> {
        let mut frames: Vec<(Vec<String>, Columns, Vec<Table>)> = vec![];
        for table in tables.into_values() {
            let key: Vec<String> = table.key.iter().map(|(k, _, _)| k.clone()).collect();
            let mut columns: Columns = table.key.iter().map(|(k, t, _)| (k.clone(), t.clone())).collect();
            columns.extend(self.row_key.iter().cloned().zip(table.row_types.iter().cloned()));
            columns.extend(table.columns.clone());
            let agrees = |all: &IndexMap<String, DataType>| columns.iter().all(|(c, t)| all.get(c).is_none_or(|known| known == t));
            match frames.iter_mut().find(|(k, all, _)| *k == key && agrees(all)) {
                Some((_, all, tables)) => {
                    all.extend(columns);
                    tables.push(table);
                }
                None => frames.push((key, columns, vec![table])),
            }
        }
        // Every row has every column, if only as a null.
        for (_, columns, tables) in &frames {
            let rows: usize = tables.iter().map(|table| table.rows.len()).sum();
            context.charge(rows.saturating_mul(columns.len()).saturating_mul(size_of::<u64>()))?;
        }
        frames.into_iter().map(|(key, columns, tables)| self.frame(key, columns, &tables)).collect()
    }

    fn frame(&self, key: Vec<String>, columns: IndexMap<String, DataType>, tables: &[Table]) -> FluxResult<Frame> {
        let (mut fields, mut arrays) = (vec![], vec![]);
        for (name, data_type) in columns {
            let mut values = vec![];
            for table in tables {
                let fixed = table.key.iter().find(|(k, _, _)| *k == name).map(|(_, _, v)| v);
                let at = self.row_key.iter().position(|k| *k == name);
                values.extend(table.rows.values().map(|(row, cells)| match (at, fixed) {
                    (Some(at), _) => row[at].clone(),
                    (None, Some(value)) => value.clone(),
                    (None, None) => cells.get(&name).cloned().unwrap_or(Value::Null),
                }));
            }
            debug_assert!(values.iter().all(|v| column_type(v).is_some()));
            arrays.push(column_of(&values, &data_type)?);
            fields.push(Field::new(name, data_type, true));
        }
        Ok(Frame::of(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?, key)?)
    }
}
