//! SELECT: one plan per measurement, in name order.
//!
//! ```text
//! relation -> WHERE -> rows:       expressions --------------------------------> by (tags, time) -> limits
//!                   \-> functions: inputs -> reduce -> fill -> row functions -> expressions ----------^
//! ```
//! A sub-query is a relation like any other; what its outer query says of time, tags and direction comes along in
//! [`Outer`].

use super::{
    Defaults,
    calls::{Calls, Origin, Surroundings},
    columns::{self, Column, parts_of},
    condition::{self, Bounds, ConditionScope, Moment},
    dimensions::{self, Every},
    expression::{Kind, RowScope, Scope, Typed, lower},
    not_supported,
    source::{Columns, Relation, relations},
};
use crate::format::series::SeriesLayout;
use crate::influxql::SeriesPlan;
use crate::influxql::ast::{Expr, Fill, Limits, Select};
use crate::model::{Failure, Result, TIME_COLUMN};
use crate::plan::{
    Context, merge,
    node::{
        first_enough::first_enough,
        gap_fill::{self, ColumnFill, GapFill, gap_fill},
        ordered::ordered,
        reduce::{Call, Reduce, Reduction, RowTime, reduce},
        row_function::{RowCall, RowFunctions, row_functions},
        series_limit::{SeriesLimit, series_limit},
        time_order::{TimeOrder, time_order},
    },
    stream::{col, null},
};
use arrow::datatypes::DataType;
use datafusion::{
    common::ScalarValue,
    logical_expr::{self as df, LogicalPlan},
};
use std::{collections::HashSet, sync::Arc};

/// The plans of a SELECT, whatever becomes of its rows.
pub fn select(select: &Select, context: &dyn Context, defaults: &Defaults) -> Result<Vec<SeriesPlan>> {
    let all = series(select, None, context, defaults)?;
    Ok(all.into_iter().map(|one| one.answer(select.zone)).collect())
}

/// What an outer query says to its sub-queries.
#[derive(Debug, Clone)]
pub struct Outer {
    bounds: Bounds,
    /// Tags that outer queries group by.
    tags: Vec<String>,
    every: Option<Every>,
    descending: bool,
    zone: Option<chrono_tz::Tz>,
}

/// The answer of a select for one name: columns [`Series::tag`], `time`, [`Series::value`].
#[derive(Debug, Clone)]
pub struct Series {
    pub name: Arc<str>,
    pub plan: LogicalPlan,
    pub tags: Vec<Tag>,
    pub time_header: String,
    pub columns: Vec<Answered>,
}

/// A tag that series are told apart by.
#[derive(Debug, Clone)]
pub struct Tag {
    pub name: String,
    /// Only an outer query groups by it.
    pub is_passed: bool,
}

#[derive(Debug, Clone)]
pub struct Answered {
    pub header: String,
    pub kind: Kind,
}

impl Series {
    pub fn tag(at: usize) -> String {
        format!("tag {at}")
    }

    pub fn value(at: usize) -> String {
        format!("value {at}")
    }

    fn answer(self, zone: Option<chrono_tz::Tz>) -> SeriesPlan {
        let width = self.tags.len();
        let mut values = vec![(self.time_header, width)];
        values.extend(self.columns.into_iter().enumerate().map(|(i, c)| (c.header, width + 1 + i)));
        let tags = self.tags.into_iter().enumerate().map(|(i, tag)| (tag.name, i)).collect();
        let layout = SeriesLayout { name: Some(self.name.to_string()), tags, values, zone, ..SeriesLayout::default() };
        SeriesPlan { plan: self.plan, layout }
    }
}

