//! SHOW statements: what the schema answers by itself, and what must be looked up in the series.

use super::{
    condition::{self, Bounds, ConditionScope, Moment},
    not_supported, pattern,
    source::{Columns, Relation, stored},
};
use crate::format::series::SeriesLayout;
use crate::influxql::ast::{BinaryOp, CardinalityOf, Expr, KeyMatch, Measurement, NameMatch, On, ShowFilter, Source, Statement};
use crate::influxql::{Defaults, SeriesPlan, SeriesRows};
use crate::line_protocol::escape::{self, push_escaped};
use crate::model::{Failure, Result, TIME_COLUMN};
use crate::plan::{
    BucketRef, Context, DatabaseInfo,
    node::reduce::{Call, Reduce, Reduction, RowTime, reduce},
    stream::col,
};
use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray},
    datatypes::{Field, Schema},
    record_batch::RecordBatch,
};
use datafusion::logical_expr as df;
use std::{collections::BTreeSet, sync::Arc};

/// Answers a SHOW; `None`: the statement is not one of those answered here.
pub fn show(statement: &Statement, context: &dyn Context, defaults: &Defaults) -> Result<Option<Vec<SeriesRows>>> {
    let asked = |database: &Option<String>, filter: &ShowFilter| Asked::of(context, defaults, database.as_deref(), filter);
    Ok(Some(match statement {
        Statement::ShowDatabases => vec![texts(Some("databases"), &["name"], vec![database_names(context)?])?],
        Statement::ShowRetentionPolicies { database } => vec![policies(context, defaults, database.as_deref())?],
        // Scheduled statements are tasks here: no database has continuous queries.
        Statement::ShowContinuousQueries => {
            let empty = |name: &String| texts(Some(name), &["name", "query"], vec![vec![], vec![]]);
            database_names(context)?.iter().map(empty).collect::<Result<_>>()?
        }
        Statement::ShowMeasurements { on, with, filter } => match measurements(on, with.as_ref(), filter, context, defaults)? {
            names if names.is_empty() => vec![],
            names => vec![texts(Some("measurements"), &["name"], vec![page(names, filter)])?],
        },
        Statement::ShowTagKeys { database, with, filter } => asked(database, filter)?.each(|one| {
            let keys = one.tag_keys()?.into_iter().filter(|k| with.as_ref().is_none_or(|w| matches_key(w, k))).collect();
            texts(Some(&one.name), &["tagKey"], vec![page(keys, filter)])
        })?,
        Statement::ShowFieldKeys { database, filter } => asked(database, filter)?.each(|one| {
            let fields = &one.relation.columns.fields;
            let names = page(fields.keys().map(|name| name.to_string()).collect(), filter);
            let types = page(fields.values().map(|t| t.name().to_string()).collect(), filter);
            texts(Some(&one.name), &["fieldKey", "fieldType"], vec![names, types])
        })?,
        Statement::ShowTagValues { database, key, filter } => asked(database, filter)?.each(|one| {
            let (keys, values) = one.tag_values(key)?.into_iter().unzip();
            texts(Some(&one.name), &["key", "value"], vec![page(keys, filter), page(values, filter)])
        })?,
        Statement::ShowSeries { database, filter } => {
            let mut keys = vec![];
            for one in asked(database, filter)?.measurements {
                keys.extend(one.series()?);
            }
            match page(keys, filter) {
                keys if keys.is_empty() => vec![],
                keys => vec![texts(None, &["key"], vec![keys])?],
            }
        }
        Statement::ShowCardinality { of, exact, database, key, filter } => {
            cardinality(*of, *exact, key.as_ref(), filter, asked(database, filter)?)?
        }
        _ => return Ok(None),
    }))
}

fn cardinality(of: CardinalityOf, exact: bool, key: Option<&KeyMatch>, filter: &ShowFilter, asked: Asked<'_>) -> Result<Vec<SeriesRows>> {
    if !filter.dimensions.is_empty() {
        return Err(not_supported("GROUP BY in SHOW CARDINALITY"));
    }
    let number = |name: Option<&str>, header: &str, n: usize| rows(name, &[header], vec![Arc::new(Int64Array::from(vec![n as i64]))]);
    let is_whole = filter.sources.is_empty() && filter.condition.is_none();
    match of {
        // Ours are counted, whatever the header says.
        CardinalityOf::Series if !exact && is_whole => {
            let counts = asked.measurements.iter().map(|one| Ok(one.series()?.len())).collect::<Result<Vec<_>>>()?;
            Ok(vec![number(None, "cardinality estimation", counts.iter().sum())?])
        }
        CardinalityOf::Measurement => {
            let mut count = 0;
            for one in &asked.measurements {
                count += usize::from(is_whole || !one.series()?.is_empty());
            }
            let header = if !exact && is_whole { "cardinality estimation" } else { "count" };
            Ok(vec![number(None, header, count)?])
        }
        _ => asked.each(|one| {
            let count = match of {
                CardinalityOf::Series => one.series()?.len(),
                CardinalityOf::TagKey => one.tag_keys()?.len(),
                CardinalityOf::TagValues => one.tag_values(key.unwrap_or(&KeyMatch::Like(String::new())))?.len(),
                CardinalityOf::FieldKey | CardinalityOf::Measurement => one.relation.columns.fields.len(),
            };
            let counts: ArrayRef = Arc::new(Int64Array::from(if count == 0 { vec![] } else { vec![count as i64] }));
            rows(Some(&one.name), &["count"], vec![counts])
        }),
    }
}

