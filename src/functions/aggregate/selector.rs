//! `selector_first|last|min|max(value, time[, others...])`: one row of a group as a struct `{value, time, other_1, ...}`,
//! as InfluxDB 3 has them. Rows without a value or a time take no part; ties go to the earliest row (for `last`: the
//! latest row among equal times).

use crate::model::{Failure, schema::time_type};
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, StructArray, make_comparator, new_null_array, types::TimestampNanosecondType},
    buffer::NullBuffer,
    compute::{SortOptions, cast, nullif},
    datatypes::{DataType, Field, FieldRef, Fields},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};
use std::{cmp::Ordering, mem, sync::Arc};

/// Which row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pick {
    First,
    Last,
    Min,
    Max,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SelectorFunction {
    pick: Pick,
    signature: Signature,
}

impl SelectorFunction {
    pub fn new(pick: Pick) -> SelectorFunction {
        SelectorFunction { pick, signature: Signature::variadic_any(Volatility::Immutable) }
    }
}

fn columns(types: &[DataType]) -> Vec<Field> {
    let name = |i: usize| match i {
        0 => "value".to_string(),
        1 => "time".to_string(),
        i => format!("other_{}", i - 1),
    };
    let of = |i: usize, t: &DataType| if i == 1 { time_type() } else { t.clone() };
    types.iter().enumerate().map(|(i, t)| Field::new(name(i), of(i, t), true)).collect()
}

