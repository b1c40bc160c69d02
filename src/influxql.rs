//! InfluxQL: text to statements to DataFusion plans. Storage and HTTP are unknown here.
//!
//! ```text
//! text --parse--> ast::Query --plan_statement (one by one, in order)--> StatementPlan
//!                                |  lower/: sources, columns, condition, windows, fill and limits
//!                                v
//!                SeriesPlan per measurement | answer in memory | Effect
//! ```
//! A statement is planned when its turn comes, because an earlier one may have changed what it sees.

pub mod ast;
mod lower;
pub mod parse;

use crate::format::series::SeriesLayout;
use crate::model::{ErrorKind, Failure, Result};
use crate::plan::{BucketInfo, BucketRef, Context, DeleteRows, PolicyChange};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::LogicalPlan;

pub use ast::{Query, Statement};

/// What a request says beside the text of the query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Defaults {
    /// `db`: the database of sources that name none; `None` or empty: `database name required`.
    pub database: Option<String>,
    /// `rp`: the retention policy of sources that name none; `None`: the database's default policy.
    pub policy: Option<String>,
    /// The request was a GET: statements that change something get a warning message (InfluxDB 1.x).
    pub read_only: bool,
}

/// What one statement does.
#[derive(Debug, Clone)]
pub struct StatementPlan {
    pub output: Output,
    /// `messages`: level and text.
    pub messages: Vec<(String, String)>,
}

/// Where the rows of a statement come from.
#[derive(Debug, Clone)]
pub enum Output {
    /// One plan per measurement, to be run one after the other, in this order. No plan: no series.
    /// The rows come in order from the plan's single partition; a plan without rows is no series.
    Plans(Vec<SeriesPlan>),
    /// Answers that are known already; each batch holds whole series.
    Rows(Vec<SeriesRows>),
    /// Changes something; [`Effect::apply`] does it.
    Effect(Effect),
}

/// A plan and the parts its columns play.
#[derive(Debug, Clone)]
pub struct SeriesPlan {
    pub plan: LogicalPlan,
    pub layout: SeriesLayout,
}

/// Rows in memory and the parts their columns play.
#[derive(Debug, Clone)]
pub struct SeriesRows {
    pub batch: RecordBatch,
    pub layout: SeriesLayout,
}

/// A change that a statement asks for.
#[derive(Debug, Clone)]
pub enum Effect {
    CreateDatabase {
        database: String,
        policy: Option<String>,
        retention_ns: Option<i64>,
    },
    DropDatabase {
        database: String,
    },
    /// `by_value`: it looks at fields, which InfluxDB does not; the answer then has the number of rows.
    Delete {
        bucket: BucketInfo,
        deletes: Vec<DeleteRows>,
        by_value: bool,
    },
    DropMeasurement {
        buckets: Vec<BucketInfo>,
        measurement: String,
    },
    /// `measurement`: `None` keeps the names of the sources.
    Into {
        plans: Vec<SeriesPlan>,
        bucket: BucketInfo,
        measurement: Option<String>,
    },
    CreatePolicy {
        database: String,
        policy: String,
        change: PolicyChange,
    },
    AlterPolicy {
        database: String,
        policy: String,
        change: PolicyChange,
    },
    DropPolicy {
        database: String,
        policy: String,
    },
}

/// What a change has to say.
#[derive(Debug, Clone, Default)]
pub struct Done {
    pub rows: Vec<SeriesRows>,
    /// How many rows were deleted, as far as that can be told.
    pub deleted: Option<u64>,
}

impl Effect {
    /// Makes the change. Blocks.
    pub fn apply(&self, context: &dyn Context) -> Result<Done> {
        match self {
            Effect::CreateDatabase { database, policy, retention_ns } => {
                context.create_database(database, policy.as_deref(), *retention_ns)?;
            }
            Effect::DropDatabase { database } => context.drop_database(database)?,
            Effect::Delete { bucket, deletes, by_value } => {
                let deleted = context.delete(bucket, deletes.clone())?;
                // To what InfluxDB does, too, its clients know the answer.
                let rows = if *by_value { vec![lower::deleted(deleted)?] } else { vec![] };
                return Ok(Done { rows, deleted });
            }
            Effect::DropMeasurement { buckets, measurement } => {
                let mut deleted = Some(0);
                for bucket in buckets {
                    let more = context.drop_measurement(bucket, measurement)?;
                    deleted = deleted.zip(more).map(|(deleted, more)| deleted + more);
                }
                return Ok(Done { rows: vec![], deleted });
            }
            Effect::Into { plans, bucket, measurement } => {
                let count = lower::into::write(plans, bucket, measurement.as_deref(), context)?;
                return Ok(Done { rows: vec![lower::written(count)?], deleted: None });
            }
            Effect::CreatePolicy { database, policy, change } => context.create_policy(database, policy, *change)?,
            Effect::AlterPolicy { database, policy, change } => context.alter_policy(database, policy, *change)?,
            Effect::DropPolicy { database, policy } => context.drop_policy(database, policy)?,
        }
        Ok(Done::default())
    }
}