/// The measurements that a SHOW is about.
struct Asked<'a> {
    measurements: Vec<One<'a>>,
}

/// One measurement and the series asked for.
pub struct One<'a> {
    pub name: Arc<str>,
    relation: Relation,
    context: &'a dyn Context,
    bounds: Bounds,
    condition: Option<Expr>,
}

impl<'a> Asked<'a> {
    fn of(context: &'a dyn Context, defaults: &Defaults, database: Option<&str>, filter: &ShowFilter) -> Result<Asked<'a>> {
        let everything = [Source::Measurement(Measurement { database: None, policy: None, name: NameMatch::Regex(String::new()) })];
        let sources: &[Source] = if filter.sources.is_empty() { &everything } else { &filter.sources };
        let (_, condition) = condition::split(filter.condition.as_ref(), Moment { now: context.now(), zone: None })?;
        check_tags_only(condition.as_ref())?;
        let mut measurements = of_sources(sources, database, filter.condition.as_ref(), context, defaults)?;
        measurements.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Asked { measurements })
    }

    /// One answer per measurement; one without rows is none.
    fn each(&self, answer: impl Fn(&One<'_>) -> Result<SeriesRows>) -> Result<Vec<SeriesRows>> {
        let answers = self.measurements.iter().map(answer).collect::<Result<Vec<_>>>()?;
        Ok(answers.into_iter().filter(|a| a.batch.num_rows() > 0).collect())
    }
}

/// The measurements of sources, with the series that a condition on tags and time keeps.
pub fn of_sources<'a>(
    sources: &[Source],
    database: Option<&str>,
    condition: Option<&Expr>,
    context: &'a dyn Context,
    defaults: &Defaults,
) -> Result<Vec<One<'a>>> {
    let (bounds, condition) = condition::split(condition, Moment { now: context.now(), zone: None })?;
    let mut found: Vec<One<'a>> = vec![];
    for source in sources {
        let Source::Measurement(measurement) = source else { return Err(not_supported("a sub-query in SHOW")) };
        let mut measurement = measurement.clone();
        measurement.database = measurement.database.or(database.map(str::to_string));
        for (name, relation) in stored(&measurement, context, defaults)? {
            if found.iter().all(|one| one.name != name) {
                found.push(One { name, relation, context, bounds, condition: condition.clone() });
            }
        }
    }
    Ok(found)
}

/// Tags are compared with strings and patterns only.
pub fn check_tags_only(condition: Option<&Expr>) -> Result<()> {
    let Some(condition) = condition else { return Ok(()) };
    match condition.inner() {
        Expr::Binary { op, left, right } if op.is_logical() => {
            check_tags_only(Some(left))?;
            check_tags_only(Some(right))
        }
        Expr::Binary { op: BinaryOp::Eq | BinaryOp::NotEq | BinaryOp::Match | BinaryOp::NotMatch, left, right } => {
            let side = |e: &Expr| matches!(e.inner(), Expr::Variable { .. } | Expr::String(_) | Expr::Regex(_));
            if side(left) && side(right) { Ok(()) } else { Err(Failure::invalid("invalid tag comparison operator")) }
        }
        Expr::Boolean(_) => Ok(()),
        _ => Err(Failure::invalid("invalid tag comparison operator")),
    }
}