/// The answers of a select, by name, in the order asked for.
pub fn series(select: &Select, outer: Option<&Outer>, context: &dyn Context, defaults: &Defaults) -> Result<Vec<Series>> {
    let descending = match outer {
        Some(outer) if select.ordered && select.descending != outer.descending => {
            return Err(Failure::invalid("subqueries must be ordered in the same direction as the query itself"));
        }
        Some(outer) => outer.descending,
        None => select.descending,
    };
    let zone = select.zone.or(outer.and_then(|o| o.zone));
    let moment = Moment { now: context.now(), zone };
    let (own_bounds, condition) = condition::split(select.condition.as_ref(), moment)?;
    let mut bounds = own_bounds.intersect(outer.map(|o| o.bounds).unwrap_or_default());
    let own_every = dimensions::every(select, moment)?;
    if own_every.is_some() && bounds.max.is_none() {
        bounds.max = Some(moment.now);
    }
    // A sub-query without windows of its own takes those around it (InfluxDB 1.8).
    let every = own_every.or(outer.and_then(|o| o.every));
    let mut passed: Vec<String> = outer.map(|o| o.tags.clone()).unwrap_or_default();
    let inward = Outer { bounds, tags: [dimensions::named(select), passed.clone()].concat(), every, descending, zone };
    let relations = relations(select, &inward, context, defaults)?;
    let mut known = Columns::default();
    relations.values().for_each(|r| known.extend(&r.columns));
    let group = dimensions::tags(select, &known)?;
    passed.retain(|t| !group.contains(t));
    let mut tags: Vec<Tag> = group.iter().map(|name| Tag { name: name.clone(), is_passed: false }).collect();
    tags.extend(passed.into_iter().map(|name| Tag { name, is_passed: true }));
    tags.sort_by(|a, b| a.name.cmp(&b.name));
    tags.dedup_by(|a, b| a.name == b.name);
    let (times, columns): (Vec<_>, Vec<_>) = columns::columns(select, &known, &group)?.into_iter().partition(|c| c.expr.is_time());
    let is_raw = columns.iter().all(|c| {
        let mut calls = vec![];
        parts_of(&c.expr, &mut calls, &mut vec![]);
        calls.is_empty()
    });
    let every = if is_raw { own_every } else { every };
    let around = Surroundings { every_ns: every.map(|e| e.every_ns), limit: select.limits.limit, seed: moment.now as u64 };
    let calls = Calls::read(&columns, around)?;
    let shape = Shape {
        time_header: times.first().map_or(TIME_COLUMN.to_string(), |c| c.header.clone()),
        fill: match select.fill {
            // Inside, windows without rows stay away (InfluxDB 1.6.7: even a written `fill(null)`).
            Fill::Unset | Fill::Null if outer.is_some() => Fill::None,
            fill => fill,
        },
        columns,
        calls,
        tags,
        every,
        bounds,
        condition,
        descending,
        limits: select.limits,
        now: moment.now,
        stamp: bounds.min.unwrap_or(0),
        fills_whole_bounds: true,
    };
    shape.check(select, &known)?;
    let mut answers = vec![];
    for (name, relation) in relations {
        if let Some((plan, columns)) = shape.plan(&relation, context)? {
            answers.push(Series { name, plan, tags: shape.tags.clone(), time_header: shape.time_header.clone(), columns });
        }
    }
    if descending {
        answers.reverse();
    }
    Ok(answers)
}

/// A stretch in which newest rows are looked for first.
const RECENT_NS: i64 = 3_600_000_000_000;

/// What a select is, the same for all its relations.
#[derive(Clone)]
struct Shape {
    time_header: String,
    columns: Vec<Column>,
    calls: Calls,
    tags: Vec<Tag>,
    every: Option<Every>,
    bounds: Bounds,
    condition: Option<Expr>,
    fill: Fill,
    descending: bool,
    limits: Limits,
    now: i64,
    /// Time of an aggregate's row without windows: the lower bound, else the epoch.
    stamp: i64,
    /// Missing windows are those of the bounds; else those of each series' own stretch.
    fills_whole_bounds: bool,
}

