//! A database in memory: the [`Context`] of tests and of scripts that run without a server.
//!
//! Tables are given whole; `write` appends rows that later queries of the same context see. It knows no users.

use super::{
    BucketInfo, BucketRef, Context, DatabaseInfo, DeletePart, DeleteRows, MeasurementTable, PolicyChange, WriteRows,
    condition::RowCondition, node::NodePlanner,
};
use crate::functions;
use crate::model::{BucketId, Failure, FieldType, MeasurementSchema, OrgId, Result, TIME_COLUMN, Timestamp, runs::runs, schema::Role};
use arrow::{
    array::{Array, ArrayRef, BooleanArray, new_null_array},
    compute::{SortColumn, SortOptions, cast, concat_batches, filter_record_batch, lexsort_to_indices, not, or, take_record_batch},
    record_batch::RecordBatch,
};
use async_trait::async_trait;
use chrono::DateTime;
use datafusion::{
    datasource::MemTable,
    execution::{
        SessionStateBuilder,
        context::{QueryPlanner, SessionState},
    },
    logical_expr::LogicalPlan,
    physical_plan::ExecutionPlan,
    physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner},
    prelude::SessionConfig,
};
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};

/// Plans DataFusion's nodes and ours.
#[derive(Debug)]
pub struct Planner;

#[async_trait]
impl QueryPlanner for Planner {
    async fn create_physical_plan(
        &self,
        plan: &LogicalPlan,
        state: &dyn datafusion::catalog::Session,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(NodePlanner)]).create_physical_plan(plan, state).await
    }
}

/// Buckets and their measurements.
pub struct MemoryContext {
    inner: Arc<Inner>,
}

struct Inner {
    now: Timestamp,
    state: SessionState,
    tables: RwLock<Buckets>,
}

type Buckets = Vec<(BucketInfo, BTreeMap<String, (Arc<MeasurementSchema>, RecordBatch)>)>;

impl MemoryContext {
    pub fn new(now: Timestamp) -> MemoryContext {
        let mut config = SessionConfig::new().with_target_partitions(1);
        config.options_mut().optimizer.enable_round_robin_repartition = false;
        config.options_mut().sql_parser.enable_ident_normalization = false;
        let mut state =
            SessionStateBuilder::new().with_config(config).with_default_features().with_query_planner(Arc::new(Planner)).build();
        functions::register(&mut state).expect("our functions have names of their own");
        state.execution_props_mut().query_execution_start_time = Some(DateTime::from_timestamp_nanos(now));
        MemoryContext::in_session(now, state)
    }

    /// One whose queries are planned and run by `state`.
    pub fn in_session(now: Timestamp, state: SessionState) -> MemoryContext {
        MemoryContext { inner: Arc::new(Inner { now, state, tables: RwLock::default() }) }
    }

    /// Adds an empty bucket.
    pub fn add_bucket(&self, name: &str) -> BucketInfo {
        let mut tables = self.inner.tables.write();
        let id = BucketId::new(tables.len() as u64 + 1).expect("never zero");
        let org_id = OrgId::new(1).expect("not zero");
        let info = BucketInfo { id, org_id, name: name.to_string(), retention_ns: None };
        tables.push((info.clone(), BTreeMap::new()));
        info
    }
}

impl Context for MemoryContext {
    fn now(&self) -> Timestamp {
        self.inner.now
    }

    fn buckets(&self) -> Result<Vec<BucketInfo>> {
        let mut buckets: Vec<_> = self.inner.tables.read().iter().map(|(b, _)| b.clone()).collect();
        buckets.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(buckets)
    }

    fn bucket(&self, name: BucketRef<'_>) -> Result<BucketInfo> {
        let tables = self.inner.tables.read();
        let found = tables.iter().map(|(b, _)| b).find(|b| match name {
            BucketRef::NameOrId(n) => b.name == n || b.id.to_string() == n,
            BucketRef::Id(id) => b.id == id,
            BucketRef::Database { database, .. } => b.name == database,
        });
        found.cloned().ok_or_else(|| match name {
            BucketRef::NameOrId(n) => Failure::not_found(format!("could not find bucket \"{n}\"")),
            BucketRef::Id(id) => Failure::not_found(format!("could not find bucket \"{id}\"")),
            BucketRef::Database { database, .. } => Failure::not_found(format!("database not found: {database}")),
        })
    }

    fn databases(&self) -> Result<Vec<DatabaseInfo>> {
        Ok(vec![])
    }

