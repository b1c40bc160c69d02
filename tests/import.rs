//! Directories of InfluxDB into a running server. `cases/tsm/v1` was written by InfluxDB 1.6.7; that what is read of it is
//! what that server answered is a unit test of `tsm`. Here both sides of an import are compared, by the program and by us.

use crate::process::{PROGRAM, Printed, Serving, TOKEN, run};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

struct Server {
    serving: Serving,
    folder: tempfile::TempDir,
}

impl Server {
    fn set_up() -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server { serving: Serving::start(&folder.path().join("data"), &[]), folder };
        let made = server.call(&["setup", "-u", "admin", "-p", "password", "-o", "o", "-b", "first", "-t", TOKEN, "-f"]);
        assert!(made.status.success(), "{}", made.err);
        server
    }

    fn call(&self, words: &[&str]) -> Printed {
        let configs = self.folder.path().join("configs");
        let configs = configs.to_string_lossy();
        run(Path::new(PROGRAM), words, &[("INFLUX_CONFIGS_PATH", &configs), ("INFLUX_HOST", &self.serving.url)], b"")
    }

    /// What a command that succeeds prints.
    fn out(&self, words: &[&str]) -> String {
        let printed = self.call(words);
        assert!(printed.status.success(), "{words:?}: {}{}", printed.out, printed.err);
        printed.out
    }

    /// The cells of an InfluxQL answer as CSV, without its header.
    fn influxql(&self, database: &str, text: &str) -> Vec<String> {
        self.out(&["query", "--type", "influxql", "-b", database, "--format", "csv", text]).lines().skip(1).map(str::to_string).collect()
    }
}

fn v1() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/tsm/v1")
}

/// Bucket, measurement, rows, values and outcome of each line of a table.
fn lines(table: &str) -> Vec<String> {
    let cells = |line: &str| -> Vec<String> { line.split('\t').filter(|cell| !cell.is_empty()).map(str::to_string).collect() };
    let short = |cells: Vec<String>| [&cells[..4], &cells[cells.len() - 1..]].concat().join(" | ");
    table.lines().skip(1).map(|line| short(cells(line))).collect()
}

#[test]
fn a_directory_of_influxdb_1_is_imported_and_compared() {
    let server = Server::set_up();
    let dir = v1().to_string_lossy().into_owned();
    let import = ["import", "influxdb-v1", &dir];
    let table = server.out(&import);
    assert!(table.starts_with("Bucket\t"), "{table}");
    let all = lines(&table);
    assert!(all.iter().all(|line| line.ends_with(" | same")), "{table}");
    for line in ["other db/two words | m | 3 | 3 | same", "plant/ages | age | 4 | 4 | same", "plant/autogen | sparse | 4 | 4 | same"] {
        assert!(all.contains(&line.to_string()), "{line} is missing in {table}");
    }

    // Databases answer as before, their default policies too.
    assert_eq!(server.influxql("plant", "SELECT depth FROM sparse WHERE side = 'west'").len(), 4);
    let oldest = server.influxql("plant", "SELECT first(years) FROM ages.age");
    assert!(oldest[0].ends_with(",0"), "{oldest:?}");
    let overwritten = server.influxql("plant", "SELECT load, note FROM machine WHERE rack = '1' AND time = 1600000100000000000");
    assert!(overwritten[0].contains("2000.25") && overwritten[0].contains("again"), "{overwritten:?}");
    assert_eq!(server.influxql("other db", "SELECT f FROM m").len(), 3, "the only policy of a database is its default");
    let policies = server.influxql("plant", "SHOW RETENTION POLICIES");
    assert!(policies.iter().any(|line| line.contains("autogen") && line.ends_with("true")), "{policies:?}");

    // Once more, and in part: nothing changes.
    assert_eq!(server.out(&import), table);
    let part = server.out(&[&import[..], &["--database", "plant", "--rp", "autogen", "--shard", "1", "--measurement", "fresh"]].concat());
    assert_eq!(lines(&part).len(), 1, "{part}");
    let dry = server.out(&[&import[..], &["--dry-run", "--host", "http://127.0.0.1:1"]].concat());
    assert_eq!(lines(&dry).len(), all.len());
    assert!(dry.contains("not imported") && !dry.contains("same"), "{dry}");
    let json: serde_json::Value =
        serde_json::from_str(&server.out(&[&import[..], &["--database", "plant", "--json"]].concat())).expect("JSON");
    let age = json.as_array().expect("lines").iter().find(|line| line["measurement"] == "age").expect("a line");
    assert_eq!((&age["bucket"], &age["same"], &age["files"]["last"]), (&"plant/ages".into(), &true.into(), &"2017-07-14T02:40:00Z".into()));
    let early = ["--start", "1843-03-31T16:53:20Z", "--end", "1970-01-01T00:00:00Z", "--database", "plant", "--rp", "ages", "--json"];
    let json: serde_json::Value = serde_json::from_str(&server.out(&[&import[..], &early].concat())).expect("JSON");
    assert_eq!(json[0]["files"]["rows"], 2, "both ends count: {json}");

    // A row that the files do not have is found out.
    server.out(&["write", "-b", "plant/autogen", "sparse,side=west depth=0i 8"]);
    let differs = server.call(&import);
    assert_eq!(differs.status.code(), Some(1), "{}", differs.out);
    assert!(differs.err.contains("Error: 1 of "), "{}", differs.err);
    let found: Vec<String> = lines(&differs.out).into_iter().filter(|line| line.contains("sparse")).collect();
    assert_eq!(found, ["plant/autogen | sparse | 4 | 4 | differs", "plant/autogen | sparse | 5 | 5 | on the server"]);

    let nothing = server.call(&[&import[..], &["--database", "plants"]].concat());
    assert!(nothing.err.contains("nothing to import"), "{}", nothing.err);
    let wrong = server.call(&["import", "influxdb-v1", &v1().join("wal").to_string_lossy()]);
    assert!(wrong.err.contains("is no data directory of InfluxDB 1.x"), "{}", wrong.err);
}

