//! One shard: its files and its log merged, series by series in key order.

use super::{
    Series, Timed, Unreadable,
    file::{Indexed, TsmFile},
    key,
    layout::ShardFiles,
    series::Source,
    wal::Wal,
};
use std::{collections::btree_map, iter::Peekable};

/// Keys are read once, front to back, from all files at the same time.
pub struct Shard {
    /// In the order in which they were written, each with its next key.
    files: Vec<(TsmFile, Option<Indexed>)>,
    log: Peekable<btree_map::IntoIter<Vec<u8>, Vec<Timed>>>,
    /// First and last time that are wanted.
    range: (i64, i64),
    /// Segments of the log that were not read to their ends, and why.
    pub broken: Vec<Unreadable>,
}

impl Shard {
    /// `range`: the first and the last time that are wanted.
    pub fn open(shard: &ShardFiles, range: (i64, i64)) -> Result<Shard, Unreadable> {
        let mut files = vec![];
        for path in &shard.tsm {
            let mut file = TsmFile::open(path)?;
            let next = file.next_key()?;
            files.push((file, next));
        }
        let Wal { values, broken } = Wal::read(&shard.wal)?;
        Ok(Shard { files, log: values.into_iter().peekable(), range, broken })
    }

    /// The next series; `None` behind the last one. It may have no rows, when all are deleted or outside of the range.
    pub fn next_series(&mut self) -> Result<Option<Series>, Unreadable> {
        let Some((series, _)) = self.next_field() else { return Ok(None) };
        let mut out = Series::new(series);
        // The fields of a series stand together: their keys begin with the series and the separator.
        while let Some((_, field)) = self.next_field().filter(|(series, _)| *series == out.key) {
            let key = [&out.key, key::SEPARATOR, &field].concat();
            let (sources, bytes) = self.take(&key)?;
            out.bytes += bytes;
            out.push(field, sources)?;
        }
        Ok(Some(out))
    }

    /// Series and field of the least key that any source has next.
    fn next_field(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        let in_files = self.files.iter().filter_map(|(_, next)| Some(next.as_ref()?.key.as_slice()));
        let least = in_files.chain(self.log.peek().map(|(key, _)| key.as_slice())).min()?;
        // Files and log take no key that cannot be split.
        key::split(least).map(|(series, field)| (series.into(), field.into()))
    }

    /// What the sources have of a key that is next, and the length of its blocks.
    fn take(&mut self, key: &[u8]) -> Result<(Vec<Source>, u64), Unreadable> {
        let (first, last) = self.range;
        let (mut sources, mut bytes) = (vec![], 0);
        for (file, next) in &mut self.files {
            let Some(mut indexed) = next.take_if(|next| next.key == key) else { continue };
            *next = file.next_key()?;
            bytes += indexed.entries.iter().map(|entry| u64::from(entry.bytes)).sum::<u64>();
            indexed.entries.retain(|entry| entry.first <= last && entry.last >= first);
            let mut deleted = file.deleted(key);
            // What is not wanted is left out as what is deleted.
            deleted.extend(first.checked_sub(1).map(|before| (i64::MIN, before)));
            deleted.extend(last.checked_add(1).map(|after| (after, i64::MAX)));
            sources.push(Source::file(file.blocks(), indexed.entries, deleted));
        }
        if let Some((_, mut values)) = self.log.next_if(|(next, _)| next == key) {
            values.retain(|v| (first..=last).contains(&v.time));
            sources.push(Source::log(values));
        }
        Ok((sources, bytes))
    }
}
