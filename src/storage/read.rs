//! Reading a measurement: what a query holds on to, and the merged stream of its rows.

use crate::model::{Duplicates, MeasurementSchema, Result};
use crate::storage::{
    block::{RowFilter, select},
    chunk::Chunk,
    feed::{OneBlock, Source},
    manifest::{FileSlice, LostFile, Tombstone},
    merge::{Layout, Merge, Output},
    parquet::file::{FileReader, FileSource},
    prune,
};
use std::sync::Arc;

/// Everything that one measurement consists of at one moment. Later writes do not change it.
#[derive(Clone)]
pub struct MeasurementSnapshot {
    /// Covers every chunk and file.
    pub schema: Arc<MeasurementSchema>,
    /// Rows not flushed yet.
    pub chunks: Vec<Chunk>,
    pub files: FileSlice,
    pub tombstones: Vec<Arc<Tombstone>>,
    /// Files that may hold rows of the measurement and cannot be read.
    pub lost: Vec<LostFile>,
    /// Rows before this instant have expired.
    pub time_floor: i64,
    pub duplicates: Duplicates,
    pub reader: Arc<FileReader>,
}

impl std::fmt::Debug for MeasurementSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (m, files, chunks) = (&self.schema.measurement, self.files.len(), self.chunks.len());
        write!(f, "MeasurementSnapshot({m}, {files} files, {chunks} chunks)")
    }
}

impl MeasurementSnapshot {
    /// The rows that meet the filter, sorted by (tags, time), each once. `projection`: indices into
    /// the schema's Arrow layout, all columns when absent. Fails when a lost file may hold rows of the time that is asked for.
    pub fn read(&self, projection: Option<&[usize]>, mut filter: RowFilter, batch_rows: usize) -> Result<Merge> {
        filter.time_min = filter.time_min.max(self.time_floor);
        let stored = self.schema.arrow_schema();
        let all: Vec<usize> = (0..stored.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        let mut fields = vec![];
        let mut columns = vec![];
        for &i in wanted {
            columns.push(match i {
                0 => Output::Time,
                i if i <= self.schema.tags.len() => Output::Tag(self.schema.tags[i - 1].clone()),
                i => {
                    let name: Arc<str> = stored.field(i).name().as_str().into();
                    fields.push((name.clone(), self.schema.fields[&name]));
                    Output::Field(fields.len() - 1)
                }
            });
        }
        let names: Vec<Arc<str>> = fields.iter().map(|f| f.0.clone()).collect();
        let wants = |min: i64, max: i64| min <= filter.time_max && max >= filter.time_min;
        if let Some(lost) = self.lost.iter().find(|l| wants(l.time_min, l.time_max)) {
            return Err(lost.failure());
        }
        let mut sources: Vec<(u64, u64, Box<dyn Source>)> = vec![];
        let files = self.files.within(filter.time_min, filter.time_max).iter();
        for file in files.filter(|f| wants(f.time_min, f.time_max) && prune::may_keep_file(f, &self.schema.tags, &filter)) {
            let source = FileSource {
                reader: self.reader.clone(),
                file: file.clone(),
                schema: self.schema.clone(),
                fields: names.clone(),
                filter: filter.clone(),
                tombstones: self.tombstones.iter().filter(|t| t.hides_in(file)).cloned().collect(),
                wanted_groups: None,
            };
            sources.push((file.sequence_max, file.sequence_min, Box::new(source)));
        }
        for chunk in self.chunks.iter().filter(|c| c.row_count > 0 && wants(c.time_min, c.time_max)) {
            let block = chunk.block(&names);
            let hiding: Vec<_> = self.tombstones.iter().filter(|t| chunk.sequence <= t.sequence).cloned().collect();
            let spans = select(&block.runs, &filter.wanted(&block.runs)?, block.time.values(), &filter, &hiding);
            sources.push((chunk.sequence, chunk.sequence, Box::new(OneBlock(Some((Arc::new(block), spans))))));
        }
        sources.sort_by_key(|s| (s.0, s.1));
        let schema = Arc::new(stored.project(wanted)?);
        let (tags, duplicates, newest) = (self.schema.tags.clone(), self.duplicates, filter.newest);
        let layout = Layout { schema, columns, tags, fields, duplicates, batch_rows, newest };
        Ok(Merge::new(layout, sources.into_iter().map(|s| s.2).collect()))
    }
}
