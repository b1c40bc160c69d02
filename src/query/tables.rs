//! The database as one query of one caller sees it: names by way of a [`Directory`], rows by way of snapshots.

use super::{apart::Apart, delete, provider::SnapshotTable, run, session::Session};
use crate::{
    memory,
    model::{BucketId, ErrorKind, Failure, MeasurementSchema, OrgId, Result, Timestamp},
    plan::{BucketInfo, BucketRef, Context, DatabaseInfo, DeleteRows, MeasurementTable, PolicyChange, WriteRows, node::size::held_bytes},
    storage::Storage,
};
use arrow::record_batch::RecordBatch;
use datafusion::{
    execution::{
        context::SessionState,
        memory_pool::{MemoryConsumer, MemoryReservation},
    },
    logical_expr::LogicalPlan,
};
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::sync::CancellationToken;

/// Names and rights, as one caller has them. What the caller may not read is not there.
pub trait Directory: Send + Sync {
    /// In name order.
    fn buckets(&self) -> Result<Vec<BucketInfo>>;
    fn bucket(&self, name: BucketRef<'_>) -> Result<BucketInfo>;
    /// In order of creation.
    fn databases(&self) -> Result<Vec<DatabaseInfo>>;
    /// `Forbidden` when the caller may not write there.
    fn check_write(&self, bucket: &BucketInfo) -> Result<()>;
    fn create_database(&self, database: &str, policy: Option<&str>, retention_ns: Option<i64>) -> Result<()>;
    /// The buckets that went, whose rows are then dropped.
    fn drop_database(&self, database: &str) -> Result<Vec<BucketId>>;
    fn create_policy(&self, database: &str, policy: &str, change: PolicyChange) -> Result<()>;
    fn alter_policy(&self, database: &str, policy: &str, change: PolicyChange) -> Result<()>;
    /// The bucket that went, whose rows are then dropped.
    fn drop_policy(&self, database: &str, policy: &str) -> Result<Option<BucketId>>;
    fn secret(&self, key: &str) -> Result<Option<String>>;
}

/// A directory of one bucket that everybody may read and write: a database without people, as tests and the demo use.
/// It is reached by its name, as a bucket and as a database.
#[derive(Debug, Clone)]
pub struct SingleBucket(pub BucketInfo);

impl SingleBucket {
    pub fn new(name: impl Into<String>) -> SingleBucket {
        let one = std::num::NonZeroU64::MIN;
        SingleBucket(BucketInfo { id: BucketId(one), org_id: OrgId(one), name: name.into(), retention_ns: None })
    }
}

impl Directory for SingleBucket {
    fn buckets(&self) -> Result<Vec<BucketInfo>> {
        Ok(vec![self.0.clone()])
    }

    fn bucket(&self, name: BucketRef<'_>) -> Result<BucketInfo> {
        let missing = match name {
            BucketRef::NameOrId(text) if text != self.0.name && text != self.0.id.to_string() => {
                format!("could not find bucket \"{text}\"")
            }
            BucketRef::Id(id) if id != self.0.id => format!("could not find bucket \"{id}\""),
            BucketRef::Database { database, .. } if database != self.0.name => format!("database not found: {database}"),
            BucketRef::Database { policy: Some(policy), .. } if policy != "autogen" => format!("retention policy not found: {policy}"),
            _ => return Ok(self.0.clone()),
        };
        Err(Failure::not_found(missing))
    }

    fn databases(&self) -> Result<Vec<DatabaseInfo>> {
        Ok(vec![DatabaseInfo { database: self.0.name.clone(), policy: "autogen".into(), default: true, bucket: self.0.clone() }])
    }

    fn check_write(&self, _: &BucketInfo) -> Result<()> {
        Ok(())
    }

    fn create_database(&self, database: &str, _: Option<&str>, _: Option<i64>) -> Result<()> {
        if database == self.0.name { Ok(()) } else { Err(Failure::invalid(format!("there is one database here, \"{}\"", self.0.name))) }
    }

    fn drop_database(&self, database: &str) -> Result<Vec<BucketId>> {
        if database == self.0.name { Err(Failure::invalid("the only database here cannot be dropped")) } else { Ok(vec![]) }
    }

    fn create_policy(&self, _: &str, _: &str, _: PolicyChange) -> Result<()> {
        Err(Failure::invalid("there is one retention policy here, \"autogen\""))
    }

    fn alter_policy(&self, _: &str, policy: &str, _: PolicyChange) -> Result<()> {
        match policy {
            "autogen" => Err(Failure::invalid("the only retention policy here cannot be altered")),
            other => Err(Failure::not_found(format!("retention policy not found: {other}"))),
        }
    }

    fn drop_policy(&self, _: &str, policy: &str) -> Result<Option<BucketId>> {
        if policy == "autogen" { Err(Failure::invalid("the only retention policy here cannot be dropped")) } else { Ok(None) }
    }

