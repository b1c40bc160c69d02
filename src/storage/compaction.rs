//! Making few files of many. [`policy`] chooses, [`execute`] does it.
//!
//! What recovery and last-write-wins rely on: a compaction takes *every* file of one measurement and one partition whose
//! sequences lie in a range, and makes one file of them (or none, when no row is left).

pub mod execute;
pub mod policy;

pub use execute::Compacted;
pub use policy::CompactionPolicy;

use crate::model::BucketId;
use crate::storage::{
    files::FileStore,
    manifest::{FileMeta, Version},
};
use std::sync::Arc;

/// Files to be merged into one.
#[derive(Debug, Clone)]
pub struct CompactionSpec {
    pub bucket: BucketId,
    /// In order of sequence; of one measurement and partition; at least one.
    pub inputs: Vec<Arc<FileMeta>>,
}

/// What a policy chose.
#[derive(Debug, Clone)]
pub struct Choice {
    pub spec: CompactionSpec,
    /// How many the measurement has in the partition.
    pub files: usize,
}

impl CompactionSpec {
    pub fn bytes(&self) -> u64 {
        self.inputs.iter().map(|f| f.bytes).sum()
    }

    /// Smallest and greatest sequence.
    pub fn sequences(&self) -> (u64, u64) {
        let min = self.inputs.iter().map(|f| f.sequence_min).min().unwrap_or(0);
        (min, self.inputs.iter().map(|f| f.sequence_max).max().unwrap_or(0))
    }

    /// Whether every input is still part of the state, and nothing else lies between them; a lost file might.
    pub fn fits(&self, version: &Version) -> bool {
        let (min, max) = self.sequences();
        if version.may_have_lost_in(self.inputs[0].partition) {
            return false;
        }
        let inside = |f: &FileMeta| f.sequence_min <= max && min <= f.sequence_max;
        let is_input = |f: &FileMeta| self.inputs.iter().any(|i| i.id == f.id);
        let beside = version.files_in(&self.inputs[0].measurement, self.inputs[0].partition);
        let found: Vec<_> = beside.iter().filter(|f| inside(f)).collect();
        found.len() == self.inputs.len() && found.into_iter().all(|f| is_input(f))
    }
}

impl FileStore {
    /// What is worth merging now, where there are the most files first.
    pub fn compactions(&self, policy: &CompactionPolicy) -> Vec<CompactionSpec> {
        self.compactions_at(policy, self.inner.clock.now())
    }

    /// The same, as though it were `now`, nanoseconds since the epoch; at the end of time every partition is at rest and every
    /// delete old.
    pub fn compactions_at(&self, policy: &CompactionPolicy, now: i64) -> Vec<CompactionSpec> {
        let partition_ns = self.inner.options.partition_ns;
        let versions = self.buckets().into_iter().filter_map(|bucket| self.version(bucket));
        let mut chosen: Vec<Choice> = versions.flat_map(|v| policy.choose(&v, now, partition_ns, |file| self.is_damaged(file))).collect();
        chosen.sort_by_key(|choice| std::cmp::Reverse(choice.files));
        chosen.into_iter().map(|choice| choice.spec).collect()
    }
}

#[cfg(test)]
mod tests;
