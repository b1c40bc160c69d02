//! The original's messages: `found X, expected A, B at line 1, char 9`. X is the token where the grammar failed
//! furthest; the expected list follows from the rules that were tried there.

use super::Rule;
use pest::error::{Error, ErrorVariant, InputLocation};

/// Words the failure of a parse as InfluxDB 1.x does.
pub fn describe(text: &str, error: &Error<Rule>) -> String {
    let at = match error.location {
        InputLocation::Pos(at) => at,
        InputLocation::Span((at, _)) => at,
    };
    let tried: &[Rule] = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => &[],
    };
    let expected = expected(tried);
    let token = token(text, at);
    if token.kind == Kind::BadDuration {
        return "invalid duration".into();
    }
    if token.kind == Kind::Regex && tried.contains(&Rule::regex) {
        return format!("bad regex:  at {}", place(text, at));
    }
    if text[..at].ends_with('$') {
        return "empty bound parameter".into();
    }
    let found = match (&token.kind, token.text.as_str()) {
        (Kind::End, _) => "EOF".to_string(),
        (_, text) => text.to_string(),
    };
    format!("found {found}, expected {expected} at {}", token.place)
}

/// What the original expects where these rules were tried: the first line whose rules were all among them.
fn expected(tried: &[Rule]) -> String {
    use Rule::*;
    let table: &[(&[Rule], &str)] = &[
        (&[query], "SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL"),
        (&[drop_database, semicolon], "SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL"),
        (&[select, show], "SELECT, DELETE, SHOW, CREATE, DROP, EXPLAIN, GRANT, REVOKE, ALTER, SET, KILL"),
        (&[semicolon], ";"),
        (
            &[k_databases, k_diagnostics],
            "CONTINUOUS, DATABASES, DIAGNOSTICS, FIELD, GRANTS, MEASUREMENT, MEASUREMENTS, QUERIES, RETENTION, SERIES, SHARD, SHARDS, \
             STATS, SUBSCRIPTIONS, TAG, USERS",
        ),
        (&[k_database, k_continuous, k_measurement], "CONTINUOUS, DATABASE, MEASUREMENT, RETENTION, SERIES, SHARD, SUBSCRIPTION, USER"),
        (&[k_database, k_continuous], "CONTINUOUS, DATABASE, USER, RETENTION, SUBSCRIPTION"),
        (&[k_read, k_write], "READ, WRITE, ALL [PRIVILEGES]"),
        (&[k_duration, k_name], "DURATION, NAME, REPLICATION, SHARD"),
        (&[policy_duration, policy_name], "DURATION, NAME, REPLICATION, SHARD"),
        (&[k_duration, k_default], "DURATION, REPLICATION, SHARD, DEFAULT"),
        (&[policy_duration, policy_default], "DURATION, REPLICATION, SHARD, DEFAULT"),
        (&[source], "identifier"),
        (&[target], "identifier"),
        (&[arg], "identifier, string, number, bool"),
        (&[cast], "float, integer, unsigned, string, boolean, field, tag"),
        (&[cast_float], "float, integer, unsigned, string, boolean, field, tag"),
        (&[key_match], "IN, =, =~"),
        (&[match_regex], "=, =~"),
        (&[string, boolean], "identifier, string, number, bool"),
        (&[paren, call], "identifier, number, duration, ("),
        (&[negated, string], "identifier, string, number, bool"),
        (&[k_as, k_from], "FROM"),
        (&[k_into, k_from], "FROM"),
        (&[k_from, k_where], "FROM, WHERE"),
        (&[k_resample, k_begin], "BEGIN"),
        (&[resample], "BEGIN"),
        (&[with_key], "WITH"),
        (&[k_on, k_from, k_with], "WITH"),
        (&[k_from, k_with], "WITH"),
        (&[k_on, k_from], "ON, FROM"),
        (&[k_on, k_to], "ON, TO"),
        (&[k_keys, k_key, k_values], "KEY, KEYS, VALUES"),
        (&[k_keys, k_key], "KEY, KEYS"),
        (&[k_exact, k_cardinality], "EXACT, CARDINALITY"),
        (&[k_every, k_for], "EVERY, FOR"),
        (&[k_all, k_any], "ALL, ANY"),
        (&[sort_field, k_asc], "identifier, ASC, DESC"),
        (&[name, k_asc, k_desc], "identifier, ASC, DESC"),
        (&[regex, name], "identifier"),
        (&[name], "identifier"),
        (&[quoted], "identifier"),
        (&[length], "duration"),
        (&[duration, k_inf], "duration"),
        (&[duration], "duration"),
        (&[count], "integer"),
        (&[integer], "integer"),
        (&[regex], "regex"),
        (&[rparen], ")"),
        (&[k_end], "END"),
        (&[lparen], "("),
        (&[dot], "."),
        (&[equals], "="),
        (&[string], "string"),
        (&[k_with], "WITH"),
        (&[k_privileges], "PRIVILEGES"),
    ];
    if let Some((_, text)) = table.iter().find(|(rules, _)| rules.iter().all(|r| tried.contains(r))) {
        return text.to_string();
    }
    // A single keyword: the rule is called by its name.
    let shown = |rule: &Rule| format!("{rule:?}").trim_start_matches("k_").to_ascii_uppercase();
    let words: Vec<String> = tried.iter().filter(|r| format!("{r:?}").starts_with("k_")).map(shown).collect();
    // SHOW TAG VALUES wants WITH before anything else; the original names only what is required.
    words.last().cloned().unwrap_or_else(|| "identifier, string, number, bool".into())
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    End,
    Word,
    Quoted,
    Number,
    BadDuration,
    Regex,
    Symbol,
}

