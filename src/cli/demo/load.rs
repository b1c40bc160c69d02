//! The sample data, written through the API in requests of some hundred lines; each is durable before the next begins.

use super::NAME;
use crate::{
    cli::{
        output::say,
        question::{Language, Question},
        server::Server,
    },
    model::Result,
};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use std::io::Read;

/// 75 minutes of a real machine; see `data/README.md`.
const SAMPLE: &[u8] = include_bytes!("../../../data/machine.lp.gz");
const LINES_PER_REQUEST: usize = 500;

/// Loads the data unless all of it is there: a run that was interrupted is made good, as rows are written once however
/// often they are sent.
pub fn unless_there(server: &Server) -> Result<()> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(SAMPLE).read_to_string(&mut text)?;
    let lines: Vec<&str> = text.lines().collect();
    let samples = lines.iter().filter(|line| line.starts_with("mem,")).count();
    if stored_samples(server) == Some(samples as f64) {
        return say("The sample data is there already.\n");
    }
    let style = ProgressStyle::with_template("loading sample data {bar:40} {pos}/{len} lines, {per_sec}");
    let bar = ProgressBar::new(lines.len() as u64).with_style(style.expect("the template is well formed"));
    for chunk in lines.chunks(LINES_PER_REQUEST) {
        let params = [("org", NAME), ("bucket", NAME), ("precision", "ns")];
        server.send(server.request(Method::POST, "/api/v2/write", &params).body(chunk.join("\n")))?;
        bar.inc(chunk.len() as u64);
    }
    bar.finish();
    say(&format!("{} lines of machine metrics are in bucket {NAME}.\n", lines.len()))
}

/// Rows of the measurement `mem`, which has one per sample; `None` when it cannot be asked.
fn stored_samples(server: &Server) -> Option<f64> {
    let question = Question {
        language: Language::InfluxQl,
        text: "SELECT count(used) FROM mem".into(),
        org: vec![("org", NAME.into())],
        database: Some(NAME.into()),
        profilers: vec![],
    };
    question.answer(server).ok()?.series().first()?.values.first().copied().flatten()
}
