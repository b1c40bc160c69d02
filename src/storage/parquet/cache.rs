//! Decoded parts of files, kept up to a budget of bytes: footers, series runs, columns of row groups.
//!
//! Files never change and ids are never used again, so nothing here can be stale. What was not used since the hand
//! last came by is let go first (the clock algorithm).

use super::file::OpenFooter;
use crate::storage::block::SeriesRuns;
use arrow::array::{Array, ArrayRef};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    Footer,
    Runs { group: u32 },
    Column { group: u32, name: Arc<str> },
}

#[derive(Clone)]
pub enum Decoded {
    Footer(Arc<OpenFooter>),
    Runs(Arc<SeriesRuns>),
    Column(ArrayRef),
}

impl Decoded {
    fn bytes(&self) -> usize {
        match self {
            Decoded::Footer(footer) => footer.bytes(),
            Decoded::Runs(runs) => runs.bytes(),
            Decoded::Column(array) => array.get_array_memory_size(),
        }
    }
}

pub struct Cache {
    budget_bytes: usize,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    entries: HashMap<(u64, Part), Entry>,
    hand: VecDeque<(u64, Part)>,
    bytes: usize,
}

struct Entry {
    value: Decoded,
    bytes: usize,
    used: bool,
}

impl Cache {
    pub fn new(budget_bytes: usize) -> Cache {
        Cache { budget_bytes, inner: Mutex::default() }
    }

    pub fn get(&self, file: u64, part: Part) -> Option<Decoded> {
        let mut inner = self.inner.lock();
        let entry = inner.entries.get_mut(&(file, part))?;
        entry.used = true;
        Some(entry.value.clone())
    }

    pub fn put(&self, file: u64, part: Part, value: Decoded) {
        let bytes = value.bytes() + 64;
        if bytes > self.budget_bytes {
            return;
        }
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let key = (file, part);
        match inner.entries.insert(key.clone(), Entry { value, bytes, used: false }) {
            Some(old) => inner.bytes -= old.bytes,
            None => inner.hand.push_back(key),
        }
        inner.bytes += bytes;
        while inner.bytes > self.budget_bytes {
            let Some(key) = inner.hand.pop_front() else { break };
            match inner.entries.get_mut(&key) {
                Some(entry) if entry.used => {
                    entry.used = false;
                    inner.hand.push_back(key);
                }
                Some(_) => inner.bytes -= inner.entries.remove(&key).map_or(0, |e| e.bytes),
                None => {}
            }
        }
    }

    pub fn bytes(&self) -> usize {
        self.inner.lock().bytes
    }
}