impl One<'_> {
    fn is_whole(&self) -> bool {
        self.condition.is_none() && self.bounds == Bounds::default()
    }

    pub fn is_field(&self, name: &str) -> bool {
        self.relation.columns.fields.contains_key(name)
    }

    pub fn is_tag(&self, name: &str) -> bool {
        self.relation.columns.has_tag(name)
    }

    pub fn tags(&self) -> impl Iterator<Item = String> {
        self.relation.columns.tags.iter().map(|tag| tag.to_string())
    }

    /// A condition without time, on the measurement's columns.
    pub fn predicate(&self, condition: &Expr) -> Result<df::Expr> {
        condition::predicate(condition, &ConditionScope(&self.relation.columns))
    }

    /// The sets of values that the given tags have together in the series asked for.
    pub fn tag_sets(&self, tags: &[String]) -> Result<Vec<RecordBatch>> {
        let columns = Columns { fields: Default::default(), ..self.relation.columns.clone() };
        let mut predicates = self.bounds.predicate();
        if let Some(condition) = &self.condition {
            predicates.push(condition::predicate(condition, &ConditionScope(&columns))?);
        }
        let exprs: Vec<df::Expr> = tags.iter().map(|t| col(t)).chain([col(TIME_COLUMN)]).collect();
        let count = Call { reduction: Reduction::Count, input: TIME_COLUMN.into(), output: "\u{0}rows".into(), beyond_bounds: false };
        let spec = Reduce {
            key: tags.to_vec(),
            time: TIME_COLUMN.into(),
            windows: None,
            calls: vec![count],
            carried: vec![],
            bounds: (i64::MIN, i64::MAX),
            row_time: RowTime::Constant(0),
            descending: false,
            with_presence: false,
        };
        let rows = self.relation.select(predicates.into_iter().reduce(df::Expr::and), exprs)?;
        self.context.collect(reduce(rows, spec)?)
    }

    fn tag_keys(&self) -> Result<Vec<String>> {
        let all: Vec<String> = self.tags().collect();
        if self.is_whole() {
            return Ok(all);
        }
        let sets = self.tag_sets(&all)?;
        let is_used = |at: usize| sets.iter().any(|set| set.column(at).null_count() < set.num_rows());
        Ok(all.iter().enumerate().filter(|(at, _)| is_used(*at)).map(|(_, tag)| tag.clone()).collect())
    }

    fn tag_values(&self, key: &KeyMatch) -> Result<Vec<(String, String)>> {
        let keys: Vec<String> = self.tags().filter(|t| matches_key(key, t)).collect();
        if let KeyMatch::Like(text) | KeyMatch::NotLike(text) = key {
            pattern(text)?;
        }
        if keys.is_empty() {
            return Ok(vec![]);
        }
        let mut found = BTreeSet::new();
        for set in self.tag_sets(&keys)? {
            for (at, key) in keys.iter().enumerate() {
                found.extend(set.column(at).as_string::<i32>().iter().flatten().map(|v| (key.clone(), v.to_string())));
            }
        }
        Ok(found.into_iter().collect())
    }

    /// Series keys as line protocol writes them, sorted.
    fn series(&self) -> Result<Vec<String>> {
        let tags: Vec<String> = self.tags().collect();
        let mut keys = vec![];
        for set in self.tag_sets(&tags)? {
            for row in 0..set.num_rows() {
                let mut key = String::new();
                push_escaped(&mut key, &self.name, escape::IN_MEASUREMENT);
                for (at, tag) in tags.iter().enumerate() {
                    let values = set.column(at).as_string::<i32>();
                    if values.is_valid(row) {
                        key.push(',');
                        push_escaped(&mut key, tag, escape::IN_KEY);
                        key.push('=');
                        push_escaped(&mut key, values.value(row), escape::IN_KEY);
                    }
                }
                keys.push(key);
            }
        }
        keys.sort();
        Ok(keys)
    }
}

fn matches_key(with: &KeyMatch, key: &str) -> bool {
    let like = |text: &str| pattern(text).is_ok_and(|p| p.is_match(key));
    match with {
        KeyMatch::Is(name) => name == key,
        KeyMatch::IsNot(name) => name != key,
        KeyMatch::In(names) => names.iter().any(|n| n == key),
        KeyMatch::Like(text) => like(text),
        KeyMatch::NotLike(text) => !like(text),
    }
}

fn database_names(context: &dyn Context) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for database in context.databases()? {
        if !names.contains(&database.database) {
            names.push(database.database);
        }
    }
    Ok(names)
}

fn measurements(on: &On, with: Option<&NameMatch>, filter: &ShowFilter, context: &dyn Context, defaults: &Defaults) -> Result<Vec<String>> {
    let (database, policy) = match on {
        On::Default => (defaults.database.clone(), None),
        On::Database(database) => (Some(database.clone()), None),
        On::Policy(database, policy) => (Some(database.clone()), Some(policy.clone())),
        On::Everything => return Err(not_supported("SHOW MEASUREMENTS ON *.*")),
    };
    let database = database.filter(|d| !d.is_empty()).ok_or_else(|| Failure::invalid("database name required"))?;
    // An unknown database has no measurements; that is no error here (InfluxDB 1.6.7).
    if context.bucket(BucketRef::Database { database: &database, policy: policy.as_deref() }).is_err() {
        return Ok(vec![]);
    }
    let (_, condition) = condition::split(filter.condition.as_ref(), Moment { now: context.now(), zone: None })?;
    check_tags_only(condition.as_ref())?;
    let name = with.cloned().unwrap_or(NameMatch::Regex(String::new()));
    let source = Source::Measurement(Measurement { database: Some(database), policy, name });
    let mut names = vec![];
    for one in of_sources(&[source], None, filter.condition.as_ref(), context, defaults)? {
        if one.is_whole() || one.tag_sets(&[])?.iter().any(|set| set.num_rows() > 0) {
            names.push(one.name.to_string());
        }
    }
    Ok(names)
}

