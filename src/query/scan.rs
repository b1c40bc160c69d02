//! The scan: a snapshot's rows as a stream in storage order, (tags in name order with nulls first, time).

use crate::model::{Failure, time::rfc3339};
use crate::plan::node::size::held_bytes;
use crate::storage::{block::RowFilter, feed::Reading, merge::Merge, read::MeasurementSnapshot};
use arrow::{array::Array, compute::SortOptions, record_batch::RecordBatch};
use datafusion::{
    common::{runtime::SpawnedTask, tree_node::TreeNodeRecursion},
    error::{DataFusionError, Result},
    execution::{TaskContext, memory_pool::MemoryConsumer},
    physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, SendableRecordBatchStream,
        coop::make_cooperative,
        execution_plan::{Boundedness, EmissionType, SchedulingType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use std::{fmt, sync::Arc};

/// A second thread costs about as much as reading so many rows.
const ROWS_PER_PART: u64 = 32_768;
/// One series in so many, where a condition on tags chooses some.
const FILTERED_SHARE: u64 = 8;

pub struct ScanExec {
    snapshot: Arc<MeasurementSnapshot>,
    projection: Option<Vec<usize>>,
    filter: RowFilter,
    limit: Option<usize>,
    /// Stretches of time, inclusive, that are read one per partition; together they are the filter's.
    parts: Vec<(i64, i64)>,
    /// With `filter.newest`: columns of the answer in which a newest row must have values; else all rows are given.
    complete: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    pub fn new(
        snapshot: Arc<MeasurementSnapshot>,
        projection: Option<Vec<usize>>,
        filter: RowFilter,
        limit: Option<usize>,
    ) -> Result<ScanExec> {
        let stored = snapshot.schema.arrow_schema();
        let schema = match &projection {
            Some(columns) => Arc::new(stored.project(columns)?),
            None => stored,
        };
        // A prefix of the order holds as far as its columns are projected.
        let names = snapshot.schema.tags.iter().map(|t| t.as_ref()).chain(["time"]);
        let options = SortOptions { descending: false, nulls_first: true };
        let order: Vec<PhysicalSortExpr> = names
            .map_while(|name| schema.index_of(name).ok().map(|i| (name, i)))
            .map(|(name, i)| PhysicalSortExpr::new(Arc::new(Column::new(name, i)), options))
            .collect();
        let equivalence = EquivalenceProperties::new_with_orderings(schema, (!order.is_empty()).then_some(order));
        let partitioning = Partitioning::UnknownPartitioning(1);
        let properties = PlanProperties::new(equivalence, partitioning, EmissionType::Incremental, Boundedness::Bounded)
            .with_scheduling_type(SchedulingType::Cooperative);
        let parts = vec![(filter.time_min, filter.time_max)];
        Ok(ScanExec { snapshot, projection, filter, limit, parts, complete: vec![], properties: Arc::new(properties) })
    }

    /// Only the last `count` rows of each series; but all rows when one of them has a null in a column of `complete`.
    pub fn newest(&self, count: usize, complete: Vec<usize>) -> ScanExec {
        let filter = RowFilter { newest: Some(count), ..self.filter.clone() };
        ScanExec { filter, complete, ..self.copy() }
    }

    fn copy(&self) -> ScanExec {
        ScanExec {
            snapshot: self.snapshot.clone(),
            projection: self.projection.clone(),
            filter: self.filter.clone(),
            limit: self.limit,
            parts: self.parts.clone(),
            complete: self.complete.clone(),
            properties: self.properties.clone(),
        }
    }

    pub fn is_tag(&self, name: &str) -> bool {
        self.snapshot.schema.is_tag(name)
    }

    /// The same rows in `count` partitions, each in order; `None` when there are too few for that to pay.
    pub fn parted(&self, count: usize) -> Option<ScanExec> {
        let (sources, rows) = self.expected();
        let few = if self.filter.series.is_empty() { ROWS_PER_PART } else { ROWS_PER_PART * FILTERED_SHARE };
        if self.limit.is_some() || self.filter.newest.is_some() || self.parts.len() > 1 || rows / (count as u64) < few {
            return None;
        }
        let (min, max) = sources?;
        let step = i128::from(max) - i128::from(min) + 1;
        let begin = |part: usize| match part {
            0 => self.filter.time_min,
            part => (i128::from(min) + step * part as i128 / count as i128) as i64,
        };
        let end = |part: usize| if part + 1 == count { self.filter.time_max } else { begin(part + 1) - 1 };
        let parts = (0..count).map(|part| (begin(part), end(part))).collect();
        let properties = PlanProperties::clone(&self.properties).with_partitioning(Partitioning::UnknownPartitioning(count));
        Some(ScanExec { parts, properties: Arc::new(properties), ..self.copy() })
    }

    /// The time that the wanted rows span, and about how many they are if all series are wanted.
    fn expected(&self) -> (Option<(i64, i64)>, u64) {
        let files = self.snapshot.files.within(self.filter.time_min, self.filter.time_max);
        let files = files.iter().map(|f| (f.time_min, f.time_max, f.rows));
        let chunks = self.snapshot.chunks.iter().map(|c| (c.time_min, c.time_max, c.row_count as u64));
        let (mut span, mut count) = (None::<(i64, i64)>, 0);
        for (min, max, rows) in files.chain(chunks) {
            let (from, to) = (min.max(self.filter.time_min), max.min(self.filter.time_max));
            if from <= to {
                span = Some(span.map_or((from, to), |(a, b)| (a.min(from), b.max(to))));
                let share = (i128::from(to) - i128::from(from) + 1) as f64 / (i128::from(max) - i128::from(min) + 1) as f64;
                count += (rows as f64 * share) as u64;
            }
        }
        (span, count)
    }
}

impl fmt::Debug for ScanExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.schema().fields().iter().map(|f| f.name().clone()).collect();
        write!(f, "ScanExec: {} [{}]", self.snapshot.schema.measurement, names.join(", "))?;
        let (min, max) = (self.filter.time_min, self.filter.time_max);
        if (min, max) != (i64::MIN, i64::MAX) {
            // An open end is left out; both ends belong to the range.
            let end = |t: i64| if t == i64::MIN || t == i64::MAX { String::new() } else { rfc3339(t) };
            write!(f, ", time {}..={}", end(min), end(max))?;
        }
        for filter in &self.filter.series {
            write!(f, ", {filter:?}")?;
        }
        let files = &self.snapshot.files;
        let wanted = files.within(min, max).iter().filter(|m| m.time_min <= max && m.time_max >= min).count();
        write!(f, ", {wanted} of {} files, {} chunks", files.len(), self.snapshot.chunks.len())?;
        if self.parts.len() > 1 {
            write!(f, ", in {} parts", self.parts.len())?;
        }
        if let Some(count) = self.filter.newest {
            write!(f, ", newest {count} of each series")?;
        }
        self.limit.map_or(Ok(()), |n| write!(f, ", limit {n}"))
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "ScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(&self, _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let (time_min, time_max) = self.parts[partition];
        let filter = RowFilter { time_min, time_max, ..self.filter.clone() };
        let batch_rows = context.session_config().batch_size();
        let pool = context.memory_pool().clone();
        let charged = move |merge: Merge| {
            let blocks = MemoryConsumer::new("scan").register(&pool);
            merge.charged(move |bytes| Ok(blocks.try_resize(bytes)?)).ahead(spawned)
        };
        let read = |filter| self.snapshot.read(self.projection.as_deref(), filter, batch_rows).map(&charged);
        let limit = self.limit.unwrap_or(usize::MAX);
        if filter.newest.is_none() {
            return Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows(read(filter)?, limit)))));
        }
        let all = read(RowFilter { newest: None, ..filter.clone() })?;
        let memory = MemoryConsumer::new("newest rows").register(context.memory_pool());
        let (snapshot, projection, complete) = (self.snapshot.clone(), self.projection.clone(), self.complete.clone());
        let chosen = async move {
            let charge = |batch: &RecordBatch| memory.try_grow(held_bytes(batch)).map_err(Failure::from);
            let found = snapshot.read_newest(projection.as_deref(), filter, batch_rows, charge, charged).await?;
            if found.iter().any(|batch| complete.iter().any(|c| batch.column(*c).null_count() > 0)) {
                return Ok(rows(all, limit));
            }
            let mut left = limit;
            let held = move |batch: RecordBatch| {
                // The reservation lives as long as the rows do.
                let _charged = &memory;
                let batch = batch.slice(0, batch.num_rows().min(left));
                left -= batch.num_rows();
                Ok(batch)
            };
            Ok::<_, DataFusionError>(futures::stream::iter(found).map(held).boxed())
        };
        let chosen = RecordBatchStreamAdapter::new(self.schema(), futures::stream::once(chosen).try_flatten());
        Ok(make_cooperative(Box::pin(chosen)))
    }
}

/// A reading on whatever thread has time.
fn spawned(reading: Reading) -> Reading {
    let task = SpawnedTask::spawn(reading);
    Box::pin(async move { task.join_unwind().await.map_err(|e| Failure::internal(format!("reading ahead: {e}")))? })
}

/// The merged rows, at most `left`.
fn rows(merge: Merge, left: usize) -> BoxStream<'static, Result<RecordBatch>> {
    let rows = futures::stream::try_unfold((merge, left), |(mut merge, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let Some(batch) = merge.next().await? else { return Ok(None) };
        let batch = batch.slice(0, batch.num_rows().min(left));
        let left = left - batch.num_rows();
        Ok(Some((batch, (merge, left))))
    });
    rows.boxed()
}
