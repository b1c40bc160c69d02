//! Settings of the server: a flag wins over the environment, the environment over the file.
//!
//! A setting has one name everywhere: `query-concurrency` is `--query-concurrency`, `TIDEGAUGE_QUERY_CONCURRENCY`
//! (or `INFLUXD_QUERY_CONCURRENCY`), and `query-concurrency = 8` in the file, where `[query]` with `concurrency = 8` is
//! the same. Names and meanings are those of influxd 2.7 where it has the setting.

mod file;

use super::quantity;
use crate::{
    engine::EngineSettings,
    http::HttpSettings,
    memory::{
        Budget, BudgetLimits,
        machine::{self, LimitSource},
    },
    model::{Failure, Result, bytes::size},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// One setting.
pub struct Key {
    pub name: &'static str,
    pub value_name: &'static str,
    pub help: &'static str,
}

const fn key(name: &'static str, value_name: &'static str, help: &'static str) -> Key {
    Key { name, value_name, help }
}

/// All settings, in the order of `serve --help`.
pub const KEYS: &[Key] = &[
    key("http-bind-address", "ADDRESS", "Where to listen; `:8086` is every address of the machine [default: 127.0.0.1:8086]"),
    key("data-dir", "DIR", "Where the log, the catalog and (without --store) the rows are kept [default: tidegauge-data]"),
    key("store", "URL", "Where rows are kept: a path, memory:, or s3://bucket/prefix [default: store/ in the data directory]"),
    key("engine-path", "DIR", "As for influxd: without --data-dir, the folder it lies in is the data directory"),
    key("bolt-path", "FILE", "The same, where there is no --engine-path"),
    key("sqlite-path", "FILE", "The same, where there is no --bolt-path"),
    key("log-level", "LEVEL", "error, warn, info, debug, trace or off, or directives like info,tidegauge::storage=debug [default: info]"),
    key("memory-max", "SIZE", "Memory of the server, which its parts share [default: what the control group or the machine has]"),
    key(
        "code-huge-pages",
        "true|false",
        "Keep the program's code in huge pages: small queries are faster, for 100 MB of memory [default: where memory-max is 4g or more]",
    ),
    key("query-concurrency", "N", "Queries that run at the same time, where memory is enough [default: 64]"),
    key("query-queue-size", "N", "Queries that wait for a turn; more are answered with 429 [default: 1024]"),
    key("query-timeout", "DURATION", "A query is stopped after this long; 0 is never [default: 0]"),
    key("query-max-memory-bytes", "SIZE", "Memory of all running queries together; 0 is the default [default: 35% of memory-max]"),
    key(
        "query-memory-bytes",
        "SIZE",
        "Memory of one query; 0 is without a limit of its own: it may hold as much as it leaves [default: 0]",
    ),
    key("query-spill-max-size", "SIZE", "Disk that running queries may use for what does not fit in memory [default: 16g]"),
    key("http-max-body-size", "SIZE", "Largest body of a request, as sent and as unpacked [default: 256m]"),
    key("storage-cache-max-memory-size", "SIZE", "Rows in memory past which writes are answered with 503 [default: 20% of memory-max]"),
    key(
        "storage-cache-snapshot-memory-size",
        "SIZE",
        "Rows in memory past which they are written to files [default: 128m, or a quarter of those that may be in memory]",
    ),
    key("storage-cache-snapshot-write-cold-duration", "DURATION", "Rows are in files after about this long [default: 1m]"),
    key("storage-max-concurrent-compactions", "N", "Merges of files that run at the same time; 0 is half of the cores [default: 0]"),
    key("metrics-disabled", "true|false", "Answer /metrics with 403 [default: false]"),
    key("testing-always-allow-setup", "true|false", "Allow setup again and again, for test suites [default: false]"),
];

/// Names of InfluxDB 1.x in a file, and the setting of ours that they mean.
const RENAMED: &[(&str, &str)] = &[("data-cache-max-memory-bytes", "storage-cache-max-memory-size")];

/// Names of InfluxDB in a file that ask for nothing here, and why.
const IGNORED: &[(&str, &str)] = &[
    ("data-max-series-db", "there is no limit on series"),
    ("storage-max-index-log-file-size", "there is no index of series"),
    ("reporting-disabled", "nothing is reported to anybody"),
];

/// Names that mean one of ours, and what became of those that have no meaning.
const HINTS: &[(&str, &str)] = &[
    ("max-body-size", "set `http-max-body-size`"),
    ("bind-address", "set `http-bind-address`"),
    ("tls-cert", "put a TLS proxy in front"),
    ("tls-key", "put a TLS proxy in front"),
];

/// A value as it was written, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    pub text: String,
    pub source: String,
}

