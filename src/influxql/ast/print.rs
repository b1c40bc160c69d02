//! Normal form (InfluxDB 1.x): keywords in capitals, names quoted only where needed, durations in the one largest unit
//! that divides them.

use super::*;
use crate::influxql::parse::is_keyword;
use std::fmt::{self, Display, Formatter};

/// `1m`, `1w`, `90s`, `0s`.
pub fn duration_text(ns: i64) -> String {
    const UNITS: [(i64, &str); 8] = [
        (7 * 86_400_000_000_000, "w"),
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "u"),
        (1, "ns"),
    ];
    if ns == 0 {
        return "0s".into();
    }
    let (unit, name) = UNITS.iter().find(|(unit, _)| ns % unit == 0).unwrap_or(&(1, "ns"));
    format!("{}{name}", ns / unit)
}

/// A name as the grammar wants it: bare when it is a plain word that is no keyword, else in double quotes.
pub fn quote_name(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !is_keyword(name);
    if plain {
        return name.into();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// A string in single quotes.
pub fn quote_string(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"))
}

fn regex_text(pattern: &str) -> String {
    format!("/{}/", pattern.replace('/', "\\/"))
}

fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(|i| i.to_string()).collect::<Vec<_>>().join(", ")
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.statements.iter().map(|s| s.to_string()).collect::<Vec<_>>().join(";\n"))
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Variable { name, cast } => {
                // A dotted name keeps its parts apart: `a.b` was two names.
                f.write_str(&quote_name(name))?;
                match cast {
                    Some(cast) => write!(f, "::{}", cast.name()),
                    None => Ok(()),
                }
            }
            Expr::Wildcard(None) => f.write_str("*"),
            Expr::Wildcard(Some(kind)) => write!(f, "*::{}", kind.name()),
            Expr::Regex(pattern) => f.write_str(&regex_text(pattern)),
            Expr::Call { name, args } => write!(f, "{name}({})", list(args)),
            Expr::Distinct(name) => write!(f, "DISTINCT {}", quote_name(name)),
            Expr::Integer(v) => write!(f, "{v}"),
            Expr::Unsigned(v) => write!(f, "{v}"),
            Expr::Number(v) => write!(f, "{v:.3}"),
            Expr::Duration(ns) => f.write_str(&duration_text(*ns)),
            Expr::String(text) => f.write_str(&quote_string(text)),
            Expr::Boolean(v) => write!(f, "{v}"),
            Expr::Binary { op, left, right } => write!(f, "{left} {} {right}", op.text()),
            Expr::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl Display for NameMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            NameMatch::Name(name) => f.write_str(&quote_name(name)),
            NameMatch::Regex(pattern) => f.write_str(&regex_text(pattern)),
        }
    }
}

fn write_path(f: &mut Formatter<'_>, database: &Option<String>, policy: &Option<String>) -> fmt::Result {
    if let Some(database) = database {
        write!(f, "{}.", quote_name(database))?;
    }
    match policy {
        Some(policy) => write!(f, "{}.", quote_name(policy)),
        None if database.is_some() => f.write_str("."),
        None => Ok(()),
    }
}

impl Display for Measurement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_path(f, &self.database, &self.policy)?;
        write!(f, "{}", self.name)
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_path(f, &self.database, &self.policy)?;
        match &self.name {
            Some(name) => f.write_str(&quote_name(name)),
            None => f.write_str(":MEASUREMENT"),
        }
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Source::Measurement(m) => write!(f, "{m}"),
            Source::Subquery(select) => write!(f, "({select})"),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.expr)?;
        match &self.alias {
            Some(alias) => write!(f, " AS {}", quote_name(alias)),
            None => Ok(()),
        }
    }
}

impl Display for Limits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (word, n) in [("LIMIT", self.limit), ("OFFSET", self.offset), ("SLIMIT", self.series_limit), ("SOFFSET", self.series_offset)] {
            if n > 0 {
                write!(f, " {word} {n}")?;
            }
        }
        Ok(())
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "SELECT {}", list(&self.fields))?;
        if let Some(target) = &self.target {
            write!(f, " INTO {target}")?;
        }
        write!(f, " FROM {}", list(&self.sources))?;
        if let Some(condition) = &self.condition {
            write!(f, " WHERE {condition}")?;
        }
        if !self.dimensions.is_empty() {
            write!(f, " GROUP BY {}", list(&self.dimensions))?;
        }
        match self.fill {
            Fill::Unset | Fill::Null => {}
            Fill::None => f.write_str(" fill(none)")?,
            Fill::Previous => f.write_str(" fill(previous)")?,
            Fill::Linear => f.write_str(" fill(linear)")?,
            Fill::Integer(v) => write!(f, " fill({v})")?,
            Fill::Number(v) => write!(f, " fill({v})")?,
        }
        if self.ordered {
            write!(f, " ORDER BY time {}", if self.descending { "DESC" } else { "ASC" })?;
        }
        write!(f, "{}", self.limits)?;
        match self.zone {
            Some(zone) => write!(f, " TZ('{zone}')"),
            None => Ok(()),
        }
    }
}

