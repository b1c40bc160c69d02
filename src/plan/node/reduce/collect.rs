//! Reductions that need all values of a group, in time order: `median`, `percentile`, `mode`, `distinct`, `top`, `bottom`,
//! `sample`, `integral`.

use super::{Accumulator, Extreme, Outcome, Reduction, Slots, pick::plain};
use crate::{
    kernel::{integral::WindowedIntegral, mode::Mode, quantile},
    plan::node::gap_fill::Windows,
};
use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, UInt32Array, make_comparator},
    compute::{SortOptions, cast, concat, take},
    datatypes::{DataType, Float64Type},
    row::{RowConverter, Rows, SortField},
};
use datafusion::common::Result;
use rand::{SeedableRng, seq::IndexedRandom};
use std::{collections::HashSet, ops::Range, sync::Arc};

/// All points of the groups, and what to make of them at the end.
pub struct Collecting {
    reduction: Reduction,
    windows: Option<Windows>,
    /// Without windows: the lower bound of all times.
    start: i64,
    descending: bool,
    values: Vec<ArrayRef>,
    carried: Vec<Vec<ArrayRef>>,
    slots: Vec<u32>,
    times: Vec<i64>,
    /// Rows of the current batch.
    rows: Vec<u32>,
    bytes: usize,
}

impl Collecting {
    /// `windows` cut an integral; `descending` says in which direction it runs.
    pub fn new(reduction: Reduction, windows: Option<Windows>, start: i64, descending: bool) -> Collecting {
        let (values, carried, slots, times, rows) = Default::default();
        Collecting { reduction, windows, start, descending, values, carried, slots, times, rows, bytes: 0 }
    }
}

impl Accumulator for Collecting {
    fn update(&mut self, slot: usize, times: &[i64], column: &ArrayRef, rows: Range<usize>) -> Result<()> {
        for row in rows.filter(|r| column.is_valid(*r)) {
            self.rows.push(row as u32);
            self.slots.push(slot as u32);
            self.times.push(times[row]);
        }
        Ok(())
    }

