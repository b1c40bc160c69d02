//! What the work of one query has allocated and not freed, whoever charges for it.
//!
//! Work is measured while a thread does it in the query's name ([`Meter::during`]), which what it hands to
//! other threads inherits ([`carried`]). What leaves the query for somebody else is to be taken off ([`Meter::gave`]). The figure is near rather than
//! exact: it finds the query that is to blame when memory runs out.

use super::allocator;
use futures::{FutureExt, Stream, StreamExt};
use std::{
    cell::RefCell,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicIsize, Ordering},
    },
    task::{Context, Poll},
};

#[derive(Debug, Default)]
pub struct Meter {
    net: AtomicIsize,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Meter>>> = const { RefCell::new(None) };
}

/// The meter of the work that this thread is doing.
pub fn current() -> Option<Arc<Meter>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Puts the meter before back, also when the work panics.
struct Measuring<'a> {
    meter: &'a Meter,
    before: Option<Arc<Meter>>,
    began: isize,
}

impl Drop for Measuring<'_> {
    fn drop(&mut self) {
        self.meter.net.fetch_add(allocator::of_thread() - self.began, Ordering::Relaxed);
        let before = self.before.take();
        CURRENT.with_borrow_mut(|current| *current = before);
    }
}

impl Meter {
    /// Bytes; near rather than exact.
    pub fn bytes(&self) -> usize {
        usize::try_from(self.net.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// Somebody else frees these bytes.
    pub fn gave(&self, bytes: usize) {
        self.net.fetch_sub(bytes as isize, Ordering::Relaxed);
    }

    /// Does work in the name of this meter.
    pub fn during<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        let before = CURRENT.with_borrow_mut(|current| match current {
            Some(same) if Arc::ptr_eq(same, self) => None,
            other => Some(other.replace(self.clone())),
        });
        let _measuring = before.map(|before| Measuring { meter: self, before, began: allocator::of_thread() });
        work()
    }
}

/// Work for another thread, done in the name of whoever hands it over.
pub fn carried<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let meter = current();
    move || match meter {
        Some(meter) => meter.during(work),
        None => work(),
    }
}

/// A future or a stream whose work is done in the name of a meter, wherever it is polled.
pub struct Measured<W> {
    meter: Option<Arc<Meter>>,
    work: W,
}

impl<W: Unpin> Measured<W> {
    pub fn by(meter: Arc<Meter>, work: W) -> Measured<W> {
        Measured { meter: Some(meter), work }
    }

    /// In the name of whoever hands it over.
    pub fn carried(work: W) -> Measured<W> {
        Measured { meter: current(), work }
    }

    fn poll_by<T>(&mut self, poll: impl FnOnce(&mut W) -> T) -> T {
        match self.meter.clone() {
            Some(meter) => meter.during(|| poll(&mut self.work)),
            None => poll(&mut self.work),
        }
    }
}

impl<F: Future + Unpin> Future for Measured<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.poll_by(|work| work.poll_unpin(context))
    }
}

impl<S: Stream + Unpin> Stream for Measured<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.poll_by(|work| work.poll_next_unpin(context))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_measured_where_it_is_done_and_once() {
        let meter = Arc::new(Meter::default());
        let held = meter.during(|| {
            let held = vec![0_u8; 100_000];
            // The same query inside itself is not counted twice.
            let more = meter.during(|| vec![0_u8; 50_000]);
            assert!(Arc::ptr_eq(&current().expect("measured"), &meter));
            (held, more)
        });
        assert!(current().is_none());
        assert_eq!(meter.bytes(), 150_000);
        meter.gave(held.1.len());
        assert_eq!(meter.bytes(), 100_000);
        meter.during(|| drop(held.0));
        let later = Box::pin(async {
            tokio::task::yield_now().await;
            vec![0_u8; 70_000]
        });
        let made = Measured::by(meter.clone(), later).await;
        assert!((70_000..80_000).contains(&meter.bytes()), "{} of {}", meter.bytes(), made.len());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| meter.during(|| panic!("in the work"))));
        assert!(panicked.is_err() && current().is_none());
    }
}
