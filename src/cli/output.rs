//! What commands print: tab-aligned tables or JSON, as the `influx` CLI does.

use crate::model::{Failure, Result};
use serde::Serialize;
use serde_json::Value;
use std::io::{ErrorKind, Write};

#[derive(Debug, Clone, Default, clap::Args)]
pub struct OutputArguments {
    /// Output data as JSON
    #[arg(long, env = "INFLUX_OUTPUT_JSON", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub json: bool,
    /// Hide the table headers in output data
    #[arg(long, env = "INFLUX_HIDE_HEADERS", hide_env_values = true, value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    pub hide_headers: bool,
}

/// Rows under headers.
pub struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(headers: &[&'static str]) -> Table {
        Table { headers: headers.to_vec(), rows: vec![] }
    }

    pub fn row(mut self, cells: Vec<String>) -> Table {
        self.rows.push(cells);
        self
    }

    pub fn rows(mut self, rows: impl IntoIterator<Item = Vec<String>>) -> Table {
        self.rows.extend(rows);
        self
    }

    /// One more column with the same text in each row.
    pub fn column(mut self, header: &'static str, text: &str) -> Table {
        self.headers.push(header);
        self.rows.iter_mut().for_each(|row| row.push(text.into()));
        self
    }

    /// Cells end with tabs up to a common tab stop (width 8), the last of a row with nothing.
    pub fn text(&self, with_headers: bool) -> String {
        let headers: Vec<String> = self.headers.iter().map(|h| h.to_string()).collect();
        let lines: Vec<&Vec<String>> = with_headers.then_some(&headers).into_iter().chain(&self.rows).collect();
        let stop = |column: usize| {
            let widest = lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
            (widest + 1).div_ceil(8) * 8
        };
        let stops: Vec<usize> = (0..self.headers.len()).map(stop).collect();
        let mut out = String::new();
        for line in &lines {
            for (column, cell) in line.iter().enumerate() {
                out.push_str(cell);
                if column + 1 < line.len() {
                    let tabs = (stops[column] - cell.chars().count()).div_ceil(8);
                    out.extend(std::iter::repeat_n('\t', tabs));
                }
            }
            out.push('\n');
        }
        out
    }
}

impl OutputArguments {
    /// The table, or `json` in its place when that was asked for.
    pub fn print(&self, table: &Table, json: &Value) -> Result<()> {
        if self.json { say(&json_text(json)?) } else { say(&table.text(!self.hide_headers)) }
    }
}

/// JSON indented with tabs, as Go prints it.
pub fn json_text(value: &Value) -> Result<String> {
    let mut out = vec![];
    let mut writer = serde_json::Serializer::with_formatter(&mut out, serde_json::ser::PrettyFormatter::with_indent(b"\t"));
    value.serialize(&mut writer).map_err(|e| Failure::internal(e.to_string()))?;
    out.push(b'\n');
    Ok(String::from_utf8_lossy(&out).into_owned())
}

pub fn say(text: &str) -> Result<()> {
    emit(text.as_bytes())
}

/// Writes to stdout. A reader that has gone away (`| head`) ends the process: nobody is left to tell.
pub fn emit(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

/// The text of a field, empty when it is absent.
pub fn text(value: &Value, field: &str) -> String {
    match &value[field] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_end_at_common_tab_stops() {
        let table = Table::new(&["ID", "Name"]).row(vec!["0123456789abcdef".into(), "a".into()]).column("Deleted", "true");
        assert_eq!(table.text(true), "ID\t\t\tName\tDeleted\n0123456789abcdef\ta\ttrue\n");
        assert_eq!(table.text(false), "0123456789abcdef\ta\ttrue\n");
    }
}
