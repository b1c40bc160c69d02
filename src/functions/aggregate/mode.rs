//! `mode(value)`: the most frequent value, in the type of the column; of several the least. Nulls take no part.

use crate::{kernel::mode::Mode, model::Failure};
use arrow::{
    array::{Array, ArrayRef, AsArray, UInt64Array, new_empty_array},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, UInt64Type},
    row::{OwnedRow, RowConverter, SortField},
};
use datafusion::{
    common::{Result, ScalarValue, utils::SingleRowListArrayBuilder},
    logical_expr::{
        Accumulator, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};
use std::{fmt, sync::Arc};

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ModeFunction {
    signature: Signature,
}

impl Default for ModeFunction {
    fn default() -> ModeFunction {
        ModeFunction { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ModeFunction {
    fn name(&self) -> &str {
        "mode"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if types[0].is_nested() { Err(Failure::invalid("mode expects plain values").into()) } else { Ok(types[0].clone()) }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |name: &str, item: DataType| {
            Arc::new(Field::new_list(format!("{}[{name}]", args.name), Field::new_list_field(item, true), true))
        };
        Ok(vec![list("values", args.return_type().clone()), list("counts", DataType::UInt64)])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let data_type = args.return_type().clone();
        let rows = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        Ok(Box::new(Counts { rows, data_type, mode: Mode::default(), bytes: 0 }))
    }
}

/// Values are counted in their sortable row form, whatever their type.
struct Counts {
    rows: RowConverter,
    data_type: DataType,
    mode: Mode<OwnedRow>,
    bytes: usize,
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counts({} values)", self.mode.counts().len())
    }
}

impl Counts {
    fn count(&mut self, values: &ArrayRef, times: impl Fn(usize) -> u64) -> Result<()> {
        let rows = self.rows.convert_columns(std::slice::from_ref(values))?;
        let known = self.mode.counts().len();
        for row in (0..values.len()).filter(|row| values.is_valid(*row)) {
            self.mode.push_times(rows.row(row).owned(), times(row));
        }
        let new = self.mode.counts().len() - known;
        self.bytes += new * (rows.size() / values.len().max(1) + size_of::<OwnedRow>());
        Ok(())
    }

    fn array(&self, rows: &[&OwnedRow]) -> Result<ArrayRef> {
        // A dictionary comes back as its values.
        let values = self.rows.convert_rows(rows.iter().map(|r| r.row()))?.remove(0);
        Ok(cast(&values, &self.data_type)?)
    }
}

impl Accumulator for Counts {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        self.count(&columns[0], |_| 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states[0].as_list::<i32>().iter().zip(states[1].as_list::<i32>().iter());
        for (values, counts) in lists.filter_map(|(values, counts)| values.zip(counts)) {
            let counts = counts.as_primitive::<UInt64Type>();
            self.count(&values, |row| counts.value(row))?;
        }
        Ok(())
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (rows, counts): (Vec<&OwnedRow>, Vec<u64>) = self.mode.counts().unzip();
        let values = if rows.is_empty() { new_empty_array(&self.data_type) } else { self.array(&rows)? };
        let counts: ArrayRef = Arc::new(UInt64Array::from(counts));
        let list = |items: ArrayRef| SingleRowListArrayBuilder::new(items).build_list_scalar();
        Ok(vec![list(values), list(counts)])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let most = self.mode.counts().map(|(_, n)| n).max();
        match self.mode.counts().filter(|(_, n)| Some(*n) == most).map(|(row, _)| row).min() {
            Some(row) => ScalarValue::try_from_array(&self.array(&[row])?, 0),
            None => ScalarValue::try_from(&self.data_type),
        }
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes
    }
}
