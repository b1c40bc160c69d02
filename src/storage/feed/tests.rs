use super::*;
use crate::model::{Duplicates, FieldType, schema::time_type};
use crate::storage::{
    block::SeriesRuns,
    merge::{Layout, Merge, Output},
};
use arrow::{
    array::{AsArray, Int64Array, TimestampNanosecondArray},
    datatypes::{DataType, Field, Int64Type, Schema},
};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const SOURCES: i64 = 20;
const BLOCKS: i64 = 3;
const ROWS: i64 = 100;

/// How many sources are at work, and the most that ever were.
#[derive(Default)]
struct AtWork {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Working(Arc<AtWork>);

impl Working {
    fn begin(at_work: &Arc<AtWork>) -> Working {
        at_work.most.fetch_max(at_work.now.fetch_add(1, SeqCst) + 1, SeqCst);
        Working(at_work.clone())
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, SeqCst);
    }
}

struct Slow {
    source: i64,
    next: i64,
    fetched: bool,
    /// Its second block never comes.
    stuck: bool,
    at_work: Arc<AtWork>,
}

#[async_trait]
impl Source for Slow {
    async fn next_block(&mut self) -> Result<Option<Rows>> {
        let _working = Working::begin(&self.at_work);
        if self.stuck && self.next == 1 {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        if self.next == BLOCKS {
            return Ok(None);
        }
        let first = (self.source * BLOCKS + self.next) * ROWS;
        self.next += 1;
        let times: Vec<i64> = (first..first + ROWS).collect();
        let runs = Arc::new(SeriesRuns::of(&[], &[], ROWS as usize));
        let values = Arc::new(Int64Array::from(times.clone()));
        let block = Arc::new(Block { runs, time: TimestampNanosecondArray::from(times), fields: vec![Some(values)] });
        let spans = vec![Span { run: 0, start: 0, end: ROWS as usize }];
        Ok(Some(Rows { block, spans, held_bytes: 1_000, fetched: self.fetched }))
    }

    fn has_more(&self) -> bool {
        self.next < BLOCKS
    }
}

fn merge(fetched: bool, stuck: bool, at_work: &Arc<AtWork>) -> Merge {
    let fields = vec![Field::new("time", time_type(), false), Field::new("f", DataType::Int64, true)];
    let layout = Layout {
        schema: Arc::new(Schema::new(fields)),
        columns: vec![Output::Time, Output::Field(0)],
        tags: vec![],
        fields: vec![("f".into(), FieldType::Integer)],
        duplicates: Duplicates::Last,
        batch_rows: 150,
        newest: None,
    };
    let source = |source| Box::new(Slow { source, next: 0, fetched, stuck, at_work: at_work.clone() }) as Box<dyn Source>;
    Merge::new(layout, (0..SOURCES).map(source).collect())
}

fn spawned(reading: Reading) -> Reading {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(reading);
    Box::pin(async move { tasks.join_next().await.expect("it was spawned").expect("no reading panics") })
}

async fn values(mut merge: Merge) -> Result<Vec<i64>> {
    let mut out = vec![];
    while let Some(batch) = merge.next().await? {
        assert!(batch.num_rows() <= 225, "{} rows in a batch of 150", batch.num_rows());
        out.extend_from_slice(batch.column(1).as_primitive::<Int64Type>().values());
    }
    Ok(out)
}

#[tokio::test]
async fn blocks_read_ahead_give_the_same_rows() {
    for (fetched, most) in [(true, 4), (false, 1)] {
        let at_work = Arc::<AtWork>::default();
        let rows = values(merge(fetched, false, &at_work).ahead(spawned)).await.expect("nothing fails");
        assert_eq!(rows, (0..SOURCES * BLOCKS * ROWS).collect::<Vec<_>>());
        // What is in memory is not worth another thread.
        assert_eq!(at_work.most.load(SeqCst), most, "fetched: {fetched}");
    }
}

#[tokio::test]
async fn without_room_for_more_nothing_is_read_ahead() {
    let at_work = Arc::<AtWork>::default();
    let most = SOURCES as usize * 1_000;
    let room = move |bytes| if bytes <= most { Ok(()) } else { Err(crate::model::Failure::invalid("too much")) };
    let rows = values(merge(true, false, &at_work).charged(room).ahead(spawned)).await.expect("blocks that are wanted fit");
    assert_eq!(rows.len() as i64, SOURCES * BLOCKS * ROWS);
    let nothing = |_| Err(crate::model::Failure::invalid("too much"));
    let refused = values(merge(true, false, &at_work).charged(nothing).ahead(spawned)).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_merge_that_is_dropped_gives_its_readings_up() {
    let at_work = Arc::<AtWork>::default();
    let mut merge = merge(true, true, &at_work).ahead(spawned);
    merge.next().await.expect("nothing fails").expect("there are rows");
    while at_work.now.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    drop(merge);
    while at_work.now.load(SeqCst) > 0 {
        tokio::task::yield_now().await;
    }
}
