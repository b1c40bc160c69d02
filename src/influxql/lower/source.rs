//! FROM: measurements and sub-queries as relations, by the name their series have in the answer.

use super::{
    Defaults, bucket, pattern,
    select::{Outer, Series, series},
};
use crate::influxql::ast::{Measurement, NameMatch, Select, Source};
use crate::model::{FieldType, Result, TIME_COLUMN, schema::time_type};
use crate::plan::{
    Context, MeasurementTable, merge,
    node::concat::concat,
    stream::{col, null},
};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{self as df, LogicalPlan};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

/// What a relation's columns are, beside `time`.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    pub tags: BTreeSet<Arc<str>>,
    pub fields: BTreeMap<Arc<str>, FieldType>,
    /// Tags that an outer query groups by and that pass through without being seen by wildcards.
    pub passed: BTreeSet<Arc<str>>,
}

impl Columns {
    pub fn has_tag(&self, name: &str) -> bool {
        self.tags.contains(name) || self.passed.contains(name)
    }

    pub fn extend(&mut self, other: &Columns) {
        self.tags.extend(other.tags.iter().cloned());
        self.passed.extend(other.passed.iter().cloned());
        for (name, field) in &other.fields {
            self.fields.entry(name.clone()).or_insert(*field);
        }
    }
}

/// Rows with a column `time`, one for each tag and one for each field, by name.
#[derive(Clone)]
pub struct Relation {
    pub columns: Columns,
    rows: Rows,
}

#[derive(Clone)]
enum Rows {
    Stored(MeasurementTable),
    Made(LogicalPlan),
}

impl Relation {
    /// Whether rows come by (tags in name order, absent first; time), each once.
    pub fn is_stored(&self) -> bool {
        matches!(self.rows, Rows::Stored(_))
    }

    /// Expressions on the rows where the condition holds.
    pub fn select(&self, condition: Option<df::Expr>, exprs: Vec<df::Expr>) -> Result<LogicalPlan> {
        let rows = match (&self.rows, condition) {
            (Rows::Stored(table), condition) => {
                let columns: HashSet<_> = exprs.iter().flat_map(|e| e.column_refs()).collect();
                table.scan(columns.into_iter().map(|column| column.name.as_str()), condition)?
            }
            (Rows::Made(plan), Some(condition)) => merge::filter(plan, condition)?,
            (Rows::Made(plan), None) => plan.clone(),
        };
        Ok(merge::project(&rows, exprs)?)
    }
}

/// The relations of the sources, by name. Sources of one name are put together.
pub fn relations(select: &Select, outer: &Outer, context: &dyn Context, defaults: &Defaults) -> Result<BTreeMap<Arc<str>, Relation>> {
    let mut found: BTreeMap<Arc<str>, Vec<Relation>> = BTreeMap::new();
    for source in &select.sources {
        match source {
            Source::Measurement(measurement) => {
                for (name, relation) in stored(measurement, context, defaults)? {
                    found.entry(name).or_default().push(relation);
                }
            }
            Source::Subquery(inner) => {
                for one in series(inner, Some(outer), context, defaults)? {
                    let (name, relation) = answered(one)?;
                    found.entry(name).or_default().push(relation);
                }
            }
        }
    }
    found.into_iter().map(|(name, relations)| Ok((name, together(relations)?))).collect()
}

/// The measurements that a source names.
pub fn stored(measurement: &Measurement, context: &dyn Context, defaults: &Defaults) -> Result<Vec<(Arc<str>, Relation)>> {
    let bucket = bucket(context, defaults, measurement.database.as_deref(), measurement.policy.as_deref())?;
    let pattern = match &measurement.name {
        NameMatch::Regex(text) => Some(pattern(text)?),
        NameMatch::Name(_) => None,
    };
    let mut found = vec![];
    for schema in context.measurements(bucket.id)? {
        let is_wanted = match (&measurement.name, &pattern) {
            (_, Some(pattern)) => pattern.is_match(&schema.measurement),
            (NameMatch::Name(name), None) => schema.measurement.as_ref() == name,
            (NameMatch::Regex(_), None) => false,
        };
        if !is_wanted {
            continue;
        }
        let Some(table) = context.table(bucket.id, &schema.measurement)? else { continue };
        let schema = &table.schema;
        let columns = Columns { tags: schema.tags.iter().cloned().collect(), fields: schema.fields.clone(), passed: BTreeSet::new() };
        found.push((schema.measurement.clone(), Relation { columns, rows: Rows::Stored(table) }));
    }
    Ok(found)
}

/// The answer of a sub-query: its dimensions are tags, its columns fields. Of two columns of one name the first counts.
fn answered(inner: Series) -> Result<(Arc<str>, Relation)> {
    let mut columns = Columns::default();
    let mut exprs = vec![col(TIME_COLUMN)];
    for (at, column) in inner.columns.iter().enumerate() {
        let Some(field) = column.kind.field() else { continue };
        if column.header == TIME_COLUMN || columns.fields.contains_key(column.header.as_str()) {
            continue;
        }
        columns.fields.insert(column.header.as_str().into(), field);
        let value = col(&Series::value(at));
        let stored = inner.plan.schema().field_with_unqualified_name(&Series::value(at))?.data_type().clone();
        let value = if stored == field.arrow() { value } else { df::cast(value, field.arrow()) };
        exprs.push(value.alias(&column.header));
    }
    for (at, tag) in inner.tags.iter().enumerate() {
        if columns.fields.contains_key(tag.name.as_str()) {
            continue;
        }
        let set = if tag.is_passed { &mut columns.passed } else { &mut columns.tags };
        set.insert(tag.name.as_str().into());
        exprs.push(df::cast(col(&Series::tag(at)), DataType::Utf8).alias(&tag.name));
    }
    let plan = merge::project(&inner.plan, exprs)?;
    Ok((inner.name, Relation { columns, rows: Rows::Made(plan) }))
}

/// The rows of several relations, one after the other; what one does not have is null there.
fn together(mut relations: Vec<Relation>) -> Result<Relation> {
    if relations.len() == 1 {
        return Ok(relations.remove(0));
    }
    let mut columns = Columns::default();
    relations.iter().for_each(|r| columns.extend(&r.columns));
    columns.tags.retain(|t| !columns.fields.contains_key(t));
    let plans = relations.into_iter().map(|relation| {
        let mut exprs = vec![df::cast(col(TIME_COLUMN), time_type()).alias(TIME_COLUMN)];
        for tag in columns.tags.iter().chain(columns.passed.iter().filter(|p| !columns.tags.contains(*p))) {
            let value = if relation.columns.has_tag(tag) { df::cast(col(tag), DataType::Utf8) } else { null(&DataType::Utf8) };
            exprs.push(value.alias(tag.as_ref()));
        }
        for (name, field) in &columns.fields {
            let value = if relation.columns.fields.get(name) == Some(field) { col(name) } else { null(&field.arrow()) };
            exprs.push(value.alias(name.as_ref()));
        }
        relation.select(None, exprs)
    });
    let plan = concat(plans.collect::<Result<Vec<_>>>()?)?;
    Ok(Relation { columns, rows: Rows::Made(plan) })
}