impl Shape {
    /// Refuses combinations that have no meaning; the words are InfluxDB 1.x's.
    fn check(&self, select: &Select, known: &Columns) -> Result<()> {
        let (mut outermost, mut variables) = (vec![], vec![]);
        for column in &self.columns {
            let (mut calls, mut own) = (vec![], vec![]);
            parts_of(&column.expr, &mut calls, &mut own);
            if calls.is_empty() && own.is_empty() {
                return Err(Failure::invalid("field must contain at least one variable"));
            }
            outermost.extend(calls);
            variables.extend(own);
        }
        if self.columns.is_empty() {
            return match known.fields.is_empty() || select.fields.iter().any(|f| !f.expr.is_time()) {
                true => Ok(()),
                false => Err(Failure::invalid("at least 1 non-time field must be queried")),
            };
        }
        if self.calls.is_empty() {
            if self.every.is_some() {
                return Err(Failure::invalid("GROUP BY requires at least one aggregate function"));
            }
            return match self.fill {
                Fill::None if select.fill == Fill::None => Err(Failure::invalid("fill(none) must be used with a function")),
                Fill::Linear => Err(Failure::invalid("fill(linear) must be used with a function")),
                _ => Ok(()),
            };
        }
        let mut by: Vec<&Expr> = self.calls.by.iter().collect();
        variables.retain(|v| match by.iter().position(|b| b == v) {
            // The tags of top and bottom are columns by themselves.
            Some(at) => {
                by.remove(at);
                false
            }
            None => true,
        });
        if let Some(many) = self.calls.reductions.iter().find(|r| r.reduction.is_many()) {
            let alone = outermost.len() == 1 && self.calls.rows.is_empty();
            match many.reduction {
                Reduction::Distinct if !alone || !variables.is_empty() => {
                    return Err(Failure::invalid("aggregate function distinct() cannot be combined with other functions or fields"));
                }
                _ if !alone => {
                    return Err(Failure::invalid(format!("selector function {}() cannot be combined with other functions", many.name)));
                }
                _ => {}
            }
        }
        if !variables.is_empty() && self.selector().is_none() {
            return Err(Failure::invalid("mixing aggregate and non-aggregate queries is not supported"));
        }
        if self.calls.reads_rows() && !self.calls.reductions.is_empty() {
            return Err(not_supported("a function of rows beside an aggregate"));
        }
        Ok(())
    }

    /// The one selector, where it is the only call.
    fn selector(&self) -> Option<&Reduction> {
        match (self.calls.reductions.as_slice(), self.calls.rows.is_empty()) {
            ([one], true) if one.reduction.is_selector() => Some(&one.reduction),
            _ => None,
        }
    }

    /// The plan for one relation and its columns' types; none when nothing asked for is there.
    fn plan(&self, relation: &Relation, context: &dyn Context) -> Result<Option<(LogicalPlan, Vec<Answered>)>> {
        let whole = self.whole(relation)?;
        let (Some((plan, columns)), Some((narrowed, row_count))) = (whole.clone(), self.narrowed()) else { return Ok(whole) };
        let Some((narrow, _)) = narrowed.whole(relation)? else { return Ok(whole) };
        let takes_last = self.every.is_none() && !self.calls.is_empty();
        let without_nulls = if takes_last { (0..self.columns.len()).map(Series::value).collect() } else { vec![] };
        Ok(Some((first_enough(narrow, plan, row_count, without_nulls, context)?, columns)))
    }

    /// The same select over less time, and the number of rows by which its answer is that of the whole: the first windows
    /// or the newest rows that a limit leaves over, and the last value.
    fn narrowed(&self) -> Option<(Shape, usize)> {
        let Limits { limit, offset, series_limit, series_offset } = self.limits;
        let one_series = self.tags.is_empty() && (series_limit, series_offset) == (0, 0);
        if !one_series || !self.calls.rows.is_empty() {
            return None;
        }
        let mut narrow = self.clone();
        let is_last = |r: &Reduction| *r == Reduction::Last;
        let row_count = match self.every {
            None if self.calls.is_empty() && self.descending && limit > 0 => limit,
            None if !self.calls.is_empty() && offset == 0 && self.calls.reductions.iter().all(|r| is_last(&r.reduction)) => 1,
            Some(every) if limit > 0 && self.is_settled_by_windows() => {
                self.first_windows(every, limit.saturating_add(offset), &mut narrow.bounds)?;
                if self.descending && self.bounds.min.is_none() {
                    narrow.fills_whole_bounds = false;
                }
                limit
            }
            _ => return None,
        };
        if self.every.is_none() {
            let from = self.bounds.max.unwrap_or(self.now).saturating_sub(RECENT_NS);
            narrow.bounds.min = narrow.bounds.min.max(Some(from));
        }
        (narrow.bounds != self.bounds).then_some((narrow, row_count))
    }

