//! How many queries run at once, how many may wait for a turn, and for how long one may run.
//!
//! How many follows from the memory of queries: each is charged for itself before it begins, and waits rather than begin when
//! memory is short. A [`Ticket`] is held by everything a query still has to do; when the last clone goes (the answer was read,
//! or the client went away) the next query in the queue begins.

use crate::{
    memory::{
        Budget, Lease, Share,
        meter::{Measured, Meter},
        shown,
    },
    model::{ErrorKind, Failure, Result},
    plan::node::size::held_bytes,
    query::memory::QueryPool,
};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    error::Result as DataFusionResult,
    execution::{RecordBatchStream, SendableRecordBatchStream, memory_pool::MemoryPool},
};
use futures::{Stream, ready};
use itertools::Itertools;
use parking_lot::Mutex;
use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Bounds on running queries.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// Queries that run at the same time, where memory is enough for so many.
    pub running_max: usize,
    /// Queries that wait for a turn; one more is refused with `TooMany`.
    pub waiting_max: usize,
    /// A query that has not answered in full after this long ends with `Timeout`; `None`: it may run for ever.
    pub duration_max: Option<Duration>,
}

impl Default for QueryLimits {
    fn default() -> QueryLimits {
        QueryLimits { running_max: 64, waiting_max: 1024, duration_max: None }
    }
}

/// What a query is charged before it holds anything: its plan, rows on their way through it, the answer being encoded.
const QUERY_BYTES: usize = 8 << 20;
/// Of the memory of queries, what these first charges may take.
const QUERIES_PART: usize = 2;
/// A query that has its turn waits so long for memory, and is refused then.
const MEMORY_WAIT: Duration = Duration::from_secs(30);
/// How often it looks whether there is some.
const MEMORY_LOOK: Duration = Duration::from_millis(10);

/// The queue in front of the query engine.
pub struct Admission {
    limits: QueryLimits,
    budget: Arc<Budget>,
    memory: Arc<Share>,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    waited_ns: AtomicU64,
    stopped: AtomicU64,
    running: Mutex<Vec<Weak<Running>>>,
    memory_wait: Duration,
}

/// A query that runs.
#[derive(Debug)]
pub struct Running {
    /// The first words of its text.
    pub text: String,
    pub memory: Arc<QueryPool>,
    pub meter: Arc<Meter>,
    stop: CancellationToken,
    /// Why it was stopped.
    why: OnceLock<Failure>,
}

impl Running {
    /// Bytes that it holds, charged or not.
    pub fn bytes(&self) -> usize {
        self.memory.reserved().max(self.meter.bytes())
    }

    fn stop(&self, why: Failure) {
        if self.why.set(why).is_ok() {
            self.stop.cancel();
        }
    }

    fn failure(&self) -> Failure {
        self.why.get().cloned().unwrap_or_else(|| Failure::new(ErrorKind::Unavailable, "the query was stopped"))
    }
}

/// A turn in the queue and the first memory; what follows is a query.
pub struct Turn {
    _turn: OwnedSemaphorePermit,
    _first: Lease,
}

/// The right to run.
#[derive(Clone)]
pub struct Ticket {
    _turn: Arc<Turn>,
    query: Arc<Running>,
    deadline: Option<Instant>,
    duration_max: Duration,
}

/// One query in the queue; leaving it, also by being dropped, makes room.
struct Waiting<'a> {
    admission: &'a Admission,
    since: Instant,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.admission.waiting.fetch_sub(1, Ordering::Relaxed);
        self.admission.waited_ns.fetch_add(self.since.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }
}

impl Admission {
    /// `memory` is what queries may hold, of `budget`.
    pub fn new(limits: QueryLimits, budget: Arc<Budget>, memory: Arc<Share>) -> Admission {
        let room = memory.limit() / QUERIES_PART / first_bytes(&memory).max(1);
        let limits = QueryLimits { running_max: limits.running_max.min(room).clamp(1, Semaphore::MAX_PERMITS), ..limits };
        let turns = Arc::new(Semaphore::new(limits.running_max));
        let (waiting, waited_ns, stopped) = Default::default();
        let (running, memory_wait) = (Mutex::default(), MEMORY_WAIT);
        Admission { limits, budget, memory, turns, waiting, waited_ns, stopped, running, memory_wait }
    }

    /// Queries that may run at the same time.
    pub fn running_max(&self) -> usize {
        self.limits.running_max
    }