/// Where a server has so much memory, that of its code on huge pages is a small part.
const CODE_HUGE_PAGES_MEMORY: usize = 4 << 30;

/// What was said of settings, by name.
pub type Layer = BTreeMap<&'static str, Given>;

/// Settings of one server.
pub struct Settings {
    pub bind_address: String,
    pub log_level: String,
    pub engine: EngineSettings,
    /// Where the limit on memory comes from.
    pub memory_source: LimitSource,
    /// Whether the program's code goes on huge pages.
    pub code_huge_pages: bool,
    pub http: HttpSettings,
    /// What was said and is not done.
    pub warnings: Vec<String>,
}

/// The setting of that name; a failure that names the closest one.
fn known(name: &str, source: &str) -> Result<&'static Key> {
    if let Some(key) = KEYS.iter().find(|key| key.name == name) {
        return Ok(key);
    }
    let closest = KEYS.iter().map(|key| (strsim::normalized_levenshtein(key.name, name), key.name)).max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = match (HINTS.iter().find(|(other, _)| *other == name), closest) {
        (Some((_, hint)), _) => hint.to_string(),
        (None, Some((likeness, closest))) if likeness > 0.5 => format!("did you mean `{closest}`?"),
        _ => "`tidegauge serve --help` lists the settings".into(),
    };
    Err(Failure::invalid(format!("{source}: there is no setting `{name}`; {hint}")))
}

/// Settings in the environment: `TIDEGAUGE_...` before `INFLUXD_...`.
pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Layer {
    let mut layer = Layer::new();
    for key in KEYS {
        for prefix in ["TIDEGAUGE", "INFLUXD"] {
            let name = format!("{prefix}_{}", key.name.to_uppercase().replace('-', "_"));
            if let Some(text) = variable(&name).filter(|text| !text.is_empty()) {
                layer.entry(key.name).or_insert(Given { text, source: name });
            }
        }
    }
    layer
}

/// Settings in a TOML file.
pub fn from_file(path: &std::path::Path) -> Result<Layer> {
    file::read(path)
}

impl Settings {
    /// From flags, the environment, and the file: `config`, else the one that INFLUXD_CONFIG_PATH names, if any.
    pub fn gather(flags: Layer, config: Option<PathBuf>) -> Result<Settings> {
        let file = config.or_else(|| std::env::var_os("INFLUXD_CONFIG_PATH").filter(|p| !p.is_empty()).map(PathBuf::from));
        let file = file.map_or_else(|| Ok(Layer::new()), |path| from_file(&path))?;
        Settings::of(&[flags, from_environment(|name| std::env::var(name).ok()), file])
    }

