//! The end of an import: a line per measurement, and whether both sides are the same.

use super::tally::Tally;
use crate::{
    cli::output::{OutputArguments, Table},
    model::{ErrorKind, Failure, Result, time::rfc3339},
};
use serde_json::{Value, json};

#[derive(Default)]
pub struct Report {
    pub lines: Vec<Line>,
    /// Values that were not stored.
    pub refused: u64,
}

pub struct Line {
    pub bucket: String,
    pub measurement: String,
    pub files: Tally,
    /// `None` when nothing was imported.
    pub server: Option<Tally>,
}

/// What both sides are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    Same,
    /// Some integers became floats, as a bucket has it that coerces them.
    SameAsFloats,
    Differs,
}

impl Line {
    /// `None` when nothing was imported.
    fn compared(&self) -> Option<Compared> {
        let (files, server) = (&self.files, self.server.as_ref()?);
        let as_floats = |tally: &Tally| Tally { checksum: 0, ..tally.clone() };
        Some(match files == server {
            true => Compared::Same,
            false if as_floats(files) == as_floats(server) => Compared::SameAsFloats,
            false => Compared::Differs,
        })
    }

    fn differs(&self) -> bool {
        self.compared() == Some(Compared::Differs)
    }

    /// What the files hold; where the server has something else, that in a row of its own.
    fn rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, tally: &Tally, outcome: &str| {
            let (first, last, checksum) = printed(tally);
            let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
            vec![self.bucket.clone(), name.into(), tally.rows.to_string(), tally.values.to_string(), first, last, checksum, outcome.into()]
        };
        let files = |outcome| row(&self.measurement, &self.files, outcome);
        let server = self.server.iter().map(|server| row(&self.measurement, server, "on the server"));
        match self.compared() {
            None => vec![files("not imported")],
            Some(Compared::Same) => vec![files("same")],
            Some(Compared::SameAsFloats) => vec![files("same as floats")],
            Some(Compared::Differs) => std::iter::once(files("differs")).chain(server).collect(),
        }
    }

    fn json(&self) -> Value {
        let tally = |tally: &Tally| {
            let (first, last, checksum) = printed(tally);
            json!({ "rows": tally.rows, "values": tally.values, "first": first, "last": last, "checksum": checksum })
        };
        let same = self.compared().map(|compared| compared != Compared::Differs);
        let as_floats = self.compared().map(|compared| compared == Compared::SameAsFloats);
        let (files, server) = (tally(&self.files), self.server.as_ref().map(tally));
        json!({
            "bucket": self.bucket,
            "measurement": self.measurement,
            "files": files,
            "server": server,
            "same": same,
            "asFloats": as_floats,
        })
    }
}

/// First and last time, where there is a row, and the checksum.
fn printed(tally: &Tally) -> (Option<String>, Option<String>, String) {
    (tally.times.map(|t| rfc3339(t.0)), tally.times.map(|t| rfc3339(t.1)), format!("{:016x}", tally.checksum))
}

impl Report {
    /// Prints the table; a failure when a measurement differs.
    pub fn print(&self, output: &OutputArguments) -> Result<()> {
        let headers = ["Bucket", "Measurement", "Rows", "Values", "First time", "Last time", "Checksum", "Compared"];
        let table = Table::new(&headers).rows(self.lines.iter().flat_map(Line::rows));
        output.print(&table, &self.lines.iter().map(Line::json).collect())?;
        let refused = match self.refused {
            0 => String::new(),
            refused => format!("; {refused} values were refused"),
        };
        match self.lines.iter().filter(|line| line.differs()).count() {
            0 if self.refused == 0 => Ok(()),
            0 => Err(Failure::new(ErrorKind::Unprocessable, format!("all measurements are the same on both sides{refused}"))),
            differing => {
                let message = format!("{differing} of {} measurements differ between the files and the server{refused}", self.lines.len());
                Err(Failure::new(ErrorKind::Unprocessable, message))
            }
        }
    }
}