impl Display for ShowFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(condition) = &self.condition {
            write!(f, " WHERE {condition}")?;
        }
        if !self.dimensions.is_empty() {
            write!(f, " GROUP BY {}", list(&self.dimensions))?;
        }
        write!(f, "{}", self.limits)
    }
}

impl Display for KeyMatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            KeyMatch::Is(key) => write!(f, " WITH KEY = {}", quote_name(key)),
            KeyMatch::IsNot(key) => write!(f, " WITH KEY != {}", quote_name(key)),
            KeyMatch::Like(pattern) => write!(f, " WITH KEY =~ {}", regex_text(pattern)),
            KeyMatch::NotLike(pattern) => write!(f, " WITH KEY !~ {}", regex_text(pattern)),
            KeyMatch::In(keys) => write!(f, " WITH KEY IN ({})", keys.iter().map(|k| quote_name(k)).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// `words [ON db] [FROM sources] [WITH KEY ..] the rest`
fn write_show(f: &mut Formatter<'_>, words: &str, database: &Option<String>, key: Option<&KeyMatch>, filter: &ShowFilter) -> fmt::Result {
    f.write_str(words)?;
    if let Some(database) = database {
        write!(f, " ON {}", quote_name(database))?;
    }
    if !filter.sources.is_empty() {
        write!(f, " FROM {}", list(&filter.sources))?;
    }
    if let Some(key) = key {
        write!(f, "{key}")?;
    }
    write!(f, "{filter}")
}

impl Display for PolicyOptions {
    /// ` DURATION d REPLICATION n SHARD DURATION d NAME n`, what is there.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(ns) = self.duration_ns {
            write!(f, " DURATION {}", duration_text(ns))?;
        }
        if let Some(n) = self.replication {
            write!(f, " REPLICATION {n}")?;
        }
        if let Some(ns) = self.shard_duration_ns {
            write!(f, " SHARD DURATION {}", duration_text(ns))?;
        }
        if let Some(name) = &self.name {
            write!(f, " NAME {}", quote_name(name))?;
        }
        if self.default {
            f.write_str(" DEFAULT")?;
        }
        Ok(())
    }
}

