//! `experimental.diff`: the rows in which two streams differ.
//!
//! Tables pair up by group key (labels, types and values); their order and the order of columns do not matter, the order
//! of rows does. A table that one side lacks is a table without rows there, a column that one side lacks is null there.

use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{Call, Function},
    },
    model::runs::runs,
    plan::{
        Context, Frame, TableStream,
        node::values::values,
        stream::{key_text, type_name},
    },
};
use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray, UInt64Array, make_comparator, new_null_array},
    compute::{SortOptions, concat, concat_batches, take},
    datatypes::{DataType, Field, Float64Type, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use std::{collections::BTreeMap, sync::Arc};

/// Floats this near are equal (Flux v0.200 `diff.go`).
const EPSILON: f64 = 1e-6;

/// Cells of the table of common sub-sequences; larger tables are told apart without looking for rows that moved.
const CELLS_MAX: usize = 4_000_000;

pub static FUNCTION: Function = Function {
    name: "diff",
    signature: "(<-got: stream[A], want: stream[A]) => stream[B]",
    summary: "Rows of the tables that differ; `_diff` is `-` for a row that only `want` has, `+` for one that only `got` has. Floats may differ by 1e-6.",
    examples: &[],
    call: diff,
};

fn diff(call: &mut Call<'_>) -> FluxResult<Value> {
    let want = call.stream("want")?;
    let got = call.stream("got")?;
    let mut pairs: BTreeMap<String, [Option<Table>; 2]> = BTreeMap::new();
    for (side, stream) in [&want, &got].into_iter().enumerate() {
        for frame in &stream.to_long()?.frames {
            for (key, table) in tables(frame, call.context())? {
                pairs.entry(key).or_default()[side] = Some(table);
            }
        }
    }
    let mut frames: Vec<(SchemaRef, Vec<String>, Vec<RecordBatch>)> = vec![];
    for [want, got] in pairs.into_values() {
        let Some((key, rows)) = differences(want, got).map_err(|e| e.at(call.span))? else { continue };
        match frames.iter_mut().find(|(schema, k, _)| *schema == rows.schema() && *k == key) {
            Some((_, _, batches)) => batches.push(rows),
            None => frames.push((rows.schema(), key, vec![rows])),
        }
    }
    let frames = frames.into_iter().map(|(schema, key, batches)| Ok(Frame::long(values(schema, batches)?, key)));
    let frames = frames.collect::<FluxResult<Vec<_>>>()?;
    Ok(Value::Stream(Arc::new(TableStream::new(frames, got.bounds))))
}

/// One table: its rows, and the names of its key columns in order.
struct Table {
    key: Vec<String>,
    rows: RecordBatch,
}

/// The tables that have rows, by the text of their keys.
fn tables(frame: &Frame, context: &dyn Context) -> FluxResult<Vec<(String, Table)>> {
    let frame = frame.without_empty_tables()?;
    let batches = context.collect(frame.plan.clone())?;
    let Some(first) = batches.first() else { return Ok(vec![]) };
    let rows = concat_batches(&first.schema(), &batches)?;
    let columns: Vec<ArrayRef> = frame.key.iter().filter_map(|k| rows.column_by_name(k).cloned()).collect();
    let mut out = vec![];
    for cut in runs(&columns, rows.num_rows())? {
        let mut rows = rows.slice(cut.start, cut.len());
        let mut key = frame.key.clone();
        if frame.absent_keys {
            key.retain(|k| rows.column_by_name(k).is_some_and(|c| c.is_valid(0)));
            let kept: Vec<usize> = (0..rows.num_columns())
                .filter(|i| !frame.is_key(rows.schema().field(*i).name()) || key.contains(rows.schema().field(*i).name()))
                .collect();
            rows = rows.project(&kept)?;
        }
        key.sort();
        out.push((key_text(&rows, &key, 0)?, Table { key, rows }));
    }
    Ok(out)
}

/// All rows of a pair of tables that differ, marked; `None` where they are equal.
fn differences(want: Option<Table>, got: Option<Table>) -> FluxResult<Option<(Vec<String>, RecordBatch)>> {
    let Some(key) = want.as_ref().or(got.as_ref()).map(|t| t.key.clone()) else { return Ok(None) };
    let count = |t: &Option<Table>| t.as_ref().map_or(0, |t| t.rows.num_rows());
    let (want_count, got_count) = (count(&want), count(&got));
    let mut names: Vec<String> = vec![];
    for table in [&want, &got].into_iter().flatten() {
        names.extend(table.rows.schema().fields().iter().map(|f| f.name().clone()).filter(|n| !names.contains(n)).collect::<Vec<_>>());
    }
    let mut columns = vec![];
    for name in &names {
        let side = |t: &Option<Table>| t.as_ref().and_then(|t| t.rows.column_by_name(name).cloned()).filter(|c| c.null_count() < c.len());
        columns.push(match (side(&want), side(&got)) {
            (Some(w), Some(g)) if w.data_type() != g.data_type() => {
                let (w, g) = (type_name(w.data_type()), type_name(g.data_type()));
                return Err(FluxError::run(format!("diff: column \"{name}\" is of type {w} in want and of type {g} in got")));
            }
            (Some(w), Some(g)) => (w, g),
            (Some(w), None) => (w.clone(), new_null_array(w.data_type(), got_count)),
            (None, Some(g)) => (new_null_array(g.data_type(), want_count), g),
            (None, None) => {
                let known = [&want, &got].into_iter().flatten().find_map(|t| Some(t.rows.column_by_name(name)?.data_type().clone()));
                let known = known.unwrap_or(DataType::Null);
                (new_null_array(&known, want_count), new_null_array(&known, got_count))
            }
        });
    }
    let equal = equality(&columns)?;
    let script = edits(want_count, got_count, &*equal);
    if script.iter().all(|e| e.mark.is_empty()) {
        return Ok(None);
    }
    let from = UInt64Array::from_iter_values(script.iter().map(|e| e.row as u64));
    let (mut fields, mut arrays): (Vec<Field>, Vec<ArrayRef>) = (vec![], vec![]);
    fields.push(Field::new("_diff", DataType::Utf8, true));
    arrays.push(Arc::new(StringArray::from_iter_values(script.iter().map(|e| e.mark))));
    for (name, (want, got)) in names.iter().zip(&columns).filter(|(n, _)| *n != "_diff") {
        fields.push(Field::new(name, want.data_type().clone(), true));
        arrays.push(take(&concat(&[want, got])?, &from, None)?);
    }
    Ok(Some((key, RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)))
}

/// Whether row `i` of the left columns is row `j` of the right ones.
type RowEquality = Box<dyn Fn(usize, usize) -> bool>;

fn equality(columns: &[(ArrayRef, ArrayRef)]) -> FluxResult<RowEquality> {
    let mut cells: Vec<RowEquality> = vec![];
    for (left, right) in columns {
        if left.data_type() == &DataType::Float64 {
            let (l, r) = (left.as_primitive::<Float64Type>().clone(), right.as_primitive::<Float64Type>().clone());
            cells.push(Box::new(move |i, j| match (l.is_valid(i), r.is_valid(j)) {
                (true, true) => same_float(l.value(i), r.value(j)),
                (l, r) => l == r,
            }));
        } else {
            let compare = make_comparator(left, right, SortOptions::default())?;
            cells.push(Box::new(move |i, j| compare(i, j).is_eq()));
        }
    }
    Ok(Box::new(move |i, j| cells.iter().all(|same| same(i, j))))
}

fn same_float(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= EPSILON
}

/// A row of the answer: its mark, and its number among the rows of `want` followed by those of `got`.
struct Edit {
    mark: &'static str,
    row: usize,
}

/// The shortest way from `want` to `got`: rows in common, and in between first what goes, then what comes.
fn edits(want: usize, got: usize, equal: &dyn Fn(usize, usize) -> bool) -> Vec<Edit> {
    let keep = |row: usize| Edit { mark: "", row };
    let gone = |row: usize| Edit { mark: "-", row };
    let new = |row: usize| Edit { mark: "+", row: want + row };
    let head = (0..want.min(got)).take_while(|i| equal(*i, *i)).count();
    let tail = (0..want.min(got) - head).take_while(|i| equal(want - 1 - i, got - 1 - i)).count();
    let (rows, columns) = (want - head - tail, got - head - tail);
    let mut out: Vec<Edit> = (0..head).map(keep).collect();
    if (rows + 1) * (columns + 1) > CELLS_MAX {
        out.extend((head..head + rows).map(gone));
        out.extend((head..head + columns).map(new));
    } else {
        // common[i][j]: length of the longest common sub-sequence of the rests after i and j.
        let mut common = vec![vec![0u32; columns + 1]; rows + 1];
        for i in (0..rows).rev() {
            for j in (0..columns).rev() {
                common[i][j] = if equal(head + i, head + j) { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
            }
        }
        let (mut i, mut j) = (0, 0);
        while i < rows || j < columns {
            if i < rows && j < columns && equal(head + i, head + j) {
                out.push(keep(head + i));
                (i, j) = (i + 1, j + 1);
            } else if j == columns || (i < rows && common[i + 1][j] >= common[i][j + 1]) {
                out.push(gone(head + i));
                i += 1;
            } else {
                out.push(new(head + j));
                j += 1;
            }
        }
    }
    out.extend((want - tail..want).map(keep));
    out
}

#[cfg(test)]
mod tests {
    use super::edits;

    #[test]
    fn rows_in_common_stay_and_what_goes_stands_before_what_comes() {
        let (want, got): (Vec<_>, Vec<_>) = ("abcxyz".chars().collect(), "acqyz".chars().collect());
        let marks: Vec<_> = edits(6, 5, &|i, j| want[i] == got[j]).iter().map(|e| format!("{}{}", e.mark, e.row)).collect();
        assert_eq!(marks, ["0", "-1", "2", "-3", "+8", "4", "5"]);
    }
}
