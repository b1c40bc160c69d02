//! `write`: line protocol or CSV to a bucket; `write dryrun` shows what would be written.
//!
//! ```text
//! sources (arguments, files, URLs, stdin) -> pieces of whole lines -> [CSV to line protocol] -> batches -> server
//! ```
//! Everything is read as it is sent: a file may be larger than memory. A refused line is named by its place in its
//! source; the other lines are stored.

mod csv;
mod dryrun;
mod pieces;
pub(super) mod send;
mod source;

use super::{
    connection::{Connection, ConnectionArguments, OrgArguments},
    delete::bucket_param,
};
use crate::model::{Failure, Result};
use clap::{Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WriteArguments {
    #[command(subcommand)]
    command: Option<WriteCommand>,
    #[command(flatten)]
    write: SendArguments,
}

#[derive(Subcommand)]
enum WriteCommand {
    /// Write to stdout instead of the server.
    Dryrun(Box<SendArguments>),
}

#[derive(clap::Args)]
pub struct SendArguments {
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    org: OrgArguments,
    /// The name of the bucket
    #[arg(long, short, env = "INFLUX_BUCKET_NAME")]
    bucket: Option<String>,
    /// The ID of the bucket
    #[arg(long, env = "INFLUX_BUCKET_ID")]
    bucket_id: Option<String>,
    /// Unit of the timestamps
    #[arg(long, short, env = "INFLUX_PRECISION", default_value = "ns", value_parser = ["ns", "us", "ms", "s"])]
    precision: String,
    #[command(flatten)]
    input: InputArguments,
    /// Rejected lines are written to this file too, each under a comment with the reason
    #[arg(long, value_name = "FILE")]
    errors_file: Option<PathBuf>,
    /// At most so much per time, for instance "5 MB / 5 min" or "17kBs"
    #[arg(long)]
    rate_limit: Option<send::RateLimit>,
}

/// What to read, and how.
#[derive(clap::Args)]
pub struct InputArguments {
    /// Lines to write, `-` for stdin or `@FILE`; without any argument, file or URL stdin is read
    lines: Vec<String>,
    /// A file to write; may be repeated. A name that ends in .gz is unpacked, one that ends in .csv is CSV
    #[arg(long, short, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// A URL to write what is there; may be repeated
    #[arg(long, short)]
    url: Vec<String>,
    /// `lp` (line protocol) or `csv` (annotated, or with types in the header) [default: by the file's name, else lp]
    #[arg(long)]
    format: Option<Format>,
    /// `none` or `gzip` [default: by the file's name]
    #[arg(long)]
    compression: Option<Compression>,
    /// A line to put before the input, for instance an annotation; may be repeated
    #[arg(long, value_name = "LINE")]
    header: Vec<String>,
    /// Skip the first N lines of the input
    #[arg(long = "skipHeader", alias = "skip-header", value_name = "N", default_value_t = 0, num_args = 0..=1, default_missing_value = "1")]
    skip_header: usize,
    /// Report rows of CSV that cannot be read and go on with the next
    #[arg(long = "skipRowOnError", alias = "skip-row-on-error")]
    skip_row_on_error: bool,
    /// Bytes of the longest line
    #[arg(long, default_value_t = 16_000_000)]
    max_line_length: usize,
    /// Encoding of the input; UTF-8 is the only one
    #[arg(long, default_value = "UTF-8", value_parser = clap::builder::PossibleValuesParser::new(["UTF-8"]), ignore_case = true)]
    encoding: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Lp,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Compression {
    None,
    Gzip,
}

/// Lines for one request.
pub struct Batch {
    pub body: Vec<u8>,
    /// What the source is called.
    pub source: String,
    pub places: Places,
    /// Bytes of the source that it was made of.
    pub source_bytes: usize,
}

/// Where the lines of a batch stand in their source, counted from 1.
pub enum Places {
    /// One after the other, from this line.
    From(usize),
    /// Each line's own.
    Each(Vec<usize>),
}

impl Batch {
    /// The line of the source that line `number` (from 1) of the batch was made of.
    pub fn place(&self, number: usize) -> usize {
        match &self.places {
            Places::From(first) => first + number.saturating_sub(1),
            Places::Each(all) => all.get(number.saturating_sub(1)).copied().unwrap_or_default(),
        }
    }

    pub fn line_count(&self) -> usize {
        memchr::memchr_iter(b'\n', &self.body).count() + usize::from(!self.body.is_empty() && !self.body.ends_with(b"\n"))
    }
}

impl WriteArguments {
    pub fn run(self) -> Result<()> {
        match self.command {
            Some(WriteCommand::Dryrun(arguments)) => dryrun::run(arguments.input),
            None => self.write.run(),
        }
    }
}

impl SendArguments {
    fn run(self) -> Result<()> {
        let connection = self.connection.open()?;
        let mut params = connection.org_params(&self.org)?;
        params.push(bucket_param(&self.bucket, &self.bucket_id)?);
        params.push(("precision", self.precision));
        let sources = source::all(&self.input)?;
        let total = sources.iter().map(|s| s.bytes).sum::<Option<u64>>();
        let mut sender = send::Sender::new(&connection.server, Connection::params(&params), total, self.rate_limit);
        for source in sources {
            for batch in source::batches(source, &self.input)? {
                sender.send(batch?)?;
            }
        }
        let refused = sender.finish();
        if let Some(path) = &self.errors_file {
            let text: String =
                refused.lines.iter().map(|r| format!("# {} line {}: {}\n{}\n", r.source, r.line, r.reason, r.text)).collect();
            std::fs::write(path, text).map_err(|e| Failure::invalid(format!("failed to write errors-file {}: {e}", path.display())))?;
        }
        refused.outcome()
    }
}
