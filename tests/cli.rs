//! Commands against a running server, as a user of the `influx` CLI types them.

use crate::process::{PROGRAM, Printed, SETUP, Serving, TOKEN, run};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// A user's shell: links named `influx` and `influxd`, an own file of configs, a folder to work in.
struct Shell {
    folder: tempfile::TempDir,
    configs: String,
    host: String,
}

impl Shell {
    fn new(host: &str) -> Shell {
        let folder = tempfile::tempdir().expect("a folder");
        #[cfg(unix)]
        for name in ["influx", "influxd"] {
            std::os::unix::fs::symlink(PROGRAM, folder.path().join(name)).expect("a link");
        }
        let configs = folder.path().join("configs").to_string_lossy().into_owned();
        Shell { folder, configs, host: host.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.path(name), bytes).expect("a file");
        self.path(name).to_string_lossy().into_owned()
    }

    fn call(&self, program: &Path, words: &[&str], input: &[u8]) -> Printed {
        run(program, words, &[("INFLUX_CONFIGS_PATH", &self.configs), ("INFLUX_HOST", &self.host)], input)
    }

    /// What a command that succeeds prints.
    fn influx(&self, words: &[&str]) -> String {
        self.influx_with(words, b"")
    }

    fn influx_with(&self, words: &[&str], input: &[u8]) -> String {
        let printed = self.call(&self.path("influx"), words, input);
        assert!(printed.status.success(), "influx {words:?}: {}{}", printed.out, printed.err);
        printed.out
    }

    /// The error of a command that fails.
    fn refused(&self, words: &[&str]) -> String {
        let printed = self.call(&self.path("influx"), words, b"");
        assert_eq!(printed.status.code(), Some(1), "influx {words:?}: {}{}", printed.out, printed.err);
        printed.err
    }

    /// The identifier that a table's only row begins with.
    fn id(&self, words: &[&str]) -> String {
        let mut words = words.to_vec();
        words.push("--hide-headers");
        let out = self.influx(&words);
        out.split('\t').next().expect("a cell").to_string()
    }
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    out.write_all(text.as_bytes()).expect("memory");
    out.finish().expect("memory")
}

#[test]
fn a_server_is_set_up_written_to_asked_and_managed_from_the_command_line() {
    let data = tempfile::tempdir().expect("a folder");
    let server = Serving::start(data.path(), &[]);
    assert!(server.banner.contains("tidegauge setup --username admin"), "a new server says what to do: {}", server.banner);
    let shell = Shell::new(&server.url);

    assert_eq!(shell.influx(&["ping"]), "OK\n");
    assert!(shell.influx(&["version"]).contains("InfluxDB v2."));
    let made = shell.influx(&["setup", "-u", "admin", "-p", "password", "-o", "mlops", "-b", "first", "-t", TOKEN, "-f"]);
    assert_eq!(made, "User\tOrganization\tBucket\nadmin\tmlops\t\tfirst\n");
    assert_eq!(
        shell.refused(&["setup", "-u", "a", "-p", "password", "-o", "o", "-b", "b", "-f"]),
        "Error: instance has already been set up\n"
    );

    buckets(&shell);
    writing(&shell);
    asking(&shell);
    people(&shell);
    console(&shell);

    let (status, after) = server.terminate();
    assert!(status.success(), "SIGTERM ends it cleanly: {status}");
    assert!(after.as_secs() < 10, "it ended after {after:?}");
    let unreachable = shell.refused(&["ping"]);
    assert!(unreachable.contains("cannot be reached") && unreachable.contains("tidegauge serve"), "{unreachable}");
    let server = Serving::start(data.path(), &[]);
    assert!(!server.banner.contains("setup"), "nothing is left to set up: {}", server.banner);
    let count = shell.influx(&[
        "query",
        "--host",
        &server.url,
        "--type",
        "influxql",
        "-b",
        "mlops",
        "--format",
        "csv",
        "SELECT count(loss) FROM training",
    ]);
    assert!(count.contains(",1000\n"), "the rows are there after a restart: {count}");
}

