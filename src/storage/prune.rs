//! Which files and row groups may have wanted rows, told by what is known of them without reading them.

use super::{
    block::{RowFilter, TagBounds},
    manifest::FileMeta,
};
use parquet::file::{
    metadata::{ParquetMetaData, RowGroupMetaData},
    statistics::Statistics,
};
use std::sync::Arc;

/// By the tags of the first and last row. Rows are sorted by all tags in name order: a tag is bounded by the two rows as long
/// as every tag before it is the same in both.
pub fn may_keep_file(file: &FileMeta, tags: &[Arc<str>], filter: &RowFilter) -> bool {
    let value = |key: &[(Arc<str>, Arc<str>)], tag: &str| key.iter().find(|(name, _)| name.as_ref() == tag).map(|(_, v)| v.to_string());
    for tag in tags {
        let (min, max) = (value(&file.key_min, tag), value(&file.key_max, tag));
        let constant = min == max;
        let bounds = match (&min, &max) {
            (None, None) => TagBounds::absent(file.rows),
            // Rows without the tag come first.
            (None, Some(_)) => TagBounds { min, max, rows: file.rows, absent: None },
            _ => TagBounds { min, max, rows: file.rows, absent: Some(0) },
        };
        if !may_keep(tag, &bounds, filter) {
            return false;
        }
        if !constant {
            return true;
        }
    }
    true
}

fn may_keep(tag: &str, bounds: &TagBounds, filter: &RowFilter) -> bool {
    let mut conditions = filter.series.iter().filter(|condition| condition.tag() == tag);
    conditions.all(|condition| condition.may_keep(std::slice::from_ref(bounds)).first().copied().unwrap_or(true))
}

/// Row groups by the statistics of time and tags, in order.
pub fn row_groups(metadata: &ParquetMetaData, filter: &RowFilter) -> Vec<usize> {
    let groups = metadata.row_groups();
    let mut keep: Vec<bool> = groups.iter().map(|group| in_time(group, filter)).collect();
    for condition in &filter.series {
        if !keep.contains(&true) {
            break;
        }
        let column = metadata.file_metadata().schema_descr().columns().iter().position(|c| c.name() == condition.tag());
        let bounds: Vec<TagBounds> = groups.iter().map(|group| bounds_of(group, column)).collect();
        for (keep, may) in keep.iter_mut().zip(condition.may_keep(&bounds)) {
            *keep &= may;
        }
    }
    (0..groups.len()).filter(|g| keep[*g]).collect()
}

fn in_time(group: &RowGroupMetaData, filter: &RowFilter) -> bool {
    let Some(Statistics::Int64(times)) = group.column(0).statistics() else { return true };
    times.max_opt().is_none_or(|t| *t >= filter.time_min) && times.min_opt().is_none_or(|t| *t <= filter.time_max)
}

fn bounds_of(group: &RowGroupMetaData, column: Option<usize>) -> TagBounds {
    let rows = group.num_rows() as u64;
    // A file without the column has rows without the tag.
    let Some(column) = column else { return TagBounds::absent(rows) };
    let Some(statistics) = group.column(column).statistics() else { return TagBounds { rows, ..TagBounds::default() } };
    let text = |bytes: Option<&[u8]>| bytes.and_then(|b| String::from_utf8(b.to_vec()).ok());
    let (min, max) = (text(statistics.min_bytes_opt()), text(statistics.max_bytes_opt()));
    TagBounds { min, max, rows, absent: statistics.null_count_opt() }
}

#[cfg(test)]
mod tests;