    fn measurements(&self, bucket: BucketId) -> Result<Vec<Arc<MeasurementSchema>>> {
        let tables = self.inner.tables.read();
        let found = tables.iter().find(|(b, _)| b.id == bucket);
        Ok(found.map(|(_, t)| t.values().map(|(s, _)| s.clone()).collect()).unwrap_or_default())
    }

    fn table(&self, bucket: BucketId, measurement: &str) -> Result<Option<MeasurementTable>> {
        let tables = self.inner.tables.read();
        let found = tables.iter().find(|(b, _)| b.id == bucket).and_then(|(_, t)| t.get(measurement));
        let Some((schema, batch)) = found else { return Ok(None) };
        let rows = Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch.clone()]])?);
        Ok(Some(MeasurementTable { schema: schema.clone(), rows }))
    }

    fn shared(&self) -> Arc<dyn Context> {
        Arc::new(MemoryContext { inner: self.inner.clone() })
    }

    fn session(&self) -> &SessionState {
        &self.inner.state
    }

    fn collect(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
        let state = self.inner.state.clone();
        let work = async move {
            let plan = state.create_physical_plan(&plan).await?;
            datafusion::physical_plan::collect(plan, state.task_ctx()).await
        };
        // A thread of its own: the caller may stand on an async thread, where waiting is not allowed.
        std::thread::scope(|s| {
            let worker = std::thread::Builder::new().stack_size(64 << 20).spawn_scoped(s, || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                Ok(runtime.block_on(work)?)
            })?;
            worker.join().unwrap_or_else(|panic| {
                let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
                Err(Failure::internal(format!("the query panicked: {}", said.unwrap_or_default())))
            })
        })
    }

    fn write(&self, bucket: &BucketInfo, rows: Vec<WriteRows>) -> Result<u64> {
        let mut tables = self.inner.tables.write();
        let stored = tables.iter_mut().find(|(b, _)| b.id == bucket.id).map(|(_, t)| t);
        let stored = stored.ok_or_else(|| Failure::not_found(format!("could not find bucket \"{}\"", bucket.name)))?;
        let mut count = 0;
        for WriteRows { measurement, batch } in rows {
            count += batch.num_rows() as u64;
            let mut schema = match stored.get(&measurement) {
                Some((schema, _)) => schema.as_ref().clone(),
                None => MeasurementSchema::new(measurement.as_str()),
            };
            for field in batch.schema().fields() {
                match Role::of(field) {
                    Some(Role::Tag) => {
                        schema.add_tag(field.name());
                    }
                    Some(Role::Field) => {
                        let field_type = FieldType::from_arrow(field.data_type()).ok_or_else(|| Failure::invalid("not a field type"))?;
                        schema.fields.entry(field.name().as_str().into()).or_insert(field_type);
                    }
                    _ => {}
                }
            }
            let layout = schema.arrow_schema();
            let conform = |batch: &RecordBatch| -> Result<RecordBatch> {
                let columns = layout.fields().iter().map(|f| -> Result<ArrayRef> {
                    Ok(match batch.column_by_name(f.name()) {
                        Some(c) => cast(c, f.data_type())?,
                        None => new_null_array(f.data_type(), batch.num_rows()),
                    })
                });
                Ok(RecordBatch::try_new(layout.clone(), columns.collect::<Result<Vec<_>>>()?)?)
            };
            let mut parts = vec![];
            if let Some((_, old)) = stored.get(&measurement) {
                parts.push(conform(old)?);
            }
            parts.push(conform(&batch)?);
            let all = merge_rows(&concat_batches(&layout, &parts)?, &schema)?;
            stored.insert(measurement, (Arc::new(schema), all));
        }
        Ok(count)
    }

    fn delete(&self, bucket: &BucketInfo, rows: Vec<DeleteRows>) -> Result<Option<u64>> {
        let mut tables = self.inner.tables.write();
        let Some((_, stored)) = tables.iter_mut().find(|(b, _)| b.id == bucket.id) else { return Ok(Some(0)) };
        let mut count = 0;
        for DeleteRows { spec, parts } in rows {
            for (schema, batch) in stored.iter_mut().filter(|(name, _)| spec.concerns(name)).map(|(_, table)| table) {
                let goes = spec.named(batch)?;
                let (rest, changed) = match parts.is_empty() {
                    true => (filter_record_batch(batch, &not(&goes)?)?, goes.true_count()),
                    false => without(batch, &goes, &parts, schema, &self.inner.state)?,
                };
                count += changed as u64;
                *batch = rest;
            }
        }
        Ok(Some(count))
    }

    fn drop_measurement(&self, bucket: &BucketInfo, measurement: &str) -> Result<Option<u64>> {
        let mut tables = self.inner.tables.write();
        let dropped = tables.iter_mut().find(|(b, _)| b.id == bucket.id).and_then(|(_, stored)| stored.remove(measurement));
        Ok(Some(dropped.map_or(0, |(_, batch)| batch.num_rows() as u64)))
    }

    fn create_database(&self, database: &str, _policy: Option<&str>, _retention_ns: Option<i64>) -> Result<()> {
        if self.bucket(BucketRef::NameOrId(database)).is_err() {
            self.add_bucket(database);
        }
        Ok(())
    }

    fn drop_database(&self, database: &str) -> Result<()> {
        self.inner.tables.write().retain(|(b, _)| b.name != database);
        Ok(())
    }

    fn create_policy(&self, _database: &str, _policy: &str, _change: PolicyChange) -> Result<()> {
        Err(Failure::invalid("a database in memory has no retention policies"))
    }

    fn alter_policy(&self, _database: &str, policy: &str, _change: PolicyChange) -> Result<()> {
        Err(Failure::not_found(format!("retention policy not found: {policy}")))
    }

    fn drop_policy(&self, _database: &str, _policy: &str) -> Result<()> {
        Ok(())
    }

    fn secret(&self, key: &str) -> Result<Option<String>> {
        Ok(match key {
            "token" => Some("mysecrettoken".to_string()),
            "password" => Some("mysecretpassword".to_string()),
            _ => None,
        })
    }
}

