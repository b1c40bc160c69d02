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

impl Line {
    fn differs(&self) -> bool {
        self.server.as_ref().is_some_and(|server| *server != self.files)
    }

    /// What the files hold; where the server has something else, that in a row of its own.
    fn rows(&self) -> Vec<Vec<String>> {
        let row = |name: &str, tally: &Tally, outcome: &str| {
            let (first, last, checksum) = printed(tally);
            let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
            vec![self.bucket.clone(), name.into(), tally.rows.to_string(), tally.values.to_string(), first, last, checksum, outcome.into()]
        };
        match &self.server {
            None => vec![row(&self.measurement, &self.files, "not imported")],
            Some(_) if !self.differs() => vec![row(&self.measurement, &self.files, "same")],
            Some(server) => vec![row(&self.measurement, &self.files, "differs"), row(&self.measurement, server, "on the server")],
        }
    }

    fn json(&self) -> Value {
        let tally = |tally: &Tally| {
            let (first, last, checksum) = printed(tally);
            json!({ "rows": tally.rows, "values": tally.values, "first": first, "last": last, "checksum": checksum })
        };
        let same = self.server.as_ref().map(|_| !self.differs());
        let (files, server) = (tally(&self.files), self.server.as_ref().map(tally));
        json!({ "bucket": self.bucket, "measurement": self.measurement, "files": files, "server": server, "same": same })
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
