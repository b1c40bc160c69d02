//! Statements to plans: names are resolved against the database here. Storage is known only through `plan::Context`.

mod calls;
mod columns;
mod condition;
mod delete;
mod dimensions;
mod expression;
pub mod into;
mod select;
mod show;
mod source;

pub use delete::delete;
pub use select::select;
pub use show::{deleted, query_plan, show, written};

use super::Defaults;
use crate::model::{ErrorKind, Failure, Result};
use crate::plan::{BucketInfo, BucketRef, Context};

/// A form of the language that is read but not planned yet.
fn not_supported(what: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorKind::NotImplemented, format!("{what} is not supported yet"))
}

/// The bucket behind a database and policy, with the request's as the default.
fn bucket(context: &dyn Context, defaults: &Defaults, database: Option<&str>, policy: Option<&str>) -> Result<BucketInfo> {
    let own = database.is_some();
    let database = database.or(defaults.database.as_deref()).filter(|d| !d.is_empty());
    let database = database.ok_or_else(|| Failure::invalid("database name required"))?;
    let policy = policy.or(if own { None } else { defaults.policy.as_deref() }).filter(|p| !p.is_empty());
    context.bucket(BucketRef::Database { database, policy })
}

/// A regular expression of the query's text.
fn pattern(text: &str) -> Result<regex::Regex> {
    regex::Regex::new(text).map_err(|e| Failure::invalid(format!("error parsing regexp: {e}")))
}
