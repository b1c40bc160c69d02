//! `import`: the files of an InfluxDB 1.x or 2.x into buckets of a running server, and a comparison of both sides.
//!
//! ```text
//! DIR -> [source] parts, one per bucket -> [destination] bucket and mapping -> [copy] rows -> [writer] server
//!                                                                              [tally] of each measurement
//! [compare] the same tally of what the server answers -> [report] a table of measurements
//! ```
//! The files are only read. InfluxDB should not write to them meanwhile: stop it, or import a copy.

mod compare;
mod copy;
mod destination;
mod report;
mod source;
mod tally;
mod writer;

use super::{
    connection::{ConnectionArguments, OrgArguments},
    output::OutputArguments,
};
use crate::model::{Result, time::parse_rfc3339};
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use report::{Line, Report};
use source::Part;
use writer::Writer;

#[derive(Subcommand)]
pub enum ImportCommand {
    /// Import databases of InfluxDB 1.x; each retention policy becomes a bucket DATABASE/POLICY.
    InfluxdbV1(Box<source::V1Arguments>),
    /// Import buckets of InfluxDB 2.x under their names.
    InfluxdbV2(Box<source::V2Arguments>),
}

/// What to copy, where to, and what to print.
#[derive(clap::Args)]
pub struct CopyArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    org: OrgArguments,
    #[command(flatten)]
    output: OutputArguments,
    /// Only the shard of this number; may be repeated
    #[arg(long, value_name = "ID")]
    shard: Vec<u64>,
    /// Only this measurement; may be repeated
    #[arg(long, value_name = "NAME")]
    measurement: Vec<String>,
    /// The first time to import, for instance 2009-01-02T23:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    start: Option<i64>,
    /// The last time to import
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    end: Option<i64>,
    /// Read the files and print the table, without a server
    #[arg(long)]
    dry_run: bool,
}

fn time(text: &str) -> Result<i64, String> {
    parse_rfc3339(text).ok_or_else(|| "a time looks like 2009-01-02T23:00:00Z".to_string())
}

impl ImportCommand {
    pub fn run(self) -> Result<()> {
        match self {
            ImportCommand::InfluxdbV1(arguments) => arguments.copy.run(arguments.parts()?),
            ImportCommand::InfluxdbV2(arguments) => arguments.copy.run(arguments.parts()?),
        }
    }
}

impl CopyArguments {
    fn run(&self, mut parts: Vec<Part>) -> Result<()> {
        for part in &mut parts {
            part.shards.retain(|(name, _)| self.shard.is_empty() || self.shard.contains(&name.id));
        }
        parts.retain(|part| !part.shards.is_empty());
        if parts.is_empty() {
            return Err(source::nothing());
        }
        let wanted =
            copy::Wanted { range: (self.start.unwrap_or(i64::MIN), self.end.unwrap_or(i64::MAX)), measurements: self.measurement.clone() };
        let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {msg}");
        let progress = ProgressBar::new(parts.iter().map(Part::bytes).sum()).with_style(style.expect("the template is well formed"));
        let report = if self.dry_run { dry_run(&parts, &wanted, &progress) } else { self.import(&parts, &wanted, &progress) };
        progress.finish_and_clear();
        report?.print(&self.output)
    }

    fn import(&self, parts: &[Part], wanted: &copy::Wanted, progress: &ProgressBar) -> Result<Report> {
        let connection = self.connection.open()?;
        let org = connection.org_params(&self.org)?;
        let org_id = connection.org_id(&self.org)?;
        let mut report = Report::default();
        let mut copied = vec![];
        for part in parts {
            let bucket = destination::find_or_create(&connection.server, &org, org_id.as_deref(), &part.destination)?;
            let mut writer = Writer::new(&connection.server, &org, &bucket.id, progress);
            let tallies = copy::copy(part, wanted, Some(&mut writer), progress)?;
            report.refused += writer.finish()?;
            copied.push((bucket, tallies));
        }
        for (bucket, tallies) in copied {
            for (measurement, files) in tallies {
                progress.set_message(format!("comparing {measurement}"));
                let server = compare::tally(&connection.server, &org, &bucket.id, &measurement, &files)?;
                report.lines.push(Line { bucket: bucket.name.clone(), measurement, files, server: Some(server) });
            }
        }
        Ok(report)
    }
}

fn dry_run(parts: &[Part], wanted: &copy::Wanted, progress: &ProgressBar) -> Result<Report> {
    let mut report = Report::default();
    for part in parts {
        let bucket = part.destination.bucket();
        let tallies = copy::copy(part, wanted, None, progress)?;
        let line = |(measurement, files)| Line { bucket: bucket.clone(), measurement, files, server: None };
        report.lines.extend(tallies.into_iter().map(line));
    }
    Ok(report)
}
