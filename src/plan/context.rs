//! What a language may ask of the database while it compiles and runs a query. Implemented in `query/tables.rs`;
//! tests implement it over tables in memory.
//!
//! Calls that read rows or change something block: a language that makes them runs on a thread that may wait, never on the
//! server's async threads.

use crate::model::{BucketId, DeleteSpec, MeasurementSchema, OrgId, Result, Timestamp};
use arrow::record_batch::RecordBatch;
use datafusion::{
    datasource::TableProvider,
    execution::context::SessionState,
    logical_expr::{Expr, LogicalPlan},
};
use std::sync::Arc;

/// A bucket the caller may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketInfo {
    pub id: BucketId,
    pub org_id: OrgId,
    pub name: String,
    /// Nanoseconds that rows are kept; `None` for ever.
    pub retention_ns: Option<i64>,
}

/// How a query names a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketRef<'a> {
    /// A name, or an id written as 16 hex digits.
    NameOrId(&'a str),
    Id(BucketId),
    /// An InfluxDB 1.x database and retention policy, resolved through the dbrp mappings (`None`: the default policy).
    Database {
        database: &'a str,
        policy: Option<&'a str>,
    },
}

/// One measurement as a query reads it. The schema is that of these rows, whatever is written or dropped meanwhile.
#[derive(Clone)]
pub struct MeasurementTable {
    pub schema: Arc<MeasurementSchema>,
    pub rows: Arc<dyn TableProvider>,
}

/// Rows on their way into a bucket: the columns are the measurement's `MeasurementSchema::arrow_schema` roles,
/// in any order (`tidegauge.role` metadata required); missing tags are null.
#[derive(Debug, Clone)]
pub struct WriteRows {
    pub measurement: String,
    pub batch: RecordBatch,
}

/// Rows to delete, or what to delete of them.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteRows {
    pub spec: DeleteSpec,
    /// Empty: the rows whole. Otherwise the spec names a measurement, and what any part says goes of its rows; every part is
    /// about the rows as they were before.
    pub parts: Vec<DeletePart>,
}

/// Values of a field, or whole rows.
#[derive(Debug, Clone, PartialEq)]
pub struct DeletePart {
    /// A row that has no other field goes with its value. `None`: the rows whole.
    pub field: Option<Arc<str>>,
    /// Only where it holds; it is about columns of the measurement.
    pub condition: Option<Expr>,
}

/// What CREATE and ALTER RETENTION POLICY say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyChange {
    /// `None`: as it is; `Some(None)`: rows are kept for ever.
    pub retention_ns: Option<Option<i64>>,
    /// Makes the policy the default of its database.
    pub default: bool,
}

/// An InfluxDB 1.x database as one caller sees it: a bucket and the names it is reached by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseInfo {
    pub database: String,
    pub policy: String,
    pub default: bool,
    pub bucket: BucketInfo,
}

/// The database, as one query of one caller sees it. Names the caller may not read are "not found".
pub trait Context: Send + Sync {
    /// The instant of the query; the same for its whole life.
    fn now(&self) -> Timestamp;

    /// Every bucket the caller may read, in name order.
    fn buckets(&self) -> Result<Vec<BucketInfo>>;

    /// `could not find bucket "x"` when there is none or the caller may not read it.
    fn bucket(&self, name: BucketRef<'_>) -> Result<BucketInfo>;

    /// Databases (1.x) the caller may read, in order of creation.
    fn databases(&self) -> Result<Vec<DatabaseInfo>>;

    /// Schemas of the bucket's measurements, in name order; only measurements that have rows.
    fn measurements(&self, bucket: BucketId) -> Result<Vec<Arc<MeasurementSchema>>>;

    /// The rows of one measurement in the layout of `MeasurementSchema::arrow_schema`, sorted by (tags in name
    /// order with nulls first, time), each (tags, time) once; expired rows are hidden. The scan declares that order,
    /// takes projections, and honours filters on time and tags exactly. `None` when there is no such measurement.
    fn table(&self, bucket: BucketId, measurement: &str) -> Result<Option<MeasurementTable>>;

    /// The same view of the database, to be kept by a plan node that asks or writes while the query runs.
    fn shared(&self) -> Arc<dyn Context>;

    /// The DataFusion session that plans and runs: rules, memory pool, `now()`.
    fn session(&self) -> &SessionState;

    /// Where SQL looks up functions and settings.
    fn names(&self) -> &SessionState {
        self.session()
    }

    /// Fails once nobody waits for the answer. Work that takes long without reading anything asks now and then.
    fn check_wanted(&self) -> Result<()> {
        Ok(())
    }

    /// Charges bytes that the language's own work will hold until the query ends; fails when the budget is spent, or nobody
    /// waits for the answer.
    fn charge(&self, _bytes: usize) -> Result<()> {
        Ok(())
    }

    /// Runs a plan to its end and keeps the answer in memory, charged to the query's budget. The order of rows is
    /// the order in which the plan's single output partition gives them.
    fn collect(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>>;

    /// Durable when it returns. Needs the write permission of the caller. The number of rows stored.
    fn write(&self, bucket: &BucketInfo, rows: Vec<WriteRows>) -> Result<u64>;

    /// Durable when it returns. Needs the write permission of the caller. How many rows went or lost a value; `None` where
    /// that takes long to count, or a file that cannot be read may have had some.
    fn delete(&self, bucket: &BucketInfo, rows: Vec<DeleteRows>) -> Result<Option<u64>>;

    /// DROP MEASUREMENT: its rows go, and what its tags and fields were is forgotten. Durable when it returns; succeeds when
    /// there is none. Needs the write permission of the caller. How many rows went, as above.
    fn drop_measurement(&self, bucket: &BucketInfo, measurement: &str) -> Result<Option<u64>>;

    /// CREATE DATABASE and CREATE BUCKET: makes a bucket and its mapping; succeeds when it is there already.
    fn create_database(&self, database: &str, policy: Option<&str>, retention_ns: Option<i64>) -> Result<()>;

    /// DROP DATABASE; succeeds when there is none.
    fn drop_database(&self, database: &str) -> Result<()>;

    /// CREATE RETENTION POLICY: a bucket and its mapping. Succeeds when the same policy is there already; with another
    /// duration it is `retention policy already exists`, without the database `database not found: x`.
    fn create_policy(&self, database: &str, policy: &str, change: PolicyChange) -> Result<()>;

    /// ALTER RETENTION POLICY; `retention policy not found: x` when there is none.
    fn alter_policy(&self, database: &str, policy: &str, change: PolicyChange) -> Result<()>;

    /// DROP RETENTION POLICY with its rows; succeeds when there is none.
    fn drop_policy(&self, database: &str, policy: &str) -> Result<()>;

    /// A secret of the caller's organisation (`secrets.get`).
    fn secret(&self, key: &str) -> Result<Option<String>>;
}
