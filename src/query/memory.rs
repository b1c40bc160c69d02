//! The memory pool of one query, whose bytes come out of the share of all queries.
//!
//! A query may hold as much as it leaves free: half of the share when it is alone, a third each when there are two. So no query
//! can take what another one needs to begin, and small ones have room beside a large one. Within a query, consumers that can
//! spill share what those that cannot leave.

use crate::{
    memory::{
        self, Share,
        meter::{self, Measured},
        shown,
    },
    model::bytes::size,
};
use datafusion::{
    common::runtime::JoinSetTracer,
    error::{DataFusionError, Result},
    execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation},
};
use futures::{FutureExt, future::BoxFuture};
use itertools::Itertools;
use parking_lot::Mutex;
use std::{any::Any, cmp::Reverse, collections::HashMap, fmt, sync::Arc};

/// Consumers that a failure names.
const NAMED: usize = 3;

#[derive(Debug)]
pub struct QueryPool {
    share: Arc<Share>,
    bytes_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    spillers: usize,
    spillable: usize,
    unspillable: usize,
    /// Name and bytes, by the consumer's id.
    consumers: HashMap<usize, (String, usize)>,
}

impl State {
    fn held(&self) -> usize {
        self.spillable + self.unspillable
    }

    fn add(&mut self, consumer: &MemoryConsumer, bytes: usize) {
        *if consumer.can_spill() { &mut self.spillable } else { &mut self.unspillable } += bytes;
        if let Some((_, held)) = self.consumers.get_mut(&consumer.id()) {
            *held += bytes;
        }
    }

    /// `ExternalSorter[0] 1.0 MiB, HashJoinInput 12 B`: who holds most.
    fn largest(&self) -> String {
        let holding = self.consumers.values().filter(|(_, held)| *held > 0);
        holding.sorted_by_key(|(_, held)| Reverse(*held)).take(NAMED).map(|(name, held)| format!("{name} {}", shown(*held))).join(", ")
    }
}

impl QueryPool {
    /// `bytes_max`: what the query may hold however much is free.
    pub fn new(share: Arc<Share>, bytes_max: usize) -> QueryPool {
        QueryPool { share, bytes_max, state: Mutex::default() }
    }

    /// What a query that holds so much may hold now.
    fn allowed(&self, held: usize) -> usize {
        ((self.share.free() + held) / 2).min(self.bytes_max)
    }
}

impl fmt::Display for QueryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "query({} held)", size(self.reserved() as u64))
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        let mut state = self.state.lock();
        state.spillers += usize::from(consumer.can_spill());
        state.consumers.insert(consumer.id(), (consumer.name().to_string(), 0));
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        let mut state = self.state.lock();
        state.spillers -= usize::from(consumer.can_spill());
        state.consumers.remove(&consumer.id());
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.share.add(additional);
        self.state.lock().add(reservation.consumer(), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, bytes: usize) {
        let consumer = reservation.consumer();
        let mut state = self.state.lock();
        *if consumer.can_spill() { &mut state.spillable } else { &mut state.unspillable } -= bytes;
        if let Some((_, held)) = state.consumers.get_mut(&consumer.id()) {
            *held -= bytes;
        }
        self.share.sub(bytes);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let consumer = reservation.consumer();
        let mut state = self.state.lock();
        let held = state.held();
        let allowed = self.allowed(held);
        let room = match consumer.can_spill() {
            true => (allowed.saturating_sub(state.unspillable) / state.spillers.max(1)).saturating_sub(reservation.size()),
            false => allowed.saturating_sub(held),
        };
        if additional <= room && memory::has_room(additional) && self.share.try_add(additional) {
            state.add(consumer, additional);
            return Ok(());
        }
        let name = consumer.name();
        if additional <= room && !memory::has_room(additional) {
            return Err(DataFusionError::ResourcesExhausted(memory::lack(additional, name)));
        }
        let largest = if held == 0 { String::new() } else { format!(" ({})", state.largest()) };
        Err(DataFusionError::ResourcesExhausted(format!(
            "{name} needs {} more, and this query holds {}{largest}; it may hold {} while all queries hold {} of {}",
            shown(additional),
            shown(held),
            shown(allowed),
            shown(self.share.used()),
            shown(self.share.limit()),
        )))
    }

    fn reserved(&self) -> usize {
        self.state.lock().held()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.share.limit().min(self.bytes_max))
    }
}

/// What a query's tasks allocate is measured with the query that spawned them.
pub struct MeteredTasks;

type Anything = Box<dyn Any + Send>;

impl JoinSetTracer for MeteredTasks {
    fn trace_future(&self, work: BoxFuture<'static, Anything>) -> BoxFuture<'static, Anything> {
        if meter::current().is_some() { Measured::carried(work).boxed() } else { work }
    }

    fn trace_block(&self, work: Box<dyn FnOnce() -> Anything + Send>) -> Box<dyn FnOnce() -> Anything + Send> {
        if meter::current().is_some() { Box::new(meter::carried(work)) } else { work }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(pool: &Arc<dyn MemoryPool>, name: &str, can_spill: bool) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(can_spill).register(pool)
    }

    fn pool(share: &Arc<Share>) -> Arc<dyn MemoryPool> {
        Arc::new(QueryPool::new(share.clone(), usize::MAX))
    }

    #[test]
    fn a_query_holds_no_more_than_it_leaves() {
        let share = Share::new("queries", 1200);
        let (a, b, c) = (pool(&share), pool(&share), pool(&share));
        let (first, second, third) = (consumer(&a, "first", false), consumer(&b, "second", false), consumer(&c, "third", false));
        first.try_grow(600).expect("half of all");
        first.try_grow(1).expect_err("more than half");
        second.try_grow(300).expect("half of the rest");
        second.try_grow(1).expect_err("more than that");
        third.try_grow(150).expect("and so on");
        first.shrink(200);
        assert_eq!(share.used(), 850);
        second.try_grow(25).expect("as much as is free then");
        second.try_grow(1).expect_err("no more");
        drop((first, second, third));
        assert_eq!((share.used(), share.peak()), (0, 1050));
        let bounded: Arc<dyn MemoryPool> = Arc::new(QueryPool::new(share.clone(), 100));
        let bounded = consumer(&bounded, "bounded", false);
        bounded.try_grow(101).expect_err("its own bound");
        bounded.try_grow(100).expect("up to it");
    }

    #[test]
    fn those_that_spill_share_what_the_others_leave_and_the_largest_are_named() {
        let share = Share::new("queries", 2000);
        let pool = pool(&share);
        let (table, left, right) = (consumer(&pool, "table", false), consumer(&pool, "left", true), consumer(&pool, "right", true));
        table.try_grow(400).expect("room");
        left.try_grow(300).expect("half of what is left");
        left.try_grow(1).expect_err("the other half is the other's");
        right.try_grow(300).expect("it is");
        let said = table.try_grow(1 << 20).expect_err("too much").to_string();
        let want = "table needs 1.0 MiB more, and this query holds 1000 B (table 400 B, ";
        assert!(said.contains(want) && said.contains("300 B); it may hold 1000 B while all queries hold 1000 B of 2.0 KiB"), "{said}");
        drop(right);
        left.try_grow(300).expect("it is gone");
        assert_eq!(pool.reserved(), 1000);
    }
}