#[test]
fn refused_values_are_named_and_cost_their_rows_nothing_else() {
    let server = Server::set_up();
    server.out(&["bucket", "create", "-n", "plant/autogen"]);
    server.out(&["write", "-b", "plant/autogen", "machine,host=z jobs=\"a text\" 1"]);
    let dir = v1().to_string_lossy().into_owned();
    let refused = server.call(&["import", "influxdb-v1", &dir, "--database", "plant", "--rp", "autogen"]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.out);
    assert!(refused.err.contains("refused: ") && refused.err.contains("jobs"), "{}", refused.err);
    let values = |table: &str, outcome: &str| -> u64 {
        let line = lines(table).into_iter().find(|line| line.contains("| machine |") && line.ends_with(outcome)).expect("a line");
        line.split(" | ").nth(3).expect("values").parse().expect("a number")
    };
    let (files, stored) = (values(&refused.out, "differs"), values(&refused.out, "on the server"));
    let jobs = files - stored;
    assert!(
        refused.err.contains(&format!("Error: 1 of 7 measurements differ between the files and the server; {jobs} values were refused")),
        "{}",
        refused.err
    );
    let counted = server.influxql("plant", "SELECT count(load), count(up) FROM machine");
    let dry = server.out(&["import", "influxdb-v1", &dir, "--database", "plant", "--rp", "autogen", "--dry-run"]);
    assert_eq!(values(&dry, "not imported"), files);
    assert!(jobs > 1000 && stored > 1000, "{jobs} {counted:?}");
}

/// Released versions of InfluxDB 2.x keep shards as 1.x does, in folders that are named by buckets; so this directory is
/// made of the one that 1.6.7 wrote, and of a bolt file (`cases/tsm/make_bolt.go`). No InfluxDB 2.x has written it.
fn v2(into: &Path) {
    let copy = |from: &str, bucket: &str| {
        for kind in ["data", "wal"] {
            let from = v1().join(kind).join(from);
            for shard in fs::read_dir(&from).into_iter().flatten() {
                let shard = shard.expect("a folder");
                let to = into.join("engine").join(kind).join(bucket).join("autogen").join(shard.file_name());
                fs::create_dir_all(&to).expect("a folder");
                for file in fs::read_dir(shard.path()).expect("a folder") {
                    let file = file.expect("a file");
                    fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
                }
            }
        }
    };
    copy("plant/autogen", "0a00000000000001");
    copy("plant/ages", "0a00000000000002");
    copy("other db/two words", "0c00000000000009");
    // The index of series is no shard.
    fs::create_dir_all(into.join("engine/data/0a00000000000001/_series/00")).expect("a folder");
    fs::write(into.join("engine/data/0a00000000000001/_series/00/0000"), "index").expect("a file");
    let mut bolt = vec![];
    let packed = fs::File::open(v1().with_file_name("v2.bolt.gz")).expect("the case is there");
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bolt).expect("gzip");
    fs::write(into.join("influxd.bolt"), bolt).expect("a file");
}