    /// Whether rows for windows depend on nothing outside of them.
    fn is_settled_by_windows(&self) -> bool {
        let known_alone = self.calls.reductions.len() == 1 || matches!(self.fill, Fill::None | Fill::Integer(_) | Fill::Number(_));
        let reaches_out = |r: &Reduction| r.is_many() || matches!(r, Reduction::Integral { .. });
        known_alone && self.fill != Fill::Linear && !self.calls.reductions.iter().any(|r| reaches_out(&r.reduction))
    }

    /// Narrows the bounds to the first windows in the order of the answer; nothing where that order has no beginning.
    fn first_windows(&self, every: Every, count: usize, bounds: &mut Bounds) -> Option<()> {
        // Many windows are no stretch to try first.
        let steps = (1..=1_000).contains(&count).then(|| count - 1)?;
        if self.descending {
            let last = every.start(self.bounds.max?);
            let first = (0..steps).fold(last, |start, _| every.start(start.saturating_sub(1)));
            bounds.min = bounds.min.max(Some(first));
        } else {
            let end = |time: i64| every.window.bounds(time).1;
            let stop = (0..steps).fold(end(self.bounds.min?), |stop, _| end(stop));
            bounds.max = Some(bounds.max.unwrap_or(i64::MAX).min(stop.saturating_sub(1)));
        }
        Some(())
    }

    /// The plan over all of the bounds.
    fn whole(&self, relation: &Relation) -> Result<Option<(LogicalPlan, Vec<Answered>)>> {
        let answer = match (self.calls.is_empty(), self.calls.reductions.is_empty()) {
            (true, _) => self.rows(relation)?,
            (false, true) => self.functions_of_rows(relation)?,
            (false, false) => self.reduced(relation)?,
        };
        let Some((mut plan, columns)) = answer else { return Ok(None) };
        let Limits { limit, offset, series_limit: series, series_offset } = self.limits;
        if (limit, offset, series, series_offset) != (0, 0, 0, 0) {
            plan = series_limit(plan, SeriesLimit { key: self.key(), rows: limit, rows_offset: offset, series, series_offset })?;
        }
        Ok(Some((plan, columns)))
    }

    fn key(&self) -> Vec<String> {
        (0..self.tags.len()).map(Series::tag).collect()
    }

    /// Expressions on the rows that meet WHERE within the bounds, and `also`.
    fn wanted(&self, relation: &Relation, bounds: Bounds, also: Option<df::Expr>, exprs: Vec<df::Expr>) -> Result<LogicalPlan> {
        let mut predicates = bounds.predicate();
        if let Some(condition) = &self.condition {
            predicates.push(condition::predicate(condition, &ConditionScope(&relation.columns))?);
        }
        predicates.extend(also);
        relation.select(predicates.into_iter().reduce(df::Expr::and), exprs)
    }

    fn tag_columns(&self, relation: &Relation) -> Vec<df::Expr> {
        let tags = self.tags.iter().enumerate().map(|(at, tag)| {
            let value = if relation.columns.has_tag(&tag.name) { col(&tag.name) } else { null(&DataType::Utf8) };
            value.alias(Series::tag(at))
        });
        tags.collect()
    }

    /// Rows as they are stored.
    fn rows(&self, relation: &Relation) -> Result<Option<(LogicalPlan, Vec<Answered>)>> {
        let scope = RowScope(&relation.columns);
        let mut variables = vec![];
        self.columns.iter().for_each(|c| parts_of(&c.expr, &mut vec![], &mut variables));
        let fields: Vec<df::Expr> = self.fields(&variables, &scope)?;
        // A stored row has a value in some field.
        let asked: HashSet<&str> = fields.iter().flat_map(|f| f.column_refs()).map(|c| c.name.as_str()).collect();
        let is_whole = relation.is_stored() && relation.columns.fields.keys().all(|field| asked.contains(field.as_ref()));
        let Some(present) = fields.into_iter().map(|f| f.is_not_null()).reduce(df::Expr::or) else { return Ok(None) };
        let mut exprs = self.tag_columns(relation);
        exprs.push(col(TIME_COLUMN));
        let (values, answered) = self.values(&scope)?;
        exprs.extend(values);
        let plan = self.wanted(relation, self.bounds, (!is_whole).then_some(present), exprs)?;
        Ok(Some((self.in_order(plan, relation)?, answered)))
    }

