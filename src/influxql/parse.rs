//! Text to [`super::ast`]. The grammar is `grammar/influxql.pest`.

use super::ast::Query;
use crate::model::{ErrorKind, Failure, Result};

pub fn query(_text: &str, _params: Option<&str>) -> Result<Query> {
    Err(Failure::new(ErrorKind::NotImplemented, "InfluxQL is not parsed yet"))
}

/// Whether a bare word is reserved (InfluxDB 1.x).
pub fn is_keyword(word: &str) -> bool {
    const KEYWORDS: &str = " ALL ALTER ANALYZE AND ANY AS ASC BEGIN BY CARDINALITY CONTINUOUS CREATE DATABASE DATABASES DEFAULT DELETE DESC \
        DESTINATIONS DIAGNOSTICS DISTINCT DROP DURATION END EVERY EXACT EXPLAIN FALSE FIELD FOR FROM GRANT GRANTS GROUP GROUPS IN INF INSERT \
        INTO KEY KEYS KILL LIMIT MEASUREMENT MEASUREMENTS NAME OFFSET ON OR ORDER PASSWORD POLICY POLICIES PRIVILEGES QUERY QUERIES READ \
        REPLICATION RESAMPLE RETENTION REVOKE SELECT SERIES SET SHARD SHARDS SHOW SLIMIT SOFFSET STATS SUBSCRIPTION SUBSCRIPTIONS TAG TO TRUE \
        USER USERS VALUES WHERE WITH WRITE ";
    KEYWORDS.split_ascii_whitespace().any(|k| k.eq_ignore_ascii_case(word))
}
