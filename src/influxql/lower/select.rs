//! SELECT over measurements: one plan per measurement, in name order.
//!
//! Planned here: raw fields, and aggregates and selectors that DataFusion has, by windows and tags, with fill, order and
//! limits. Other forms are refused by name.

use super::condition::{self, Bounds};
use super::finish::{Finish, Windows};
use super::{bucket, not_supported};
use crate::format::series::SeriesLayout;
use crate::influxql::ast::{Cast, Expr, Fill, NameMatch, Select, Source};
use crate::influxql::{Defaults, SeriesPlan};
use crate::model::{Failure, FieldType, MeasurementSchema, Result, TIME_COLUMN, schema::tag_type, schema::time_type};
use crate::plan::{Context, node::operator::OperatorNode, stream::col};
use arrow::datatypes::DataType;
use datafusion::{
    common::ScalarValue,
    datasource::provider_as_source,
    functions_aggregate::expr_fn as agg,
    logical_expr::{self as df, ExprFunctionExt, LogicalPlanBuilder},
    prelude::lit,
};
use std::{collections::BTreeMap, sync::Arc};

/// Plans a SELECT that writes nowhere.
pub fn select(select: &Select, context: &dyn Context, defaults: &Defaults) -> Result<Vec<SeriesPlan>> {
    if select.target.is_some() {
        return Err(not_supported("SELECT INTO"));
    }
    if select.zone.is_some() {
        return Err(not_supported("tz()"));
    }
    let measurements = measurements(select, context, defaults)?;
    let shape = Shape::read(select, context, measurements.values().map(|m| &m.1))?;
    let mut plans = Vec::new();
    for (id, schema) in measurements.values() {
        let Some(table) = context.table(*id, &schema.measurement)? else { continue };
        let scan = LogicalPlanBuilder::scan("m", provider_as_source(table), None)?;
        plans.extend(shape.plan(scan, schema, select)?);
    }
    if select.descending {
        plans.reverse();
    }
    Ok(plans)
}

type Found = BTreeMap<Arc<str>, (crate::model::BucketId, Arc<MeasurementSchema>)>;

fn measurements(select: &Select, context: &dyn Context, defaults: &Defaults) -> Result<Found> {
    let mut found = Found::new();
    for source in &select.sources {
        let Source::Measurement(m) = source else { return Err(not_supported("a sub-query")) };
        let bucket = bucket(context, defaults, m.database.as_deref(), m.policy.as_deref())?;
        let pattern = match &m.name {
            NameMatch::Regex(pattern) => Some(regex::Regex::new(pattern).map_err(|e| Failure::invalid(e.to_string()))?),
            NameMatch::Name(_) => None,
        };
        for schema in context.measurements(bucket.id)? {
            let wanted = match (&m.name, &pattern) {
                (NameMatch::Name(name), _) => schema.measurement.as_ref() == name,
                (_, Some(pattern)) => pattern.is_match(&schema.measurement),
                _ => false,
            };
            if wanted && found.insert(schema.measurement.clone(), (bucket.id, schema)).is_some() {
                return Err(not_supported("a measurement named twice in FROM"));
            }
        }
    }
    Ok(found)
}

/// One column of the answer.
struct Column {
    header: String,
    /// `None`: the field itself.
    function: Option<String>,
    name: String,
}

/// What the select is, the same for all its measurements.
struct Shape {
    columns: Vec<Column>,
    /// Tags of GROUP BY in name order.
    tags: Vec<String>,
    /// Length and offset of the windows.
    every: Option<(i64, i64)>,
    bounds: Bounds,
    aggregate: bool,
    time_header: String,
}