    fn end_batch(&mut self, column: &ArrayRef, carried: &[ArrayRef]) -> Result<()> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let rows = UInt32Array::from(std::mem::take(&mut self.rows));
        let mut keep = |column: &ArrayRef| -> Result<ArrayRef> {
            let kept = plain(&take(column, &rows, None)?)?;
            self.bytes += kept.get_array_memory_size();
            Ok(kept)
        };
        self.values.push(keep(column)?);
        self.carried.push(carried.iter().map(&mut keep).collect::<Result<_>>()?);
        Ok(())
    }

    fn finish(&mut self, slots: &Slots) -> Result<Outcome> {
        let points = Points::of(self, slots)?;
        match &self.reduction {
            Reduction::Median => points.numbers(slots, quantile::median),
            Reduction::CountDistinct => {
                let rows = rows_of(std::slice::from_ref(&points.values))?;
                let count = |range: &[u32]| range.iter().map(|i| rows.row(*i as usize).data()).collect::<HashSet<_>>().len() as i64;
                let counts = points.by_slot.iter().map(|r| (!r.is_empty()).then(|| count(&points.order[r.clone()])));
                Ok(Outcome::per_slot(Arc::new(counts.collect::<Int64Array>())))
            }
            Reduction::Integral { unit_ns } => self.integral(*unit_ns, &points, slots),
            Reduction::Mode => {
                let rows = rows_of(std::slice::from_ref(&points.values))?;
                points.pick_one(|points| {
                    let mut mode = Mode::default();
                    points.iter().for_each(|i| mode.push(rows.row(*i as usize).data()));
                    let most = *mode.earliest()?;
                    points.iter().copied().find(|i| rows.row(*i as usize).data() == most)
                })
            }
            Reduction::Percentile(percent) => {
                let compare = make_comparator(&points.values, &points.values, SortOptions::default())?;
                points.pick_one(|points| {
                    let at = quantile::percentile_index(points.len(), *percent)?;
                    let mut sorted = points.to_vec();
                    sorted.sort_by(|a, b| compare(*a as usize, *b as usize));
                    sorted.get(at).copied()
                })
            }
            Reduction::Distinct => {
                let rows = rows_of(std::slice::from_ref(&points.values))?;
                points.pick_many(|points| {
                    let mut seen = HashSet::new();
                    points.iter().copied().filter(|i| seen.insert(rows.row(*i as usize).data())).collect()
                })
            }
            Reduction::Sample { count, seed } => {
                let mut random = rand::rngs::StdRng::seed_from_u64(*seed);
                points.pick_many(|points| {
                    let mut chosen: Vec<u32> = points.choose_multiple(&mut random, *count).copied().collect();
                    chosen.sort_by_key(|i| points.iter().position(|p| p == i));
                    chosen
                })
            }
            Reduction::Extremes { extreme, count, by } => {
                let compare = make_comparator(&points.values, &points.values, SortOptions::default())?;
                let by_columns: Vec<ArrayRef> = points.carried[..*by].to_vec();
                let keys = if *by > 0 { Some(rows_of(&by_columns)?) } else { None };
                points.pick_many(|points| {
                    // Time order of the points makes earlier ones win; the sort is stable.
                    let mut sorted: Vec<(usize, u32)> = points.iter().copied().enumerate().collect();
                    sorted.sort_by(|(_, a), (_, b)| {
                        let order = compare(*a as usize, *b as usize);
                        if *extreme == Extreme::Greatest { order.reverse() } else { order }
                    });
                    if let Some(keys) = &keys {
                        let mut seen = HashSet::new();
                        sorted.retain(|(_, i)| seen.insert(keys.row(*i as usize).data()));
                    }
                    sorted.truncate(*count);
                    sorted.sort_by_key(|(place, _)| *place);
                    sorted.into_iter().map(|(_, i)| i).collect()
                })
            }
            other => Err(crate::model::Failure::internal(format!("{other:?} does not collect")).into()),
        }
    }

    fn size(&self) -> usize {
        self.bytes + self.slots.capacity() * 4 + self.times.capacity() * 8
    }
}