    pub fn running(&self) -> usize {
        self.limits.running_max - self.turns.available_permits()
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// What all queries have waited together.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited_ns.load(Ordering::Relaxed))
    }

    /// Queries that were stopped because memory ran out.
    pub fn stopped(&self) -> u64 {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Waits for a turn, and for memory.
    pub async fn enter(&self) -> Result<Turn> {
        if let Ok(turn) = self.turns.clone().try_acquire_owned()
            && let Some(first) = self.first()
        {
            return Ok(Turn { _turn: turn, _first: first });
        }
        let place = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting { admission: self, since: Instant::now() };
        if place >= self.limits.waiting_max {
            let QueryLimits { running_max, waiting_max, .. } = self.limits;
            let message = format!("{running_max} queries are running and {waiting_max} are waiting; try again later");
            return Err(Failure::new(ErrorKind::TooMany, message).retry_after(1));
        }
        let closing = |_| Failure::new(ErrorKind::Unavailable, "the server is closing");
        let turn = self.turns.clone().acquire_owned().await.map_err(closing)?;
        let until = Instant::now() + self.memory_wait;
        loop {
            if let Some(first) = self.first() {
                return Ok(Turn { _turn: turn, _first: first });
            }
            if Instant::now() >= until {
                let (used, limit) = (shown(self.memory.used()), shown(self.memory.limit()));
                let message = format!("queries hold {used} of {limit}, and no memory has become free for another one; try again later");
                return Err(Failure::new(ErrorKind::Unavailable, message).retry_after(1));
            }
            tokio::time::sleep(MEMORY_LOOK).await;
        }
    }

    /// The first memory of a query; `None` when there is none to spare.
    fn first(&self) -> Option<Lease> {
        let mut lease = self.memory.lease();
        let bytes = first_bytes(&self.memory);
        (!self.budget.is_tight() && self.memory.free() >= 2 * bytes && lease.try_grow(bytes)).then_some(lease)
    }

    /// A query that has its turn. The time budget begins now; `stop` ends the query's own work.
    pub fn begin(&self, turn: Turn, text: &str, memory: Arc<QueryPool>, stop: CancellationToken) -> Ticket {
        let text = text.split_whitespace().join(" ").chars().take(SHOWN_CHARS).collect();
        let query = Running { text, memory, meter: Arc::default(), stop, why: OnceLock::new() };
        let query = Arc::new(query);
        let mut running = self.running.lock();
        running.retain(|query| query.strong_count() > 0);
        running.push(Arc::downgrade(&query));
        let duration_max = self.limits.duration_max.unwrap_or_default();
        let deadline = self.limits.duration_max.map(|d| Instant::now() + d);
        Ticket { _turn: Arc::new(turn), query, deadline, duration_max }
    }

    /// Stops the query that holds most, so that its memory becomes free; `None` when none runs that would make a difference and was
    /// not stopped before.
    pub fn stop_largest(&self) -> Option<Arc<Running>> {
        let running: Vec<Arc<Running>> = self.running.lock().iter().filter_map(Weak::upgrade).collect();
        let may_stop = |query: &Arc<Running>| query.why.get().is_none() && query.bytes() > first_bytes(&self.memory);
        let largest = running.into_iter().filter(may_stop).max_by_key(|query| query.bytes())?;
        let (held, total) = (shown(largest.bytes()), shown(self.budget.total));
        let why = format_args!("the server has come near its limit of {total}, and stopped the query that held most, about {held}");
        largest.stop(Failure::out_of_memory(why));
        self.stopped.fetch_add(1, Ordering::Relaxed);
        Some(largest)
    }
}

fn first_bytes(memory: &Share) -> usize {
    QUERY_BYTES.min(memory.limit() / 16)
}

/// Of a query's text, what the log shows.
const SHOWN_CHARS: usize = 100;

impl Ticket {
    fn timeout(&self) -> Failure {
        let message =
            format!("the query was stopped after {} s; ask for less, or raise the query timeout", self.duration_max.as_secs_f64());
        Failure::new(ErrorKind::Timeout, message)
    }

    /// `work`, ended with `Timeout` at the deadline, and with the reason when the query is stopped.
    pub async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let work = self.measured(Box::pin(work));
        let late = async {
            match self.deadline {
                None => std::future::pending().await,
                Some(deadline) => tokio::time::sleep_until(deadline).await,
            }
        };
        tokio::select! {
            biased;
            () = self.query.stop.cancelled() => Err(self.query.failure()),
            done = work => done,
            () = late => Err(self.timeout()),
        }
    }

