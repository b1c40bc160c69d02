//! Time and randomness as arguments: nothing else in Tidegauge may read the wall clock or a global generator,
//! so that a test can own both. `tests/tidy.rs` enforces it.

use crate::model::Timestamp;
use parking_lot::Mutex;
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

/// Where "now" comes from.
pub trait Clock: Send + Sync + 'static {
    /// Nanoseconds since the Unix epoch, UTC. It may jump, either way, when somebody sets the machine's clock.
    fn now(&self) -> Timestamp;

    /// Nanoseconds since some fixed moment of this process; never jumps, never goes back.
    fn monotonic_ns(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    fn monotonic_ns(&self) -> i64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        i64::try_from(START.elapsed().as_nanos()).unwrap_or(i64::MAX)
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    now: AtomicI64,
    monotonic_ns: AtomicI64,
}

impl ManualClock {
    pub fn at(now: Timestamp) -> Arc<ManualClock> {
        Arc::new(ManualClock { now: AtomicI64::new(now), monotonic_ns: AtomicI64::new(0) })
    }

    /// Sets the wall clock, as a hand would; no time passes.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now, Ordering::SeqCst);
    }

    /// Time passes.
    pub fn advance(&self, nanoseconds: i64) {
        self.now.fetch_add(nanoseconds, Ordering::SeqCst);
        self.monotonic_ns.fetch_add(nanoseconds, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.now.load(Ordering::SeqCst)
    }

    fn monotonic_ns(&self) -> i64 {
        self.monotonic_ns.load(Ordering::SeqCst)
    }
}

/// Where random bytes come from; one generator shared by everything that was handed it.
#[derive(Clone)]
pub struct Randomness(Arc<Mutex<StdRng>>);

impl Randomness {
    /// Seeded by the operating system.
    pub fn from_os() -> Randomness {
        Randomness(Arc::new(Mutex::new(StdRng::from_os_rng())))
    }

    /// The same sequence for the same seed.
    pub fn seeded(seed: u64) -> Randomness {
        Randomness(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    pub fn next_u64(&self) -> u64 {
        self.0.lock().next_u64()
    }

    pub fn in_range(&self, range: std::ops::Range<f64>) -> f64 {
        self.0.lock().random_range(range)
    }

    pub fn fill(&self, out: &mut [u8]) {
        self.0.lock().fill_bytes(out);
    }
}