    /// The variables that are fields here, as expressions.
    fn fields(&self, variables: &[&Expr], scope: &dyn Scope) -> Result<Vec<df::Expr>> {
        let mut fields = vec![];
        for variable in variables {
            let typed = lower(variable, scope)?;
            if typed.kind != Kind::Null && !typed.is_tag && !fields.contains(&typed.expr) {
                fields.push(typed.expr);
            }
        }
        Ok(fields)
    }

    fn in_order(&self, plan: LogicalPlan, relation: &Relation) -> Result<LogicalPlan> {
        let (key, time) = (self.key(), TIME_COLUMN.to_string());
        let all_tags =
            relation.is_stored() && self.tags.iter().map(|t| t.name.as_str()).eq(relation.columns.tags.iter().map(|t| t.as_ref()));
        if all_tags && !self.descending {
            // The order in which rows are stored.
            return Ok(ordered(plan, key.into_iter().chain([time]).collect())?);
        }
        let limit = (self.calls.is_empty() && self.limits.limit > 0).then(|| self.limits.limit.saturating_add(self.limits.offset));
        Ok(time_order(plan, TimeOrder { key, time, descending: self.descending, limit })?)
    }

    /// The expressions of the select list in a scope.
    fn values(&self, scope: &dyn Scope) -> Result<(Vec<df::Expr>, Vec<Answered>)> {
        let (mut exprs, mut answered) = (vec![], vec![]);
        for (at, column) in self.columns.iter().enumerate() {
            let typed = lower(&column.expr, scope)?;
            exprs.push(typed.expr.alias(Series::value(at)));
            answered.push(Answered { header: column.header.clone(), kind: typed.kind });
        }
        Ok((exprs, answered))
    }

    /// What calls read, typed; tags are no fields, so a function of one has no values.
    fn inputs(&self, relation: &Relation) -> Result<Vec<Typed>> {
        let scope = RowScope(&relation.columns);
        let field = |typed: Typed| if typed.is_tag { Typed::null() } else { typed };
        self.calls.inputs.iter().map(|e| lower(e, &scope).map(field)).collect()
    }

    fn input(at: usize) -> String {
        format!("input {at}")
    }

    fn reduction(at: usize) -> String {
        format!("reduction {at}")
    }

    fn row(at: usize) -> String {
        format!("row {at}")
    }

    /// Functions whose rows are the stored ones.
    fn functions_of_rows(&self, relation: &Relation) -> Result<Option<(LogicalPlan, Vec<Answered>)>> {
        let inputs = self.inputs(relation)?;
        let present = inputs.iter().filter(|i| i.kind != Kind::Null).map(|i| i.expr.clone().is_not_null()).reduce(df::Expr::or);
        let Some(present) = present else { return Ok(None) };
        let mut exprs = self.tag_columns(relation);
        exprs.push(col(TIME_COLUMN));
        exprs.extend(inputs.iter().enumerate().map(|(at, typed)| typed.expr.clone().alias(Shape::input(at))));
        let plan = self.wanted(relation, self.bounds, Some(present), exprs)?;
        let plan = self.in_order(plan, relation)?;
        let mut scope = CallScope::new(self);
        inputs.iter().enumerate().for_each(|(at, typed)| scope.set(Origin::Input(at), Shape::input(at), typed.kind));
        let plan = self.with_row_functions(plan, &mut scope, None)?;
        self.projected(plan, &scope).map(Some)
    }

