//! Rows on their way to one bucket, as line protocol in requests of about a megabyte.

use crate::{
    cli::{
        connection::Connection,
        server::Server,
        write::send::{NAMED_MAX, deliver, refused_lines, shown},
    },
    line_protocol::{Parser, escape, write_row},
    model::{Failure, FieldValue, Precision, Result},
    tsm::Value,
};
use indicatif::ProgressBar;

/// Bytes past which a request is sent.
const REQUEST_BYTES: usize = 1 << 20;

pub struct Writer<'a> {
    server: &'a Server,
    params: Vec<(&'a str, &'a str)>,
    progress: &'a ProgressBar,
    body: String,
    refused: u64,
}

impl<'a> Writer<'a> {
    /// `org`: the organisation as parameters of a URL.
    pub fn new(server: &'a Server, org: &'a [(&'static str, String)], bucket_id: &'a str, progress: &'a ProgressBar) -> Writer<'a> {
        let mut params: Vec<(&str, &str)> = Connection::params(org);
        params.extend([("bucketID", bucket_id), ("precision", "ns")]);
        Writer { server, params, progress, body: String::with_capacity(REQUEST_BYTES * 2), refused: 0 }
    }

    /// Takes a row: `series` escaped as in line protocol, values with the numbers of their names.
    pub fn row(&mut self, series: &str, names: &[String], time: i64, row: &[(usize, Value)]) -> Result<()> {
        for (number, value) in row {
            // No line of line protocol says these.
            let why = match value.field_value() {
                None => "a string that is not UTF-8",
                Some(FieldValue::Float(v)) if !v.is_finite() => "a float that is infinite or no number",
                Some(_) => continue,
            };
            self.refuse(1, [format!("{why}: field {} of {series} at {time}", names[*number])]);
        }
        let fields = row.iter().filter_map(|(number, value)| Some((names[*number].as_str(), value.field_value()?)));
        write_row(&mut self.body, series, fields, Some(time));
        if self.body.len() >= REQUEST_BYTES { self.send() } else { Ok(()) }
    }

    /// Sends what is left; how many values were refused.
    pub fn finish(mut self) -> Result<u64> {
        self.send()?;
        Ok(self.refused)
    }

    fn send(&mut self) -> Result<()> {
        let body = std::mem::take(&mut self.body);
        if body.is_empty() {
            return Ok(());
        }
        let failed = |failure: Failure| failure.context("the import stopped; rows before were stored, and it may be run again");
        if deliver(self.server, &self.params, body.as_bytes()).map_err(failed)?.refusal.is_some() {
            self.send_values(&body).map_err(failed)?;
        }
        self.body = body;
        self.body.clear();
        Ok(())
    }

    /// Sends rows again of which some were refused, a line for each value: InfluxDB stores each field by itself, so one
    /// that clashes here must not cost its row the others.
    fn send_values(&mut self, body: &str) -> Result<()> {
        let mut parser = Parser::new(body.as_bytes(), Precision::Nanosecond, 0);
        let (mut fields, mut lines) = (vec![], String::new());
        while let Some(line) = parser.next(&mut fields) {
            match line {
                Ok(line) => {
                    for field in fields.drain(..) {
                        write_row(&mut lines, line.series, [(escape::key(field.key).as_ref(), field.value)], Some(line.time));
                    }
                }
                // The server says why.
                Err(bad) => {
                    lines.push_str(&bad.text);
                    lines.push('\n');
                }
            }
            if lines.len() >= REQUEST_BYTES {
                self.send_lines(&lines)?;
                lines.clear();
            }
        }
        if lines.is_empty() { Ok(()) } else { self.send_lines(&lines) }
    }

    fn send_lines(&mut self, lines: &str) -> Result<()> {
        if let Some(refusal) = deliver(self.server, &self.params, lines.as_bytes())?.refusal {
            let (named, count) = refused_lines(&refusal, lines.as_bytes());
            let texts = named.into_iter().map(|line| format!("{}: {}", line.reason, shown(&line.text)));
            self.refuse(count as u64, texts);
        }
        Ok(())
    }

    /// Counts values that were not stored and names the first of them.
    fn refuse(&mut self, count: u64, texts: impl IntoIterator<Item = String>) {
        let named = (NAMED_MAX as u64).saturating_sub(self.refused) as usize;
        for text in texts.into_iter().take(named) {
            self.progress.suspend(|| eprintln!("refused: {text}"));
        }
        self.refused += count;
    }
}
