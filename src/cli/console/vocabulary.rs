//! The words that can be completed: of the language, and of the data.

use super::Console;
use crate::{
    cli::{
        answer::Answer,
        connection::Connection,
        question::{Language, Question},
    },
    flux::stdlib::{self, Package, UNIVERSE},
    query::session::{SessionSettings, Sessions},
};
use regex::Regex;
use std::{collections::BTreeSet, sync::LazyLock};

const FLUX_WORDS: &[&str] = &[
    "import",
    "option",
    "return",
    "and",
    "or",
    "not",
    "exists",
    "if",
    "then",
    "else",
    "true",
    "false",
    "with",
    "_measurement",
    "_field",
    "_value",
    "_time",
    "_start",
    "_stop",
];

const INFLUXQL_WORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "SLIMIT",
    "SOFFSET",
    "INTO",
    "AND",
    "OR",
    "AS",
    "ASC",
    "DESC",
    "fill",
    "time",
    "tz",
    "now",
    "SHOW",
    "DATABASES",
    "MEASUREMENTS",
    "SERIES",
    "TAG",
    "FIELD",
    "KEYS",
    "VALUES",
    "KEY",
    "WITH",
    "RETENTION",
    "POLICIES",
    "ON",
    "CREATE",
    "DROP",
    "DATABASE",
    "MEASUREMENT",
    "DELETE",
    "null",
    "none",
    "previous",
    "linear",
    "count",
    "distinct",
    "integral",
    "mean",
    "median",
    "mode",
    "spread",
    "stddev",
    "sum",
    "bottom",
    "first",
    "last",
    "max",
    "min",
    "percentile",
    "sample",
    "top",
    "abs",
    "ceil",
    "floor",
    "round",
    "sqrt",
    "pow",
    "ln",
    "log",
    "log2",
    "log10",
    "exp",
    "cumulative_sum",
    "derivative",
    "difference",
    "elapsed",
    "histogram",
    "moving_average",
    "non_negative_derivative",
    "non_negative_difference",
    "exponential_moving_average",
    "double_exponential_moving_average",
    "triple_exponential_moving_average",
    "relative_strength_index",
    "chande_momentum_oscillator",
    "kaufmans_efficiency_ratio",
    "kaufmans_adaptive_moving_average",
    "holt_winters",
];

const SQL_WORDS: &[&str] = &[
    "SELECT",
    "DISTINCT",
    "FROM",
    "WHERE",
    "GROUP",
    "BY",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "ON",
    "USING",
    "UNION",
    "ALL",
    "EXCEPT",
    "INTERSECT",
    "WITH",
    "AS",
    "AND",
    "OR",
    "NOT",
    "IN",
    "LIKE",
    "BETWEEN",
    "IS",
    "NULL",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "END",
    "CAST",
    "INTERVAL",
    "TIMESTAMP",
    "OVER",
    "PARTITION",
    "ASC",
    "DESC",
    "EXPLAIN",
    "ANALYZE",
    "SHOW",
    "TABLES",
    "information_schema",
    "time",
];

/// What the console knows of the server's data.
pub struct Vocabulary {
    pub language: Language,
    pub buckets: Vec<String>,
    /// Measurements, tags and fields of the chosen bucket.
    pub names: Vec<String>,
}

impl Vocabulary {
    pub(super) fn of(console: &Console) -> Vocabulary {
        Vocabulary { language: console.language, buckets: buckets(console), names: names(console) }
    }

    pub fn words(&self) -> Vec<String> {
        let own: &[String] = match self.language {
            Language::Flux => &FLUX,
            Language::InfluxQl => &INFLUXQL,
            Language::Sql => &SQL,
        };
        own.iter().chain(&self.buckets).chain(&self.names).cloned().collect()
    }
}

static FLUX: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut words: Vec<String> = FLUX_WORDS.iter().map(|w| w.to_string()).collect();
    words.extend(members(UNIVERSE));
    for package in stdlib::packages() {
        words.push(package.path.to_string());
        words.extend(members(package).into_iter().map(|name| format!("{}.{name}", package.name)));
    }
    words
});

static INFLUXQL: LazyLock<Vec<String>> = LazyLock::new(|| INFLUXQL_WORDS.iter().map(|w| w.to_string()).collect());

static SQL: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut words: BTreeSet<String> = SQL_WORDS.iter().map(|w| w.to_string()).collect();
    // Without a session its functions are not completed; questions are answered by the server all the same.
    if let Ok(sessions) = Sessions::new(&SessionSettings::default(), vec![]) {
        let session = sessions.session(0);
        let state = session.names();
        words.extend(state.scalar_functions().keys().cloned());
        words.extend(state.aggregate_functions().keys().cloned());
        words.extend(state.window_functions().keys().cloned());
    }
    words.into_iter().collect()
});

/// Names that a Flux package gives: built-ins, values, and definitions of its prelude.
pub fn members(package: &Package) -> Vec<String> {
    static DEFINITION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?m)^(?:option )?([A-Za-z]\w*) = ").expect("well formed"));
    let defined = DEFINITION.captures_iter(package.prelude).map(|found| found[1].to_string());
    let built_in = (package.functions)().into_iter().map(|f| f.name.to_string());
    built_in.chain((package.values)().into_iter().map(|(name, _)| name.to_string())).chain(defined).collect()
}

/// As many buckets as the server lists at once.
pub const BUCKETS_MAX: usize = 100;

/// Names of buckets, at most [`BUCKETS_MAX`]; none when they cannot be had: completion is a help, no condition.
pub(super) fn buckets(console: &Console) -> Vec<String> {
    let mut params = Connection::params(&console.org);
    let limit = BUCKETS_MAX.to_string();
    params.push(("limit", &limit));
    let found = console.connection.server.get("/api/v2/buckets", &params).unwrap_or_default();
    found["buckets"].as_array().into_iter().flatten().filter_map(|b| b["name"].as_str().map(str::to_string)).collect()
}

fn names(console: &Console) -> Vec<String> {
    if console.bucket.is_none() {
        return vec![];
    }
    let question = Question {
        language: Language::InfluxQl,
        text: "SHOW MEASUREMENTS; SHOW TAG KEYS; SHOW FIELD KEYS".into(),
        org: console.org.clone(),
        database: console.bucket.clone(),
        profilers: vec![],
    };
    let Ok(Answer::InfluxQl(answer)) = question.answer(&console.connection.server) else { return vec![] };
    let series = answer["results"].as_array().into_iter().flatten().flat_map(|r| r["series"].as_array().into_iter().flatten());
    let rows = series.flat_map(|s| s["values"].as_array().into_iter().flatten());
    let names: BTreeSet<String> = rows.filter_map(|row| row[0].as_str()).map(str::to_string).collect();
    names.into_iter().collect::<Vec<String>>()
}