struct Token {
    kind: Kind,
    text: String,
    place: String,
}

/// The token at a byte of the text, as the original's scanner sees it. A quoted one is said to stand one before its
/// quote; the end of the text one further when a word came last (InfluxDB 1.6.7 and 1.8).
fn token(text: &str, at: usize) -> Token {
    let rest = &text[at..];
    let here = || place(text, at);
    let Some(first) = rest.chars().next() else {
        let trimmed = text.trim_end();
        let after_word = trimmed.len() == text.len() && trimmed.ends_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '.')
            || trimmed.len() == text.len() && last_word(trimmed).starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let (line, column) = line_column(text, at);
        let column = column + usize::from(after_word && !ends_in_duration(trimmed));
        return Token { kind: Kind::End, text: String::new(), place: format!("line {line}, char {column}") };
    };
    match first {
        '\'' | '"' => {
            let inner: Vec<char> = rest.chars().skip(1).collect();
            let mut out = String::new();
            let mut i = 0;
            while i < inner.len() && inner[i] != first && inner[i] != '\n' {
                if inner[i] == '\\' {
                    match inner.get(i + 1) {
                        Some('n') => out.push('\n'),
                        Some(c) if *c == '\'' || *c == '"' || *c == '\\' => out.push(*c),
                        other => {
                            let (line, column) = line_column(text, at);
                            let bad = other.map(|c| c.to_string()).unwrap_or_default();
                            let place = format!("line {line}, char {}", column + i + 2);
                            return Token { kind: Kind::Quoted, text: format!("\\{bad}"), place };
                        }
                    }
                    i += 2;
                    continue;
                }
                out.push(inner[i]);
                i += 1;
            }
            let (line, column) = line_column(text, at);
            Token { kind: Kind::Quoted, text: out, place: format!("line {line}, char {}", column.saturating_sub(1)) }
        }
        '0'..='9' => {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == 'µ')).unwrap_or(rest.len());
            let word = &rest[..end];
            let bad = word.contains(|c: char| c.is_ascii_alphabetic()) && super::literal::duration(word).is_err();
            let kind = if bad { Kind::BadDuration } else { Kind::Number };
            Token { kind, text: word.into(), place: here() }
        }
        '/' => Token { kind: Kind::Regex, text: "/".into(), place: here() },
        c if c.is_ascii_alphabetic() || c == '_' => {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let word = &rest[..end];
            let text = if super::is_keyword(word) { word.to_ascii_uppercase() } else { word.into() };
            Token { kind: Kind::Word, text, place: here() }
        }
        c => {
            let two = rest.get(..2).filter(|t| ["<=", ">=", "!=", "<>", "=~", "!~", "::"].contains(t));
            Token { kind: Kind::Symbol, text: two.map_or_else(|| c.to_string(), str::to_string), place: here() }
        }
    }
}

/// The run of word characters at the end.
fn last_word(text: &str) -> &str {
    let start = text
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .map_or(0, |i| i + text[i..].chars().next().map_or(1, char::len_utf8));
    &text[start..]
}

fn ends_in_duration(text: &str) -> bool {
    last_word(text).starts_with(|c: char| c.is_ascii_digit())
}

fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn place(text: &str, at: usize) -> String {
    let (line, column) = line_column(text, at);
    format!("line {line}, char {column}")
}