    /// Adds the row functions' columns; `kept_times`: rows that stay without a result of theirs.
    fn with_row_functions(&self, plan: LogicalPlan, scope: &mut CallScope<'_>, kept_times: Option<(i64, i64)>) -> Result<LogicalPlan> {
        let (mut calls, mut needed) = (vec![], vec![]);
        for (at, step) in self.calls.rows.iter().enumerate() {
            let (input, kind) = scope.get(step.origin);
            let Some(input) = input else { continue };
            let Some(output) = step.function.output(&kind.arrow()) else { return Err(unsupported(&step.name, kind)) };
            calls.push(RowCall { function: step.function.clone(), input, output: Shape::row(at) });
            scope.set(Origin::Row(at), Shape::row(at), Kind::of_arrow(&output));
            if self.calls.outputs().any(|o| o == Origin::Row(at)) {
                needed.push(Shape::row(at));
            }
        }
        row_functions(plan, RowFunctions { series: self.key(), time: TIME_COLUMN.into(), calls, needed, kept_times })
    }

    fn projected(&self, plan: LogicalPlan, scope: &CallScope<'_>) -> Result<(LogicalPlan, Vec<Answered>)> {
        let mut exprs: Vec<df::Expr> = self.key().iter().map(|k| col(k)).collect();
        exprs.push(col(TIME_COLUMN));
        let (values, answered) = self.values(scope)?;
        exprs.extend(values);
        Ok((merge::project(&plan, exprs)?, answered))
    }

    /// Aggregates and selectors, and what is made of them.
    fn reduced(&self, relation: &Relation) -> Result<Option<(LogicalPlan, Vec<Answered>)>> {
        let inputs = self.inputs(relation)?;
        if inputs.iter().all(|i| i.kind == Kind::Null) {
            return Ok(None);
        }
        let mut scope = CallScope::new(self);
        let mut exprs = self.tag_columns(relation);
        exprs.push(col(TIME_COLUMN));
        for (at, typed) in inputs.iter().enumerate().filter(|(_, t)| t.kind != Kind::Null) {
            exprs.push(typed.expr.clone().alias(Shape::input(at)));
        }
        let mut calls = vec![];
        for (at, reducing) in self.calls.reductions.iter().enumerate() {
            let kind = inputs[reducing.input].kind;
            if kind == Kind::Null {
                continue;
            }
            let Some(output) = reducing.reduction.output(&kind.arrow()) else { return Err(unsupported(&reducing.name, kind)) };
            calls.push(Call {
                reduction: reducing.reduction.clone(),
                input: Shape::input(reducing.input),
                output: Shape::reduction(at),
                beyond_bounds: reducing.beyond_bounds,
            });
            scope.set(Origin::Reduction(at), Shape::reduction(at), Kind::of_arrow(&output));
        }
        let carried = self.carried(relation, &mut exprs, &mut scope)?;
        let (bounds, read) = (self.bounds, self.read_bounds());
        let input = self.wanted(relation, read, None, exprs)?;
        let is_many = calls.iter().any(|c| c.reduction.is_many());
        let fills = self.every.filter(|_| self.fill != Fill::None && !is_many);
        // A series without a value of a field keeps nulls there, but a number fills them too (InfluxDB 1.6.7). Of other fillers only a
        // count's zero would fill them.
        let fills_counts = matches!(self.fill, Fill::Unset | Fill::Null) && calls.iter().any(|call| is_count(&call.reduction));
        let with_presence = fills.is_some() && calls.len() > 1 && fills_counts;
        let row_time = match (self.selector(), self.every) {
            (Some(selector), every) if every.is_none() || selector.is_many() => RowTime::Point,
            (_, Some(_)) => RowTime::Window,
            (_, None) => RowTime::Constant(self.stamp),
        };
        let spec = Reduce {
            key: self.key(),
            time: TIME_COLUMN.into(),
            windows: self.every.map(|e| e.windows()),
            calls: calls.clone(),
            carried,
            bounds: (bounds.min.unwrap_or(i64::MIN), bounds.max.unwrap_or(i64::MAX)),
            row_time,
            descending: self.descending,
            with_presence,
        };
        let mut plan = reduce(input, spec)?;
        if let Some(every) = fills {
            plan = self.filled(plan, &calls, every, read, with_presence)?;
        }
        if !self.calls.rows.is_empty() {
            let is_output = |at: usize| self.calls.outputs().any(|o| o == Origin::Reduction(at));
            let kept = (0..self.calls.reductions.len()).any(is_output);
            let (first, last) = (bounds.min.unwrap_or(i64::MIN), bounds.max.unwrap_or(i64::MAX));
            let first = self.every.filter(|_| bounds.min.is_some()).map_or(first, |e| e.start(first));
            plan = self.with_row_functions(plan, &mut scope, kept.then_some((first, last)))?;
        }
        self.projected(plan, &scope).map(Some)
    }

