use super::*;
use crate::{
    clock::{ManualClock, Randomness},
    query::{
        session::{SessionSettings, Sessions},
        tables::SingleBucket,
    },
    storage::{Storage, StorageOptions, fs::LocalFolder, object::Store},
};
use arrow::{array::Int64Array, datatypes::SchemaRef, record_batch::RecordBatch};
use datafusion::{
    catalog::streaming::StreamingTable, datasource::provider_as_source, execution::TaskContext, functions_aggregate::count::count_all,
    logical_expr::LogicalPlanBuilder, physical_plan::streaming::PartitionStream,
};
use futures::FutureExt;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::time::Instant;

/// A query over nothing, and the permit that it holds.
async fn query() -> (QueryContext, std::sync::Weak<()>, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = Arc::new(LocalFolder::open(folder.path().join("wal")).expect("a log"));
    let storage = Storage::open(Store::memory(), log, StorageOptions::default(), ManualClock::at(0), Randomness::seeded(1)).await;
    let sessions = Sessions::new(&SessionSettings { partitions: 1, ..SessionSettings::default() }, vec![]).expect("sessions");
    let permit = Arc::new(());
    let held = Arc::downgrade(&permit);
    let context = QueryContext::new(Arc::new(SingleBucket::new("db")), storage.expect("opens"), sessions.session(0), 0);
    (context.holding(permit), held, folder)
}

/// Half a minute of rows: always ready, or none at all. With an end, so that a test that fails has one.
#[derive(Debug)]
struct Lasting {
    rows: RecordBatch,
    ready: bool,
}

impl PartitionStream for Lasting {
    fn schema(&self) -> &SchemaRef {
        self.rows.schema_ref()
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (rows, schema, end) = (self.rows.clone(), self.rows.schema(), Instant::now() + Duration::from_secs(30));
        let batches = match self.ready {
            true => futures::stream::iter(std::iter::from_fn(move || (Instant::now() < end).then(|| Ok(rows.clone())))).boxed(),
            false => futures::stream::once(tokio::time::sleep_until(end)).filter_map(|()| std::future::ready(None)).boxed(),
        };
        Box::pin(RecordBatchStreamAdapter::new(schema, batches))
    }
}

/// How many rows there are.
fn lasting(ready: bool) -> LogicalPlan {
    let rows = RecordBatch::try_from_iter([("v", Arc::new(Int64Array::from(vec![1; 100])) as _)]).expect("rows");
    let table = StreamingTable::try_new(rows.schema(), vec![Arc::new(Lasting { rows, ready })]).expect("a table");
    let plan = LogicalPlanBuilder::scan("lasting", provider_as_source(Arc::new(table.with_infinite_table(true))), None);
    let none = Vec::<datafusion::logical_expr::Expr>::new();
    plan.and_then(|p| p.aggregate(none, [count_all()])).and_then(|p| p.build()).expect("a plan")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planning_that_reads_stops_when_nobody_waits_for_it() {
    for ready in [false, true] {
        let (context, held, _folder) = query().await;
        let (tell, mut begun) = tokio::sync::mpsc::channel(1);
        let work = tokio::spawn(async move {
            let reading = move |context: &QueryContext| {
                tell.blocking_send(()).expect("somebody listens");
                let rows = context.collect(lasting(ready));
                // It may go on a little; what it asks for next is refused at once.
                assert!(rows.is_err() && context.check_wanted().is_err() && context.collect(lasting(ready)).is_err());
                rows
            };
            blocking(&context, reading).await
        });
        begun.recv().await.expect("it has begun");
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(held.strong_count() > 0, "it runs");
        work.abort();
        let stopped = async {
            while held.strong_count() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), stopped).await.unwrap_or_else(|_| panic!("rows always ready: {ready}: it runs on"));
    }
}

#[tokio::test]
async fn a_panic_of_the_work_goes_on_in_the_caller() {
    let (context, held, _folder) = query().await;
    let work = blocking(&context, |_| -> Result<()> { panic!("on purpose") });
    let panic = AssertUnwindSafe(work).catch_unwind().await.expect_err("a panic");
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    drop(context);
    assert_eq!(held.strong_count(), 0, "what it held is free");
}

/// What work came to, and whether it was done on the thread that asked.
async fn whereabouts(text_bytes: usize, work: fn(&QueryContext) -> Result<usize>) -> (Result<usize>, bool) {
    let (context, _, _folder) = query().await;
    let here = std::thread::current().id();
    let done = planned(&context, text_bytes, move |context| Ok((work(context)?, std::thread::current().id()))).await;
    match done {
        Ok((answer, thread)) => (Ok(answer), thread == here),
        Err(failure) => (Err(failure), true),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planning_goes_on_elsewhere_when_it_waits_or_takes_long() {
    let quick = |context: &QueryContext| Ok(context.buckets()?.len());
    assert!(matches!(whereabouts(10, quick).await, (Ok(1), true)));
    assert!(matches!(whereabouts(SHORT_BYTES + 1, quick).await, (Ok(1), false)), "a long text");
    let one_row = |context: &QueryContext| Ok(context.collect(LogicalPlanBuilder::empty(true).build()?)?.len());
    assert!(matches!(whereabouts(10, one_row).await, (Ok(1), false)), "it reads");
    // What a language makes of the refusal does not matter.
    let forgiving = |context: &QueryContext| Ok(context.collect(LogicalPlanBuilder::empty(true).build()?).map_or(0, |b| b.len()));
    assert!(matches!(whereabouts(10, forgiving).await, (Ok(1), false)), "it reads, and takes no for an answer");
    let held = |context: &QueryContext| Ok(context.shared().collect(LogicalPlanBuilder::empty(true).build()?)?.len());
    assert!(matches!(whereabouts(10, held).await.0, Ok(1)), "what a plan keeps is not in a hurry");
    let long = |context: &QueryContext| {
        let end = Instant::now() + Duration::from_millis(100);
        let mut asked = 0;
        while Instant::now() < end {
            context.check_wanted()?;
            asked += 1;
        }
        Ok(asked)
    };
    assert!(matches!(whereabouts(10, long).await, (Ok(1..), false)), "it takes long");
}