    /// The same work, measured as the query's.
    pub fn measured<W: Unpin>(&self, work: W) -> Measured<W> {
        Measured::by(self.query.meter.clone(), work)
    }

    /// The same rows; the ticket is held until they are read or dropped, and the deadline ends them with `Timeout`.
    pub fn guard(&self, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let sleep = self.deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        let stop = Box::pin(self.query.stop.clone().cancelled_owned());
        Box::pin(Guarded { ticket: self.clone(), sleep, stop, schema: batches.schema(), rest: None, batches: Some(batches) })
    }
}

/// Rows, and bytes, that leave a query at once: what encodes them holds as much again.
const PIECE_ROWS: usize = 8_192;
const PIECE_BYTES: usize = 1 << 20;

struct Guarded {
    ticket: Ticket,
    sleep: Option<Pin<Box<Sleep>>>,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Of a large batch, what was not given yet.
    rest: Option<RecordBatch>,
    /// `None` when the rows have ended.
    batches: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
}

impl Guarded {
    /// The first rows of a batch; what is too much at once waits.
    fn piece(&mut self, batch: RecordBatch) -> RecordBatch {
        let (rows, bytes) = (batch.num_rows(), held_bytes(&batch));
        let fitting = (rows as u128 * PIECE_BYTES as u128 / bytes.max(1) as u128).clamp(1, PIECE_ROWS as u128) as usize;
        let piece = batch.slice(0, fitting.min(rows));
        self.rest = (fitting < rows).then(|| batch.slice(fitting, rows - fitting));
        self.ticket.query.meter.gave(bytes / rows.max(1) * piece.num_rows());
        piece
    }
}

impl Stream for Guarded {
    type Item = DataFusionResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(batches) = &mut this.batches else { return Poll::Ready(None) };
        let failure = if this.stop.as_mut().poll(context).is_ready() {
            Some(this.ticket.query.failure())
        } else {
            let is_late = this.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_ready());
            is_late.then(|| this.ticket.timeout())
        };
        let meter = this.ticket.query.meter.clone();
        if let Some(failure) = failure {
            this.rest = None;
            meter.during(|| this.batches = None);
            return Poll::Ready(Some(Err(failure.into())));
        }
        if let Some(rest) = this.rest.take() {
            return Poll::Ready(Some(Ok(this.piece(rest))));
        }
        match ready!(meter.during(|| batches.as_mut().poll_next(context))) {
            Some(Ok(batch)) => Poll::Ready(Some(Ok(this.piece(batch)))),
            other => Poll::Ready(other),
        }
    }
}

impl RecordBatchStream for Guarded {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Schema;
    use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
    use futures::StreamExt;

    fn limits(running_max: usize, waiting_max: usize, duration_max: Option<Duration>) -> Admission {
        let budget = Arc::new(Budget::default());
        let memory = budget.queries.clone();
        Admission::new(QueryLimits { running_max, waiting_max, duration_max }, budget, memory)
    }

    fn begin(admission: &Admission, turn: Turn) -> Ticket {
        admission.begin(turn, "a  query", Arc::new(QueryPool::new(admission.memory.clone(), usize::MAX)), CancellationToken::new())
    }

    fn no_rows() -> SendableRecordBatchStream {
        Box::pin(RecordBatchStreamAdapter::new(Arc::new(Schema::empty()), futures::stream::pending()))
    }

    #[tokio::test]
    async fn a_query_past_the_queue_is_refused_and_a_finished_one_makes_room() {
        let admission = Arc::new(limits(1, 1, None));
        let first = admission.enter().await.expect("a turn");
        let queued = tokio::spawn({
            let admission = admission.clone();
            async move { admission.enter().await.map(|_| ()) }
        });
        while admission.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let refused = admission.enter().await.err().expect("the queue is full");
        assert_eq!((refused.kind, refused.retry_after_s), (ErrorKind::TooMany, Some(1)));
        assert_eq!((admission.running(), admission.waiting()), (1, 1));
        drop(first);
        queued.await.expect("no panic").expect("its turn came");
        assert_eq!((admission.running(), admission.waiting()), (0, 0));
        assert!(!admission.waited().is_zero());
    }

