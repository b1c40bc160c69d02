//! `verify`: reads everything that is stored and names what is damaged. Exit status 0: all is well; 1: something is damaged; 2: it
//! could not be checked.

use super::{
    output::{OutputArguments, Table, json_text, say},
    place::{Place, PlaceArguments},
    quantity::size,
    serve::run::on_runtime,
    server::answered,
};
use crate::{
    engine::upkeep::Offline,
    model::Result,
    storage::verify::{Finding, Kind, Report, Verdict},
};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Could not be checked.
pub const UNCHECKED: u8 = 2;

#[derive(clap::Args)]
pub struct VerifyArguments {
    #[command(flatten)]
    place: PlaceArguments,
    #[command(flatten)]
    output: OutputArguments,
}

impl VerifyArguments {
    pub fn run(self) -> ExitCode {
        match self.report().and_then(|report| self.print(&report).map(|()| report.damaged().count())) {
            Ok(0) => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(failure) => {
                eprintln!("Error: nothing is known: {failure}");
                ExitCode::from(UNCHECKED)
            }
        }
    }

    fn report(&self) -> Result<Report> {
        match self.place.open()? {
            Place::Online(connection) => answered(connection.server.post("/api/v2/tidegauge/verify", &[], &Value::Null)?),
            Place::Offline(settings, rows_only) => {
                let offline = Offline::open(*settings, rows_only)?;
                on_runtime(offline.verify())
            }
        }
    }

    fn print(&self, report: &Report) -> Result<()> {
        if self.output.json {
            return say(&json_text(&json!(report))?);
        }
        let mut text = checked(report).text(!self.output.hide_headers);
        if !report.findings.is_empty() {
            text += &format!("\n{}", findings(report).text(!self.output.hide_headers));
        }
        text += match report.damaged().count() {
            0 => "\nNothing is damaged.\n".to_string(),
            1 => "\n1 file is damaged.\n".into(),
            n => format!("\n{n} things are damaged.\n"),
        }
        .as_str();
        say(&text)
    }
}

fn word(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Log => ("log", "records"),
        Kind::Manifest => ("manifest", "deletes"),
        Kind::Parquet => ("parquet", "rows"),
        Kind::Catalog => ("catalog", "changes"),
        Kind::Other => ("other", ""),
    }
}

fn checked(report: &Report) -> Table {
    let rows = report.checked.iter().map(|(kind, tally)| {
        let (kind_word, unit) = word(*kind);
        let damaged = report.damaged().filter(|f| f.kind == *kind).count();
        let entries = if unit.is_empty() { String::new() } else { format!("{} {unit}", tally.entries) };
        vec![kind_word.into(), tally.files.to_string(), size(tally.bytes), entries, damaged.to_string()]
    });
    Table::new(&["Checked", "Files", "Size", "Entries", "Damaged"]).rows(rows)
}

fn findings(report: &Report) -> Table {
    let row = |f: &Finding| {
        let verdict = if f.verdict == Verdict::Damaged { "DAMAGED" } else { "note" };
        vec![verdict.into(), f.file.clone(), f.what.clone(), f.advice.clone()]
    };
    let (damaged, notes): (Vec<&Finding>, Vec<&Finding>) = report.findings.iter().partition(|f| f.verdict == Verdict::Damaged);
    Table::new(&["Verdict", "File", "What", "What to do"]).rows(damaged.into_iter().chain(notes).map(row))
}
