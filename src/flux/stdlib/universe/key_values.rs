//! `keyValues`: the distinct values of some columns, with the columns' names.

use super::reductions::reduce_rows;
use crate::{
    flux::{
        diagnostic::{FluxError, FluxResult},
        eval::Value,
        stdlib::{Call, Function, tables::each},
    },
    plan::stream::type_name,
};
use arrow::{
    array::{Array, ArrayRef, StringArray, UInt64Array},
    compute::{concat, take},
    datatypes::{DataType, Field},
    row::{RowConverter, SortField},
};
use std::{collections::HashSet, sync::Arc};

pub static FUNCTION: Function = Function {
    name: "keyValues",
    signature: "(<-tables: stream[A], ?keyColumns: [string]) => stream[B]",
    summary: "The distinct pairs of column name and value of `keyColumns` in each table, as `_key` and `_value`.",
    examples: &[],
    call: key_values,
};

fn key_values(call: &mut Call<'_>) -> FluxResult<Value> {
    let names = call.required::<Vec<String>>("keyColumns")?;
    if names.is_empty() {
        return Err(FluxError::invalid("keyValues: keyColumns must name at least one column").at(call.span));
    }
    each(call, |frame| {
        let names: Vec<String> = names.iter().filter(|n| frame.has(n)).cloned().collect();
        let types: Vec<DataType> = names.iter().filter_map(|n| frame.data_type(n)).collect();
        let Some(data_type) = types.first() else {
            return frame.fail("keyValues", "keyValues: no columns matched by keyColumns".to_string());
        };
        if let Some(at) = types.iter().position(|t| t != data_type) {
            let (one, two) = (type_name(data_type), type_name(&types[at]));
            let text =
                format!("keyValues: keyColumns must all be the same type, but \"{}\" is {one} and \"{}\" is {two}", names[0], names[at]);
            return frame.fail("keyValues", text);
        }
        let added = vec![Field::new("_key", DataType::Utf8, true), Field::new("_value", data_type.clone(), true)];
        reduce_rows(frame, "keyValues", added, move |_, rows| {
            let columns: Vec<ArrayRef> = names.iter().filter_map(|n| rows.column_by_name(n).cloned()).collect();
            let parts: Vec<&dyn Array> = columns.iter().map(|c| c.as_ref()).collect();
            let all = concat(&parts)?;
            let converter = RowConverter::new(vec![SortField::new(all.data_type().clone())])?;
            let cells = converter.convert_columns(std::slice::from_ref(&all))?;
            let mut seen = HashSet::new();
            let (mut keys, mut from) = (vec![], vec![]);
            for row in 0..rows.num_rows() {
                for (column, name) in names.iter().enumerate() {
                    let at = column * rows.num_rows() + row;
                    if all.is_valid(at) && seen.insert((column, cells.row(at).data())) {
                        keys.push(name.as_str());
                        from.push(at as u64);
                    }
                }
            }
            Ok(vec![Arc::new(StringArray::from(keys)), take(&all, &UInt64Array::from(from), None)?])
        })
    })
}