    fn secret(&self, _: &str) -> Result<Option<String>> {
        Ok(None)
    }
}

pub(super) fn given_up() -> Failure {
    Failure::new(ErrorKind::Unavailable, "the query was cancelled: its client went away, or the server stopped it")
}

/// [`Context`] over a directory and a storage. Clones are the same query.
#[derive(Clone)]
pub struct QueryContext {
    inner: Arc<Inner>,
    hurry: Option<Arc<Hurry>>,
    _permit: Option<Arc<dyn Send + Sync>>,
}

/// An attempt that must neither wait nor take long.
struct Hurry {
    until: Instant,
    is_over: AtomicBool,
}

/// What a script may make between two looks at whether there is room for it.
const SCRIPT_STEP_BYTES: usize = 1 << 20;

/// Longer than any plan of a board takes, and no pause that others on the thread would notice.
const HURRY: Duration = Duration::from_millis(10);

struct Inner {
    directory: Arc<dyn Directory>,
    storage: Storage,
    session: Session,
    now: Timestamp,
    runtime: Handle,
    /// A table is the same for the whole query, however often it is asked for. `None`: there is no such measurement.
    tables: Mutex<HashMap<(BucketId, String), Option<MeasurementTable>>>,
    /// Nobody waits for the answer any more.
    cancelled: CancellationToken,
    /// What rows that the language asked for itself take up, until the query ends.
    collected: MemoryReservation,
    /// What planning makes of the text, likewise.
    planned: MemoryReservation,
}

impl QueryContext {
    /// Must be called on a thread of the runtime that will run the query's plans.
    pub fn new(directory: Arc<dyn Directory>, storage: Storage, session: Session, now: Timestamp) -> QueryContext {
        let charged = |what: &str| MemoryConsumer::new(what).register(&session.state.runtime_env().memory_pool);
        let (collected, planned) = (charged("rows that a script works on"), charged("the text of the query"));
        let (runtime, tables, cancelled) = (Handle::current(), Mutex::default(), CancellationToken::new());
        let inner = Inner { directory, storage, session, now, runtime, tables, cancelled, collected, planned };
        QueryContext { inner: Arc::new(inner), hurry: None, _permit: None }
    }

    /// The same query, which keeps `permit` until nothing of it runs any more, whoever waits for it.
    pub fn holding(self, permit: impl Send + Sync + 'static) -> QueryContext {
        QueryContext { _permit: Some(Arc::new(permit)), ..self }
    }

    /// Charges what planning a text makes, once for all of its statements. So many long ones at a time are planned as there is room for.
    pub(super) fn charge_text(&self, bytes: usize) -> Result<()> {
        Ok(self.inner.planned.try_resize(bytes.max(self.inner.planned.size()))?)
    }

    /// The state that plans a plan of SQL.
    pub(super) fn session_for(&self, plan: &LogicalPlan) -> Cow<'_, SessionState> {
        self.inner.session.for_plan(plan)
    }

    /// Threads for plans that may take long.
    pub(super) fn apart(&self) -> &Apart {
        &self.inner.session.apart
    }

    /// What `work` comes to, when it neither waits nor takes long; `None` otherwise, and then it has changed nothing.
    pub(super) fn at_once<T>(&self, work: impl FnOnce(&QueryContext) -> Result<T>) -> Option<Result<T>> {
        let hurry = Arc::new(Hurry { until: Instant::now() + HURRY, is_over: AtomicBool::new(false) });
        let done = work(&QueryContext { hurry: Some(hurry.clone()), ..self.clone() });
        // Whatever was made of the refusal.
        (!hurry.is_over.load(Ordering::Relaxed)).then_some(done)
    }

    /// Fails when this is an attempt that must not wait.
    fn check_may_wait(&self) -> Result<()> {
        match &self.hurry {
            None => Ok(()),
            Some(hurry) => {
                hurry.is_over.store(true, Ordering::Relaxed);
                Err(Failure::internal("planning has to wait, and goes on elsewhere"))
            }
        }
    }

    /// Once it is cancelled, nothing more is read for the language's own use.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.inner.cancelled
    }

    /// Runs `work` to its end. The caller may stand on a thread of the runtime: `to()` writes while its plan runs there.
    fn wait<F: Future>(&self, work: F) -> F::Output {
        match self.inner.runtime.runtime_flavor() {
            RuntimeFlavor::MultiThread => tokio::task::block_in_place(|| self.inner.runtime.block_on(work)),
            _ => self.inner.runtime.block_on(work),
        }
    }

    /// Rows before this instant have expired; `None` when the bucket keeps everything.
    fn floor(&self, bucket: BucketId) -> Result<Option<Timestamp>> {
        let retention = self.inner.directory.bucket(BucketRef::Id(bucket))?.retention_ns;
        Ok(retention.map(|ns| self.inner.now.saturating_sub(ns)))
    }
}

impl Context for QueryContext {
    fn now(&self) -> Timestamp {
        self.inner.now
    }

    fn buckets(&self) -> Result<Vec<BucketInfo>> {
        self.inner.directory.buckets()
    }

    fn bucket(&self, name: BucketRef<'_>) -> Result<BucketInfo> {
        self.inner.directory.bucket(name)
    }

    fn databases(&self) -> Result<Vec<DatabaseInfo>> {
        self.inner.directory.databases()
    }