fn write_grant(f: &mut Formatter<'_>, words: [&str; 2], privilege: Privilege, database: &Option<String>, user: &str) -> fmt::Result {
    let privilege = match privilege {
        Privilege::Read => "READ",
        Privilege::Write => "WRITE",
        Privilege::All => "ALL PRIVILEGES",
    };
    write!(f, "{} {privilege}", words[0])?;
    if let Some(database) = database {
        write!(f, " ON {}", quote_name(database))?;
    }
    write!(f, " {} {}", words[1], quote_name(user))
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Statement::Select(select) => write!(f, "{select}"),
            Statement::Explain { analyze, verbose, select } => {
                let (a, v) = (if *analyze { "ANALYZE " } else { "" }, if *verbose { "VERBOSE " } else { "" });
                write!(f, "EXPLAIN {a}{v}{select}")
            }
            Statement::ShowMeasurements { on, with, filter } => {
                f.write_str("SHOW MEASUREMENTS")?;
                match on {
                    On::Default => {}
                    On::Database(database) => write!(f, " ON {}", quote_name(database))?,
                    On::Policy(database, policy) => write!(f, " ON {}.{}", quote_name(database), quote_name(policy))?,
                    On::Everything => f.write_str(" ON *.*")?,
                }
                match with {
                    Some(NameMatch::Name(name)) => write!(f, " WITH MEASUREMENT = {}", quote_name(name))?,
                    Some(NameMatch::Regex(pattern)) => write!(f, " WITH MEASUREMENT =~ {}", regex_text(pattern))?,
                    None => {}
                }
                write!(f, "{filter}")
            }
            Statement::ShowTagKeys { database, with, filter } => write_show(f, "SHOW TAG KEYS", database, with.as_ref(), filter),
            Statement::ShowTagValues { database, key, filter } => write_show(f, "SHOW TAG VALUES", database, Some(key), filter),
            Statement::ShowFieldKeys { database, filter } => write_show(f, "SHOW FIELD KEYS", database, None, filter),
            Statement::ShowSeries { database, filter } => write_show(f, "SHOW SERIES", database, None, filter),
            Statement::ShowCardinality { of, exact, database, key, filter } => {
                let of = match of {
                    CardinalityOf::Series => "SERIES",
                    CardinalityOf::Measurement => "MEASUREMENT",
                    CardinalityOf::TagKey => "TAG KEY",
                    CardinalityOf::TagValues => "TAG VALUES",
                    CardinalityOf::FieldKey => "FIELD KEY",
                };
                let words = format!("SHOW {of}{} CARDINALITY", if *exact { " EXACT" } else { "" });
                write_show(f, &words, database, key.as_ref(), filter)
            }
            Statement::ShowRetentionPolicies { database: Some(database) } => {
                write!(f, "SHOW RETENTION POLICIES ON {}", quote_name(database))
            }
            Statement::ShowGrants { user } => write!(f, "SHOW GRANTS FOR {}", quote_name(user)),
            Statement::ShowStats { module: Some(module) } => write!(f, "SHOW STATS FOR {}", quote_string(module)),
            Statement::ShowDiagnostics { module: Some(module) } => write!(f, "SHOW DIAGNOSTICS FOR {}", quote_string(module)),
            Statement::CreateDatabase { name, policy } => {
                write!(f, "CREATE DATABASE {}", quote_name(name))?;
                match policy {
                    Some(options) => write!(f, " WITH{options}"),
                    None => Ok(()),
                }
            }
            Statement::CreateRetentionPolicy { name, database, options } => {
                write!(f, "CREATE RETENTION POLICY {} ON {}{options}", quote_name(name), quote_name(database))
            }
            Statement::AlterRetentionPolicy { name, database, options } => {
                write!(f, "ALTER RETENTION POLICY {} ON {}{options}", quote_name(name), quote_name(database))
            }
            Statement::DropDatabase { name } | Statement::DropUser { name } | Statement::DropMeasurement { name } => {
                write!(f, "{} {}", self.name(), quote_name(name))
            }
            Statement::DropRetentionPolicy { name, database } | Statement::DropContinuousQuery { name, database } => {
                write!(f, "{} {} ON {}", self.name(), quote_name(name), quote_name(database))
            }
            Statement::CreateUser { name, admin, .. } => {
                let admin = if *admin { " WITH ALL PRIVILEGES" } else { "" };
                write!(f, "CREATE USER {} WITH PASSWORD [REDACTED]{admin}", quote_name(name))
            }
            Statement::SetPassword { name, .. } => write!(f, "SET PASSWORD FOR {} = [REDACTED]", quote_name(name)),
            Statement::Grant { privilege, database, user } => write_grant(f, ["GRANT", "TO"], *privilege, database, user),
            Statement::Revoke { privilege, database, user } => write_grant(f, ["REVOKE", "FROM"], *privilege, database, user),
            Statement::CreateContinuousQuery { name, database, every, window, select } => {
                write!(f, "CREATE CONTINUOUS QUERY {} ON {} ", quote_name(name), quote_name(database))?;
                if every.is_some() || window.is_some() {
                    f.write_str("RESAMPLE ")?;
                }
                if let Some(ns) = every {
                    write!(f, "EVERY {} ", duration_text(*ns))?;
                }
                if let Some(ns) = window {
                    write!(f, "FOR {} ", duration_text(*ns))?;
                }
                write!(f, "BEGIN {select} END")
            }
            Statement::Delete { source, condition } => {
                f.write_str("DELETE")?;
                if let Some(source) = source {
                    write!(f, " FROM {source}")?;
                }
                condition.as_ref().map_or(Ok(()), |c| write!(f, " WHERE {c}"))
            }
            Statement::DropSeries { sources, condition } => {
                f.write_str("DROP SERIES")?;
                if !sources.is_empty() {
                    write!(f, " FROM {}", list(sources))?;
                }
                condition.as_ref().map_or(Ok(()), |c| write!(f, " WHERE {c}"))
            }
            Statement::DropShard { id } => write!(f, "DROP SHARD {id}"),
            Statement::KillQuery { id, host } => {
                write!(f, "KILL QUERY {id}")?;
                host.as_ref().map_or(Ok(()), |h| write!(f, " ON {}", quote_name(h)))
            }
            Statement::CreateSubscription { name, database, policy, mode, destinations } => write!(
                f,
                "CREATE SUBSCRIPTION {} ON {}.{} DESTINATIONS {mode} {}",
                quote_name(name),
                quote_name(database),
                quote_name(policy),
                destinations.iter().map(|d| quote_string(d)).collect::<Vec<_>>().join(", ")
            ),
            Statement::DropSubscription { name, database, policy } => {
                write!(f, "DROP SUBSCRIPTION {} ON {}.{}", quote_name(name), quote_name(database), quote_name(policy))
            }
            other => f.write_str(other.name()),
        }
    }
}
