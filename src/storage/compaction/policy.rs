//! Which files to merge: a pure function of one manifest version and the time.
//!
//! Files of a measurement and partition lie in order of sequence. Going back from the newest, a run takes in the next older
//! file while it is no larger than all the newer ones together; a run of `fan_in` files is merged. So the files that stay
//! at least double in size going back: there are about log2(rows / rows of a flush) + `fan_in` of them, and a row is
//! rewritten about as often. A partition that has come to rest is merged further, to one file or few.

use super::CompactionSpec;
use crate::storage::manifest::{FileMeta, Version};
use std::{collections::BTreeMap, ops::Range, sync::Arc};

#[derive(Debug, Clone)]
pub struct CompactionPolicy {
    /// A hot partition's run has at least so many files.
    pub fan_in: usize,
    /// More files than these are merged whatever their sizes are.
    pub files_max: usize,
    /// No merge makes a file larger than about this.
    pub bytes_max: u64,
    /// A partition rests when it is past and has had no new file for so long.
    pub rest_ns: i64,
    /// A delete older than this is folded in by rewriting the files it hides rows of.
    pub fold_ns: i64,
    /// How much larger than all newer files together the oldest of a run may be in a partition at rest: a few late rows do
    /// not have a whole day rewritten.
    pub rest_ratio: u64,
}

impl Default for CompactionPolicy {
    fn default() -> CompactionPolicy {
        let hour = 3_600_000_000_000;
        CompactionPolicy { fan_in: 4, files_max: 16, bytes_max: 2 << 30, rest_ns: hour, fold_ns: hour, rest_ratio: 8 }
    }
}

/// Files whose sequences overlap: merged together or not at all.
struct Cell {
    files: Vec<Arc<FileMeta>>,
    bytes: u64,
    sequence_max: u64,
    barred: bool,
}

impl CompactionPolicy {
    /// At most one per measurement and partition, those of the most files first. `barred` files (damaged ones) are left as
    /// they are, and nothing is merged across them, nor in the partition of a lost file, which may lie between any two. Partitions are
    /// `partition_ns` long.
    pub fn choose(&self, version: &Version, now: i64, partition_ns: i64, barred: impl Fn(&FileMeta) -> bool) -> Vec<CompactionSpec> {
        let mut groups: BTreeMap<(&str, i64), Vec<&Arc<FileMeta>>> = BTreeMap::new();
        for file in &version.files {
            groups.entry((&file.measurement, file.partition)).or_default().push(file);
        }
        let mut chosen = vec![];
        for ((_, partition), mut files) in groups {
            if version.may_have_lost_in(partition) {
                continue;
            }
            files.sort_by_key(|f| (f.sequence_min, f.sequence_max, f.id));
            let past = partition.saturating_add(partition_ns) <= now;
            let rests = past && files.iter().all(|f| f.written_at.saturating_add(self.rest_ns) <= now);
            let cells = cells(&files, &barred);
            let run = self.run(&cells, rests).or_else(|| self.fold(&cells, version, now));
            if let Some(run) = run {
                let inputs = cells[run].iter().flat_map(|c| c.files.iter().cloned()).collect();
                chosen.push((files.len(), CompactionSpec { bucket: version.bucket, inputs }));
            }
        }
        chosen.sort_by_key(|(files, _)| std::cmp::Reverse(*files));
        chosen.into_iter().map(|(_, spec)| spec).collect()
    }

    fn run(&self, cells: &[Cell], rests: bool) -> Option<Range<usize>> {
        let (ratio, least) = if rests { (self.rest_ratio, 2) } else { (1, self.fan_in) };
        // Newest first: each stretch between barred files stands for itself.
        let mut end = cells.len();
        while end > 0 {
            let last = end - 1;
            if cells[last].barred {
                end = last;
                continue;
            }
            let (mut start, mut bytes) = (last, cells[last].bytes);
            while start > 0 {
                let older = &cells[start - 1];
                if older.barred || older.bytes > bytes.saturating_mul(ratio) || bytes + older.bytes > self.bytes_max {
                    break;
                }
                start -= 1;
                bytes += older.bytes;
            }
            if end - start >= least {
                return Some(start..end);
            }
            end = last;
        }
        self.cheapest(cells)
    }

    /// Where there are too many files all the same, the run of least bytes that mends it.
    fn cheapest(&self, cells: &[Cell]) -> Option<Range<usize>> {
        let small = |c: &Cell| !c.barred && c.bytes <= self.bytes_max / 2;
        let excess = cells.iter().filter(|c| small(c)).count().checked_sub(self.files_max).filter(|n| *n > 0)?;
        let width = excess + self.fan_in;
        let windows = (0..=cells.len().checked_sub(width)?).map(|s| s..s + width).filter(|w| cells[w.clone()].iter().all(small));
        windows.min_by_key(|w| cells[w.clone()].iter().map(|c| c.bytes).sum::<u64>())
    }

    /// A file with rows that an old delete hides is rewritten by itself.
    fn fold(&self, cells: &[Cell], version: &Version, now: i64) -> Option<Range<usize>> {
        let old: Vec<_> = version.tombstones.iter().filter(|t| t.at.saturating_add(self.fold_ns) <= now).collect();
        let hidden = |c: &Cell| !c.barred && c.files.iter().any(|f| old.iter().any(|t| t.hides_in(f)));
        cells.iter().position(hidden).map(|at| at..at + 1)
    }
}

fn cells(files: &[&Arc<FileMeta>], barred: impl Fn(&FileMeta) -> bool) -> Vec<Cell> {
    let mut cells: Vec<Cell> = vec![];
    for &file in files {
        let barred = barred(file);
        match cells.last_mut() {
            Some(cell) if file.sequence_min <= cell.sequence_max => {
                cell.files.push(file.clone());
                cell.bytes += file.bytes;
                cell.sequence_max = cell.sequence_max.max(file.sequence_max);
                cell.barred |= barred;
            }
            _ => cells.push(Cell { files: vec![file.clone()], bytes: file.bytes, sequence_max: file.sequence_max, barred }),
        }
    }
    cells
}