    /// `layers`: the first that has a setting wins.
    pub fn of(layers: &[Layer]) -> Result<Settings> {
        let given = |name: &str| layers.iter().find_map(|layer| layer.get(name));
        let read = Reader { given: &given };
        let (data_dir, mut warnings) = data_dir(&given);
        warnings.extend(
            IGNORED.iter().filter_map(|(name, why)| given(name).map(|g| format!("{}: `{name}` asks for nothing: {why}", g.source))),
        );
        let mut engine = EngineSettings::at(data_dir);
        engine.store = given("store").map(|g| g.text.clone());
        read.number("query-concurrency", &mut engine.queries.running_max)?;
        read.number("query-queue-size", &mut engine.queries.waiting_max)?;
        let mut timeout = Duration::ZERO;
        read.duration("query-timeout", &mut timeout)?;
        engine.queries.duration_max = (!timeout.is_zero()).then_some(timeout);
        let chosen = |name: &str| -> Result<Option<usize>> {
            let mut bytes = 0;
            read.size(name, &mut bytes)?;
            Ok((bytes > 0).then_some(bytes))
        };
        let (total, memory_source) = match chosen("memory-max")? {
            Some(bytes) => (bytes, LimitSource::Setting),
            None => machine::limit(),
        };
        let limits = BudgetLimits { buffer: chosen("storage-cache-max-memory-size")?, queries: chosen("query-max-memory-bytes")? };
        let memory = Budget::new(total, &limits);
        let mut code_huge_pages = total >= CODE_HUGE_PAGES_MEMORY;
        read.parsed("code-huge-pages", "true or false", &mut code_huge_pages)?;
        warnings.extend(overcommitted(&memory));
        engine = engine.within(memory);
        engine.session.query_bytes_max = chosen("query-memory-bytes")?.unwrap_or(usize::MAX);
        let mut spill_bytes_max = engine.session.spill_bytes_max as usize;
        read.size("query-spill-max-size", &mut spill_bytes_max)?;
        engine.session.spill_bytes_max = spill_bytes_max as u64;
        read.size("storage-cache-snapshot-memory-size", &mut engine.storage.flush_bytes)?;
        read.duration("storage-cache-snapshot-write-cold-duration", &mut engine.storage.flush_interval)?;
        let mut compactions = 0;
        read.number("storage-max-concurrent-compactions", &mut compactions)?;
        if compactions > 0 {
            engine.maintenance.compactions_max = compactions;
        }
        let mut http = HttpSettings::default();
        read.size("http-max-body-size", &mut http.body_bytes_max)?;
        read.parsed("metrics-disabled", "true or false", &mut http.metrics_disabled)?;
        read.parsed("testing-always-allow-setup", "true or false", &mut http.always_allow_setup)?;
        if engine.queries.running_max == 0 {
            return Err(Failure::invalid("query-concurrency must be above zero"));
        }
        let bind_address = given("http-bind-address").map_or("127.0.0.1:8086", |g| g.text.as_str());
        // Go listens on every address where none is written.
        let bind_address = if bind_address.starts_with(':') { format!("0.0.0.0{bind_address}") } else { bind_address.into() };
        let mut log_level = "info".to_string();
        read.with("log-level", &mut log_level, level)?;
        Ok(Settings { bind_address, log_level, engine, memory_source, code_huge_pages, http, warnings })
    }
}

/// What was chosen may come to more than there is.
fn overcommitted(memory: &Budget) -> Option<String> {
    let sum = memory.shares().iter().fold(0_usize, |sum, share| sum.saturating_add(share.limit()));
    let (sum, total) = (sum as u64, memory.total as u64);
    let text = || format!("the shares of memory come to {}, and the server has {}: queries may be stopped", size(sum), size(total));
    (sum > total).then(text)
}

/// `data-dir`, else the folder that influxd's files lie in; with it a warning for each of them that lies elsewhere.
fn data_dir<'a>(given: &dyn Fn(&str) -> Option<&'a Given>) -> (PathBuf, Vec<String>) {
    if let Some(given) = given("data-dir") {
        return (PathBuf::from(&given.text), vec![]);
    }
    let folder = |given: &Given| Path::new(&given.text).parent().filter(|p| *p != "").unwrap_or(Path::new(".")).to_path_buf();
    let paths: Vec<&Given> = ["engine-path", "bolt-path", "sqlite-path"].into_iter().filter_map(given).collect();
    let data_dir = paths.first().map_or_else(|| PathBuf::from("tidegauge-data"), |first| folder(first));
    let elsewhere = paths.iter().filter(|given| folder(given) != data_dir);
    let warning = |given: &&Given| format!("{} is {}, but everything is kept in {}", given.source, given.text, data_dir.display());
    let warnings = elsewhere.map(warning).collect();
    (data_dir, warnings)
}

