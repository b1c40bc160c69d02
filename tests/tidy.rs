//! Facts about the tree that reviewers would otherwise have to check by eye: floors import downwards only, every
//! file is reachable and says what it is, and the wall clock is read in one place.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The floor of each top-level module. A module may import from lower floors, and from itself.
const FLOORS: &[(&str, u32)] = &[
    ("model", 0),
    ("clock", 1),
    ("memory", 1),
    ("kernel", 1),
    ("line_protocol", 2),
    ("format", 2),
    ("tsm", 2),
    ("functions", 2),
    ("catalog", 2),
    ("plan", 3),
    ("flux", 4),
    ("influxql", 4),
    ("sql", 4),
    ("storage", 4),
    ("query", 5),
    ("engine", 6),
    ("http", 7),
    ("cli", 8),
    ("fuzz", 9),
];

/// Wall clock and global randomness, which only `clock.rs` may touch.
const HIDDEN_INPUTS: &[&str] = &["SystemTime::now", "Utc::now", "Local::now", "rand::rng()", "thread_rng", "rand::random"];

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn sources() -> BTreeMap<String, String> {
    fn walk(dir: &Path, root: &Path, out: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(dir).expect("a source folder can be listed") {
            let path = entry.expect("a source folder can be listed").path();
            if path.is_dir() {
                walk(&path, root, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
                out.insert(name, fs::read_to_string(&path).expect("a source file is UTF-8"));
            }
        }
    }
    let mut out = BTreeMap::new();
    walk(&source_root(), &source_root(), &mut out);
    out
}

/// The part of a file in front of its unit tests; nothing of a file that is all tests.
fn code<'a>(file: &str, text: &'a str) -> &'a str {
    if file.ends_with("/tests.rs") { "" } else { text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text) }
}

fn floor(module: &str) -> Option<u32> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

#[test]
fn floors_import_downwards_only() {
    let mut wrong = vec![];
    for (file, text) in sources() {
        let own = file.split(['/', '.']).next().unwrap_or_default().to_string();
        let Some(own_floor) = floor(&own) else {
            assert!(matches!(own.as_str(), "main" | "lib"), "{file}: module `{own}` has no floor; give it one in FLOORS");
            continue;
        };
        for (number, line) in code(&file, &text).lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for part in line.split("crate::").skip(1) {
                let names: Vec<&str> = match part.strip_prefix('{') {
                    Some(group) => group.split(['{', '}', ',', ';']).map(|n| n.trim().split("::").next().unwrap_or("")).collect(),
                    None => vec![part.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")],
                };
                for name in names {
                    if name != own && floor(name).is_some_and(|f| f >= own_floor) {
                        wrong.push(format!("src/{file}:{}: `{own}` imports `{name}`", number + 1));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not go down:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_is_reachable_and_says_what_it_is() {
    let all = sources();
    let mut wrong = vec![];
    for (file, text) in &all {
        if !file.ends_with("/tests.rs") && !text.starts_with("//!") && !text.starts_with("#![doc") {
            wrong.push(format!("src/{file}: does not begin with a module doc (`//!`)"));
        }
        if matches!(file.as_str(), "lib.rs" | "main.rs") {
            continue;
        }
        let stem = file.trim_end_matches(".rs");
        let (parent, name) = match stem.rsplit_once('/') {
            Some((parent, name)) => (format!("{parent}.rs"), name),
            None => ("lib.rs".to_string(), stem),
        };
        let declared = all.get(&parent).is_some_and(|p| {
            p.lines().any(|l| {
                let l = l.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ").trim_start_matches("pub ");
                l == format!("mod {name};")
            })
        });
        if !declared {
            wrong.push(format!("src/{file}: no `mod {name};` in src/{parent}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn time_and_randomness_are_passed_in() {
    let mut wrong = vec![];
    for (file, text) in sources() {
        if file == "clock.rs" {
            continue;
        }
        for (number, line) in code(&file, &text).lines().enumerate() {
            if let Some(hidden) = HIDDEN_INPUTS.iter().find(|h| line.contains(**h) && !line.trim_start().starts_with("//")) {
                wrong.push(format!("src/{file}:{}: `{hidden}`; take a Clock or Randomness instead", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Not a rule, a reading list: files that have grown past what fits in a head.
#[test]
fn long_files_are_listed() {
    let mut long: Vec<(usize, String)> =
        sources().into_iter().map(|(f, t)| (t.lines().count(), f)).filter(|(lines, _)| *lines > 900).collect();
    long.sort_by(|a, b| b.cmp(a));
    for (lines, file) in &long {
        println!("{lines:6}  src/{file}");
    }
    assert!(long.iter().all(|(lines, _)| *lines < 3000), "split these files: {long:?}");
}
