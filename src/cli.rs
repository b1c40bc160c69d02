//! Commands. They are HTTP clients; only `serve`, the demo and offline tools open a database themselves.
//!
//! [`args`] is the tree of commands: every command is a file with its `...Arguments` and its `run`. Flags, environment
//! and tables are those of the `influx` CLI 2.x, so that scripts written for it work when the program is called through
//! links named `influx` and `influxd` ([`invocation`]).

pub mod args;
mod invocation;

// The server.
mod first_start;
mod serve;
mod settings;
mod stop;

// What commands that ask a server share.
mod connection;
mod input;
mod interrupt;
mod output;
mod profiles;
mod quantity;
mod server;

// Commands that ask a server.
mod auth;
mod bucket;
mod config;
mod delete;
mod import;
mod org;
mod ping;
mod query;
mod setup;
mod user;
mod v1;
mod version;
mod write;

// Offline tools; some ask a server, too.
mod compact;
mod inspect;
mod place;
mod rebuild_manifest;
pub mod test_flux;
mod verify;

// For people.
mod answer;
mod console;
mod demo;
mod plot;
mod question;

pub use args::run;