impl Shape {
    fn read<'a>(select: &Select, context: &dyn Context, schemas: impl Iterator<Item = &'a Arc<MeasurementSchema>>) -> Result<Shape> {
        let mut fields: BTreeMap<String, FieldType> = BTreeMap::new();
        let mut tags: BTreeMap<String, ()> = BTreeMap::new();
        for schema in schemas {
            fields.extend(schema.fields.iter().map(|(n, t)| (n.to_string(), *t)));
            tags.extend(schema.tags.iter().map(|t| (t.to_string(), ())));
        }
        let now = context.now();
        let (mut bounds, _) = condition::split(select.condition.as_ref(), now)?;
        let (mut group, mut every) = (Vec::new(), None);
        for dimension in &select.dimensions {
            match dimension {
                Expr::Call { name, args } if name == "time" => {
                    if every.is_some() {
                        return Err(Failure::invalid("multiple time dimensions not allowed"));
                    }
                    every = Some(window(args, now)?);
                }
                Expr::Call { .. } => return Err(Failure::invalid("only time() calls allowed in dimensions")),
                dimension if dimension.is_time() => {
                    return Err(Failure::invalid("time() is a function and expects at least one argument"));
                }
                Expr::Variable { name, .. } => group.push(name.clone()),
                Expr::Wildcard(_) => group.extend(tags.keys().cloned()),
                Expr::Regex(pattern) => {
                    let pattern = regex::Regex::new(pattern).map_err(|e| Failure::invalid(e.to_string()))?;
                    group.extend(tags.keys().filter(|t| pattern.is_match(t)).cloned());
                }
                other => return Err(Failure::invalid(format!("only time and tag dimensions allowed, found {other}"))),
            }
        }
        group.sort();
        group.dedup();
        let every = every.filter(|(every, _)| *every != 0);
        if every.is_some() && bounds.max.is_none() {
            bounds.max = Some(now);
        }
        let columns = columns(select, &fields, &tags, &group)?;
        let calls = columns.iter().filter(|c| c.function.is_some()).count();
        if calls > 0 && columns.iter().any(|c| c.function.is_none() && c.name != TIME_COLUMN) {
            return Err(match columns.iter().find_map(|c| c.function.as_deref()) {
                Some("first" | "last" | "min" | "max") if calls == 1 => not_supported("a selector with other columns"),
                _ => Failure::invalid("mixing aggregate and non-aggregate queries is not supported"),
            });
        }
        if calls == 0 && every.is_some() {
            return Err(Failure::invalid("GROUP BY requires at least one aggregate function"));
        }
        if calls == 0 && matches!(select.fill, Fill::None | Fill::Linear) {
            let fill = if select.fill == Fill::None { "none" } else { "linear" };
            return Err(Failure::invalid(format!("fill({fill}) must be used with a function")));
        }
        if calls > 0 && select.fill == Fill::Linear {
            return Err(not_supported("fill(linear)"));
        }
        let time_header = columns.iter().find(|c| c.name == TIME_COLUMN).map_or(TIME_COLUMN, |c| &c.header).to_string();
        let columns: Vec<_> = columns.into_iter().filter(|c| c.name != TIME_COLUMN).collect();
        if columns.is_empty() && !fields.is_empty() {
            return Err(Failure::invalid("at least 1 non-time field must be queried"));
        }
        Ok(Shape { columns, tags: group, every, bounds, aggregate: calls > 0, time_header })
    }

    /// The plan for one measurement; none when nothing asked for is there.
    fn plan(&self, scan: LogicalPlanBuilder, schema: &MeasurementSchema, select: &Select) -> Result<Option<SeriesPlan>> {
        let here: Vec<&Column> = self.columns.iter().filter(|c| schema.fields.contains_key(c.name.as_str())).collect();
        if here.is_empty() {
            return Ok(None);
        }
        let (_, terms) = condition::split(select.condition.as_ref(), 0)?;
        let mut predicates = condition::time_predicate(self.bounds);
        for term in terms {
            predicates.push(condition::predicate(term, schema)?);
        }
        let present = here.iter().map(|c| col(&c.name).is_not_null()).reduce(df::Expr::or).expect("one column at least");
        let all = predicates.into_iter().fold(present, df::Expr::and);
        let rows = scan.filter(all)?;
        let tag = |name: &String, i: usize| {
            let value = if schema.is_tag(name) { col(name) } else { df::cast(lit(""), tag_type()) };
            value.alias(format!("tag {i}"))
        };
        let tags = self.tags.iter().enumerate().map(|(i, name)| tag(name, i));
        let exprs = tags.collect::<Vec<_>>();
        let answer = if self.aggregate { self.aggregated(rows, exprs, schema)? } else { self.raw(rows, exprs, schema)? };
        let width = self.tags.len();
        let (ascending, first) = (!select.descending, !select.descending);
        let mut order: Vec<_> = (0..width).map(|i| col(&format!("tag {i}")).sort(ascending, first)).collect();
        order.push(col(TIME_COLUMN).sort(ascending, first));
        let limits = select.limits;
        let bare = width == 0 && self.every.is_none() && limits.series_limit == 0 && limits.series_offset == 0;
        let fetch = (bare && limits.limit > 0).then(|| limits.limit.saturating_add(limits.offset));
        let mut plan = answer.sort_with_limit(order, fetch)?.build()?;
        let fills = self.aggregate && self.every.is_some() && select.fill != Fill::None;
        if fills || limits != Default::default() {
            let windows = self.every.filter(|_| fills).map(|(every, offset)| Windows {
                start: self.bounds.min.map(|t| window_start(t, every, offset)),
                end: window_start(self.bounds.max.unwrap_or(i64::MAX), every, offset),
                every,
            });
            let counts = self.columns.iter().map(|c| c.function.as_deref() == Some("count")).collect();
            let finish =
                Finish { dimensions: width, windows, fill: select.fill, counts, descending: select.descending, limits: select.limits };
            let schema = Arc::new(plan.schema().as_arrow().clone());
            plan = OperatorNode::plan(Arc::new(finish), vec![plan], schema)?;
        }
        let mut values = vec![(self.time_header.clone(), width)];
        values.extend(self.columns.iter().enumerate().map(|(i, c)| (c.header.clone(), width + 1 + i)));
        let tags = self.tags.iter().cloned().enumerate().map(|(i, name)| (name, i)).collect();
        let layout = SeriesLayout { name: Some(schema.measurement.to_string()), tags, values, ..Default::default() };
        Ok(Some(SeriesPlan { plan, layout }))
    }

    fn raw(&self, rows: LogicalPlanBuilder, mut exprs: Vec<df::Expr>, schema: &MeasurementSchema) -> Result<LogicalPlanBuilder> {
        exprs.push(col(TIME_COLUMN));
        for (i, column) in self.columns.iter().enumerate() {
            let known = schema.fields.contains_key(column.name.as_str()) || schema.is_tag(&column.name);
            let value = if known { col(&column.name) } else { lit(ScalarValue::Utf8(None)) };
            exprs.push(value.alias(format!("value {i}")));
        }
        Ok(rows.project(exprs)?)
    }

    fn aggregated(&self, rows: LogicalPlanBuilder, tags: Vec<df::Expr>, schema: &MeasurementSchema) -> Result<LogicalPlanBuilder> {
        let mut keys = tags;
        if let Some((every, offset)) = self.every {
            let ns = df::cast(col(TIME_COLUMN), DataType::Int64);
            // `%` keeps the sign of its left side; windows lie below negative times too.
            let into = ((ns.clone() - lit(offset)) % lit(every) + lit(every)) % lit(every);
            keys.push(df::cast(ns - into, time_type()).alias("window"));
        }
        let single = self.columns.len() == 1;
        let own_time =
            single && self.every.is_none() && matches!(self.columns[0].function.as_deref(), Some("first" | "last" | "min" | "max"));
        let mut calls = Vec::new();
        for (i, column) in self.columns.iter().enumerate() {
            if let Some(field) = schema.fields.get(column.name.as_str()) {
                let function = column.function.as_deref().unwrap_or_default();
                calls.push(call(function, &column.name, *field, false)?.alias(format!("value {i}")));
                if own_time {
                    calls.push(call(function, &column.name, *field, true)?.alias("own time"));
                }
            }
        }
        // Without keys an aggregate gives a row even for no rows; the count tells it apart.
        calls.push(agg::count(lit(1i64)).alias("rows"));
        let mut out: Vec<df::Expr> = (0..self.tags.len()).map(|i| col(&format!("tag {i}"))).collect();
        out.push(match (self.every, own_time) {
            (Some(_), _) => col("window").alias(TIME_COLUMN),
            (None, true) => col("own time").alias(TIME_COLUMN),
            (None, false) => lit(ScalarValue::TimestampNanosecond(Some(self.bounds.min.unwrap_or(0)), None)).alias(TIME_COLUMN),
        });
        for (i, column) in self.columns.iter().enumerate() {
            let known = schema.fields.contains_key(column.name.as_str());
            out.push(if known { col(&format!("value {i}")) } else { lit(ScalarValue::Utf8(None)).alias(format!("value {i}")) });
        }
        let rows = rows.aggregate(keys, calls)?.filter(col("rows").gt(lit(0i64)))?;
        Ok(rows.project(out)?)
    }
}

