//! The area under the line through the points of a group: `integral(value, time[, unit])`, per unit of one second, and
//! `time_weighted_avg(value, time[, start, stop])`, the area divided by the time it spans.
//!
//! Points are sorted by time first; of equal times the first one counts; rows without value or time take no part. With
//! `start` and `stop` the line is extended to them, as Flux's `timeWeightedAvg` extends it to the bounds of its range.

use crate::{
    functions::arguments::{constant, is_time, nanoseconds, number_type},
    kernel::integral::{Integral, time_weighted_average},
    model::{Failure, duration, schema::time_type},
};
use arrow::{
    array::{ArrayRef, AsArray, types::TimestampNanosecondType},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Float64Type},
};
use datafusion::{
    common::{Result, ScalarValue},
    logical_expr::{
        Accumulator, AggregateUDFImpl, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};
use std::sync::Arc;

/// What is asked of the area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Area {
    Integral,
    TimeWeightedAverage,
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub struct AreaFunction {
    area: Area,
    signature: Signature,
}

impl AreaFunction {
    pub fn new(area: Area) -> AreaFunction {
        AreaFunction { area, signature: Signature::variadic_any(Volatility::Immutable) }
    }

    fn usage(&self) -> Failure {
        Failure::invalid(match self.area {
            Area::Integral => "expected integral(number, time[, INTERVAL '1 second'])",
            Area::TimeWeightedAverage => "expected time_weighted_avg(number, time[, start, stop]) with start before stop",
        })
    }
}

impl AggregateUDFImpl for AreaFunction {
    fn name(&self) -> &str {
        match self.area {
            Area::Integral => "integral",
            Area::TimeWeightedAverage => "time_weighted_avg",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let counts: [usize; 2] = if self.area == Area::Integral { [2, 3] } else { [2, 4] };
        if !counts.contains(&types.len()) || number_type(&types[0]).is_none() || !is_time(&types[1]) {
            return Err(self.usage().into());
        }
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let list = |name: &str, item: DataType| {
            Arc::new(Field::new_list(format!("{}[{name}]", args.name), Field::new_list_field(item, true), true))
        };
        Ok(vec![list("values", DataType::Float64), list("times", time_type())])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let instant = |i: usize| match constant(&args.exprs[i]).and_then(|v| v.cast_to(&time_type()).ok()) {
            Some(ScalarValue::TimestampNanosecond(Some(t), _)) => Ok(t),
            _ => Err(self.usage()),
        };
        let kind = match (self.area, args.exprs.len()) {
            (Area::Integral, 3) => Kind::Integral(nanoseconds(constant(&args.exprs[2]).as_ref()).ok_or_else(|| self.usage())?),
            (Area::Integral, _) => Kind::Integral(duration::SECOND),
            (Area::TimeWeightedAverage, 4) => Kind::Average(Some((instant(2)?, instant(3)?))),
            (Area::TimeWeightedAverage, _) => Kind::Average(None),
        };
        if matches!(kind, Kind::Average(Some((start, stop))) if start >= stop) {
            return Err(self.usage().into());
        }
        Ok(Box::new(Points { kind, points: vec![] }))
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Per so many nanoseconds.
    Integral(i64),
    /// Between these bounds; without any, from the first point to the last.
    Average(Option<(i64, i64)>),
}

#[derive(Debug)]
struct Points {
    kind: Kind,
    points: Vec<(i64, f64)>,
}

impl Accumulator for Points {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let values = cast(&columns[0], &DataType::Float64)?;
        let times = cast(&columns[1], &time_type())?;
        let rows = times.as_primitive::<TimestampNanosecondType>().iter().zip(values.as_primitive::<Float64Type>());
        self.points.extend(rows.filter_map(|(time, value)| Some((time?, value?))));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states[0].as_list::<i32>().iter().zip(states[1].as_list::<i32>().iter());
        lists.filter_map(|(values, times)| values.zip(times)).try_for_each(|(values, times)| self.update_batch(&[values, times]))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values: Vec<ScalarValue> = self.points.iter().map(|p| ScalarValue::from(p.1)).collect();
        let times: Vec<ScalarValue> = self.points.iter().map(|p| ScalarValue::TimestampNanosecond(Some(p.0), None)).collect();
        let list = |items: &[ScalarValue], item: &DataType| ScalarValue::List(ScalarValue::new_list(items, item, true));
        Ok(vec![list(&values, &DataType::Float64), list(&times, &time_type())])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        if !self.points.is_sorted_by_key(|p| p.0) {
            self.points.sort_by_key(|p| p.0);
        }
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else { return Ok(ScalarValue::Float64(None)) };
        let points = || self.points.iter().copied();
        Ok(ScalarValue::Float64(Some(match self.kind {
            Kind::Integral(unit) => {
                let mut area = Integral::new(unit, first.0, last.0, false);
                points().for_each(|(time, value)| area.push(time, value));
                area.finish()
            }
            Kind::Average(Some((start, stop))) => time_weighted_average(points(), start, stop),
            Kind::Average(None) if first.0 == last.0 => first.1,
            Kind::Average(None) => time_weighted_average(points(), first.0, last.0),
        })))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.points.capacity() * size_of::<(i64, f64)>()
    }
}