/// The rows without what the parts take of those that are named, and how many rows that changes. Whole rows only: fields are
/// named by no language.
fn without(
    rows: &RecordBatch,
    named: &BooleanArray,
    parts: &[DeletePart],
    schema: &MeasurementSchema,
    state: &SessionState,
) -> Result<(RecordBatch, usize)> {
    let mut goes = BooleanArray::from(vec![false; rows.num_rows()]);
    for part in parts {
        let (None, Some(expr)) = (&part.field, &part.condition) else {
            return Err(Failure::invalid("a database in memory deletes whole rows"));
        };
        let holds = RowCondition::new(expr.clone(), schema, state)?.holds(rows)?;
        let hit: BooleanArray = named.iter().zip(&holds).map(|(named, holds)| Some(named.zip(holds) == Some((true, true)))).collect();
        goes = or(&goes, &hit)?;
    }
    Ok((filter_record_batch(rows, &not(&goes)?)?, goes.true_count()))
}

/// Rows sorted by (tags, time), each once: later rows fill and overwrite the fields of earlier ones.
fn merge_rows(rows: &RecordBatch, schema: &MeasurementSchema) -> Result<RecordBatch> {
    let key: Vec<&str> = schema.tags.iter().map(|t| t.as_ref()).chain([TIME_COLUMN]).collect();
    let ordinal: ArrayRef = Arc::new(arrow::array::UInt64Array::from_iter_values(0..rows.num_rows() as u64));
    let options = Some(SortOptions { descending: false, nulls_first: true });
    let mut columns: Vec<SortColumn> = key
        .iter()
        .map(|k| {
            Ok(SortColumn { values: plain(rows.column_by_name(k).ok_or_else(|| Failure::internal("key column is missing"))?)?, options })
        })
        .collect::<Result<Vec<_>>>()?;
    columns.push(SortColumn { values: ordinal, options });
    let sorted = take_record_batch(rows, &lexsort_to_indices(&columns, None)?)?;
    let keys: Vec<ArrayRef> = key.iter().map(|k| plain(sorted.column_by_name(k).expect("found above"))).collect::<Result<_>>()?;
    let groups = runs(&keys, sorted.num_rows())?;
    let columns = sorted.columns().iter().map(|column| {
        let last = groups.iter().map(|g| g.clone().rev().find(|r| column.is_valid(*r)).unwrap_or(g.end - 1) as u64);
        arrow::compute::take(column, &arrow::array::UInt64Array::from_iter_values(last), None)
    });
    Ok(RecordBatch::try_new(sorted.schema(), columns.collect::<Result<Vec<_>, _>>()?)?)
}

fn plain(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(match column.data_type() {
        arrow::datatypes::DataType::Dictionary(_, value) => cast(column, value)?,
        _ => column.clone(),
    })
}
