//! Where languages meet storage: the `Context` over snapshots, the session, and running queries with their budgets.

pub mod session;

mod apart;
mod columns;
mod computed;
pub mod delete;
pub mod explain;
mod few_rules;
mod held;
pub mod memory;
mod newest;
mod plain;
pub mod provider;
mod requirements;
pub mod run;
pub mod scan;
pub mod split;
pub mod tables;
mod tag_filter;
pub mod testcases;
pub mod text_keys;
mod twice;
