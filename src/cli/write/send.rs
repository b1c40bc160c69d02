//! Batches to the server, with progress, patience, and a ledger of what was refused.

use super::Batch;
use crate::{
    cli::server::{Refusal, Server},
    http::QUARANTINED_LINES,
    model::{ErrorKind, Failure, Result},
};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::Value;
use std::{
    str::FromStr,
    time::{Duration, Instant},
};

/// How often a batch is sent that the server cannot take now.
const ATTEMPTS: u32 = 8;
/// Refused lines or values that are named on stderr.
pub const NAMED_MAX: usize = 20;

/// As much of a refused line as is printed.
pub fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}

pub struct Sender<'a> {
    server: &'a Server,
    params: Vec<(&'static str, &'a str)>,
    progress: ProgressBar,
    limit: Option<RateLimit>,
    started: Instant,
    sent_bytes: usize,
    refused: Refused,
}

/// What became of a body that the server took.
#[derive(Default)]
pub struct Delivered {
    /// It names lines that were refused; the others were stored.
    pub refusal: Option<Refusal>,
    /// Lines in quarantine.
    pub quarantined: usize,
}

/// Sends a body of line protocol, again while the server cannot take it now. What it stored is durable.
pub fn deliver(server: &Server, params: &[(&str, &str)], body: &[u8]) -> Result<Delivered> {
    for attempt in 1.. {
        let request = server.request(Method::POST, "/api/v2/write", params).body(body.to_vec());
        match server.exchange(request)? {
            Ok(answer) => {
                let quarantined = answer.header(QUARANTINED_LINES).and_then(|count| count.parse().ok()).unwrap_or(0);
                return Ok(Delivered { refusal: None, quarantined });
            }
            Err(refusal) if refusal.is_passing() && attempt < ATTEMPTS => {
                let seconds = refusal.retry_after_s.map_or(0.2 * f64::from(1 << attempt), f64::from);
                std::thread::sleep(Duration::from_secs_f64(seconds.min(30.0)));
            }
            Err(refusal) => {
                let answer = refusal.json();
                if answer["data"].as_array().is_none_or(Vec::is_empty) {
                    return Err(refusal.into());
                }
                return Ok(Delivered { quarantined: count(&answer["quarantinedCount"], 0), refusal: Some(refusal) });
            }
        }
    }
    Ok(Delivered::default())
}

fn count(value: &Value, otherwise: usize) -> usize {
    value.as_u64().map_or(otherwise, |n| n as usize)
}

/// A line that an answer names.
pub struct NamedLine {
    /// In the body, from 1.
    pub number: usize,
    pub text: String,
    pub reason: String,
}

/// The lines that an answer names, and how many were refused, which may be more.
pub fn refused_lines(refusal: &Refusal, body: &[u8]) -> (Vec<NamedLine>, usize) {
    let answer = refusal.json();
    let lines: Vec<&[u8]> = body.split(|b| *b == b'\n').collect();
    let name = |line: &Value| {
        let number = count(&line["line_number"], 0);
        let text = lines.get(number.saturating_sub(1)).map(|l| String::from_utf8_lossy(l).into_owned()).unwrap_or_default();
        NamedLine { number, text, reason: line["error_message"].as_str().unwrap_or_default().to_string() }
    };
    let named: Vec<NamedLine> = answer["data"].as_array().into_iter().flatten().map(name).collect();
    let count = count(&answer["rejectedCount"], named.len());
    (named, count)
}

/// What the server did not store.
#[derive(Default)]
pub struct Refused {
    pub lines: Vec<RefusedLine>,
    /// Lines that were sent.
    sent: usize,
    /// Lines that the server refused; it may name fewer.
    count: usize,
    /// Lines that it keeps in quarantine.
    quarantined: usize,
}

pub struct RefusedLine {
    pub source: String,
    pub line: usize,
    pub text: String,
    pub reason: String,
}

/// Bytes per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateLimit(f64);