/// The rows of `SELECT INTO`.
pub fn written(count: u64) -> Result<SeriesRows> {
    counted("written", Some(count))
}

/// How many rows went, in the form of `written`; null: that cannot be told.
pub fn deleted(count: Option<u64>) -> Result<SeriesRows> {
    counted("deleted", count)
}

fn counted(what: &str, count: Option<u64>) -> Result<SeriesRows> {
    let time: ArrayRef = Arc::new(arrow::array::TimestampNanosecondArray::from(vec![0]));
    rows(Some("result"), &["time", what], vec![time, Arc::new(Int64Array::from(vec![count.map(|n| n as i64)]))])
}

/// The rows of `EXPLAIN`: our plan, which is not that of InfluxDB's iterators.
pub fn query_plan(plans: &[SeriesPlan]) -> Result<SeriesRows> {
    let text = |plan: &SeriesPlan| format!("{}\n{}", plan.layout.name.as_deref().unwrap_or_default(), plan.plan.display_indent());
    let lines = plans.iter().map(text).collect::<Vec<_>>().join("\n");
    texts(None, &["QUERY PLAN"], vec![lines.lines().map(str::to_string).collect()])
}

fn page(items: Vec<String>, filter: &ShowFilter) -> Vec<String> {
    let count = if filter.limits.limit == 0 { usize::MAX } else { filter.limits.limit };
    items.into_iter().skip(filter.limits.offset).take(count).collect()
}

fn texts(name: Option<&str>, headers: &[&str], columns: Vec<Vec<String>>) -> Result<SeriesRows> {
    let columns = columns.into_iter().map(|c| Arc::new(StringArray::from(c)) as ArrayRef).collect();
    rows(name, headers, columns)
}

fn rows(name: Option<&str>, headers: &[&str], columns: Vec<ArrayRef>) -> Result<SeriesRows> {
    let fields: Vec<_> = headers.iter().zip(&columns).map(|(h, c)| Field::new(*h, c.data_type().clone(), true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let values = headers.iter().enumerate().map(|(i, h)| (h.to_string(), i)).collect();
    let layout = SeriesLayout { name: name.map(str::to_string), values, even_empty: true, ..Default::default() };
    Ok(SeriesRows { batch, layout })
}

fn policies(context: &dyn Context, defaults: &Defaults, database: Option<&str>) -> Result<SeriesRows> {
    let database = database.or(defaults.database.as_deref()).filter(|d| !d.is_empty());
    let database = database.ok_or_else(|| Failure::invalid("database name required"))?;
    let found: Vec<_> = context.databases()?.into_iter().filter(|d| d.database == database).collect();
    if found.is_empty() {
        return Err(Failure::not_found(format!("database not found: {database}")));
    }
    let text = |f: &dyn Fn(&DatabaseInfo) -> String| Arc::new(StringArray::from_iter_values(found.iter().map(f))) as ArrayRef;
    let go = |ns: i64| {
        let s = ns / 1_000_000_000;
        if s == 0 { "0s".to_string() } else { format!("{}h{}m{}s", s / 3600, s / 60 % 60, s % 60) }
    };
    // Shards are not ours; the original's default for each retention is shown, since clients read the column.
    let shard = |ns: Option<i64>| match ns.map(|ns| ns / 3_600_000_000_000) {
        Some(h) if h < 48 => "1h0m0s",
        Some(h) if h < 180 * 24 => "24h0m0s",
        _ => "168h0m0s",
    };
    let columns: Vec<ArrayRef> = vec![
        text(&|d| d.policy.clone()),
        text(&|d| go(d.bucket.retention_ns.unwrap_or(0))),
        text(&|d| shard(d.bucket.retention_ns).to_string()),
        Arc::new(Int64Array::from(vec![1; found.len()])),
        Arc::new(BooleanArray::from(found.iter().map(|d| d.default).collect::<Vec<_>>())),
    ];
    rows(None, &["name", "duration", "shardGroupDuration", "replicaN", "default"], columns)
}