/// The start of the window that holds `time`.
fn window_start(time: i64, every: i64, offset: i64) -> i64 {
    time.saturating_sub((time.wrapping_sub(offset)).rem_euclid(every))
}

fn window(args: &[Expr], now: i64) -> Result<(i64, i64)> {
    if args.is_empty() || args.len() > 2 {
        return Err(Failure::invalid("time dimension expected 1 or 2 arguments"));
    }
    let Expr::Duration(every) = args[0].inner() else {
        return Err(Failure::invalid("time dimension must have duration argument"));
    };
    let offset = match args.get(1).map(Expr::inner) {
        None => 0,
        Some(Expr::Duration(ns)) => *ns,
        Some(Expr::Call { name, .. }) if name == "now" => now,
        Some(_) => return Err(not_supported("this offset of time()")),
    };
    Ok((*every, if *every == 0 { 0 } else { offset.rem_euclid(every.abs()) }))
}

/// One aggregate; `time` asks for the time of the selected point. At equal times first and last take the greater value,
/// min and max the earliest point (InfluxDB 1.6.7).
fn call(function: &str, name: &str, field: FieldType, time: bool) -> Result<df::Expr> {
    let number = matches!(field, FieldType::Float | FieldType::Integer | FieldType::Unsigned);
    let value = col(name);
    let float = df::cast(value.clone(), DataType::Float64);
    let picked = if time { col(TIME_COLUMN) } else { value.clone() };
    let pick = |order: Vec<df::expr::Sort>| -> Result<df::Expr> {
        let chosen = agg::first_value(picked.clone(), vec![]);
        Ok(chosen.filter(value.clone().is_not_null()).order_by(order).build()?)
    };
    let by = |e: &df::Expr, ascending: bool| e.clone().sort(ascending, false);
    let at = col(TIME_COLUMN);
    let refuse = || {
        let kind = if field == FieldType::String { "stringInterruptIterator" } else { "booleanInterruptIterator" };
        Err(Failure::invalid(format!("unsupported {function} iterator type: *query.{kind}")))
    };
    Ok(match function {
        "count" => agg::count(value),
        "first" => pick(vec![by(&at, true), by(&value, false)])?,
        "last" => pick(vec![by(&at, false), by(&value, false)])?,
        "min" | "max" if field == FieldType::String => return refuse(),
        "min" if time => pick(vec![by(&value, true), by(&at, true)])?,
        "max" if time => pick(vec![by(&value, false), by(&at, true)])?,
        "min" => agg::min(value),
        "max" => agg::max(value),
        "mean" | "median" | "sum" | "stddev" | "spread" if !number => return refuse(),
        "mean" => agg::avg(float),
        "median" => agg::median(float),
        "sum" => agg::sum(value),
        "stddev" => agg::stddev(float),
        "spread" => agg::max(value.clone()) - agg::min(value),
        other => return Err(not_supported(format!("{other}()"))),
    })
}

