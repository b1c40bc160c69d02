//! The rows of a part, shard by shard and series by series, counted and handed to the writer.

use super::{
    source::{Part, length},
    tally::{self, Tally},
    writer::Writer,
};
use crate::{
    line_protocol::parse_series,
    model::Result,
    tsm::{Series, Shard},
};
use indicatif::ProgressBar;
use std::{borrow::Cow, collections::BTreeMap};

/// What of the files is wanted.
pub struct Wanted {
    /// The first and the last time.
    pub range: (i64, i64),
    /// All of them when it is empty.
    pub measurements: Vec<String>,
}

/// Tallies of what the files hold, by measurement: after overwrites and deletes, before the server refuses anything.
pub fn copy(part: &Part, wanted: &Wanted, mut writer: Option<&mut Writer<'_>>, progress: &ProgressBar) -> Result<BTreeMap<String, Tally>> {
    let mut tallies = BTreeMap::new();
    let bucket = part.destination.bucket();
    for (name, files) in &part.shards {
        progress.set_message(format!("{bucket}, shard {}", name.id));
        let behind = progress.position() + length(files);
        let mut shard = Shard::open(files, wanted.range)?;
        for broken in &shard.broken {
            progress.suspend(|| eprintln!("{broken}; what stands before that was read, as InfluxDB does"));
        }
        while let Some(series) = shard.next_series()? {
            let bytes = series.bytes;
            copy_series(series, wanted, &mut tallies, writer.as_deref_mut())?;
            progress.inc(bytes);
        }
        progress.set_position(behind);
    }
    Ok(tallies)
}

fn copy_series(
    mut series: Series,
    wanted: &Wanted,
    tallies: &mut BTreeMap<String, Tally>,
    mut writer: Option<&mut Writer<'_>>,
) -> Result<()> {
    let key = String::from_utf8_lossy(&std::mem::take(&mut series.key)).into_owned();
    let (measurement, checksum) = match parse_series(&key) {
        Ok(parsed) => {
            let tags = parsed.tags.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]);
            (parsed.measurement, tally::checksum(tags))
        }
        // The server will say what is wrong with it.
        Err(_) => (Cow::Borrowed(key.as_str()), 0),
    };
    if !wanted.measurements.is_empty() && !wanted.measurements.iter().any(|name| *name == measurement) {
        return Ok(());
    }
    let fields: Vec<u64> = series.names.iter().map(|name| tally::checksum([name.as_slice()])).collect();
    let names: Vec<String> = series.names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let mut tally = Tally::default();
    let mut row = vec![];
    while let Some(time) = series.next_row(&mut row)? {
        tally.row(time);
        for (number, value) in &row {
            tally.value(checksum, fields[*number], time, value.into());
        }
        if let Some(writer) = &mut writer {
            writer.row(&key, &names, time, &row)?;
        }
    }
    // A series whose rows are all deleted makes no measurement.
    if tally.rows > 0 {
        tallies.entry(measurement.into_owned()).or_default().add(&tally);
    }
    Ok(())
}
