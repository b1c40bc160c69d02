//! Which files to merge: a pure function of one manifest version and the time.
//!
//! Files of a measurement and partition lie in order of sequence. Going back from the newest, a run takes in the next older
//! file while it is no larger than all the newer ones together; a run of `fan_in` files is merged. So the files that stay
//! at least double in size going back: there are about log2(rows / rows of a flush) + `fan_in` of them, and a row is
//! rewritten about as often. A partition that has come to rest is merged further, to one file or few.
//!
//! Whatever is written and however late, a partition has `files_max` files after its merges, of which nothing but damage keeps it.
//! `compaction/tests.rs` runs years of it.

use super::{Choice, CompactionSpec};
use crate::storage::{
    manifest::{FileMeta, Tombstone, Version},
    retention::is_past,
};
use std::{ops::Range, sync::Arc};

#[derive(Debug, Clone)]
pub struct CompactionPolicy {
    /// A hot partition's run has at least so many files.
    pub fan_in: usize,
    /// More files than these are merged whatever their sizes are.
    pub files_max: usize,
    /// No merge makes a file larger than about this, unless the partition has many times as much.
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
    /// At most one per measurement and partition. `barred` files (damaged ones) are left as they are, and nothing is merged
    /// across them, nor in the partition of a lost file, which may lie between any two. Partitions are `partition_ns` long.
    pub fn choose(&self, version: &Version, now: i64, partition_ns: i64, barred: impl Fn(&FileMeta) -> bool) -> Vec<Choice> {
        let is_old = |t: &&Tombstone| is_past(t.at, self.fold_ns, now);
        let old: Vec<&Tombstone> = version.tombstones.iter().map(|t| &**t).filter(is_old).collect();
        let mut chosen = vec![];
        for files in version.partitions() {
            // Most partitions are one file that nothing is to be done about.
            if matches!(files, [only] if !old.iter().any(|t| t.hides_in(only))) || version.may_have_lost_in(files[0].partition) {
                continue;
            }
            let past = files[0].partition.saturating_add(partition_ns) <= now;
            let rests = past && files.iter().all(|f| is_past(f.written_at, self.rest_ns, now));
            let cells = cells(files, &barred);
            if let Some(run) = self.run(&cells, rests).or_else(|| fold(&cells, &old)) {
                let inputs = cells[run].iter().flat_map(|c| c.files.iter().cloned()).collect();
                chosen.push(Choice { spec: CompactionSpec { bucket: version.bucket, inputs }, files: files.len() });
            }
        }
        chosen
    }

    fn run(&self, cells: &[Cell], rests: bool) -> Option<Range<usize>> {
        let (ratio, least) = if rests { (self.rest_ratio, 2) } else { (1, self.fan_in) };
        // Few files are larger than half of this, whatever a partition comes to. (With less, merges get in each other's way.)
        let bytes_max = self.bytes_max.max(cells.iter().map(|c| c.bytes).sum::<u64>() / 2);
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
                if older.barred || older.bytes > bytes.saturating_mul(ratio) || bytes + older.bytes > bytes_max {
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
        let excess = cells.iter().filter(|c| !c.barred).count().checked_sub(self.files_max).filter(|n| *n > 0)?;
        let runs =
            |width: usize| (0..=cells.len() - width).map(move |s| s..s + width).filter(|w| cells[w.clone()].iter().all(|c| !c.barred));
        let bytes = |run: &Range<usize>| cells[run.clone()].iter().map(|c| c.bytes).sum::<u64>();
        // Between damaged files there may be none that is long enough.
        let mut widths = (2..=(excess + self.fan_in).min(cells.len())).rev();
        widths.find_map(|width| runs(width).min_by_key(bytes))
    }
}

/// A file with rows that an old delete hides is rewritten by itself.
fn fold(cells: &[Cell], old: &[&Tombstone]) -> Option<Range<usize>> {
    let hidden = |c: &Cell| !c.barred && c.files.iter().any(|f| old.iter().any(|t| t.hides_in(f)));
    cells.iter().position(hidden).map(|at| at..at + 1)
}

/// `files` in order of sequence.
fn cells(files: &[Arc<FileMeta>], barred: impl Fn(&FileMeta) -> bool) -> Vec<Cell> {
    let mut cells: Vec<Cell> = vec![];
    for file in files {
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