    /// The columns that the selected row carries: the tags of `top` first, then what stands beside a selector.
    fn carried(&self, relation: &Relation, exprs: &mut Vec<df::Expr>, scope: &mut CallScope<'_>) -> Result<Vec<String>> {
        let mut variables: Vec<&Expr> = self.calls.by.iter().collect();
        self.columns.iter().for_each(|c| parts_of(&c.expr, &mut vec![], &mut variables));
        let mut carried = vec![];
        for (at, variable) in variables.into_iter().enumerate() {
            let is_by = at < self.calls.by.len();
            if !is_by && scope.carried.iter().any(|(v, ..)| v == variable) {
                continue;
            }
            let typed = lower(variable, &RowScope(&relation.columns))?;
            let name = format!("carried {at}");
            exprs.push(typed.expr.alias(&name));
            scope.carried.push((variable.clone(), name.clone(), typed.kind));
            carried.push(name);
        }
        Ok(carried)
    }

    /// The bounds of the rows that are read: row functions want one window more than is answered.
    fn read_bounds(&self) -> Bounds {
        let mut bounds = self.bounds;
        if let (Some(every), true) = (self.every, self.calls.looks_beyond()) {
            match self.descending {
                false => bounds.min = bounds.min.map(|t| t.saturating_sub(every.every_ns)),
                true => bounds.max = bounds.max.map(|t| t.saturating_add(every.every_ns)),
            }
        }
        bounds
    }