fn buckets(shell: &Shell) {
    let made = shell.influx(&["bucket", "create", "--name", "mlops", "--retention", "30d"]);
    let lines: Vec<&str> = made.lines().collect();
    assert!(lines[0].starts_with("ID\t\t\tName\tRetention\tShard group duration\tOrganization ID\t\tSchema Type"), "{made}");
    assert!(lines[1].contains("\tmlops\t720h0m0s\t24h0m0s\t"), "{made}");
    assert!(shell.influx(&["bucket", "create", "-n", "archives", "-r", "0"]).contains("\tinfinite\t168h0m0s\t"));
    assert!(
        shell
            .refused(&["bucket", "create", "-n", "mlops"])
            .contains("failed to create bucket: 422 Unprocessable Entity: bucket with name mlops already exists")
    );
    let listed = shell.influx(&["bucket", "list", "--token", TOKEN]);
    for name in ["_monitoring", "_tasks", "archives", "first", "mlops"] {
        assert!(listed.contains(&format!("\t{name}\t")), "{name}: {listed}");
    }
    assert_eq!(shell.influx(&["bucket", "list", "--limit", "3", "--page-size", "2", "--hide-headers"]).lines().count(), 3);
    let json: serde_json::Value = serde_json::from_str(&shell.influx(&["bucket", "list", "-n", "mlops", "--json"])).expect("JSON");
    assert_eq!(json[0]["retentionRules"][0]["everySeconds"], 30 * 86_400);
    let id = shell.id(&["bucket", "list", "-n", "archives"]);
    assert!(shell.influx(&["bucket", "update", "-i", &id, "-n", "old", "-r", "8w"]).contains("\told\t1344h0m0s\t"));
    let added = shell.influx(&["bucket", "update", "-i", &id, "--duplicates", "sum"]);
    assert!(added.lines().next().is_some_and(|l| l.ends_with("\tDuplicates")) && added.ends_with("\tsum\n"), "{added}");
    assert!(shell.influx(&["bucket", "create", "-n", "peaks", "--duplicates", "max"]).ends_with("\tmax\n"));
    let listed = shell.influx(&["bucket", "list", "--hide-headers"]);
    assert!(listed.lines().any(|l| l.contains("\tpeaks\t") && l.ends_with("\tmax")), "{listed}");
    assert!(listed.lines().any(|l| l.contains("\tmlops\t") && l.ends_with("\tlast")), "{listed}");
    let strict = shell.influx(&["bucket", "create", "-n", "mixed", "--type-conflicts", "quarantine"]);
    assert!(strict.lines().next().is_some_and(|l| l.ends_with("\tType Conflicts")) && strict.ends_with("\tquarantine\n"), "{strict}");
    shell.influx(&["write", "-b", "mixed", "m v=1 1"]);
    let kept = shell.call(&shell.path("influx"), &["write", "-b", "mixed", "m v=2 2\nm v=t 3"], b"");
    assert!(kept.status.success() && kept.err.contains("1 line clashes with its measurement and is in quarantine"), "{}", kept.err);
    let mixed = shell.call(&shell.path("influx"), &["write", "-b", "mixed", "m v=2 2\nm v=t 4\nm v=x 3"], b"");
    assert!(!mixed.status.success() && mixed.err.contains("failed to write 1 lines; 1 lines were stored"), "{}", mixed.err);
    assert!(mixed.err.contains("1 line clashes") && mixed.err.contains("line 3: invalid boolean: m v=x 3"), "{}", mixed.err);
    let mixed = shell.id(&["bucket", "list", "-n", "mixed"]);
    let coerced = shell.influx(&["bucket", "update", "-i", &mixed, "--type-conflicts", "coerce"]);
    assert!(coerced.ends_with("\tcoerce\n"), "{coerced}");
    let both = shell.influx(&["bucket", "list"]);
    assert!(both.lines().next().is_some_and(|l| l.ends_with("\tDuplicates\tType Conflicts")), "{both}");
    assert!(both.lines().any(|l| l.contains("\tpeaks\t") && l.ends_with("\tmax\t\treject")), "{both}");
    let both = shell.call(&shell.path("influx"), &["bucket", "create", "-n", "x", "--type-conflicts", "float"], b"");
    assert!(!both.status.success() && both.err.contains("possible values: reject, coerce, quarantine"), "{}", both.err);
    shell.influx(&["bucket", "delete", "-n", "mixed"]);
    shell.influx(&["bucket", "delete", "-n", "peaks"]);
    let misspelt = shell.call(&shell.path("influx"), &["bucket", "update", "-i", &id, "--duplicates", "avg"], b"");
    assert!(!misspelt.status.success() && misspelt.err.contains("possible values: last, first, sum, max, min"), "{}", misspelt.err);
    // A shorter retention holds for the next question.
    let hours_ago = |hours: u32| format!("m v={hours} {}", chrono::Utc::now().timestamp() - i64::from(hours) * 3_600);
    shell.influx(&["write", "-b", "old", "-p", "s", &hours_ago(0), &hours_ago(2)]);
    let count = || shell.influx(&["query", "--raw", r#"from(bucket: "old") |> range(start: 0) |> count() |> keep(columns: ["_value"])"#]);
    assert!(count().contains(",2\r\n"), "{}", count());
    shell.influx(&["bucket", "update", "-i", &id, "-r", "1h"]);
    assert!(count().contains(",1\r\n"), "{}", count());
    let deleted = shell.influx(&["bucket", "delete", "-n", "old"]);
    assert!(deleted.lines().next().is_some_and(|l| l.ends_with("Deleted")) && deleted.ends_with("true\n"), "{deleted}");
    assert!(shell.refused(&["bucket", "delete", "-n", "old"]).contains("bucket \"old\" not found"));
    assert!(shell.refused(&["bucket", "create", "-n", "x", "-r", "30"]).contains("is not a duration"));
    let denied = shell.refused(&["bucket", "list", "-t", "wrong"]);
    assert_eq!(denied, "Error: failed to list buckets: 401 Unauthorized: unauthorized access\n");
}

fn writing(shell: &Shell) {
    let rows: String =
        (0..1000).map(|i| format!("training,run=r{} loss={},step={i}i {}\n", i % 2, 1.0 / f64::from(i + 1), 1_700_000_000 + i)).collect();
    let file = shell.file("rows.lp.gz", &gzipped(&rows));
    // The bucket keeps 30 days only; these rows are for ever.
    let id = shell.id(&["bucket", "list", "-n", "mlops"]);
    shell.influx(&["bucket", "update", "-i", &id, "-r", "0"]);
    shell.influx(&["write", "-b", "mlops", "-o", "mlops", "-p", "s", "-f", &file]);
    shell.influx(&["write", "--bucket", "mlops", "note text=\"two\nlines\" 1", "note text=\"b\" 2"]);
    shell.influx_with(&["write", "--bucket-id", &id, "-p", "ms"], b"note text=\"c\" 3\n");

    let bad = shell.file("bad.lp", b"# comment\nm v=1 1\nm v= 2\nm v=3 3\nm v=\"text\" 4\n");
    let errors = shell.path("errors").to_string_lossy().into_owned();
    let refused = shell.refused(&["write", "-b", "mlops", "-f", &bad, "--errors-file", &errors]);
    assert!(refused.contains("bad.lp line 3: missing field value"), "{refused}");
    assert!(refused.contains("bad.lp line 5: "), "{refused}");
    assert!(refused.contains("Error: failed to write 2 lines"), "{refused}");
    let kept = std::fs::read_to_string(errors).expect("the file of errors");
    assert!(kept.contains("\nm v=\"text\" 4\n"), "{kept}");

    let csv = "#constant measurement,sensor\nroom|tag,temperature|double,time|dateTime:number\nkitchen,21.5,1000\nhall,19,2000\n";
    let csv = shell.file("rows.csv", csv.as_bytes());
    let dry = shell.influx(&["write", "dryrun", "-f", &csv]);
    assert_eq!(dry, "sensor,room=kitchen temperature=21.5 1000\nsensor,room=hall temperature=19 2000\n");
    shell.influx(&["write", "-b", "mlops", "-f", &csv]);
    assert!(shell.refused(&["write", "-b", "nowhere", "m v=1"]).contains("bucket \"nowhere\" not found"));
    assert!(shell.refused(&["write", "-b", "mlops", "-f", "no-such-file"]).contains("failed to open \"no-such-file\""));
}

fn asking(shell: &Shell) {
    let flux = r#"from(bucket: "mlops") |> range(start: 0) |> filter(fn: (r) => r._measurement == "training" and r._field == "step") |> group(columns: ["run"]) |> count()"#;
    let file = shell.file("query.flux", flux.as_bytes());
    let table = shell.influx(&["query", "--file", &file]);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[..2], ["Result: _result", "Table: keys: [run]"], "{table}");
    assert!(lines[2].ends_with("_value:int") && lines[4].ends_with("500") && lines[4].trim_start().starts_with("r0"), "{table}");
    let raw = shell.influx(&["query", "-r", flux]);
    assert!(raw.starts_with("#group,false,false,true,false\r\n#datatype,"), "{raw}");
    assert!(shell.influx_with(&["query", "-"], flux.as_bytes()).contains("Table: keys: [run]"));
    assert!(shell.influx(&["query", "--format", "csv", flux]).starts_with(",result,table,run,_value\r\n"));
    let json: serde_json::Value = serde_json::from_str(&shell.influx(&["query", "--format", "json", flux])).expect("JSON");
    assert_eq!((&json[0]["run"], &json[1]["_value"]), (&"r0".into(), &500.into()));
    let wrong = shell.refused(&["query", "from(bucket: \"mlops\") |> rang()"]);
    assert!(wrong.starts_with("Error: failed to execute query: 400 Bad Request: "), "{wrong}");

    let influxql = ["query", "--type", "influxql", "-b", "mlops"];
    let shown = shell.influx(&[&influxql[..], &["SELECT max(step) FROM training GROUP BY run"]].concat());
    assert!(shown.starts_with("name: training\ntags: run=r0\ntime"), "{shown}");
    assert!(shown.contains(" 998\n") && shown.contains(" 999\n"), "{shown}");
    assert!(shell.refused(&[&influxql[..], &["SELECT FROM"]].concat()).contains("error parsing query"));

    let sql = ["query", "--type", "sql", "-b", "mlops"];
    let shown = shell.influx(&[&sql[..], &["SELECT run, max(step) AS steps FROM training GROUP BY run ORDER BY run"]].concat());
    assert!(shown.contains("| r0  | 998   |") && shown.contains("| r1  | 999   |"), "{shown}");
    let printed = shell.call(&shell.path("influx"), &[&sql[..], &["--format", "parquet", "SELECT * FROM training"]].concat(), b"");
    assert!(printed.out.starts_with("PAR1"), "{}", printed.err);

    let delete = |predicate: &str| {
        let range = ["--start", "1970-01-01T00:00:00Z", "--stop", "1980-01-01T00:00:00Z"];
        shell.influx(&[&["delete", "--bucket", "mlops"], &range[..], &["-p", predicate]].concat())
    };
    assert_eq!(delete("_measurement=\"note\" and _value=\"nothing like it\""), "0 rows deleted\n");
    assert_eq!(delete("_measurement=\"note\""), "3 rows deleted\n");
    let left = shell.influx(&[&influxql[..], &["--format", "csv", "SELECT count(text) FROM note"]].concat());
    assert!(!left.contains("note"), "{left}");
    assert!(shell.influx(&[&influxql[..], &["--format", "csv", "SELECT count(temperature) FROM sensor"]].concat()).contains(",2\n"));
}

fn people(shell: &Shell) {
    let bucket = shell.id(&["bucket", "list", "-n", "mlops"]);
    let made: serde_json::Value =
        serde_json::from_str(&shell.influx(&["auth", "create", "--read-bucket", &bucket, "-d", "reader", "--json"])).expect("JSON");
    let (id, token) = (made["id"].as_str().expect("an id"), made["token"].as_str().expect("a token"));
    assert!(
        shell.influx(&["query", "-t", token, "-o", "mlops", "from(bucket: \"mlops\") |> range(start: 0) |> count()"]).contains("Table")
    );
    assert!(shell.refused(&["write", "-t", token, "-b", "mlops", "m v=9"]).contains("403 Forbidden"), "a reader may not write");
    assert!(shell.influx(&["auth", "list"]).contains("reader"));
    shell.influx(&["auth", "inactive", "-i", id]);
    shell.refused(&["query", "-t", token, "-o", "mlops", "from(bucket: \"mlops\") |> range(start: 0) |> count()"]);
    shell.influx(&["auth", "active", "-i", id]);
    assert!(shell.influx(&["auth", "delete", "-i", id]).ends_with("true\n"));
    assert!(shell.refused(&["auth", "create", "--read-bucket", "mlops"]).contains("did you pass a bucket name"));
    shell.influx(&["auth", "create", "--all-access", "-o", "mlops"]);
    shell.influx(&["auth", "create", "--operator"]);
    shell.influx(&["auth", "create", "--read-buckets", "--write-buckets", "-u", "admin"]);

    let org = shell.id(&["org", "create", "-n", "other"]);
    assert!(shell.influx(&["org", "list"]).contains("\tother\n"));
    assert!(shell.influx(&["org", "update", "-i", &org, "-n", "another"]).contains("\tanother\n"));
    assert!(shell.influx(&["org", "delete", "-i", &org]).contains("\tanother\ttrue\n"));

    let user = shell.id(&["user", "create", "-n", "me", "-p", "longenough", "-o", "mlops"]);
    assert!(shell.influx(&["user", "list"]).contains("\tme\n"));
    assert_eq!(
        shell.influx(&["user", "password", "-n", "me", "-p", "another-password"]),
        "Successfully updated password for user \"me\"\n"
    );
    assert!(shell.influx(&["user", "delete", "-i", &user]).ends_with("\tme\ttrue\n"));

    let mapping = shell.id(&["v1", "dbrp", "create", "--bucket-id", &bucket, "--db", "telegraf", "--rp", "autogen", "--default"]);
    let listed = shell.influx(&["v1", "dbrp", "list"]);
    assert!(listed.contains("\ttelegraf\t") && listed.contains("VIRTUAL DBRP MAPPINGS (READ-ONLY)\n---"), "{listed}");
    shell.influx(&["v1", "dbrp", "delete", "--id", &mapping]);

    assert!(shell.influx(&["config", "ls"]).contains("*\tdefault\t"));
    shell.influx(&["config", "create", "-n", "second", "-u", "http://localhost:1", "-t", "x", "-o", "o", "-a"]);
    assert!(shell.influx(&["config", "-"]).contains("*\tdefault\t"));
    assert!(shell.influx(&["config", "rm", "second"]).ends_with("true\n"));
}

fn console(shell: &Shell) {
    let typed = "\\sql\n\\use mlops\nSELECT count(*) AS n\nFROM training;\n\\influxql\nSELECT mean(loss) FROM training WHERE time >= 1700000000s AND time < 1700000010s GROUP BY time(2s)\n\n\\plot\n\\timing\n\\flux\nbuckets() |> count(column: \"name\")\n\n\\help movingAverage\n\\quit\nnever\n";
    let shown = shell.influx_with(&["console"], typed.as_bytes());
    for part in ["| 1000 |", "name: training", "┤", "timing is on", "Table: keys:", "movingAverage"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    let failed = shell.call(&shell.path("influx"), &["console"], b"from(bucket: \"mlops\") |> rang();\n");
    assert_eq!(failed.status.code(), Some(1), "a script ends at its first failure: {}", failed.out);
    let shown = shell.influx_with(&["v1", "shell", "--bucket", "mlops"], b"SELECT count(loss) FROM training;\n");
    assert!(shown.contains("name: training"), "InfluxQL is missing in {shown}");
    let failed = shell.call(&shell.path("influx"), &["console"], b"\\use nowhere\n");
    assert_eq!(failed.status.code(), Some(1), "a bucket that is not there: {}", failed.out);
}

#[test]
fn what_a_server_cannot_start_with_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let shell = Shell::new("http://127.0.0.1:1");
    let serve = |words: &[&str]| {
        let printed = shell.call(&shell.path("influxd"), words, b"");
        assert_eq!(printed.status.code(), Some(1), "{words:?}: {}", printed.out);
        printed.err
    };
    let file = shell.file("config.toml", b"data-dir = \"x\"\n[query]\nconcurency = 3\n");
    assert!(serve(&["--config", &file]).contains("there is no setting `query-concurency`; did you mean `query-concurrency`?"));
    assert!(serve(&["backup", "/path/to/backup"]).contains("not supported by Tidegauge yet"));
    assert!(serve(&["--query-timeout", "soon"]).contains("--query-timeout (`query-timeout`): `soon` is not a duration"));
    assert!(serve(&["--log-level", "a=b=c", "--http-bind-address", "nowhere"]).contains("log-level"));
    let data = folder.path().to_string_lossy().into_owned();
    let server = Serving::start(folder.path(), &[]);
    let address = server.url.trim_start_matches("http://").to_string();
    assert!(serve(&["--data-dir", &data, "--http-bind-address", &address]).contains("something listens there already"));
    assert!(serve(&["--data-dir", &data, "--http-bind-address", "127.0.0.1:0"]).contains("is in use by another Tidegauge"));
}

#[test]
fn a_new_server_is_set_up_from_dockers_variables() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [SETUP.as_slice(), &[("INFLUXD_METRICS_DISABLED", "true")]].concat();
    let server = Serving::start(folder.path(), &variables);
    let shell = Shell::new(&server.url);
    assert!(shell.influx(&["bucket", "list", "-t", TOKEN, "-o", "o"]).contains("\tb\t"));
    let metrics = reqwest::blocking::get(format!("{}/metrics", server.url)).expect("an answer");
    assert_eq!(metrics.status().as_u16(), 403, "INFLUXD_METRICS_DISABLED is heard");
}

