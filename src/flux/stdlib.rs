//! The standard library: one file per package, one `Function` per built-in, compositions in `.flux` preludes.

pub mod array;
pub mod bitwise;
pub mod contrib;
pub mod csv;
pub mod date;
pub mod debug;
pub mod dict;
pub mod experimental;
pub mod function;
pub mod gen_tables;
pub mod generate;
pub mod http;
pub mod interpolate;
pub mod join;
pub mod json;
pub mod math;
pub mod network;
pub mod pagerduty;
pub mod promql;
pub mod regexp;
pub mod run;
pub mod runtime;
pub mod secrets;
pub mod strings;
pub mod system;
pub mod tables;
pub mod testing;
pub mod timezone;
pub mod types;
pub mod universe;
pub mod v1;

pub use function::{Call, Function};

use super::{
    ast::File,
    diagnostic::{FluxError, FluxResult},
    eval::Value,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

/// One package: built-ins in Rust, compositions in Flux.
pub struct Package {
    /// What `import` says.
    pub path: &'static str,
    /// The name that `import` binds.
    pub name: &'static str,
    pub functions: fn() -> Vec<&'static Function>,
    /// Constants.
    pub values: fn() -> Vec<(&'static str, Value)>,
    /// Flux text whose definitions join the package.
    pub prelude: &'static str,
}

const NONE: Package = Package { path: "", name: "", functions: Vec::new, values: Vec::new, prelude: "" };

/// The package that every script sees without an import.
pub static UNIVERSE: &Package = &Package {
    path: "universe",
    name: "universe",
    functions: universe::functions,
    values: universe::values,
    prelude: include_str!("stdlib/prelude/universe.flux"),
};

static PACKAGES: &[Package] = &[
    Package { path: "array", name: "array", functions: || array::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "bitwise", name: "bitwise", functions: || bitwise::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "contrib/anaisdg/anomalydetection",
        name: "anomalydetection",
        prelude: include_str!("stdlib/prelude/contrib/anomalydetection.flux"),
        ..NONE
    },
    Package {
        path: "contrib/anaisdg/statsmodels",
        name: "statsmodels",
        prelude: include_str!("stdlib/prelude/contrib/statsmodels.flux"),
        ..NONE
    },
    Package { path: "contrib/bonitoo-io/hex", name: "hex", functions: || contrib::hex::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "contrib/bonitoo-io/tickscript",
        name: "tickscript",
        prelude: include_str!("stdlib/prelude/contrib/tickscript.flux"),
        ..NONE
    },
    Package { path: "contrib/tomhollingworth/events", name: "events", functions: || contrib::events::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "csv", name: "csv", functions: || csv::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "date",
        name: "date",
        functions: || date::FUNCTIONS.to_vec(),
        values: date::values,
        prelude: include_str!("stdlib/prelude/date.flux"),
    },
    Package { path: "date/boundaries", name: "boundaries", prelude: include_str!("stdlib/prelude/boundaries.flux"), ..NONE },
    Package { path: "dict", name: "dict", functions: || dict::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "experimental",
        name: "experimental",
        functions: experimental::functions,
        prelude: include_str!("stdlib/prelude/experimental/experimental.flux"),
        ..NONE
    },
    Package {
        path: "experimental/aggregate",
        name: "aggregate",
        prelude: include_str!("stdlib/prelude/experimental/aggregate.flux"),
        ..NONE
    },
    Package { path: "experimental/array", name: "array", prelude: include_str!("stdlib/prelude/experimental/array.flux"), ..NONE },
    Package { path: "experimental/bitwise", name: "bitwise", prelude: include_str!("stdlib/prelude/experimental/bitwise.flux"), ..NONE },
    Package {
        path: "experimental/date/boundaries",
        name: "boundaries",
        prelude: include_str!("stdlib/prelude/experimental/boundaries.flux"),
        ..NONE
    },
    Package {
        path: "experimental/dynamic",
        name: "dynamic",
        functions: || experimental::dynamic::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/experimental/dynamic.flux"),
        ..NONE
    },
    Package {
        path: "experimental/geo",
        name: "geo",
        functions: || experimental::geo::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/experimental/geo.flux"),
        ..NONE
    },
    Package { path: "experimental/iox", name: "iox", prelude: include_str!("stdlib/prelude/experimental/iox.flux"), ..NONE },
    Package { path: "experimental/json", name: "json", functions: || json::parse::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "experimental/oee", name: "oee", prelude: include_str!("stdlib/prelude/experimental/oee.flux"), ..NONE },
    Package { path: "experimental/polyline", name: "polyline", functions: || experimental::polyline::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "experimental/prometheus",
        name: "prometheus",
        prelude: include_str!("stdlib/prelude/experimental/prometheus.flux"),
        ..NONE
    },
    Package { path: "experimental/query", name: "query", prelude: include_str!("stdlib/prelude/experimental/query.flux"), ..NONE },
    Package {
        path: "experimental/record",
        name: "record",
        functions: || experimental::record::FUNCTIONS.to_vec(),
        values: experimental::record::values,
        ..NONE
    },
    Package { path: "experimental/table", name: "table", functions: || experimental::table::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "generate", name: "generate", functions: || generate::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "http",
        name: "http",
        functions: || http::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/http.flux"),
        ..NONE
    },
    Package {
        path: "http/requests",
        name: "requests",
        functions: || http::requests::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/requests.flux"),
        ..NONE
    },
    Package {
        path: "influxdata/influxdb",
        name: "influxdb",
        functions: || {
            let own = ["from", "buckets", "to", "wideTo"];
            universe::functions().into_iter().filter(|f| own.contains(&f.name)).collect()
        },
        ..NONE
    },
    Package { path: "influxdata/influxdb/monitor", name: "monitor", prelude: include_str!("stdlib/prelude/monitor.flux"), ..NONE },
    Package { path: "influxdata/influxdb/sample", name: "sample", prelude: include_str!("stdlib/prelude/sample.flux"), ..NONE },
    Package { path: "influxdata/influxdb/schema", name: "schema", prelude: include_str!("stdlib/prelude/schema.flux"), ..NONE },
    Package { path: "influxdata/influxdb/secrets", name: "secrets", functions: || secrets::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "influxdata/influxdb/tasks", name: "tasks", prelude: include_str!("stdlib/prelude/tasks.flux"), ..NONE },
    Package {
        path: "influxdata/influxdb/v1",
        name: "v1",
        functions: || v1::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/schema.flux"),
        ..NONE
    },
    Package {
        path: "internal/debug",
        name: "debug",
        functions: || debug::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/debug.flux"),
        ..NONE
    },
    Package { path: "internal/gen", name: "gen", functions: || gen_tables::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "internal/influxql", name: "influxql", prelude: include_str!("stdlib/prelude/influxql.flux"), ..NONE },
    Package {
        path: "internal/promql",
        name: "promql",
        functions: || promql::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/promql.flux"),
        ..NONE
    },
    Package {
        path: "internal/testing",
        name: "testing",
        functions: || universe::from::STORED.to_vec(),
        prelude: include_str!("stdlib/prelude/internal_testing.flux"),
        ..NONE
    },
    Package { path: "interpolate", name: "interpolate", functions: || interpolate::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "join",
        name: "join",
        functions: || join::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/join.flux"),
        ..NONE
    },
    Package { path: "json", name: "json", functions: || json::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "math", name: "math", functions: || math::FUNCTIONS.to_vec(), values: math::values, ..NONE },
    Package { path: "planner", name: "planner", prelude: include_str!("stdlib/prelude/planner.flux"), ..NONE },
    Package { path: "profiler", name: "profiler", prelude: "option enabledProfilers = []", ..NONE },
    Package { path: "regexp", name: "regexp", functions: || regexp::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "runtime", name: "runtime", functions: || runtime::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "sampledata", name: "sampledata", prelude: include_str!("stdlib/prelude/sampledata.flux"), ..NONE },
    Package { path: "strings", name: "strings", functions: || strings::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "system", name: "system", functions: || system::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "testing",
        name: "testing",
        functions: || testing::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/testing.flux"),
        ..NONE
    },
    Package { path: "testing/expect", name: "expect", functions: || testing::EXPECT.to_vec(), ..NONE },
    Package {
        path: "timezone",
        name: "timezone",
        functions: || timezone::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/timezone.flux"),
        ..NONE
    },
    Package {
        path: "types",
        name: "types",
        functions: || types::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/types.flux"),
        ..NONE
    },
    // Notifications.
    Package { path: "contrib/bonitoo-io/alerta", name: "alerta", prelude: include_str!("stdlib/prelude/notify/alerta.flux"), ..NONE },
    Package {
        path: "contrib/bonitoo-io/servicenow",
        name: "servicenow",
        prelude: include_str!("stdlib/prelude/notify/servicenow.flux"),
        ..NONE
    },
    Package {
        path: "contrib/bonitoo-io/victorops",
        name: "victorops",
        prelude: include_str!("stdlib/prelude/notify/victorops.flux"),
        ..NONE
    },
    Package { path: "contrib/bonitoo-io/zenoss", name: "zenoss", prelude: include_str!("stdlib/prelude/notify/zenoss.flux"), ..NONE },
    Package { path: "contrib/chobbs/discord", name: "discord", prelude: include_str!("stdlib/prelude/notify/discord.flux"), ..NONE },
    Package { path: "contrib/rhajek/bigpanda", name: "bigpanda", prelude: include_str!("stdlib/prelude/notify/bigpanda.flux"), ..NONE },
    Package { path: "contrib/sranka/opsgenie", name: "opsgenie", prelude: include_str!("stdlib/prelude/notify/opsgenie.flux"), ..NONE },
    Package { path: "contrib/sranka/sensu", name: "sensu", prelude: include_str!("stdlib/prelude/notify/sensu.flux"), ..NONE },
    Package { path: "contrib/sranka/teams", name: "teams", prelude: include_str!("stdlib/prelude/notify/teams.flux"), ..NONE },
    Package { path: "contrib/sranka/telegram", name: "telegram", prelude: include_str!("stdlib/prelude/notify/telegram.flux"), ..NONE },
    Package {
        path: "contrib/sranka/webexteams",
        name: "webexteams",
        prelude: include_str!("stdlib/prelude/notify/webexteams.flux"),
        ..NONE
    },
    Package { path: "internal/notify", name: "notify", prelude: include_str!("stdlib/prelude/notify/notify.flux"), ..NONE },
    Package {
        path: "pagerduty",
        name: "pagerduty",
        functions: || pagerduty::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/notify/pagerduty.flux"),
        ..NONE
    },
    Package { path: "pushbullet", name: "pushbullet", prelude: include_str!("stdlib/prelude/notify/pushbullet.flux"), ..NONE },
    Package { path: "slack", name: "slack", prelude: include_str!("stdlib/prelude/notify/slack.flux"), ..NONE },
    // Other servers.
    Package { path: "contrib/qxip/clickhouse", name: "clickhouse", functions: || network::clickhouse::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "experimental/bigtable", name: "bigtable", functions: || network::bigtable::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "experimental/csv", name: "csv", functions: || network::csv::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "experimental/http", name: "http", functions: || network::http::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "experimental/http/requests",
        name: "requests",
        functions: || http::requests::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/requests.flux"),
        ..NONE
    },
    Package { path: "experimental/influxdb", name: "influxdb", functions: || network::influxdb::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "experimental/mqtt", name: "mqtt", functions: || network::mqtt::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "kafka", name: "kafka", functions: || network::kafka::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "socket", name: "socket", functions: || network::socket::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "sql", name: "sql", functions: || network::sql::FUNCTIONS.to_vec(), ..NONE },
];

/// The package at an import path.
pub fn package(path: &str) -> Option<&'static Package> {
    PACKAGES.iter().find(|p| p.path == path)
}

/// Every package that a script can import.
pub fn packages() -> &'static [Package] {
    PACKAGES
}

/// The syntax of a package's prelude, parsed once per process.
pub fn parsed_prelude(package: &Package) -> FluxResult<Arc<File>> {
    static PARSED: LazyLock<Mutex<HashMap<&'static str, Arc<File>>>> = LazyLock::new(Mutex::default);
    if let Some(file) = PARSED.lock().get(package.path) {
        return Ok(file.clone());
    }
    let file = super::parse::parse(package.prelude).map_err(|errors| {
        let first = errors.first().map(|e| e.message.clone()).unwrap_or_default();
        FluxError::invalid(format!("prelude of package {}: {first}", package.path))
    })?;
    let file = Arc::new(file);
    PARSED.lock().insert(package.path, file.clone());
    Ok(file)
}