impl AggregateUDFImpl for SelectorFunction {
    fn name(&self) -> &str {
        match self.pick {
            Pick::First => "selector_first",
            Pick::Last => "selector_last",
            Pick::Min => "selector_min",
            Pick::Max => "selector_max",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if types.len() < 2 || !matches!(types[1], DataType::Timestamp(..)) {
            return Err(Failure::invalid(format!("{} expects a value and a time", self.name())).into());
        }
        Ok(DataType::Struct(Fields::from(columns(types))))
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let DataType::Struct(fields) = args.return_type() else { return Err(Failure::internal("a selector's type is a struct").into()) };
        Ok(fields.iter().map(|f| Arc::new(f.as_ref().clone().with_name(format!("{}[{}]", args.name, f.name())))).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(One(self.groups(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups(&args)?))
    }
}

impl SelectorFunction {
    fn groups(&self, args: &AccumulatorArgs) -> Result<Groups> {
        let DataType::Struct(fields) = args.return_type() else { return Err(Failure::internal("a selector's type is a struct").into()) };
        Ok(Groups { pick: self.pick, fields: fields.clone(), best: vec![], candidates: vec![], bytes: 0 })
    }
}

/// No row of the batch.
const NONE: u32 = u32::MAX;

/// The best row of each group.
#[derive(Debug)]
struct Groups {
    pick: Pick,
    fields: Fields,
    best: Vec<Option<Best>>,
    /// By group, the best row of the batch at hand; [`NONE`] everywhere between batches.
    candidates: Vec<u32>,
    bytes: usize,
}

#[derive(Debug)]
struct Best {
    time: i64,
    /// Every column, the time among them.
    row: Vec<ScalarValue>,
}

impl Pick {
    /// Whether a row is to be preferred to an older one, given how it compares with that.
    fn prefers(self, time: Ordering, value: impl FnOnce() -> Ordering) -> bool {
        match self {
            Pick::First => time.is_lt(),
            Pick::Last => time.is_ge(),
            Pick::Min | Pick::Max => {
                let value = if self == Pick::Min { value().reverse() } else { value() };
                value.is_gt() || value.is_eq() && time.is_lt()
            }
        }
    }
}

impl Groups {
    fn update(&mut self, columns: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, count: usize) -> Result<()> {
        self.best.resize_with(count, || None);
        self.candidates.resize(count.max(self.candidates.len()), NONE);
        let time = cast(&columns[1], &time_type())?;
        let times = time.as_primitive::<TimestampNanosecondType>();
        let value = &columns[0];
        let compare = make_comparator(value, value, SortOptions::default())?;
        let counts = |row: usize| value.is_valid(row) && times.is_valid(row) && filter.is_none_or(|f| f.is_valid(row) && f.value(row));
        let mut touched = vec![];
        for row in (0..value.len()).filter(|row| counts(*row)) {
            let candidate = &mut self.candidates[groups[row]];
            if *candidate == NONE {
                touched.push(groups[row]);
                *candidate = row as u32;
                continue;
            }
            let old = *candidate as usize;
            if self.pick.prefers(times.value(row).cmp(&times.value(old)), || compare(row, old)) {
                *candidate = row as u32;
            }
        }
        for group in touched {
            let row = mem::replace(&mut self.candidates[group], NONE) as usize;
            if let Some(old) = &self.best[group] {
                let by_value = matches!(self.pick, Pick::Min | Pick::Max);
                let order = if by_value { ScalarValue::try_from_array(value, row)?.partial_cmp(&old.row[0]) } else { None };
                if !self.pick.prefers(times.value(row).cmp(&old.time), || order.unwrap_or(Ordering::Equal)) {
                    continue;
                }
                self.bytes -= bytes(&old.row);
            }
            let cell = |(i, column): (usize, &ArrayRef)| ScalarValue::try_from_array(if i == 1 { &time } else { column }, row);
            let cells = columns.iter().enumerate().map(cell).collect::<Result<Vec<_>>>()?;
            self.bytes += bytes(&cells);
            self.best[group] = Some(Best { time: times.value(row), row: cells });
        }
        Ok(())
    }

    fn take(&mut self, emit: EmitTo) -> Vec<Option<Best>> {
        let taken = emit.take_needed(&mut self.best);
        self.bytes -= taken.iter().flatten().map(|b| bytes(&b.row)).sum::<usize>();
        taken
    }

    /// The columns of the picked rows, and where there is one.
    fn columns(&self, best: &[Option<Best>]) -> Result<(Vec<ArrayRef>, NullBuffer)> {
        let column = |(i, field): (usize, &FieldRef)| -> Result<ArrayRef> {
            let null = ScalarValue::try_from(field.data_type())?;
            if best.is_empty() {
                return Ok(new_null_array(field.data_type(), 0));
            }
            ScalarValue::iter_to_array(best.iter().map(|b| b.as_ref().map_or_else(|| null.clone(), |b| b.row[i].clone())))
        };
        let columns = self.fields.iter().enumerate().map(column).collect::<Result<_>>()?;
        Ok((columns, best.iter().map(Option::is_some).collect()))
    }
}

fn bytes(row: &[ScalarValue]) -> usize {
    row.iter().map(ScalarValue::size).sum()
}

impl GroupsAccumulator for Groups {
    fn update_batch(&mut self, values: &[ArrayRef], groups: &[usize], filter: Option<&BooleanArray>, count: usize) -> Result<()> {
        self.update(values, groups, filter, count)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.update(states, groups, None, count)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let best = self.take(emit);
        let (columns, there) = self.columns(&best)?;
        Ok(Arc::new(StructArray::try_new(self.fields.clone(), columns, Some(there))?))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let best = self.take(emit);
        Ok(self.columns(&best)?.0)
    }

    /// Every row is its own group.
    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let column = |(i, column): (usize, &ArrayRef)| -> Result<ArrayRef> {
            let column = if i == 1 { cast(column, &time_type())? } else { column.clone() };
            match filter {
                None => Ok(column),
                Some(filter) => {
                    let left_out: BooleanArray = filter.iter().map(|keep| Some(keep != Some(true))).collect();
                    Ok(nullif(&column, &left_out)?)
                }
            }
        };
        values.iter().enumerate().map(column).collect()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes + self.best.capacity() * size_of::<Option<Best>>() + self.candidates.capacity() * size_of::<u32>()
    }
}

/// All rows are one group.
#[derive(Debug)]
struct One(Groups);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update(values, &vec![0; values[0].len()], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let (columns, _) = self.0.columns(self.best())?;
        columns.iter().map(|c| ScalarValue::try_from_array(c, 0)).collect()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (columns, there) = self.0.columns(self.best())?;
        let row = StructArray::try_new(self.0.fields.clone(), columns, Some(there))?;
        Ok(ScalarValue::Struct(Arc::new(row)))
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(&self.0)
    }
}

impl One {
    fn best(&self) -> &[Option<Best>] {
        if self.0.best.is_empty() { &[None] } else { &self.0.best }
    }
}
