//! SQL that may keep a thread busy for long without a break (joins, sub-queries, recursion) is planned and run on threads of its
//! own: it holds up neither writes nor other questions, and ends soon after nobody wants its answer any more.

use super::{
    held::HeldExec,
    run::{finished, holding},
    session,
    tables::{QueryContext, given_up},
};
use crate::{
    memory::{allocator::settle_thread, meter::Measured},
    model::{Failure, Result},
    plan::Context,
};
use arrow::{datatypes::Schema, record_batch::RecordBatch};
use datafusion::{
    arrow::datatypes::FieldRef,
    common::tree_node::{Transformed, TreeNode},
    error::Result as PlanResult,
    execution::{SendableRecordBatchStream, context::SessionState},
    logical_expr::{ColumnarValue, LogicalPlan},
    physical_expr::PhysicalExpr,
    physical_plan::{
        ExecutionPlan,
        coop::CooperativeExec,
        execute_stream,
        execution_plan::replace_children_if_necessary,
        joins::{
            CrossJoinExec, HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
            utils::JoinFilter,
        },
        stream::RecordBatchReceiverStream,
        unnest::UnnestExec,
        windows::WindowAggExec,
    },
};
use futures::StreamExt;
use parking_lot::Mutex;
use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

/// Batches that wait for a client that reads slowly.
const BATCHES_AHEAD: usize = 2;

/// The threads, made when they are first needed.
#[derive(Debug)]
pub struct Apart {
    threads: usize,
    runtime: Mutex<Option<Runtime>>,
}

impl Apart {
    pub fn new(threads: usize) -> Apart {
        Apart { threads: threads.max(1), runtime: Mutex::default() }
    }

    fn handle(&self) -> Result<Handle> {
        let mut runtime = self.runtime.lock();
        if let Some(runtime) = runtime.as_ref() {
            return Ok(runtime.handle().clone());
        }
        let made = Builder::new_multi_thread()
            .worker_threads(self.threads)
            .thread_name("long queries")
            .thread_stack_size(session::STACK_BYTES)
            .on_thread_stop(settle_thread)
            .enable_all()
            .build()?;
        Ok(runtime.insert(made).handle().clone())
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.get_mut().take() {
            // Work that does not end must not keep the process.
            runtime.shutdown_background();
        }
    }
}

/// Plans and runs a plan there. Dropping the stream, or the future before it gives one, ends both.
pub async fn run(context: &QueryContext, state: SessionState, plan: LogicalPlan) -> Result<SendableRecordBatchStream> {
    let threads = context.apart().handle()?;
    let stop = context.cancelled().child_token();
    let wanted = stop.clone().drop_guard();
    // The query keeps its turn as long as anything of it runs.
    let turn = context.clone();
    let planning = threads.spawn(Measured::carried(Box::pin(async move {
        let (physical, batch_rows) = session::physical(&state, &plan).await?;
        let task = session::task(&state, turn.session().runtime_env(), batch_rows);
        let rows = execute_stream(interruptible(physical, &stop)?, task)?;
        Ok::<_, Failure>((rows, turn))
    })));
    let (mut rows, turn) = finished(planning.await)?;
    let mut receiver = RecordBatchReceiverStream::builder(rows.schema(), BATCHES_AHEAD);
    let sender = receiver.tx();
    receiver.spawn_on(
        async move {
            let _turn = turn;
            while let Some(batch) = rows.next().await {
                if sender.send(batch).await.is_err() {
                    break;
                }
            }
            Ok(())
        },
        &threads,
    );
    Ok(holding(receiver.build(), wanted))
}

/// The plan, in which nodes that make many rows of few let go now and then, and the conditions of joins ask whether to go on.
fn interruptible(plan: Arc<dyn ExecutionPlan>, stop: &CancellationToken) -> PlanResult<Arc<dyn ExecutionPlan>> {
    let asking = |filter: &JoinFilter| {
        let condition = WhileWanted { condition: filter.expression().clone(), stop: stop.clone() };
        JoinFilter::new(Arc::new(condition), filter.column_indices().to_vec(), filter.schema().clone())
    };
    let plan = plan.transform_up(|node| {
        let many: Arc<dyn ExecutionPlan> = if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(join.filter().map(asking)).build()?)
        } else if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            Arc::new(HashJoinExecBuilder::from(join).with_filter(join.filter().map(asking)).build()?)
        } else if node.is::<WindowAggExec>() {
            // It holds all rows of a partition, then joins them, and charges for neither.
            let input = Arc::new(HeldExec::new(node.children()[0].clone(), "window", 2));
            return Ok(Transformed::yes(replace_children_if_necessary(node, vec![input])?));
        } else if node.is::<CrossJoinExec>() || node.is::<SortMergeJoinExec>() || node.is::<UnnestExec>() {
            node
        } else {
            return Ok(Transformed::no(node));
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(many)) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(plan.data)
}

/// A condition that fails once nobody waits for the answer: a join whose condition seldom holds looks at it for long without
/// giving a row.
#[derive(Debug, Clone)]
struct WhileWanted {
    condition: Arc<dyn PhysicalExpr>,
    stop: CancellationToken,
}

impl PartialEq for WhileWanted {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for WhileWanted {}

impl Hash for WhileWanted {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for WhileWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for WhileWanted {
    fn return_field(&self, input: &Schema) -> PlanResult<FieldRef> {
        self.condition.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> PlanResult<ColumnarValue> {
        if self.stop.is_cancelled() {
            return Err(given_up().into());
        }
        self.condition.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> PlanResult<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(WhileWanted { condition: children.remove(0), stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}
