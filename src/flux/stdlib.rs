//! The standard library: one file per package, one `Function` per built-in, compositions in `.flux` preludes.

pub mod array;
pub mod csv;
pub mod date;
pub mod debug;
pub mod dict;
pub mod experimental;
pub mod function;
pub mod math;
pub mod regexp;
pub mod strings;
pub mod system;
pub mod tables;
pub mod testing;
pub mod timezone;
pub mod types;
pub mod universe;

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
    Package { path: "csv", name: "csv", functions: || csv::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "date",
        name: "date",
        functions: || date::FUNCTIONS.to_vec(),
        values: date::values,
        prelude: include_str!("stdlib/prelude/date.flux"),
    },
    Package { path: "dict", name: "dict", functions: || dict::FUNCTIONS.to_vec(), ..NONE },
    Package { path: "experimental", name: "experimental", functions: || experimental::FUNCTIONS.to_vec(), ..NONE },
    Package {
        path: "influxdata/influxdb",
        name: "influxdb",
        functions: || {
            let own = ["from", "buckets", "to"];
            universe::functions().into_iter().filter(|f| own.contains(&f.name)).collect()
        },
        ..NONE
    },
    Package { path: "influxdata/influxdb/schema", name: "schema", prelude: include_str!("stdlib/prelude/schema.flux"), ..NONE },
    Package { path: "influxdata/influxdb/v1", name: "v1", prelude: include_str!("stdlib/prelude/schema.flux"), ..NONE },
    Package {
        path: "internal/debug",
        name: "debug",
        functions: || debug::FUNCTIONS.to_vec(),
        prelude: include_str!("stdlib/prelude/debug.flux"),
        ..NONE
    },
    Package { path: "internal/testing", name: "testing", prelude: include_str!("stdlib/prelude/internal_testing.flux"), ..NONE },
    Package { path: "math", name: "math", functions: math::functions, values: math::values, ..NONE },
    Package { path: "planner", name: "planner", prelude: include_str!("stdlib/prelude/planner.flux"), ..NONE },
    Package { path: "regexp", name: "regexp", functions: || regexp::FUNCTIONS.to_vec(), ..NONE },
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