impl Collecting {
    /// The area runs through the windows of a group, so it is cut group by group.
    fn integral(&self, unit_ns: i64, points: &Points, slots: &Slots) -> Result<Outcome> {
        let values = cast(&points.values, &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        let mut areas = vec![None; slots.len()];
        let mut rest: &[u32] = &points.order;
        while let Some(first) = rest.first() {
            let group = slots.group(points.slots[*first as usize] as usize);
            let end = rest.iter().position(|i| slots.group(points.slots[*i as usize] as usize) != group).unwrap_or(rest.len());
            let mut own = rest[..end].to_vec();
            rest = &rest[end..];
            own.sort_by_key(|i| points.times[*i as usize]);
            if self.descending {
                own.reverse();
            }
            let window_of = |time: i64| match (&self.windows, self.descending) {
                (Some(windows), false) => windows.bounds(time),
                (Some(windows), true) => {
                    let (start, end) = windows.bounds(time);
                    (end, start)
                }
                (None, _) => (self.start, i64::MAX),
            };
            let mut state = WindowedIntegral::new(unit_ns, window_of);
            let mut closed: Vec<(i64, f64)> =
                own.iter().filter_map(|i| state.push(points.times[*i as usize], values.value(*i as usize))).collect();
            closed.extend(state.finish());
            for (start, area) in closed {
                let start = match (&self.windows, self.descending) {
                    // A descending window is named by its end; its start is that of the instant before.
                    (Some(windows), true) => windows.bounds(start.saturating_sub(1)).0,
                    (Some(_), false) => start,
                    (None, _) => slots.only_start(),
                };
                if let Some(slot) = slots.find(group, start) {
                    areas[slot] = Some(area);
                }
            }
        }
        Ok(Outcome::per_slot(Arc::new(Float64Array::from(areas))))
    }
}

fn rows_of(columns: &[ArrayRef]) -> Result<Rows> {
    let converter = RowConverter::new(columns.iter().map(|c| SortField::new(c.data_type().clone())).collect())?;
    Ok(converter.convert_columns(columns)?)
}

/// All points in one place, and where those of each slot are.
struct Points {
    values: ArrayRef,
    carried: Vec<ArrayRef>,
    slots: Vec<u32>,
    times: Vec<i64>,
    /// Points by slot, within a slot by time; of equal times in the order in which they came.
    order: Vec<u32>,
    /// The part of `order` that belongs to each slot.
    by_slot: Vec<Range<usize>>,
}

impl Points {
    fn of(collected: &mut Collecting, slots: &Slots) -> Result<Points> {
        let (slot_of, times) = (std::mem::take(&mut collected.slots), std::mem::take(&mut collected.times));
        let all = |chunks: &[&dyn Array]| -> Result<ArrayRef> { Ok(concat(chunks)?) };
        let values = match collected.values.as_slice() {
            [] => Arc::new(Int64Array::from(Vec::<i64>::new())) as ArrayRef,
            chunks => all(&chunks.iter().map(|c| c.as_ref()).collect::<Vec<_>>())?,
        };
        let width = collected.carried.first().map_or(0, Vec::len);
        let carried = (0..width).map(|at| all(&collected.carried.iter().map(|c| c[at].as_ref()).collect::<Vec<_>>()));
        let carried = carried.collect::<Result<Vec<_>>>()?;
        collected.values.clear();
        collected.carried.clear();
        let mut order: Vec<u32> = (0..slot_of.len() as u32).collect();
        let key = |i: &u32| (slots.group(slot_of[*i as usize] as usize), slot_of[*i as usize], times[*i as usize]);
        order.sort_by_key(key);
        let mut by_slot = vec![0..0; slots.len()];
        let mut start = 0;
        while start < order.len() {
            let slot = slot_of[order[start] as usize];
            let end = order[start..].iter().position(|i| slot_of[*i as usize] != slot).map_or(order.len(), |n| start + n);
            by_slot[slot as usize] = start..end;
            start = end;
        }
        Ok(Points { values, carried, slots: slot_of, times, order, by_slot })
    }

    fn numbers(&self, slots: &Slots, reduce: impl Fn(&mut [f64]) -> Option<f64>) -> Result<Outcome> {
        let values = cast(&self.values, &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        let reduced = (0..slots.len()).map(|slot| {
            let mut own: Vec<f64> = self.order[self.by_slot[slot].clone()].iter().map(|i| values.value(*i as usize)).collect();
            reduce(&mut own)
        });
        Ok(Outcome::per_slot(Arc::new(reduced.collect::<Float64Array>())))
    }

    /// One point per slot, or none.
    fn pick_one(&self, pick: impl Fn(&[u32]) -> Option<u32>) -> Result<Outcome> {
        let picked: Vec<Option<u32>> = self.by_slot.iter().map(|r| pick(&self.order[r.clone()])).collect();
        let times = picked.iter().map(|p| p.map_or(0, |i| self.times[i as usize])).collect();
        let rows = UInt32Array::from(picked);
        let carried = self.carried.iter().map(|c| Ok(take(c, &rows, None)?)).collect::<Result<Vec<_>>>()?;
        Ok(Outcome { values: take(&self.values, &rows, None)?, rows: None, times: Some(times), carried })
    }

    /// Any number of points per slot.
    fn pick_many(&self, mut pick: impl FnMut(&[u32]) -> Vec<u32>) -> Result<Outcome> {
        let (mut picked, mut rows) = (vec![], vec![]);
        for (slot, range) in self.by_slot.iter().enumerate() {
            let own = pick(&self.order[range.clone()]);
            rows.extend(std::iter::repeat_n(slot, own.len()));
            picked.extend(own);
        }
        let times = picked.iter().map(|i| self.times[*i as usize]).collect();
        let picked = UInt32Array::from(picked);
        let carried = self.carried.iter().map(|c| Ok(take(c, &picked, None)?)).collect::<Result<Vec<_>>>()?;
        Ok(Outcome { values: take(&self.values, &picked, None)?, rows: Some(rows), times: Some(times), carried })
    }
}