    #[tokio::test]
    async fn rows_that_do_not_come_in_time_end_with_a_timeout() {
        let admission = limits(1, 1, Some(Duration::from_millis(20)));
        let ticket = begin(&admission, admission.enter().await.expect("a turn"));
        let mut rows = ticket.guard(no_rows());
        drop(ticket);
        assert_eq!(admission.running(), 1, "the rows hold the ticket");
        let failure: Failure = rows.next().await.expect("an answer").expect_err("the deadline").into();
        assert_eq!(failure.kind, ErrorKind::Timeout);
        assert!(rows.next().await.is_none());
        drop(rows);
        assert_eq!(admission.running(), 0);
    }

    #[tokio::test]
    async fn memory_decides_how_many_run_and_who_waits() {
        let budget = Arc::new(Budget::default());
        let admission = |bytes| Admission::new(QueryLimits::default(), budget.clone(), Share::new("queries", bytes));
        let most: Vec<usize> = [1 << 10, 64 << 20, 200 << 20, 8 << 30].map(|bytes| admission(bytes).running_max()).to_vec();
        assert_eq!(most, [8, 8, 12, 64]);
        let admission = Admission { memory_wait: Duration::from_millis(50), ..admission(64 << 20) };
        // Somebody holds nearly all.
        admission.memory.add(60 << 20);
        let refused = admission.enter().await.err().expect("no memory");
        assert_eq!((refused.kind, refused.retry_after_s), (ErrorKind::Unavailable, Some(1)));
        assert!(refused.message.starts_with("queries hold 60.0 MiB of 64.0 MiB"), "{refused}");
        assert!(admission.waited() >= Duration::from_millis(50) && admission.running() == 0);
        let let_go = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            admission.memory.sub(60 << 20);
        };
        let (entered, ()) = tokio::join!(admission.enter(), let_go);
        assert_eq!((entered.is_ok(), admission.memory.used()), (true, 4 << 20));
        drop(entered);
        assert_eq!(admission.memory.used(), 0);
    }

    #[tokio::test]
    async fn the_largest_query_is_stopped_and_says_so() {
        let admission = limits(3, 1, None);
        let tickets = [10 << 20, 18 << 20, 1 << 20].map(|bytes| {
            let turn = admission.turns.clone().try_acquire_owned().expect("free");
            let ticket = begin(&admission, Turn { _turn: turn, _first: admission.memory.lease() });
            (ticket.query.meter.during(|| vec![0_u8; bytes]), ticket)
        });
        let [(_, small), (_, large), _] = &tickets;
        let (mut others, mut rows) = (small.guard(no_rows()), large.guard(no_rows()));
        let stopped = admission.stop_largest().expect("there are some");
        assert!(Arc::ptr_eq(&stopped, &large.query) && stopped.text == "a query");
        let failure: Failure = rows.next().await.expect("an answer").expect_err("it is stopped").into();
        assert_eq!(failure.kind, ErrorKind::Unavailable);
        assert!(failure.message.starts_with("memory allocation limit reached: the server has come near its limit of 4.0 GiB"), "{failure}");
        let planning = large.within(std::future::pending::<Result<()>>()).await;
        assert!(planning.is_err_and(|failure| failure.message.contains("held most")));
        assert!(futures::poll!(others.next()).is_pending(), "the others go on");
        let next = admission.stop_largest().expect("a second");
        assert!(Arc::ptr_eq(&next, &small.query) && admission.stopped() == 2);
        assert!(admission.stop_largest().is_none(), "what is left would not help");
    }

    #[tokio::test]
    async fn large_batches_leave_in_pieces() {
        use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, types::Int64Type};
        let admission = limits(1, 1, None);
        let ticket = begin(&admission, admission.enter().await.expect("a turn"));
        let many: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20_000));
        let wide: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(3 << 20); 3]));
        for (column, want) in [(many, vec![8192, 8192, 3616]), (wide, vec![1, 1, 1])] {
            let batch = RecordBatch::try_from_iter([("v", column.clone())]).expect("rows");
            let rows = RecordBatchStreamAdapter::new(batch.schema(), futures::stream::iter([Ok(batch)]));
            let pieces: Vec<_> = ticket.guard(Box::pin(rows)).map(|piece| piece.expect("rows").column(0).clone()).collect().await;
            assert_eq!(pieces.iter().map(|piece| piece.len()).collect::<Vec<_>>(), want);
            if let Some(last) = pieces[2].as_primitive_opt::<Int64Type>() {
                assert_eq!(last.value(0), 16_384);
            }
        }
    }
}
