//! How many queries run at once, how many may wait for a turn, and for how long one may run.
//!
//! A [`Ticket`] is held by everything a query still has to do; when the last clone goes (the answer was read, or the
//! client went away) the next query in the queue begins.

use crate::model::{ErrorKind, Failure, Result};
use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    error::Result as DataFusionResult,
    execution::{RecordBatchStream, SendableRecordBatchStream},
};
use futures::Stream;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

/// Bounds on running queries.
#[derive(Debug, Clone)]
pub struct QueryLimits {
    /// Queries that run at the same time.
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

/// The queue in front of the query engine.
pub struct Admission {
    limits: QueryLimits,
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// The right to run.
#[derive(Clone)]
pub struct Ticket {
    _turn: Arc<OwnedSemaphorePermit>,
    deadline: Option<Instant>,
    duration_max: Duration,
}

/// One query in the queue; leaving it, also by being dropped, makes room.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    pub fn new(limits: QueryLimits) -> Admission {
        let turns = Arc::new(Semaphore::new(limits.running_max.clamp(1, Semaphore::MAX_PERMITS)));
        Admission { limits, turns, waiting: AtomicUsize::new(0) }
    }

    pub fn running(&self) -> usize {
        self.limits.running_max.clamp(1, Semaphore::MAX_PERMITS) - self.turns.available_permits()
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for a turn. The time budget begins with the turn.
    pub async fn enter(&self) -> Result<Ticket> {
        let turn = match self.turns.clone().try_acquire_owned() {
            Ok(turn) => turn,
            Err(_) => {
                let place = self.waiting.fetch_add(1, Ordering::Relaxed);
                let _waiting = Waiting(&self.waiting);
                if place >= self.limits.waiting_max {
                    let QueryLimits { running_max, waiting_max, .. } = self.limits;
                    let message = format!("{running_max} queries are running and {waiting_max} are waiting; try again later");
                    return Err(Failure::new(ErrorKind::TooMany, message).retry_after(1));
                }
                self.turns.clone().acquire_owned().await.map_err(|_| Failure::new(ErrorKind::Unavailable, "the server is closing"))?
            }
        };
        let duration_max = self.limits.duration_max.unwrap_or_default();
        let deadline = self.limits.duration_max.map(|d| Instant::now() + d);
        Ok(Ticket { _turn: Arc::new(turn), deadline, duration_max })
    }
}

impl Ticket {
    fn timeout(&self) -> Failure {
        let message =
            format!("the query was stopped after {} s; ask for less, or raise the query timeout", self.duration_max.as_secs_f64());
        Failure::new(ErrorKind::Timeout, message)
    }

    /// `work`, ended with `Timeout` at the deadline.
    pub async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match self.deadline {
            None => work.await,
            Some(deadline) => tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(self.timeout())),
        }
    }

    /// The same rows; the ticket is held until they are read or dropped, and the deadline ends them with `Timeout`.
    pub fn guard(&self, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let sleep = self.deadline.map(|deadline| Box::pin(tokio::time::sleep_until(deadline)));
        Box::pin(Guarded { ticket: self.clone(), sleep, schema: batches.schema(), batches: Some(batches) })
    }
}

struct Guarded {
    ticket: Ticket,
    sleep: Option<Pin<Box<Sleep>>>,
    /// `None` when the rows have ended.
    batches: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
}

impl Stream for Guarded {
    type Item = DataFusionResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(batches) = &mut this.batches else { return Poll::Ready(None) };
        if let Some(sleep) = &mut this.sleep
            && sleep.as_mut().poll(context).is_ready()
        {
            this.batches = None;
            return Poll::Ready(Some(Err(this.ticket.timeout().into())));
        }
        batches.as_mut().poll_next(context)
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
        Admission::new(QueryLimits { running_max, waiting_max, duration_max })
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
    }

    #[tokio::test]
    async fn rows_that_do_not_come_in_time_end_with_a_timeout() {
        let admission = limits(1, 1, Some(Duration::from_millis(20)));
        let ticket = admission.enter().await.expect("a turn");
        let never = RecordBatchStreamAdapter::new(Arc::new(Schema::empty()), futures::stream::pending());
        let mut rows = ticket.guard(Box::pin(never));
        drop(ticket);
        assert_eq!(admission.running(), 1, "the rows hold the ticket");
        let failure: Failure = rows.next().await.expect("an answer").expect_err("the deadline").into();
        assert_eq!(failure.kind, ErrorKind::Timeout);
        assert!(rows.next().await.is_none());
        drop(rows);
        assert_eq!(admission.running(), 0);
    }
}
