//! `inspect`: what is stored, by bucket and measurement: partitions, files, sizes, rows, series.

use super::{
    output::{OutputArguments, Table},
    place::{Place, PlaceArguments},
    quantity::size,
    serve::run::on_runtime,
    server::answered,
};
use crate::{
    engine::upkeep::Offline,
    model::{Result, time::rfc3339},
    storage::inspect::{BucketFigures, Figures},
};
use serde_json::json;

#[derive(clap::Args)]
pub struct InspectArguments {
    #[command(flatten)]
    place: PlaceArguments,
    /// Show each partition in a row of its own
    #[arg(long)]
    partitions: bool,
    /// Do not count series, for which the tags of every file are read
    #[arg(long)]
    no_series: bool,
    #[command(flatten)]
    output: OutputArguments,
}

impl InspectArguments {
    pub fn run(self) -> Result<()> {
        let buckets = self.buckets()?;
        let table = if self.partitions { by_partition(&buckets) } else { by_measurement(&buckets) };
        self.output.print(&table, &json!({ "buckets": buckets }))
    }

    fn buckets(&self) -> Result<Vec<BucketFigures>> {
        match self.place.open()? {
            Place::Online(connection) => {
                let series = if self.no_series { "false" } else { "true" };
                let mut answer = connection.server.get("/api/v2/tidegauge/inspect", &[("series", series)])?;
                answered(answer["buckets"].take())
            }
            Place::Offline(settings, rows_only) => {
                let offline = Offline::open(*settings, rows_only)?;
                on_runtime(offline.inspect(!self.no_series))
            }
        }
    }
}

fn label(bucket: &BucketFigures) -> String {
    bucket.name.clone().unwrap_or_else(|| bucket.bucket.to_string())
}

fn by_measurement(buckets: &[BucketFigures]) -> Table {
    let rows = buckets.iter().flat_map(|bucket| {
        bucket.measurements.iter().map(|m| {
            let mut row = vec![label(bucket), m.measurement.to_string(), m.tags.to_string(), m.fields.to_string()];
            row.push(m.partitions.len().to_string());
            row.extend(cells(&m.total));
            row
        })
    });
    Table::new(&["Bucket", "Measurement", "Tags", "Fields", "Partitions", "Files", "Size", "Rows", "Series", "First", "Last"]).rows(rows)
}

fn by_partition(buckets: &[BucketFigures]) -> Table {
    let rows = buckets.iter().flat_map(|bucket| {
        bucket.measurements.iter().flat_map(move |m| {
            m.partitions.iter().map(move |p| {
                let mut row = vec![label(bucket), m.measurement.to_string(), rfc3339(p.start)];
                row.extend(cells(&p.total));
                row
            })
        })
    });
    Table::new(&["Bucket", "Measurement", "Partition", "Files", "Size", "Rows", "Series", "First", "Last"]).rows(rows)
}

/// Files, size, rows, series, first and last time.
fn cells(figures: &Figures) -> [String; 6] {
    let time = |t: Option<i64>| t.map(rfc3339).unwrap_or_default();
    let series = figures.series.map_or_else(|| "?".into(), |n| n.to_string());
    let (files, rows) = (figures.files.to_string(), figures.rows.to_string());
    [files, size(figures.bytes), rows, series, time(figures.time_min), time(figures.time_max)]
}
