//! What a delete names: a stretch of time of series of a measurement.

use super::{Failure, Result, TIME_COLUMN, TimeRange};
use arrow::{
    array::{AsArray, BooleanArray},
    datatypes::{Int32Type, TimestampNanosecondType},
    record_batch::RecordBatch,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Rows of the time range, of the measurement, that meet every tag predicate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteSpec {
    /// `start <= time < stop`, except that a stop of `i64::MAX` includes the last instant.
    #[serde(with = "range")]
    pub range: TimeRange,
    /// `None`: every measurement of the bucket.
    pub measurement: Option<Arc<str>>,
    pub tags: Vec<TagPredicate>,
}

/// A series without the tag has the empty string, as in InfluxDB's own languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagPredicate {
    pub tag: Arc<str>,
    pub equal: bool,
    pub value: Arc<str>,
}

impl TagPredicate {
    pub fn matches(&self, value: Option<&str>) -> bool {
        (value.unwrap_or("") == self.value.as_ref()) == self.equal
    }
}

impl DeleteSpec {
    pub fn concerns(&self, measurement: &str) -> bool {
        self.measurement.as_deref().is_none_or(|m| m == measurement)
    }

    /// Greatest instant that is named.
    pub fn last(&self) -> i64 {
        if self.range.stop == i64::MAX { i64::MAX } else { self.range.stop.saturating_sub(1) }
    }

    /// No instant is named.
    pub fn is_empty(&self) -> bool {
        self.range.start > self.last()
    }

    /// Whether any instant of the closed stretch `min..=max` is named.
    pub fn overlaps(&self, min: i64, max: i64) -> bool {
        self.range.start <= max && min <= self.last()
    }

    /// Which rows are named; they are of one measurement, in its layout.
    pub fn named(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let times = rows.column_by_name(TIME_COLUMN).and_then(|c| c.as_primitive_opt::<TimestampNanosecondType>());
        let times = times.ok_or_else(|| Failure::internal("stored rows have no time"))?;
        let (first, last) = (self.range.start, self.last());
        let mut named: Vec<bool> = times.values().iter().map(|t| first <= *t && *t <= last).collect();
        for tag in &self.tags {
            let absent = tag.matches(None);
            match rows.column_by_name(&tag.tag).and_then(|c| c.as_dictionary_opt::<Int32Type>()) {
                None => named.iter_mut().for_each(|n| *n &= absent),
                Some(column) => {
                    let of_value: Vec<bool> = column.values().as_string::<i32>().iter().map(|v| tag.matches(v)).collect();
                    for (named, key) in named.iter_mut().zip(column.keys()) {
                        *named &= key.map_or(absent, |k| of_value[k as usize]);
                    }
                }
            }
        }
        Ok(named.into())
    }
}

mod range {
    use super::TimeRange;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(r: &TimeRange, s: S) -> Result<S::Ok, S::Error> {
        (r.start, r.stop).serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<TimeRange, D::Error> {
        <(i64, i64)>::deserialize(d).map(|(start, stop)| TimeRange { start, stop })
    }
}