#[test]
fn a_directory_of_influxdb_2_is_imported_under_the_names_of_its_buckets() {
    let server = Server::set_up();
    let home = server.folder.path().join("influxdbv2");
    v2(&home);
    let dir = home.to_string_lossy().into_owned();
    let table = server.out(&["import", "influxdb-v2", &dir, "--bucket-map", "0c00000000000009=mine"]);
    let all = lines(&table);
    assert!(all.iter().all(|line| line.ends_with(" | same")), "{table}");
    assert!(all.contains(&"mine | m | 3 | 3 | same".to_string()), "{table}");
    assert!(all.contains(&"sensors | sparse | 4 | 4 | same".to_string()), "{table}");
    assert!(!table.contains("_monitoring"), "InfluxDB's own buckets stay where they are: {table}");
    let flux =
        "from(bucket: \"sensors\") |> range(start: 1900-01-01T00:00:00Z) |> filter(fn: (r) => r._measurement == \"sparse\") |> count()";
    assert!(server.out(&["query", flux]).trim_end().ends_with(" 4"));

    let engine = home.join("engine").to_string_lossy().into_owned();
    let by_id = server.out(&["import", "influxdb-v2", &engine, "--bucket", "0c00000000000009", "--dry-run"]);
    assert_eq!(lines(&by_id), ["0c00000000000009 | m | 3 | 3 | not imported"], "a bucket that nobody knows any more has its id");
    fs::remove_file(home.join("influxd.bolt")).expect("it is there");
    let nameless = server.call(&["import", "influxdb-v2", &engine, "--bucket", "0a00000000000001", "--dry-run"]);
    assert!(nameless.status.success() && nameless.err.contains("There is no influxd.bolt"), "{}", nameless.err);
    let twice = ["--bucket-map", "0a00000000000001=x", "--bucket-map", "0a00000000000002=x", "--dry-run"];
    let refused = server.call(&[&["import", "influxdb-v2", &engine][..], &twice].concat());
    assert!(refused.err.contains("buckets 0a00000000000001 and 0a00000000000002 are both called x"), "{}", refused.err);
}

#[test]
fn a_damaged_file_stops_the_import_and_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    v2(folder.path());
    let path = folder.path().join("engine/data/0c00000000000009/autogen/9/000000001-000000001.tsm");
    let mut bytes = fs::read(&path).expect("a file");
    bytes[12] ^= 1;
    fs::write(&path, bytes).expect("a file");
    let dir = folder.path().to_string_lossy().into_owned();
    let refused = run(Path::new(PROGRAM), &["import", "influxdb-v2", &dir, "--dry-run"], &[], b"");
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.err.contains("000000001-000000001.tsm is damaged at byte 5: "), "{}", refused.err);
}

/// Where a bucket coerces integers, both sides are the same as floats.
#[test]
fn integers_that_a_bucket_makes_floats_of_are_no_difference() {
    let server = Server::set_up();
    server.out(&["bucket", "create", "-n", "plant/autogen", "--type-conflicts", "coerce"]);
    server.out(&["write", "-b", "plant/autogen", "machine,host=z jobs=1.5 1"]);
    let dir = v1().to_string_lossy().into_owned();
    let import = ["import", "influxdb-v1", &dir, "--database", "plant", "--rp", "autogen"];
    let table = server.out(&import);
    let machine: Vec<String> = lines(&table).into_iter().filter(|line| line.contains("| machine |")).collect();
    assert!(machine.len() == 1 && machine[0].ends_with(" | same as floats"), "{table}");
    assert!(lines(&table).iter().all(|line| line.contains("| machine |") || line.ends_with(" | same")), "{table}");
    let json: serde_json::Value = serde_json::from_str(&server.out(&[&import[..], &["--json"]].concat())).expect("JSON");
    let found = |name: &str| json.as_array().expect("lines").iter().find(|line| line["measurement"] == name).expect("a line").clone();
    assert_eq!((&found("machine")["same"], &found("machine")["asFloats"]), (&true.into(), &true.into()));
    assert_eq!((&found("sparse")["same"], &found("sparse")["asFloats"]), (&true.into(), &false.into()));

    // What is another number is a difference.
    server.out(&["write", "-b", "plant/autogen", "sparse,side=west depth=0i 8"]);
    assert_eq!(server.call(&import).status.code(), Some(1));
}
