//! `selector_first|last|min|max(value, time[, others...])`: one row of a group as a struct `{value, time, other_1, ...}`,
//! as InfluxDB 3 has them. Rows without a value or a time take no part; ties go to the earliest row (for `last`: the
//! latest row among equal times).

use crate::model::{Failure, schema::time_type};
use arrow::{
    array::{Array, ArrayRef, AsArray, make_comparator, types::TimestampNanosecondType},
    compute::{SortOptions, cast},
    datatypes::{DataType, Field, FieldRef, Fields},
};
use datafusion::{
    common::{Result, ScalarValue, scalar::ScalarStructBuilder},
    logical_expr::{
        Accumulator, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};
use std::{cmp::Ordering, sync::Arc};

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
        let DataType::Struct(fields) = args.return_type() else { return Err(Failure::internal("a selector's type is a struct").into()) };
        Ok(Box::new(State { pick: self.pick, fields: fields.clone(), best: None }))
    }
}

#[derive(Debug)]
struct State {
    pick: Pick,
    fields: Fields,
    /// The best row so far: one array of length one per column.
    best: Option<Vec<ArrayRef>>,
}

impl State {
    /// Whether row `new` is to be preferred to row `old`, given how they compare.
    fn prefers(&self, time: Ordering, value: Ordering) -> bool {
        match self.pick {
            Pick::First => time.is_lt(),
            Pick::Last => time.is_ge(),
            Pick::Min => value.is_lt() || value.is_eq() && time.is_lt(),
            Pick::Max => value.is_gt() || value.is_eq() && time.is_lt(),
        }
    }
}

impl Accumulator for State {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let time = cast(&values[1], &time_type())?;
        let times = time.as_primitive::<TimestampNanosecondType>();
        let value = &values[0];
        let options = SortOptions::default();
        let within = make_comparator(value, value, options)?;
        let mut best: Option<usize> = None;
        let by_value = matches!(self.pick, Pick::Min | Pick::Max);
        for row in (0..value.len()).filter(|r| value.is_valid(*r) && times.is_valid(*r)) {
            let better = best.is_none_or(|b| {
                let order = if by_value { within(row, b) } else { Ordering::Equal };
                self.prefers(times.value(row).cmp(&times.value(b)), order)
            });
            if better {
                best = Some(row);
            }
        }
        let Some(row) = best else { return Ok(()) };
        if let Some(old) = &self.best {
            let order = make_comparator(value, &old[0], options)?(row, 0);
            let old_time = old[1].as_primitive::<TimestampNanosecondType>().value(0);
            if !self.prefers(times.value(row).cmp(&old_time), order) {
                return Ok(());
            }
        }
        // A slice would keep the whole batch alive.
        let row = arrow::array::UInt32Array::from(vec![row as u32]);
        let take = |(i, column): (usize, &ArrayRef)| arrow::compute::take(if i == 1 { &time } else { column }, &row, None);
        self.best = Some(values.iter().enumerate().map(take).collect::<Result<_, _>>()?);
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let nulls = || self.fields.iter().map(|f| ScalarValue::try_from(f.data_type())).collect();
        self.best.as_ref().map_or_else(nulls, |b| b.iter().map(|c| ScalarValue::try_from_array(c, 0)).collect())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if self.best.is_none() {
            return ScalarValue::try_from(&DataType::Struct(self.fields.clone()));
        }
        let values = self.state()?;
        let columns = self.fields.iter().zip(values);
        columns.fold(ScalarStructBuilder::new(), |b, (f, v)| b.with_scalar(f.as_ref().clone(), v)).build()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.best.iter().flatten().map(|c| c.get_array_memory_size()).sum::<usize>()
    }
}