#[test]
fn what_is_stored_is_checked_listed_merged_and_mended_from_the_command_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let variables = [SETUP.as_slice(), &[("TIDEGAUGE_STORAGE_CACHE_SNAPSHOT_WRITE_COLD_DURATION", "20ms")]].concat();
    let data = folder.path().to_string_lossy().into_owned();
    let server = Serving::start(folder.path(), &variables);
    let shell = Shell::new(&server.url);
    let tool = |words: &[&str], status: i32| {
        let printed = shell.call(Path::new(PROGRAM), words, b"");
        assert_eq!(printed.status.code(), Some(status), "{words:?}: {}{}", printed.out, printed.err);
        printed.out + &printed.err
    };
    for i in 0..3 {
        shell.influx(&["write", "-t", TOKEN, "-b", "b", "-o", "o", &format!("m,host=a v={i} {i}\nm,host=b v={i} {i}")]);
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    let online = tool(&["verify", "--online", "-t", TOKEN], 0);
    assert!(online.starts_with("Checked") && online.contains("\nparquet") && online.ends_with("Nothing is damaged.\n"), "{online}");
    assert!(tool(&["verify", "--online", "-t", "wrong"], 2).contains("401 Unauthorized"));
    assert!(tool(&["verify", "--data-dir", &data], 2).contains("is in use by another Tidegauge"));
    assert!(tool(&["verify", "--store", &format!("{data}/store")], 2).contains("is in use by another Tidegauge"));
    for words in [&["inspect"][..], &["compact"], &["rebuild-manifest"]] {
        assert!(tool(&[words, &["--data-dir", &data]].concat(), 1).contains("is in use by another Tidegauge"));
    }
    let listed = tool(&["inspect", "--online", "-t", TOKEN], 0);
    assert!(listed.starts_with("Bucket\tMeasurement") && listed.contains("\nb\tm\t"), "{listed}");
    assert!(tool(&["compact", "--online", "-t", TOKEN], 0).starts_with("Merges"));
    assert!(server.terminate().0.success());

    let checked = tool(&["verify", "--data-dir", &data], 0);
    assert!(checked.contains("log\t") && checked.contains("catalog\t") && checked.contains("Nothing is damaged."), "{checked}");
    let json: serde_json::Value = serde_json::from_str(&tool(&["inspect", "--data-dir", &data, "--json"], 0)).expect("JSON");
    let m = &json["buckets"][0]["measurements"][0];
    assert_eq!((&json["buckets"][0]["name"], &m["rows"], &m["series"]), (&"b".into(), &6.into(), &2.into()));
    assert!(tool(&["inspect", "--data-dir", &data, "--partitions"], 0).contains("\t1970-01-01T00:00:00Z\t"));
    let done: serde_json::Value = serde_json::from_str(&tool(&["compact", "--data-dir", &data, "--json"], 0)).expect("JSON");
    assert_eq!(done["files"], 1);
    assert!(tool(&["rebuild-manifest", "--data-dir", &data], 0).contains("sound, nothing done"));

    let json: serde_json::Value = serde_json::from_str(&tool(&["verify", "--data-dir", &data, "--json"], 0)).expect("JSON");
    assert_eq!(json["checked"]["parquet"]["entries"], 6);
    let manifests = folder.path().join("store/buckets").read_dir().expect("a folder").map(|b| b.expect("a bucket").path().join("manifest"));
    for manifest in manifests.filter_map(|folder| folder.read_dir().ok()).flatten() {
        std::fs::write(manifest.expect("a version").path(), "damaged").expect("written");
    }
    let damaged = tool(&["verify", "--data-dir", &data], 1);
    assert!(damaged.contains("DAMAGED\t") && damaged.contains("rebuild-manifest"), "{damaged}");
    assert!(tool(&["rebuild-manifest", "--data-dir", &data], 0).contains("made anew"));
    assert!(tool(&["verify", "--data-dir", &data], 0).contains("Nothing is damaged."));

    assert!(tool(&["verify", "--no-such-flag"], 2).contains("unexpected argument"));
    let nowhere = format!("{data}/nowhere");
    for words in [&["verify", "--data-dir", &nowhere][..], &["verify", "--store", &nowhere]] {
        assert!(tool(words, 2).contains("there is no folder"), "{words:?}");
    }
    assert!(!Path::new(&nowhere).exists(), "a check makes nothing");
    let server = Serving::start(folder.path(), &[]);
    let count = shell.influx(&[
        "query",
        "--host",
        &server.url,
        "-t",
        TOKEN,
        "-o",
        "o",
        "--type",
        "influxql",
        "-b",
        "b",
        "--format",
        "csv",
        "SELECT count(v) FROM m",
    ]);
    assert!(count.contains(",6\n"), "{count}");
}

#[test]
fn the_demo_answers_and_a_second_run_finds_its_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let demo = || {
        let words = ["demo", "--once", "--data-dir", &data, "--http-bind-address", "127.0.0.1:0"];
        let printed = run(Path::new(PROGRAM), &words, &[], b"");
        assert!(printed.status.success(), "{}{}", printed.out, printed.err);
        printed.out
    };
    let first = demo();
    for part in ["lines of machine metrics", "Flux> from", "InfluxQL> SELECT", "SQL> SELECT", "cpu-total", "name: cpu", "┤"] {
        assert!(first.contains(part), "{part} is missing in {first}");
    }
    let second = demo();
    assert!(second.contains("The sample data is there already."), "{second}");
    let answers = |text: &str| text[text.find("Flux>").expect("a question")..].to_string();
    assert_eq!(answers(&first), answers(&second), "the same data has the same answers");
}