const PLANNED: [&str; 10] = ["count", "first", "last", "min", "max", "mean", "median", "sum", "stddev", "spread"];

/// The columns of the select list, wildcards expanded, each with a header of its own.
fn columns(select: &Select, fields: &BTreeMap<String, FieldType>, tags: &BTreeMap<String, ()>, group: &[String]) -> Result<Vec<Column>> {
    let mut out: Vec<Column> = Vec::new();
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    let mut add = |alias: Option<&String>, function: Option<&str>, name: &str, header: String| {
        // A second equal name gets `_1`; equal aliases stay equal.
        let header = match alias {
            Some(alias) => alias.clone(),
            None => match taken.get_mut(&header) {
                Some(n) => {
                    *n += 1;
                    format!("{header}_{n}")
                }
                None => {
                    taken.insert(header.clone(), 0);
                    header
                }
            },
        };
        out.push(Column { header, function: function.map(str::to_string), name: name.to_string() });
    };
    let names = |kind: Option<Cast>| -> Vec<String> {
        let tags = tags.keys().filter(|t| kind != Some(Cast::Field) && !group.contains(t));
        let mut names: Vec<String> = fields.keys().filter(|_| kind != Some(Cast::Tag)).chain(tags).cloned().collect();
        names.sort();
        names
    };
    for field in &select.fields {
        let alias = field.alias.as_ref();
        match field.expr.inner() {
            Expr::Variable { name, cast: None | Some(Cast::Field | Cast::Tag) } => add(alias, None, name, name.clone()),
            Expr::Wildcard(kind) => names(*kind).iter().for_each(|n| add(None, None, n, n.clone())),
            Expr::Regex(pattern) => {
                let pattern = regex::Regex::new(pattern).map_err(|e| Failure::invalid(e.to_string()))?;
                names(None).iter().filter(|n| pattern.is_match(n)).for_each(|n| add(None, None, n, n.clone()));
            }
            Expr::Call { name, args } if PLANNED.contains(&name.as_str()) => {
                if args.len() != 1 {
                    return Err(Failure::invalid(format!("invalid number of arguments for {name}, expected 1, got {}", args.len())));
                }
                let pattern = match &args[0] {
                    Expr::Variable { name: field, cast: None } => {
                        add(alias, Some(name), field, name.clone());
                        continue;
                    }
                    Expr::Wildcard(None | Some(Cast::Field)) => None,
                    Expr::Wildcard(Some(_)) => return Err(Failure::invalid(format!("unable to use tag wildcard in {name}()"))),
                    Expr::Regex(pattern) => Some(regex::Regex::new(pattern).map_err(|e| Failure::invalid(e.to_string()))?),
                    Expr::Call { .. } | Expr::Distinct(_) => return Err(not_supported(format!("a call inside {name}()"))),
                    _ => return Err(Failure::invalid(format!("expected field argument in {name}()"))),
                };
                let prefix = alias.unwrap_or(name);
                for (field, kind) in fields.iter().filter(|(f, _)| pattern.as_ref().is_none_or(|p| p.is_match(f))) {
                    let takes = match name.as_str() {
                        "count" | "first" | "last" => true,
                        "min" | "max" => *kind != FieldType::String,
                        _ => !matches!(kind, FieldType::String | FieldType::Boolean),
                    };
                    if takes {
                        add(None, Some(name), field, format!("{prefix}_{field}"));
                    }
                }
            }
            Expr::Call { name, .. } => return Err(not_supported(format!("{name}()"))),
            other => return Err(not_supported(format!("{other} in the select list"))),
        }
    }
    Ok(out)
}