impl<'a> Sender<'a> {
    /// `total_bytes`: the length of all sources, where it is known.
    pub fn new(server: &'a Server, params: Vec<(&'static str, &'a str)>, total_bytes: Option<u64>, limit: Option<RateLimit>) -> Sender<'a> {
        let template = match total_bytes {
            Some(_) => "{bar:30} {bytes}/{total_bytes}  {bytes_per_sec}  {msg}",
            None => "{spinner} {bytes}  {bytes_per_sec}  {msg}",
        };
        let style = ProgressStyle::with_template(template).expect("the template is well formed");
        let progress = total_bytes.map_or_else(ProgressBar::new_spinner, ProgressBar::new).with_style(style);
        Sender { server, params, progress, limit, started: Instant::now(), sent_bytes: 0, refused: Refused::default() }
    }

    /// Sends a batch; durable when it returns. Lines that the server refuses are remembered and are no failure.
    pub fn send(&mut self, batch: Batch) -> Result<()> {
        if !batch.body.is_empty() {
            self.wait_for_rate(batch.body.len());
            let stopped = |f: Failure| {
                let place = format!("stopped at line {} of {}; the lines before it were handled", batch.place(1), batch.source);
                f.context(format!("failed to write data ({place})"))
            };
            let delivered = deliver(self.server, &self.params, &batch.body).map_err(stopped)?;
            if let Some(refusal) = delivered.refusal {
                self.remember(&batch, &refusal);
            }
            self.refused.quarantined += delivered.quarantined;
            self.refused.sent += batch.line_count();
        }
        self.progress.inc(batch.source_bytes as u64);
        let (sent, refused) = (self.refused.sent, self.refused.count);
        self.progress.set_message(if refused == 0 { format!("{sent} lines") } else { format!("{sent} lines, {refused} refused") });
        Ok(())
    }

    /// Takes the refused lines out of an answer.
    fn remember(&mut self, batch: &Batch, refusal: &Refusal) {
        let (named, count) = refused_lines(refusal, &batch.body);
        for NamedLine { number, text, reason } in named {
            let refused = RefusedLine { source: batch.source.clone(), line: batch.place(number), text, reason };
            if self.refused.lines.len() < NAMED_MAX {
                let shown = shown(&refused.text);
                self.progress.suspend(|| eprintln!("{} line {}: {}: {shown}", refused.source, refused.line, refused.reason));
            }
            self.refused.lines.push(refused);
        }
        self.refused.count += count;
    }

    fn wait_for_rate(&mut self, bytes: usize) {
        self.sent_bytes += bytes;
        if let Some(RateLimit(per_second)) = self.limit {
            let due = Duration::from_secs_f64(self.sent_bytes as f64 / per_second);
            std::thread::sleep(due.saturating_sub(self.started.elapsed()));
        }
    }

    pub fn finish(self) -> Refused {
        self.progress.finish_and_clear();
        match self.refused.quarantined {
            0 => {}
            1 => eprintln!("1 line clashes with its measurement and is in quarantine (measurement _quarantine)"),
            count => eprintln!("{count} lines clash with their measurements and are in quarantine (measurement _quarantine)"),
        }
        self.refused
    }
}

impl Refused {
    /// A failure when lines were refused.
    pub fn outcome(&self) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        let hidden = self.count.saturating_sub(NAMED_MAX);
        let more = if hidden == 0 { String::new() } else { format!(" ({hidden} not shown; --errors-file keeps them)") };
        let stored = self.sent.saturating_sub(self.count + self.quarantined);
        Err(Failure::new(ErrorKind::Unprocessable, format!("failed to write {} lines{more}; {stored} lines were stored", self.count)))
    }
}

impl FromStr for RateLimit {
    type Err = Failure;

    /// `5 MB / 5 min`, `17kBs`, `100 B/s`.
    fn from_str(text: &str) -> Result<RateLimit> {
        let refused = || Failure::invalid(format!("`{text}` is not a rate; write it like \"5 MB / 5 min\" or 17kBs"));
        let form =
            regex::Regex::new(r"^\s*([0-9.]+)\s*(B|kB|MB)\s*/?\s*([0-9.]*)\s*(s|sec|m|min)\s*$").expect("the pattern is well formed");
        let parts = form.captures(text).ok_or_else(refused)?;
        let number = |at: usize| if parts[at].is_empty() { Ok(1.0) } else { parts[at].parse::<f64>().map_err(|_| refused()) };
        let bytes = number(1)? * [1.0, 1e3, 1e6][["B", "kB", "MB"].iter().position(|u| *u == &parts[2]).unwrap_or(0)];
        let seconds = number(3)? * if parts[4].starts_with('m') { 60.0 } else { 1.0 };
        if bytes > 0.0 && seconds > 0.0 { Ok(RateLimit(bytes / seconds)) } else { Err(refused()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, rate) in [("5 MB / 5 min", 5e6 / 300.0), ("17kBs", 17_000.0), ("100 B/s", 100.0), ("1.5MB/2s", 750_000.0)] {
            assert_eq!(text.parse::<RateLimit>().expect(text), RateLimit(rate), "{text}");
        }
        for text in ["", "5", "5 GB/s", "0B/s", "5MB/0s"] {
            assert!(text.parse::<RateLimit>().is_err(), "{text}");
        }
    }
}