    fn measurements(&self, bucket: BucketId) -> Result<Vec<Arc<MeasurementSchema>>> {
        Ok(self.inner.storage.schemas(bucket))
    }

    fn table(&self, bucket: BucketId, measurement: &str) -> Result<Option<MeasurementTable>> {
        let key = (bucket, measurement.to_string());
        if let Some(known) = self.inner.tables.lock().get(&key) {
            return Ok(known.clone());
        }
        let snapshot = self.inner.storage.snapshot(bucket, measurement, self.floor(bucket)?);
        let table = snapshot.map(|s| MeasurementTable { schema: s.schema.clone(), rows: Arc::new(SnapshotTable::new(s)) });
        self.inner.tables.lock().insert(key, table.clone());
        Ok(table)
    }

    fn shared(&self) -> Arc<dyn Context> {
        Arc::new(QueryContext { hurry: None, ..self.clone() })
    }

    fn session(&self) -> &SessionState {
        &self.inner.session.state
    }

    fn names(&self) -> &SessionState {
        self.inner.session.names()
    }

    fn check_wanted(&self) -> Result<()> {
        if self.hurry.as_ref().is_some_and(|hurry| Instant::now() >= hurry.until) {
            self.check_may_wait()?;
        }
        if self.inner.cancelled.is_cancelled() {
            return Err(given_up());
        }
        // What a script makes of values is charged by nobody.
        if memory::has_room(SCRIPT_STEP_BYTES) { Ok(()) } else { Err(memory::no_room(SCRIPT_STEP_BYTES, "the script")) }
    }

    fn charge(&self, bytes: usize) -> Result<()> {
        self.check_may_wait()?;
        self.check_wanted()?;
        Ok(self.inner.collected.try_grow(bytes)?)
    }

    fn collect(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
        self.check_may_wait()?;
        let rows = async {
            let mut stream = run::stream(self.session(), &plan).await?;
            let mut batches = vec![];
            while let Some(batch) = stream.try_next().await? {
                // Whoever asked puts them together, and then has them twice.
                self.inner.collected.try_grow(held_bytes(&batch) * 2)?;
                batches.push(batch);
            }
            Ok(batches)
        };
        self.wait(self.inner.cancelled.run_until_cancelled(rows)).unwrap_or_else(|| Err(given_up()))
    }

    fn write(&self, bucket: &BucketInfo, rows: Vec<WriteRows>) -> Result<u64> {
        self.check_may_wait()?;
        self.inner.directory.check_write(bucket)?;
        let mut count = 0;
        for WriteRows { measurement, batch } in rows {
            let report = self.wait(self.inner.storage.write_rows(bucket.id, &measurement, &batch, self.inner.now))?;
            count += report.row_count as u64;
            if let Some(first) = report.rejected.first() {
                let dropped = report.rejected.count();
                return Err(Failure::invalid(format!("partial write: {} dropped={dropped}", first.reason)));
            }
        }
        Ok(count)
    }

    fn delete(&self, bucket: &BucketInfo, rows: Vec<DeleteRows>) -> Result<Option<u64>> {
        self.check_may_wait()?;
        self.inner.directory.check_write(bucket)?;
        let floor = self.floor(bucket.id)?;
        let count = self.wait(delete::delete(&self.inner.storage, self.session(), bucket.id, rows, floor))?;
        // Rows that were read before are not the stored ones any more.
        self.inner.tables.lock().clear();
        Ok(count)
    }

    fn drop_measurement(&self, bucket: &BucketInfo, measurement: &str) -> Result<Option<u64>> {
        self.check_may_wait()?;
        self.inner.directory.check_write(bucket)?;
        let floor = self.floor(bucket.id)?;
        let count = self.wait(self.inner.storage.drop_measurement(bucket.id, measurement, floor))?;
        self.inner.tables.lock().clear();
        Ok(count)
    }

    fn create_database(&self, database: &str, policy: Option<&str>, retention_ns: Option<i64>) -> Result<()> {
        self.check_may_wait()?;
        self.inner.directory.create_database(database, policy, retention_ns)
    }

    fn drop_database(&self, database: &str) -> Result<()> {
        self.check_may_wait()?;
        for bucket in self.inner.directory.drop_database(database)? {
            self.wait(self.inner.storage.drop_bucket(bucket))?;
        }
        Ok(())
    }

    fn create_policy(&self, database: &str, policy: &str, change: PolicyChange) -> Result<()> {
        self.check_may_wait()?;
        self.inner.directory.create_policy(database, policy, change)
    }

    fn alter_policy(&self, database: &str, policy: &str, change: PolicyChange) -> Result<()> {
        self.check_may_wait()?;
        self.inner.directory.alter_policy(database, policy, change)
    }

    fn drop_policy(&self, database: &str, policy: &str) -> Result<()> {
        self.check_may_wait()?;
        match self.inner.directory.drop_policy(database, policy)? {
            Some(bucket) => self.wait(self.inner.storage.drop_bucket(bucket)),
            None => Ok(()),
        }
    }

    fn secret(&self, key: &str) -> Result<Option<String>> {
        self.inner.directory.secret(key)
    }
}
