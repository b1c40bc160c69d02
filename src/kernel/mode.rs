//! The most frequent values of a column.

use indexmap::IndexMap;
use std::hash::Hash;

/// How often each value occurs, in order of first appearance. Floats are counted by their bits.
#[derive(Debug, Clone)]
pub struct Mode<T> {
    counts: IndexMap<T, u64, ahash::RandomState>,
}

impl<T> Default for Mode<T> {
    fn default() -> Self {
        Mode { counts: IndexMap::default() }
    }
}

impl<T: Hash + Eq + Clone> Mode<T> {
    pub fn push(&mut self, value: T) {
        self.push_times(value, 1);
    }

    pub fn push_times(&mut self, value: T, times: u64) {
        *self.counts.entry(value).or_default() += times;
    }

    pub fn counts(&self) -> impl ExactSizeIterator<Item = (&T, u64)> {
        self.counts.iter().map(|(v, n)| (v, *n))
    }

    /// InfluxQL's mode: of the most frequent values the one that appeared first (InfluxDB 1.8). `None` without values.
    pub fn earliest(&self) -> Option<&T> {
        let most = self.counts.values().max()?;
        self.counts.iter().find(|(_, n)| *n == most).map(|(v, _)| v)
    }

    /// Flux's mode: every most frequent value, or none when all values are equally frequent (Flux v0.200) - so a table
    /// that holds one value only has no mode. The caller sorts them by its own order.
    pub fn all(&self) -> Vec<&T> {
        let most = self.counts.values().max().copied();
        let modes: Vec<&T> = self.counts.iter().filter(|(_, n)| Some(**n) == most).map(|(v, _)| v).collect();
        if modes.len() == self.counts.len() { vec![] } else { modes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties() {
        let mut mode = Mode::default();
        ["b", "a", "a", "b", "c"].into_iter().for_each(|v| mode.push(v));
        assert_eq!((mode.earliest(), mode.all()), (Some(&"b"), vec![&"b", &"a"]));
        let mut even = Mode::default();
        [1, 2].into_iter().for_each(|v| even.push(v));
        assert_eq!((even.earliest(), even.all()), (Some(&1), vec![]));
    }
}