    fn filled(&self, plan: LogicalPlan, calls: &[Call], every: Every, read: Bounds, with_presence: bool) -> Result<LogicalPlan> {
        let mut series = self.key();
        if with_presence {
            series.extend((0..calls.len()).map(Reduce::presence));
        }
        let mut fills = vec![];
        for call in calls {
            let data_type = plan.schema().field_with_unqualified_name(&call.output)?.data_type().clone();
            let fill = self.fill_of(&data_type, is_count(&call.reduction))?;
            fills.push(ColumnFill { column: call.output.clone(), fill, nulls_too: true });
        }
        let outputs: Vec<df::Expr> =
            plan.schema().fields().iter().filter(|f| !f.name().starts_with("has ")).map(|f| col(f.name())).collect();
        let spec = GapFill {
            series,
            time: TIME_COLUMN.into(),
            windows: every.windows(),
            first: read.min.filter(|_| self.fills_whole_bounds).map(|t| every.start(t)),
            last: read.max.map(|t| every.start(t)),
            descending: self.descending,
            fills,
        };
        let plan = gap_fill(plan, spec)?;
        let widened = read != self.bounds;
        if !with_presence && !widened {
            return Ok(plan);
        }
        // Outside of the bounds only what row functions read is filled.
        let first = self.bounds.min.map(|t| every.start(t));
        let inside = Bounds { min: first, max: self.bounds.max }.predicate().into_iter().reduce(df::Expr::and);
        let exprs = outputs.into_iter().map(|output| {
            let name = output.schema_name().to_string();
            let Some(at) = calls.iter().position(|c| c.output == name) else { return Ok(output) };
            let mut holds = with_presence.then(|| col(&Reduce::presence(at)));
            if widened && !calls[at].beyond_bounds {
                holds = holds.into_iter().chain(inside.clone()).reduce(df::Expr::and);
            }
            let Some(holds) = holds else { return Ok(output) };
            let data_type = plan.schema().field_with_unqualified_name(&name)?.data_type().clone();
            Ok(df::when(holds, output).otherwise(null(&data_type))?.alias(name))
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        Ok(merge::project(&plan, exprs)?)
    }

    fn fill_of(&self, data_type: &DataType, is_count: bool) -> Result<gap_fill::Fill> {
        let constant = |value: f64| -> Result<gap_fill::Fill> {
            Ok(gap_fill::Fill::Constant(match data_type {
                // Only numbers take the number (InfluxDB 1.6.7).
                DataType::Boolean => ScalarValue::from(false),
                DataType::Utf8 => ScalarValue::from(""),
                DataType::Int64 => ScalarValue::from(value as i64),
                DataType::UInt64 => ScalarValue::from(value as u64),
                _ => ScalarValue::from(value),
            }))
        };
        match self.fill {
            Fill::Unset | Fill::Null if is_count => constant(0.0),
            Fill::Unset | Fill::Null | Fill::None => Ok(gap_fill::Fill::Null),
            Fill::Previous => Ok(gap_fill::Fill::Previous),
            Fill::Linear => Ok(gap_fill::Fill::Linear),
            Fill::Integer(v) => constant(v as f64),
            Fill::Number(v) => constant(v),
        }
    }
}

fn is_count(reduction: &Reduction) -> bool {
    matches!(reduction, Reduction::Count | Reduction::CountDistinct)
}

fn unsupported(name: &str, kind: Kind) -> Failure {
    let iterator = kind.field().map_or("unknown", |f| f.name());
    Failure::invalid(format!("unsupported {name} iterator type: *query.{iterator}InterruptIterator"))
}

/// A select list with calls: their results are columns already.
struct CallScope<'a> {
    shape: &'a Shape,
    results: Vec<(Origin, String, Kind)>,
    /// Columns of the selected row.
    carried: Vec<(Expr, String, Kind)>,
    /// Names in the select list are those of carried columns.
    columns: Columns,
}

impl<'a> CallScope<'a> {
    fn new(shape: &'a Shape) -> CallScope<'a> {
        CallScope { shape, results: vec![], carried: vec![], columns: Columns::default() }
    }

    fn set(&mut self, origin: Origin, column: String, kind: Kind) {
        if kind != Kind::Null {
            self.results.push((origin, column, kind));
        }
    }

    fn get(&self, origin: Origin) -> (Option<String>, Kind) {
        let found = self.results.iter().find(|(o, ..)| *o == origin);
        found.map_or((None, Kind::Null), |(_, column, kind)| (Some(column.clone()), *kind))
    }
}

impl Scope for CallScope<'_> {
    fn columns(&self) -> &Columns {
        &self.columns
    }

    fn is_condition(&self) -> bool {
        false
    }

    fn variable(&self, variable: &Expr) -> Option<Typed> {
        let found = self.carried.iter().find(|(v, ..)| v == variable);
        Some(found.map_or_else(Typed::null, |(_, column, kind)| Typed::new(col(column), *kind)))
    }

    fn call(&self, expr: &Expr) -> Result<Typed> {
        let Some(origin) = self.shape.calls.origin(expr) else {
            return Err(Failure::internal(format!("the call {expr} was not read")));
        };
        Ok(match self.get(origin) {
            // A number also fills the one row of a series that has no value of this field (InfluxDB 1.6.7).
            (Some(column), kind) if self.shape.every.is_none() && matches!(origin, Origin::Reduction(_)) => {
                let filler = match self.shape.fill {
                    Fill::Integer(_) | Fill::Number(_) => self.shape.fill_of(&kind.arrow(), false)?,
                    _ => gap_fill::Fill::Null,
                };
                Typed::new(
                    match filler {
                        gap_fill::Fill::Constant(value) => {
                            let value = df::Expr::Literal(value.cast_to(&kind.arrow())?, None);
                            datafusion::functions::expr_fn::coalesce(vec![col(&column), value])
                        }
                        _ => col(&column),
                    },
                    kind,
                )
            }
            (Some(column), kind) => Typed::new(col(&column), kind),
            (None, _) => Typed::null(),
        })
    }
}