/// Parses the statements of one request. `params` is the JSON text of the bound parameters.
///
/// Nothing has run when this fails; the failure's message is InfluxDB 1.x's (`error parsing query: found X, expected Y at
/// line 1, char 9`) and is sent with status 400.
pub fn parse(text: &str, params: Option<&str>) -> Result<Query> {
    parse::query(text, params)
}

/// Plans one statement. Blocks: wildcards and SHOW statements look at the database. A failure is the statement's
/// `error`, sent in-band with status 200.
pub fn plan_statement(statement: &Statement, context: &dyn Context, defaults: &Defaults) -> Result<StatementPlan> {
    let output = match statement {
        Statement::Select(select) => {
            let plans = lower::select(select, context, defaults)?;
            match &select.target {
                None => Output::Plans(plans),
                Some(target) => {
                    let bucket = lower::into::target(target, context, defaults)?;
                    Output::Effect(Effect::Into { plans, bucket, measurement: target.name.clone() })
                }
            }
        }
        Statement::Explain { analyze: false, select, .. } => {
            Output::Rows(vec![lower::query_plan(&lower::select(select, context, defaults)?)?])
        }
        Statement::CreateRetentionPolicy { name, database, options } => {
            Output::Effect(Effect::CreatePolicy { database: database.clone(), policy: name.clone(), change: change(options) })
        }
        Statement::AlterRetentionPolicy { name, database, options } => {
            Output::Effect(Effect::AlterPolicy { database: database.clone(), policy: name.clone(), change: change(options) })
        }
        Statement::DropRetentionPolicy { name, database } => {
            Output::Effect(Effect::DropPolicy { database: database.clone(), policy: name.clone() })
        }
        Statement::CreateDatabase { name, policy } => Output::Effect(Effect::CreateDatabase {
            database: name.clone(),
            policy: policy.as_ref().and_then(|p| p.name.clone()),
            retention_ns: policy.as_ref().and_then(|p| p.duration_ns).filter(|ns| *ns != 0),
        }),
        Statement::DropMeasurement { name } => {
            Output::Effect(Effect::DropMeasurement { buckets: buckets_of(context, defaults)?, measurement: name.clone() })
        }
        Statement::DropDatabase { name } => Output::Effect(Effect::DropDatabase { database: name.clone() }),
        other => match (lower::show(other, context, defaults)?, lower::delete(other, context, defaults)?) {
            (Some(rows), _) => Output::Rows(rows),
            (None, Some(effect)) => Output::Effect(effect),
            (None, None) => return Err(Failure::new(ErrorKind::NotImplemented, format!("{} is not supported yet", other.name()))),
        },
    };
    let mut messages = Vec::new();
    if defaults.read_only && statement.is_mutation() {
        let text = format!("deprecated use of '{statement}' in a read only context, please use a POST request instead");
        messages.push(("warning".to_string(), text));
    }
    Ok(StatementPlan { output, messages })
}

/// Every retention policy of the request's database: a measurement goes from all of them (InfluxDB 1.8).
fn buckets_of(context: &dyn Context, defaults: &Defaults) -> Result<Vec<BucketInfo>> {
    let database = defaults.database.as_deref().filter(|d| !d.is_empty());
    let database = database.ok_or_else(|| Failure::invalid("database name required"))?;
    let mapped: Vec<BucketInfo> = context.databases()?.into_iter().filter(|d| d.database == database).map(|d| d.bucket).collect();
    if mapped.is_empty() { Ok(vec![context.bucket(BucketRef::Database { database, policy: None })?]) } else { Ok(mapped) }
}

/// Replication and the length of shards are not ours; they are read and have no effect.
fn change(options: &ast::PolicyOptions) -> PolicyChange {
    let retention_ns = options.duration_ns.map(|ns| Some(ns).filter(|ns| *ns != 0));
    PolicyChange { retention_ns, default: options.default }
}
