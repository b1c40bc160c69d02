//! Flux's own testcases, from a checkout beside the project or where `TIDEGAUGE_FLUX_SUITE` says: none of them is
//! copied here. The score may only rise. `tidegauge test flux DIR` runs the same and tells what fails and why.

use crate::support::Database;
use std::{path::PathBuf, time::Duration};
use tidegauge::{
    clock::{Clock, SystemClock},
    flux::testcase::Selection,
    query::{
        session::{SessionSettings, Sessions},
        testcases::{RunOptions, Suite, run},
    },
};

/// Testcases that pass, of the 902 that run without tags.
const FLOOR: usize = 897;

fn folder() -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/conformance/flux/stdlib");
    std::env::var_os("TIDEGAUGE_FLUX_SUITE").map_or_else(beside, PathBuf::from)
}

#[test]
fn upstream_testcases_pass() {
    let folder = folder();
    if !folder.is_dir() {
        println!("skipped: no Flux testcases in {}; TIDEGAUGE_FLUX_SUITE names their folder", folder.display());
        return;
    }
    let testcases = Suite::read(&folder).expect("the suite can be read").testcases().expect("the suite parses");
    let selection = Selection::default();
    let chosen: Vec<_> = testcases.into_iter().filter(|t| selection.takes(t)).collect();
    let sessions = Sessions::new(&SessionSettings::default(), vec![]).expect("a session");
    let threads = std::thread::available_parallelism().map_or(2, |n| n.get());
    let options = RunOptions { threads, time_limit: Duration::from_secs(60), now: SystemClock.now(), stored: false };
    let outcomes = run(&chosen, &sessions, options, |_, _| {});
    let passed = outcomes.iter().filter(|o| o.failure.is_none()).count();
    println!("{passed} of {} testcases passed", chosen.len());
    let failures: Vec<String> = chosen
        .iter()
        .zip(&outcomes)
        .filter_map(|(t, o)| Some(format!("{}: {}", t.full_name(), o.failure.as_ref()?.lines().next().unwrap_or_default())))
        .collect();
    assert!(passed >= FLOOR, "{passed} testcases passed, {FLOOR} did before:\n{}", failures.join("\n"));
}

/// `to()` writes while its plan runs on the threads of the server.
#[tokio::test(flavor = "multi_thread")]
async fn rows_written_by_a_script_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path(), 1_600_000_000_000_000_000).await;
    let written = database
        .flux(
            r#"import "array"
            array.from(rows: [{_time: 2020-09-01T00:00:00Z, _measurement: "m", _field: "f", host: "a", _value: 1.5}]) |> to(bucket: "db")"#,
        )
        .await
        .expect("the rows are stored");
    assert_eq!(written.len(), 1);
    let read = database.flux(r#"from(bucket: "db") |> range(start: 2020-09-01T00:00:00Z) |> keep(columns: ["host", "_value"])"#).await;
    let read = read.expect("the rows are read");
    assert_eq!(read.len(), 1, "{read:?}");
    assert_eq!((read[0]["host"].as_str(), read[0]["_value"].as_str()), ("a", "1.5"));
}
