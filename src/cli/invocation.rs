//! What the program was called as: itself, or InfluxDB's `influx` and `influxd` through a link of that name.

use crate::model::{ErrorKind, Failure, Result};
use std::{ffi::OsString, path::Path};

/// Commands of InfluxDB 2.x that Tidegauge does not have yet, and what to do instead.
const NOT_YET: &[(&str, &str)] = &[
    ("backup", "stop the server and copy its data directory; the rows are plain Parquet files below `store/`"),
    ("restore", "put a copy of a data directory back while no server uses it"),
    ("task", "run the script on a schedule of your own with `query --file`"),
    ("apply", "create buckets with `bucket create`"),
    ("export", "ask for what you need with `query --format parquet`"),
    ("secret", "use the HTTP API: /api/v2/orgs/{id}/secrets"),
    ("completion", "see `--help` of each command"),
    ("inspect", "see `tidegauge inspect` and `tidegauge verify`; the files below the data directory are plain Parquet"),
    ("recovery", "stop the server, move `catalog.sqlite` and `catalog.copy.sqlite` away and set it up again"),
    ("upgrade", "`tidegauge import influxdb-v1 DIR` reads the files of InfluxDB 1.x"),
    ("stacks", ""),
    ("template", ""),
    ("dashboards", ""),
    ("telegrafs", ""),
    ("remote", ""),
    ("replication", ""),
    ("scripts", ""),
    ("bucket-schema", ""),
    ("server-config", "the server prints its settings with `serve --help`"),
    ("print-config", "see `serve --help`"),
];

/// The arguments as the tree of commands takes them. `influxd` without a command is `serve`, as is `influxd run`.
pub fn arguments(mut words: Vec<OsString>) -> Result<Vec<OsString>> {
    let called = words.first().map(|w| Path::new(w).file_stem().unwrap_or_default().to_string_lossy().into_owned()).unwrap_or_default();
    let command = words.get(1).and_then(|w| w.to_str()).unwrap_or("").to_string();
    // `inspect` is a command of ours, too, and another one.
    let ours = !matches!(called.as_str(), "influx" | "influxd") && command == "inspect";
    if let Some((name, instead)) = NOT_YET.iter().find(|(name, _)| *name == command && !ours) {
        let instead = if instead.is_empty() { String::new() } else { format!("; {instead}") };
        let message = format!("`{called} {name}` is InfluxDB's and not supported by Tidegauge yet{instead}");
        return Err(Failure::new(ErrorKind::NotImplemented, message));
    }
    if called == "influxd" {
        match command.as_str() {
            "serve" | "version" | "help" | "--help" | "-h" | "--version" => {}
            "run" => words[1] = "serve".into(),
            _ => words.insert(1.min(words.len()), "serve".into()),
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn influxd_serves_unless_it_is_asked_for_something_else() {
        let read = |line: &str| arguments(line.split(' ').map(Into::into).collect()).map(|words| words.join(" ".as_ref()));
        assert_eq!(read("/usr/bin/influxd").expect("fine"), "/usr/bin/influxd serve");
        assert_eq!(read("influxd run --log-level debug").expect("fine"), "influxd serve --log-level debug");
        assert_eq!(read("influxd --data-dir x").expect("fine"), "influxd serve --data-dir x");
        assert_eq!(read("influxd serve --data-dir x").expect("fine"), "influxd serve --data-dir x");
        assert_eq!(read("influxd version").expect("fine"), "influxd version");
        assert_eq!(read("tidegauge bucket list").expect("fine"), "tidegauge bucket list");
        let refused = read("influxd backup /path/to/backup").expect_err("not yet");
        assert!(refused.message.contains("`influxd backup` is InfluxDB's and not supported by Tidegauge yet"), "{refused}");
    }
}