/// Checks directives of the log. A word alone would be taken for a module's name, and show all that the module says.
fn level(text: &str) -> Result<String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let levels = text.split(',').map(|directive| directive.rsplit_once('=').map_or(directive, |(_, level)| level).trim());
    match levels.into_iter().find(|word| !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))) {
        None => Ok(text.to_string()),
        Some(word) => {
            let levels = LEVELS.join(", ");
            Err(Failure::invalid(format!("`{word}` is no level; they are {levels}, also by module, as in info,tidegauge::storage=debug")))
        }
    }
}

/// Reads values and says where a wrong one stands.
struct Reader<'a> {
    given: &'a dyn Fn(&str) -> Option<&'a Given>,
}

impl Reader<'_> {
    fn with<T>(&self, name: &str, out: &mut T, read: impl Fn(&str) -> Result<T>) -> Result<()> {
        if let Some(given) = (self.given)(name) {
            *out = read(given.text.trim()).map_err(|f| f.context(format!("{} (`{name}`)", given.source)))?;
        }
        Ok(())
    }

    fn parsed<T: FromStr>(&self, name: &str, expected: &str, out: &mut T) -> Result<()> {
        self.with(name, out, |text| text.parse().map_err(|_| Failure::invalid(format!("`{text}` is not {expected}"))))
    }

    fn number(&self, name: &str, out: &mut usize) -> Result<()> {
        self.parsed(name, "a whole number", out)
    }

    fn size(&self, name: &str, out: &mut usize) -> Result<()> {
        self.with(name, out, quantity::bytes)
    }

    fn duration(&self, name: &str, out: &mut Duration) -> Result<()> {
        self.with(name, out, |text| Ok(Duration::from_nanos(quantity::duration_ns(text)?.unsigned_abs())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn layer(pairs: &[(&'static str, &str)], source: &str) -> Layer {
        pairs.iter().map(|(name, text)| (*name, Given { text: text.to_string(), source: source.into() })).collect()
    }

    #[test]
    fn a_flag_wins_over_the_environment_and_that_over_the_file() {
        let variables = |name: &str| match name {
            "INFLUXD_HTTP_BIND_ADDRESS" => Some(":9999".to_string()),
            "TIDEGAUGE_QUERY_CONCURRENCY" => Some("7".into()),
            "INFLUXD_QUERY_CONCURRENCY" => Some("8".into()),
            _ => None,
        };
        let file = layer(&[("query-concurrency", "9"), ("query-queue-size", "3"), ("query-timeout", "90s")], "file");
        let flags = layer(&[("query-queue-size", "1")], "--query-queue-size");
        let settings = Settings::of(&[flags, from_environment(variables), file]).expect("fine");
        assert_eq!(settings.bind_address, "0.0.0.0:9999");
        assert_eq!((settings.engine.queries.running_max, settings.engine.queries.waiting_max), (7, 1));
        assert_eq!(settings.engine.queries.duration_max, Some(Duration::from_secs(90)));
        let defaults = Settings::of(&[]).expect("fine");
        assert_eq!(defaults.bind_address, "127.0.0.1:8086");
    }

    #[test]
    fn memory_is_shared_by_percent_unless_a_share_was_chosen() {
        let of = |pairs: &[(&'static str, &str)]| Settings::of(&[layer(pairs, "file")]).expect("fine");
        let settings = of(&[("memory-max", "512m")]);
        let shares: Vec<_> = settings.engine.memory.shares().iter().map(|s| (s.name(), s.limit() >> 20)).collect();
        assert_eq!(shares, [("buffer", 102), ("files", 76), ("caches", 25), ("requests", 51), ("queries", 179)]);
        assert_eq!((settings.memory_source, settings.warnings), (LimitSource::Setting, vec![]));
        assert!(!settings.code_huge_pages && of(&[("memory-max", "4g")]).code_huge_pages);
        assert!(of(&[("memory-max", "512m"), ("code-huge-pages", "true")]).code_huge_pages);
        let EngineSettings { storage, session, memory, .. } = settings.engine;
        assert!(Arc::ptr_eq(&session.memory, &memory.queries) && session.query_bytes_max == usize::MAX);
        assert_eq!((storage.buffer_bytes_max >> 20, storage.flush_bytes >> 20, storage.files.cache_bytes >> 20), (102, 25, 76));
        let settings = of(&[
            ("memory-max", "1g"),
            ("storage-cache-max-memory-size", "900m"),
            ("query-max-memory-bytes", "800m"),
            ("query-memory-bytes", "9m"),
            ("query-spill-max-size", "5k"),
            ("storage-cache-snapshot-memory-size", "7m"),
        ]);
        let EngineSettings { storage, session, .. } = settings.engine;
        assert_eq!((storage.buffer_bytes_max >> 20, storage.flush_bytes >> 20), (900, 7));
        assert_eq!((session.memory.limit() >> 20, session.query_bytes_max >> 20, session.spill_bytes_max), (800, 9, 5 << 10));
        assert_eq!(settings.warnings, ["the shares of memory come to 2.0 GiB, and the server has 1.0 GiB: queries may be stopped"]);
        // Whatever this machine has.
        assert!(of(&[]).engine.memory.total > 0);
    }

    #[test]
    fn a_wrong_value_names_its_place() {
        let wrong = |name, text| Settings::of(&[layer(&[(name, text)], "config.toml")]).err().expect("refused").message;
        assert_eq!(wrong("query-concurrency", "many"), "config.toml (`query-concurrency`): `many` is not a whole number");
        assert!(wrong("http-max-body-size", "big").starts_with("config.toml (`http-max-body-size`): `big` is not a size"));
        assert!(wrong("query-timeout", "10").contains("is not a duration"));
    }

    #[test]
    fn influxd_s_paths_name_the_data_directory() {
        let of = |pairs: &[(&'static str, &str)]| {
            let settings = Settings::of(&[layer(pairs, "--path")]).expect("fine");
            (settings.engine.data_dir.display().to_string(), settings.warnings)
        };
        let variables = |name: &str| match name {
            "INFLUXD_BOLT_PATH" => Some("/var/lib/influxdb2/influxd.bolt".to_string()),
            "INFLUXD_ENGINE_PATH" => Some("/var/lib/influxdb2/engine".into()),
            _ => None,
        };
        let image = Settings::of(&[from_environment(variables)]).expect("fine");
        assert_eq!((image.engine.data_dir.as_path(), image.warnings.len()), (Path::new("/var/lib/influxdb2"), 0));
        let both = of(&[("engine-path", "/a/engine/"), ("bolt-path", "/b/influxd.bolt")]);
        assert_eq!(both, ("/a".into(), vec!["--path is /b/influxd.bolt, but everything is kept in /a".into()]));
        assert_eq!(of(&[("bolt-path", "influxd.bolt")]), (".".into(), vec![]));
        assert_eq!(of(&[("sqlite-path", "/c/influxd.sqlite")]).0, "/c");
        assert_eq!(of(&[("data-dir", "/d"), ("engine-path", "/a/engine")]), ("/d".into(), vec![]));
        assert_eq!(of(&[]).0, "tidegauge-data");
    }

    #[test]
    fn a_level_of_the_log_is_one_of_a_few_words() {
        let of = |text| Settings::of(&[layer(&[("log-level", text)], "--log-level")]).map(|settings| settings.log_level);
        for text in ["warn", "DEBUG", "info,tidegauge::storage=debug", "off"] {
            assert_eq!(of(text).expect("fine"), text);
        }
        let refused = of("verbose").expect_err("unknown").message;
        assert!(
            refused.starts_with("--log-level (`log-level`): `verbose` is no level; they are error, warn, info, debug, trace, off"),
            "{refused}"
        );
        assert!(of("info,tidegauge=loud").expect_err("unknown").message.contains("`loud` is no level"));
    }

    #[test]
    fn unknown_names_are_refused_with_a_hint() {
        let hint = |name| known(name, "config.toml").err().expect("unknown").message;
        assert_eq!(hint("query-concurency"), "config.toml: there is no setting `query-concurency`; did you mean `query-concurrency`?");
        assert!(hint("tls-cert").ends_with("put a TLS proxy in front"));
        assert!(hint("zzz").ends_with("lists the settings"));
    }
}
