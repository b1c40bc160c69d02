//! One series of a shard: values of its fields out of several files and the log, joined to rows.

use super::{
    Timed, Unreadable, Value,
    file::{Blocks, Entry},
    settle,
};
use std::{iter::Peekable, rc::Rc, vec};

pub struct Series {
    /// `measurement,tag=value`, escaped as in line protocol.
    pub key: Vec<u8>,
    /// Names, in the order in which rows count them.
    pub names: Vec<Vec<u8>>,
    /// Length of its blocks in TSM files.
    pub bytes: u64,
    fields: Vec<FieldValues>,
}

/// The values of one field: what all sources have, the later source over the earlier.
pub struct FieldValues {
    /// In the order in which they were written.
    sources: Vec<Source>,
    head: Option<Timed>,
}

/// Values of one file, or of the log, in time order, some blocks of them at a time.
pub struct Source {
    blocks: Option<(Rc<Blocks>, Peekable<vec::IntoIter<Entry>>)>,
    /// Stretches of time that are left out, both ends included.
    deleted: Vec<(i64, i64)>,
    values: Peekable<vec::IntoIter<Timed>>,
}

impl Series {
    pub fn new(key: Vec<u8>) -> Series {
        Series { key, names: vec![], bytes: 0, fields: vec![] }
    }

    /// Adds a field with its sources in the order in which they were written.
    pub fn push(&mut self, name: Vec<u8>, sources: Vec<Source>) -> Result<(), Unreadable> {
        let mut field = FieldValues { sources, head: None };
        field.advance()?;
        self.names.push(name);
        self.fields.push(field);
        Ok(())
    }

    /// The time of the next row, its values with the numbers of their fields in `row` (emptied first). `None` at the end.
    pub fn next_row(&mut self, row: &mut Vec<(usize, Value)>) -> Result<Option<i64>, Unreadable> {
        row.clear();
        let Some(time) = self.fields.iter().filter_map(|f| Some(f.head.as_ref()?.time)).min() else { return Ok(None) };
        for (number, field) in self.fields.iter_mut().enumerate() {
            if let Some(taken) = field.head.take_if(|head| head.time == time) {
                row.push((number, taken.value));
                field.advance()?;
            }
        }
        Ok(Some(time))
    }
}

impl FieldValues {
    /// Puts the next value in `head`.
    fn advance(&mut self) -> Result<(), Unreadable> {
        let mut next: Option<i64> = None;
        for source in &mut self.sources {
            if let Some(time) = source.next_time()? {
                next = Some(next.map_or(time, |least| least.min(time)));
            }
        }
        self.head = None;
        for source in &mut self.sources {
            if let Some(value) = source.values.next_if(|v| Some(v.time) == next) {
                self.head = Some(value);
            }
        }
        Ok(())
    }
}

impl Source {
    /// `values`: in time order.
    pub fn log(values: Vec<Timed>) -> Source {
        Source { blocks: None, deleted: vec![], values: values.into_iter().peekable() }
    }

    /// `entries`: in order of their first times.
    pub fn file(blocks: Rc<Blocks>, entries: Vec<Entry>, deleted: Vec<(i64, i64)>) -> Source {
        Source { blocks: Some((blocks, entries.into_iter().peekable())), deleted, values: vec![].into_iter().peekable() }
    }

    /// The time of the next value that is there; blocks are read for it.
    fn next_time(&mut self) -> Result<Option<i64>, Unreadable> {
        while self.values.peek().is_none() {
            let Some((blocks, entries)) = &mut self.blocks else { return Ok(None) };
            let Some(entry) = entries.next() else { return Ok(None) };
            let mut values = blocks.read(&entry)?;
            // Blocks of a file follow each other. Where they do not, those that overlap are read together.
            let mut last = entry.last;
            while let Some(entry) = entries.next_if(|entry| entry.first <= last) {
                last = last.max(entry.last);
                values.extend(blocks.read(&entry)?);
            }
            settle(&mut values);
            values.retain(|v| !self.deleted.iter().any(|(first, last)| (*first..=*last).contains(&v.time)));
            self.values = values.into_iter().peekable();
        }
        Ok(self.values.peek().map(|v| v.time))
    }
}
