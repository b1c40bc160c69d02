//! Settings in a TOML file. Sections are parts of names: `[http]` with `bind-address` is `http-bind-address`. Some names of
//! InfluxDB 1.x are taken for ours or passed over.

use super::{Given, IGNORED, Layer, RENAMED, known};
use crate::model::{Failure, Result};
use std::path::Path;
use toml::{Table, Value};

pub fn read(path: &Path) -> Result<Layer> {
    // influxd takes the folder of the file too.
    let path = if path.is_dir() { path.join("config.toml") } else { path.to_path_buf() };
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|e| Failure::invalid(format!("the settings in {shown} cannot be read: {e}")))?;
    parse(&text, &shown)
}

fn parse(text: &str, source: &str) -> Result<Layer> {
    let table: Table = text.parse().map_err(|e| Failure::invalid(format!("{source}: {e}")))?;
    let mut layer = Layer::new();
    section("", &table, source, &mut layer)?;
    Ok(layer)
}

fn section(prefix: &str, table: &Table, source: &str, layer: &mut Layer) -> Result<()> {
    for (name, value) in table {
        let name = format!("{prefix}{}", name.replace('_', "-"));
        let text = match value {
            Value::Table(inner) => {
                section(&format!("{name}-"), inner, source, layer)?;
                continue;
            }
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            other => {
                let found = other.type_str();
                return Err(Failure::invalid(format!("{source}: `{name}` is a {found}; text, a whole number or a boolean is expected")));
            }
        };
        let given = Given { text, source: source.to_string() };
        let ignored = IGNORED.iter().find(|(ignored, _)| *ignored == name);
        match (RENAMED.iter().find(|(old, _)| *old == name), ignored) {
            // Under its own name it counts more.
            (Some((_, ours)), _) => _ = layer.entry(ours).or_insert(given),
            (None, Some((ignored, _))) => _ = layer.insert(ignored, given),
            (None, None) => _ = layer.insert(known(&name, source)?.name, given),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{super::Settings, *};

    #[test]
    fn sections_are_parts_of_names() {
        let text = "data-dir = \"d\"\nquery_concurrency = 5\n[http]\nbind-address = \":1\"\nmax-body-size = 536870912\n[metrics]\ndisabled = true\n";
        let layer = parse(text, "f").expect("fine");
        let found: Vec<(&str, &str)> = layer.iter().map(|(name, given)| (*name, given.text.as_str())).collect();
        let expected = [
            ("data-dir", "d"),
            ("http-bind-address", ":1"),
            ("http-max-body-size", "536870912"),
            ("metrics-disabled", "true"),
            ("query-concurrency", "5"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn names_of_influxdb_1_are_taken_or_passed_over() {
        let text = "[data]\ncache-max-memory-bytes = 1073741824\nmax-series-db = 2000000\n[storage]\nmax-index-log-file-size = 10485760\n";
        let layer = parse(text, "f").expect("fine");
        assert_eq!(layer["storage-cache-max-memory-size"].text, "1073741824");
        let settings = Settings::of(&[layer]).expect("fine");
        assert_eq!(settings.engine.storage.buffer_bytes_max, 1 << 30);
        let expected = [
            "f: `data-max-series-db` asks for nothing: there is no limit on series",
            "f: `storage-max-index-log-file-size` asks for nothing: there is no index of series",
        ];
        assert_eq!(settings.warnings, expected);
        let both = "storage-cache-max-memory-size = 5\n[data]\ncache-max-memory-bytes = 7\n";
        assert_eq!(parse(both, "f").expect("fine")["storage-cache-max-memory-size"].text, "5");
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(parse("data-dir = 1.5", "f").expect_err("a float").message.contains("`data-dir` is a float"));
        assert!(parse("data-dir = ", "f").expect_err("no TOML").message.starts_with("f: TOML parse error at line 1"));
    }
}
